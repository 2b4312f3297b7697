"""What `mkdocs build` (`make docs`) does beside turning docs/ into pages; a hook of MkDocs.

- Every command gets a page, made from its own help, so that none can be forgotten or out of date.
- Every package gets a page of its public modules, and `api/index.md` says what the packages offer
  by their own names.
- CHANGELOG.md becomes a page.
- What was built must not load anything from elsewhere: the site is to be read without a network,
  and to tell nobody that it is read.

MkDocs calls the functions `on_...`; see its documentation of hooks.
"""

import ast
import contextlib
import importlib
import io
import os
import pkgutil
import re
import runpy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGES = ("atmodist", "dynamics", "srgan", "evaluation")  # from the ground up
SUBCOMMANDS = {"phire-eval": ("compare",)}  # of commands that take one instead of an argument
NO_SCIENCE = ("cli",)  # modules that the reference leaves out
Page = tuple[str, str]  # where a page lies in docs/, and its text

# --------------------------------------------------------------------------- called by MkDocs


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the generated pages into the navigation, where it says `commands/` and `api/`."""
    generated = {"commands/": command_pages(), "api/": api_pages()}
    for section in config.nav or []:
        for title, target in section.items():
            if isinstance(target, str) and target in generated:
                section[title] = [path for path, _ in generated[target]]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    for path, text in (*command_pages(), *api_pages(), changes_page()):
        files.append(File.generated(config, path, content=text))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Refuses a site that loads anything from elsewhere."""
    found = list(loaded_from_elsewhere(Path(config.site_dir)))
    if found:
        raise PluginError("pages must load nothing from elsewhere:\n" + "\n".join(found))


# -------------------------------------------------------------------------------- of commands


@dataclass(frozen=True)
class Option:
    """An argument or option, as the help of a command describes it."""

    names: str  # "--days DAYS"
    text: str
    kind: str  # "int, default: 60"; of arguments that must be given, "required, str"

    @property
    def is_required(self) -> bool:
        """Whether the command cannot do without."""
        return self.kind.startswith("required")


def commands() -> dict[str, Callable[[list[str]], int]]:
    """What can be typed, and the function that does it, in the order of setup.py."""
    with patch("setuptools.setup") as setup:
        runpy.run_path(str(ROOT / "setup.py"))
    found: dict[str, Callable[[list[str]], int]] = {}
    for script in setup.call_args.kwargs["entry_points"]["console_scripts"]:
        name, _, place = script.partition(" = ")
        module, _, function = place.partition(":")
        found[name] = getattr(importlib.import_module(module), function)
    return found


def invocations() -> Iterator[tuple[str, str]]:
    """All commands and sub-commands as they are typed, and their help."""
    from atmodist.cli.main import COMMANDS

    subcommands = {**SUBCOMMANDS, "atmodist": tuple(COMMANDS)}
    for name, main in commands().items():
        yield name, help_of(main, [])
        for word in subcommands.get(name, ()):
            yield f"{name} {word}", help_of(main, [word])


