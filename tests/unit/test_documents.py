"""What the documents name exists: pages and their headings, files, commands, modules and names."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PAGES = [page for page in PAGES if page.name != "CHANGELOG.md" and "_build" not in page.parts]
PACKAGES = "keras_ssl|pipelines|export|stages"


def heading_anchors(page):
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def exists(dotted):
    """Whether `dotted` is a module, or a name in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page):
    prose = re.sub(r"^    .*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), target
        assert not anchor or anchor in heading_anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_commands_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    paths = re.findall(r"`((?:tests|benchmarks|docs|\.ci|keras_ssl|stages)/[\w./]+)`", text)
    paths += re.findall(r"python (\w[\w/]*\.py)\b", text)
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).exists()] == []
    modules = re.findall(rf"python -m ((?:{PACKAGES}|benchmarks)[\w.]*)", text)
    files = [ROOT / f"{module.replace('.', '/')}.py" for module in modules]
    assert [file.name for file in files if not file.is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_that_a_page_takes_from_the_packages_exist(page):
    text = page.read_text(encoding="utf-8")
    names = re.findall(rf"(?<!--set )\b((?:{PACKAGES})(?:\.[A-Za-z_]\w*)+)\b", text)
    for module, imported in re.findall(rf"from ((?:{PACKAGES})[\w.]*) import ([\w, ]+)", text):
        names += [f"{module}.{name.split()[0]}" for name in imported.split(",")]
    names = [name for name in dict.fromkeys(names) if not name.endswith(".md")]
    assert [name for name in names if not exists(name)] == []


def test_every_public_name_is_in_the_reference():
    pages = "".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/api/*.md"))
    whole = set(re.findall(r"autoapimodule:: ([\w.]+)\n   :members:\n", pages))
    packages = [*ROOT.glob("keras_ssl/*/__init__.py"), *ROOT.glob("pipelines/__init__.py")]
    packages += ROOT.glob("export/__init__.py")
    for package in (".".join(file.parent.relative_to(ROOT).parts) for file in packages):
        if package in whole or package == "keras_ssl.core":
            continue
        names = getattr(importlib.import_module(package), "__all__", ())
        assert [name for name in names if f".{name}\n" not in pages] == [], package
