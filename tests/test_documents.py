"""What is written for people: links lead somewhere, snippets import what there is."""

import ast
import importlib
import re
import runpy
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

import atmodist

ROOT = Path(__file__).parents[1]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GENERATED = re.compile(r"commands/|api/|changes\.md")  # by the build of the documentation


def setup_arguments():
    with patch("setuptools.setup") as setup:
        runpy.run_path(str(ROOT / "setup.py"))
    return setup.call_args.kwargs


def anchors(page):
    """What headings of a page are linked by."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    texts = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"\s+", "-", text) for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = page if not path else page.parent / path
        if page.parent.name == "docs" and GENERATED.match(path):
            continue
        assert linked.exists(), f"{target} in {page.name}"
        if anchor:
            assert anchor in anchors(linked), f"{target} in {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_pictures_have_words_for_those_who_do_not_see_them(page):
    assert "![](" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_snippets_of_python_import_what_there_is(page):
    for language, code in FENCE.findall(page.read_text(encoding="utf-8")):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name), f"{node.module}.{name.name}"
            elif isinstance(node, ast.Import):
                for name in node.names:
                    importlib.import_module(name.name)


def test_new_names_of_modules_are_names_of_modules():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `.+ \| (`.+) \|$", text, re.MULTILINE)
    assert len(rows) > 20
    for name in re.findall(r"`([a-z_.0-9]+)`", " ".join(rows)):
        importlib.import_module(name)


def test_one_version_in_all_places():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == setup_arguments()["version"] == atmodist.__version__


def test_citation_has_what_its_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)


def test_forms_are_valid_yaml_with_a_name_and_fields():
    for form in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml"):
        content = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert form.name == "config.yml" or {"name", "description", "body"} <= set(content)


def test_packages_say_that_they_are_typed():
    patterns = setup_arguments()["package_data"][""]
    assert "py.typed" in patterns
    for package in ("atmodist", "dynamics", "srgan", "evaluation"):
        assert (ROOT / package / "py.typed").exists()
