import pytest

from evaluation.report.html import Markup, data_uri, element, escaped, page, slug, table


def test_text_is_escaped_everywhere():
    made = element("td", "<b>&", title='"><script>')
    assert made == '<td title="&quot;&gt;&lt;script&gt;">&lt;b&gt;&amp;</td>'
    assert element("p", ["a<", ["b<"]], None, 3) == "<p>a&lt;b&lt;3</p>"


def test_markup_goes_in_as_it_is_once():
    assert element("p", element("b", "<")) == "<p><b>&lt;</b></p>"
    assert isinstance(escaped("x"), Markup)


def test_control_characters_and_lone_surrogates_cannot_spoil_a_page():
    escaped("a\x00b\ud800").encode("utf-8")
    assert "\x00" not in escaped("a\x00b")


def test_attributes():
    made = element("details", open=True, hidden=False, aria_label="x", class_="a")
    assert made == '<details open aria-label="x" class="a"></details>'
    assert element("img", alt="") == '<img alt="">'
    with pytest.raises(ValueError, match="no name of an attribute"):
        element("p", **{"on click": "x"})


def test_slugs_are_safe_names_of_files():
    assert slug("../<Vorticity> σ", "a") == "vorticity-a"
    assert slug("σ") == "x"


def test_a_page_keeps_dollars_of_its_content():
    made = page("<t>", element("p", "$title $style $"))
    assert "<p>$title $style $</p>" in made
    assert "<title>&lt;t&gt;</title>" in made


def test_a_head_of_elements_is_not_wrapped_again():
    made = table(["a", element("th", "b")], [])
    assert made.count("<th") - made.count("<thead") == 2


def test_data_uri():
    assert data_uri(b"abc", "image/png") == "data:image/png;base64,YWJj"