def help_of(main: Callable[[list[str]], int], words: list[str]) -> str:
    """What a command prints when asked for `--help`, on a screen so wide that no line is cut."""
    printed = io.StringIO()
    with (
        patch.dict(os.environ, {"COLUMNS": "10000", "NO_COLOR": "1"}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        main([*words, "--help"])
    return printed.getvalue()


def command_pages() -> list[Page]:
    """The pages of all commands, the overview first."""
    pages, overview = [], []
    for command, text in invocations():
        path = f"commands/{command.replace(' ', '-')}.md"
        if command == "atmodist":  # has no options, but names its commands
            continue
        description, groups, epilogue = parsed_help(text)
        pages.append((path, command_page(command, description, groups, epilogue)))
        overview.append(f"| [`{command}`]({Path(path).name}) | {escaped(description)} |")
    head = (
        "# Commands\n\n"
        "Made from what each command says to `--help`. All read settings from a YAML file too "
        "(`--config run.yaml`; flags after it win), show the merged ones with `--print_config`, "
        "and end with status 0, or with one line on stderr and status 2 after a mistake "
        "(`ATMODIST_DEBUG=1` shows its traceback).\n\n"
        "| command | what it does |\n|---|---|\n"
    )
    return [("commands/index.md", head + "\n".join(overview) + "\n"), *pages]


def parsed_help(text: str) -> tuple[str, dict[str, list[Option]], str]:
    """Takes the help of a command apart.

    Returns:
        The description; groups of options by title; what follows them.
    """
    blocks = [block for block in re.split(r"\n\s*\n", text.strip()) if block]
    description, epilogue = "", ""
    groups: dict[str, list[Option]] = {}
    for block in blocks:
        title, _, body = block.partition("\n")
        if title.startswith("usage:"):
            continue
        if title.endswith(":") and body.startswith("  "):
            groups[title.rstrip(":")] = parsed_options(body)
        elif groups:
            epilogue = block
        else:
            description = block
    return description, groups, epilogue


def parsed_options(body: str) -> list[Option]:
    """The options of one group: two blanks before names, more before help on lines of its own."""
    options: list[Option] = []
    for line in body.splitlines():
        names, _, text = line.strip().partition("  ")
        if line.startswith("   "):
            last = options.pop()
            names, text = last.names, f"{last.text} {line.strip()}"
        text, kind = without_kind(text.strip())
        options.append(Option(names, text, kind))
    return options


def without_kind(text: str) -> tuple[str, str]:
    """Help, and the "(type: int, default: 60)" that it ends with."""
    match = re.fullmatch(r"(.*?)\s*\(((?:required, )?(?:type|default): .*)\)", text, re.DOTALL)
    if match is None:
        return text, ""
    return match[1], match[2].replace("type: ", "")


def command_page(
    command: str, description: str, groups: dict[str, list[Option]], epilogue: str
) -> str:
    """One page."""
    positional = groups.pop("positional arguments", [])
    common = [option for option in groups.pop("options", []) if "--help" not in option.names]
    own = [option for options in groups.values() for option in options]
    needed = [option.names.split(",")[0] for option in own if option.is_required]
    call = [command, *(option.names.upper() for option in positional), *needed, "[options]"]
    lines = [f"# `{command}`", "", escaped(description), ""]
    lines += ["```console", "$ " + " ".join(call), "```", ""]
    for title, options in (("Arguments", positional), ("Options", own), ("Settings", common)):
        if options:
            lines += [f"## {title}", "", *map(described, options)]
    return "\n".join([*lines, escaped(epilogue), ""])


def described(option: Option) -> str:
    """An option as an entry of a list of definitions."""
    kind = f'<span class="kind">{escaped(option.kind)}</span>' if option.kind else ""
    return f"`` {option.names} ``\n:   {escaped(option.text)} {kind}\n"


def escaped(text: str) -> str:
    """Plain text as Markdown."""
    return re.sub(r"([\\`*_\[\]<>{}|])", r"\\\1", text)


# ------------------------------------------------------------------------------------ of Python


def api_pages() -> list[Page]:
    """What the packages offer by their own names, then a page for each of their packages."""
    pages = [("api/index.md", public_names())]
    for package in PACKAGES:
        pages += [(f"api/{name}.md", modules_page(name)) for name in parts(package)]
    return pages


def public_names() -> str:
    """The page of names that stay where they are; all others may move between versions."""
    lines = ["# Python", ""]
    lines += [
        "The names on this page stay where they are. Everything else, on the pages of the "
        "packages, may move from one minor version to the next; the [changes](../changes.md) say "
        "where to.",
        "",
    ]
    for package in PACKAGES:
        module = importlib.import_module(package)
        lines += [f"## {package}", "", str(module.__doc__), ""]
        for name, place in offered(package).items():
            if place == f"{package}.{name}":
                lines += [f"### {place}", "", f"A package: [its functions]({place}.md).", ""]
            else:
                lines += entry(place, f"{package}.{name}")
    return "\n".join(lines)


def offered(package: str) -> dict[str, str]:
    """The names that a package offers, and where they are defined, as its stub says."""
    stub = ast.parse((ROOT / package / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {
        name.asname or name.name: ".".join(filter(None, (package, node.module, name.name)))
        for node in imports
        for name in node.names
    }


def parts(package: str) -> list[str]:
    """A package and the packages in it, those without public modules left out."""
    path = [str(ROOT / package)]
    inside = [module.name for module in pkgutil.iter_modules(path, f"{package}.") if module.ispkg]
    found = [package, *inside]
    return [name for name in found if name.split(".")[-1] not in NO_SCIENCE and modules(name)]


def modules(package: str) -> list[str]:
    """The modules of a package, and of packages in it where it is a part of one itself."""
    path = [str(ROOT / package.replace(".", "/"))]
    found: list[str] = []
    for module in pkgutil.iter_modules(path, f"{package}."):
        if module.name.split(".")[-1] in NO_SCIENCE:
            continue
        if not module.ispkg:
            found.append(module.name)
        elif "." in package:
            found += modules(module.name)
    return found


def modules_page(package: str) -> str:
    """All public modules of a package."""
    lines = [f"# {package}", ""]
    for module in modules(package):
        lines += entry(module, module, level=2)
    return "\n".join(lines)


def entry(name: str, heading: str, *, level: int = 3) -> list[str]:
    """What mkdocstrings turns into the documentation of a name."""
    return [f"::: {name}", "    options:", f"      heading: {heading}",
            f"      heading_level: {level}", ""]  # fmt: skip


def changes_page() -> Page:
    """CHANGELOG.md, whose links are those of a file one folder higher."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return "changes.md", text.replace("](docs/", "](")


# ------------------------------------------------------------------------------ of what was built

# What a browser loads by itself; links (<a>) it does not.
LOADING = {
    "script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src",
    "video": "src", "audio": "src", "embed": "src", "object": "data", "use": "href",
}  # fmt: skip
ELSEWHERE = re.compile(r"\s*(?:[a-z]+:)?//", re.IGNORECASE)
IN_STYLES = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)")


class _Loads(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        values = dict(attrs)
        address = values.get(LOADING.get(tag, "")) or ""
        if ELSEWHERE.match(address):
            self.found.append(address)
        if "mermaid" in (values.get("class") or ""):
            self.found.append("mermaid, which the theme would fetch")


def loaded_from_elsewhere(site: Path) -> Iterator[str]:
    """Scripts, styles, fonts and pictures of other addresses, one line for each."""
    for path in sorted(site.rglob("*")):
        if path.suffix not in (".html", ".css", ".svg"):
            continue
        text = path.read_text(encoding="utf-8")
        loads = _Loads()
        if path.suffix == ".html":
            loads.feed(text)
        for address in [*loads.found, *IN_STYLES.findall(text)]:
            yield f"{path.relative_to(site)}: {address}"
