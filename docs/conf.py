"""Configuration of the documentation; CONTRIBUTING.md has the command that builds it."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]

project = "keras-ssl"
author = "The keras-ssl authors"
version = release = runpy.run_path(ROOT / "keras_ssl" / "version.py")["__version__"]

extensions = ["myst_parser", "sphinx.ext.napoleon", "autoapi.extension", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
smartquotes_action = "D"  # dashes alone: quotes in docstrings are code

html_theme = "furo"
html_title = f"keras-ssl {version}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["keras_ssl.css"]
copybutton_exclude = ".linenos, .gp, .go"

# The reference is read from the source, without importing it.
autoapi_dirs = [str(ROOT / name) for name in ("keras_ssl", "pipelines", "export")]
autoapi_generate_api_docs = False
autoapi_add_toctree_entry = False
autoapi_options = ["members", "imported-members", "show-inheritance"]
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Class attributes", "params_style")]
default_role = "code"
# Constants of a tuple assignment, which the reader of the source does not follow.
suppress_warnings = ["autoapi.python_import_resolution"]

toc_object_entries_show_parents = "hide"

_SECTION = re.compile(r"(Args|Attributes|Class attributes|Examples?|Raises|Returns|Yields):$")
_OPTION = re.compile(r"        (\w+(?:, \w+)*): ")
_OURS = re.compile(r"\b(?:keras_ssl|pipelines|export)(?:\.[a-z_0-9]+)+\.(?=[A-Z])")


def to_rst(app, what, name, obj, options, lines):
    """Docstrings are prose with backquotes and indented formulas: escape all other markup."""
    section = formula = code = options_of = False
    result = []
    for number, line in enumerate(lines):
        stripped = line.strip()
        if _SECTION.match(line):
            section = True
        code = stripped.startswith((">>>", "...")) or (code and bool(stripped))
        indented = line.startswith("    ") and not section
        if indented and not formula and not code and not lines[number - 1].strip():
            result += [".. code-block:: text", ""]
            formula = True
        elif formula and stripped and not indented:
            formula = False
        if section and line.startswith("    ") and not line.startswith("     "):
            options_of = stripped.startswith("**")
        if options_of and line.startswith("        ") and not code:
            if _OPTION.match(line):  # an option of `**options`: an item of a list
                result += [""] if not result[-1].startswith("        ") else []
                line = _OPTION.sub(r"        - **\1**: ", _escaped(line))
            else:
                line = "          " + _escaped(stripped)
            result.append(line)
            continue
        if number and lines[number - 1] in ("Returns:", "Yields:"):
            line = f"    : {stripped}"  # no type before a colon: all of it is prose
        result.append(line if formula or code else _escaped(line))
    lines[:] = result


def _escaped(line):
    """Escape what is markup outside of backquotes, and not meant as such."""
    parts = re.split(r"(`[^`]*`)", line)
    special = r"([*|\\]|(?<=\w)_(?!\w))"
    return "".join(p if p.startswith("`") else re.sub(special, r"\\\1", p) for p in parts)


def is_skipped(app, what, name, obj, skip, options):
    """Leave out what a package does not list, and members that add nothing to those of a base."""
    parent = app.env.autoapi_all_objects.get(obj.id.rpartition(".")[0])
    if parent is None or parent.type in ("module", "package"):
        return skip or (parent is not None and parent.all is not None and name not in parent.all)
    bases = (app.env.autoapi_all_objects.get(base) for base in parent.bases)
    inherited = (child for base in bases if base for child in base.children if child.name == name)
    return skip or obj.docstring in {"", *(child.docstring for child in inherited)}


def short_types(app, what, name, obj, options, signature, returned):
    """Write types of ours without their modules."""
    return tuple(part and _OURS.sub("", part) for part in (signature, returned))


def setup(app):
    app.connect("autodoc-process-docstring", to_rst, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", short_types)
    app.connect("autodoc-skip-member", is_skipped)
