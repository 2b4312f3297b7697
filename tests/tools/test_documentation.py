"""Pages that are generated, and the check of what was built."""

import pytest

from tests.tools.loading import tool

pytest.importorskip("mkdocs", reason="pip install 'atmodist[docs]'")
documentation = tool("documentation")

HELP = """usage: try [--config CONFIG] [--level {1,2}] input

Tries *something*.

positional arguments:
  input                 The file. (required, type: text)

options:
  -h, --help            Show this help message and exit.
  --config CONFIG       YAML file of settings.

Tries *something*:
  --level {1,2}         How much. (default: 1)
  --a_very_long_name A_VERY_LONG_NAME
                        Its name (in words). (type: text or null, default: null)

There is more.
"""


@pytest.fixture(scope="module")
def pages():
    return dict(documentation.command_pages())


def test_help_is_taken_apart():
    description, groups, epilogue = documentation.parsed_help(HELP)
    assert (description, epilogue) == ("Tries *something*.", "There is more.")
    level, name = groups["Tries *something*"]
    assert (level.names, level.text, level.kind) == ("--level {1,2}", "How much.", "default: 1")
    assert name.names == "--a_very_long_name A_VERY_LONG_NAME"
    assert (name.text, name.kind) == ("Its name (in words).", "text or null, default: null")
    assert [option.is_required for option in groups["positional arguments"]] == [True]


def test_every_command_has_a_page_with_its_options(pages):
    from atmodist.cli.main import COMMANDS

    names = {path.removeprefix("commands/").removesuffix(".md") for path in pages}
    assert names == {
        "index", "rplearn-data", "rplearn-train", "rplearn-eval", "phire-data", "phire-train",
        "phire-infer", "phire-eval", "phire-eval-compare", *(f"atmodist-{c}" for c in COMMANDS),
    } | {name for name in names if name.split("-")[0] in ("forecast", "assimilate")}  # fmt: skip
    assert "`` --patch_shape [ITEM,...] ``" in pages["commands/rplearn-data.md"]
    assert "$ rplearn-data ARCHIVE [options]" in pages["commands/rplearn-data.md"]
    for path, text in pages.items():
        assert "## Settings" in text or path == "commands/index.md", path


def test_public_names_are_those_that_the_packages_offer():
    import importlib

    for package in documentation.PACKAGES:
        offered = documentation.offered(package)
        assert set(offered) == set(importlib.import_module(package).__all__), package


def test_all_modules_but_command_lines_are_in_the_reference():
    text = "\n".join(text for _, text in documentation.api_pages())
    for module in ("atmodist.metric.distance", "atmodist.pretext.ordinal", "dynamics.vertical"):
        assert f"::: {module}\n" in text
    assert ".cli." not in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.html", '<script src="https://example.org/a.js"></script>'),
        ("page.html", '<link rel="stylesheet" href="//example.org/a.css">'),
        ("page.html", '<p><img alt="" src="http://example.org/a.png"></p>'),
        ("page.html", '<pre class="mermaid">graph</pre>'),
        ("style.css", "@font-face { src: url('https://example.org/a.woff2') }"),
        ("style.css", '@import "https://example.org/a.css";'),
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    (found,) = documentation.loaded_from_elsewhere(tmp_path)
    assert found.startswith(f"{name}: ")


def test_links_and_what_lies_beside_are_fine(tmp_path):
    (tmp_path / "page.html").write_text(
        '<a href="https://example.org">there</a><img src="a.png"><script src="../a.js"></script>'
    )
    (tmp_path / "style.css").write_text("a { background: url(a.png) url(data:image/png;base64,) }")
    assert list(documentation.loaded_from_elsewhere(tmp_path)) == []
