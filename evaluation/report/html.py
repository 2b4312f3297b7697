"""HTML that cannot be injected: text becomes markup only by being escaped.

`element("td", "a < b", class_="x")` is <td class="x">a &lt; b</td>. Children that are `Markup` go
in as they are; everything else is text. Names of files, channels and regions come from elsewhere,
and are never trusted. No other page, style, font or picture is referred to: a page is one file.
"""

import base64
import html
import re
from collections.abc import Iterable
from importlib import resources
from string import Template
from typing import Any

_VOID = {"meta", "img", "br", "hr", "col"}
_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Markup(str):
    """HTML that is already safe."""

    __slots__ = ()


Child = Markup | str | int | float | Iterable[Any] | None


def element(tag: str, /, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """An element with its children, nested iterables flattened, None left out.

    Args:
        tag: Of HTML.
        children: Text, which is escaped; `Markup`; iterables of both.
        attributes: Values are escaped. A trailing underscore is dropped (`class_`), others become
            hyphens; True is an attribute without a value, None and False are no attribute.
    """
    parts = [tag]
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an attribute")
        if value is True:
            parts.append(name)
        elif value is not None and value is not False:
            parts.append(f'{name}="{escaped(value)}"')
    start = f"<{' '.join(parts)}>"
    if tag in _VOID:
        return Markup(start)
    return Markup(f"{start}{joined(children)}</{tag}>")


def joined(children: Child) -> Markup:
    """Children one after the other."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str | int | float):
        return escaped(children)
    return Markup("".join(joined(child) for child in children))


def escaped(value: Any) -> Markup:
    """Text as HTML; control characters, which HTML forbids, become spaces."""
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", " ", str(value))
    return Markup(html.escape(text, quote=True))


def slug(*names: str) -> str:
    """An identifier from names: letters, digits and hyphens; different names may give the same."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(names).lower()).strip("-") or "x"


def data_uri(content: bytes, media_type: str) -> str:
    """The content of a file as an address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def table(
    head: Iterable[str], rows: Iterable[Markup], *, caption: Child = None, class_: str = ""
) -> Markup:
    """A table in a box of its own, which scrolls where the page is narrow.

    Cells of the head are texts, or whole elements.
    """
    columns = [
        cell if isinstance(cell, Markup) else element("th", cell, scope="col") for cell in head
    ]
    whole = element(
        "table",
        element("caption", caption) if caption else None,
        element("thead", element("tr", columns)),
        element("tbody", rows),
        class_=class_ or None,
    )
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label="table")


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names and what they stand for, as a list of definitions."""
    return element("dl", [(element("dt", name), element("dd", what)) for name, what in pairs])


def page(title: str, body: Child) -> Markup:
    """A whole page with our style in it."""
    folder = resources.files("evaluation").joinpath("data")
    template = Template(folder.joinpath("report.html").read_text("utf-8"))
    style = folder.joinpath("report.css").read_text("utf-8")
    return Markup(template.substitute(title=escaped(title), style=style, body=joined(body)))
