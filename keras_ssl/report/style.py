"""How plots look: colors that are told apart without color vision, and SVG that fits a page."""

import contextlib
import html
import io
import re
from collections.abc import Iterator
from typing import Any

# Okabe and Ito, "Color Universal Design" (2008), without yellow and black, which vanish on a white
# and on a dark page; dashes and markers tell the curves apart where colors do not.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
MARKERS = ("o", "s", "^", "D", "v", "X", "P", "*", "<", ">")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo")
WIDTH, HEIGHT = 5.0, 3.1  # inches, 72 units each: 360 units are as wide as a phone
FONT_SIZE = 10
# Colors that the page gives: drawn as these, they become CSS variables.
INK, FAINT, PAGE = "#010203", "#010204", "#010205"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", PAGE: "var(--page)"}

_SETTINGS = {
    "svg.fonttype": "none",  # text stays text: small, and read aloud
    "svg.hashsalt": "keras_ssl",  # the same ids every time
    "text.parse_math": False,  # a class may be called "$5"
    "axes.unicode_minus": True,
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "path.simplify": True,
}


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Settings of Matplotlib for a plot; those of the caller are back after the block."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not what the caller's own style says
        matplotlib.rcParams.update(_SETTINGS)
        yield


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> Any:
    """A figure that belongs to no window and no list of pyplot's."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def series_style(color: int, variant: int | None = None) -> dict:
    """Color, dash and marker of a curve by its number; `variant` is the number of its dash."""
    variant = color if variant is None else variant
    return {
        "color": COLORS[color % len(COLORS)],
        "linestyle": DASHES[(variant + color // len(COLORS)) % len(DASHES)],
        "marker": MARKERS[(variant + color // len(COLORS)) % len(MARKERS)],
    }


def svg_of(figure: Any, label: str, prefix: str, dpi: int = 144) -> str:
    """A figure as an `<svg>` element for a page.

    Args:
        figure: of `new_figure`.
        label: what it shows, for who does not see it.
        prefix: of the ids in it, unique on the page.
        dpi: of the parts that are pixels.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", dpi=dpi, metadata=nothing)
    return _for_page(file.getvalue(), label, prefix)


def _for_page(text, label, prefix):
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    used = {one or other for one, other in used}
    text = re.sub(r' id="([^"]+)"', lambda m: _id(m[1], prefix) if m[1] in used else "", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", text)
    text = re.sub(r' (d|x|y|points|transform|style)="[^"]*"', _rounded, text)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"; font-family: [^;\"]*", "", text)  # the font of the page
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    box = re.search(r'viewBox="([^"]+)"', text)[1]
    opening = f'<svg role="img" aria-label="{escape(label)}" viewBox="{box}">'
    return re.sub(r"\n\s*", "\n", opening + text[text.index(">") + 1 :]).strip()


def _id(name, prefix):
    return f' id="{prefix}{name}"'


def _rounded(match):
    if "base64" in match[0]:
        return match[0]
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", match[0])


def escape(text: str) -> str:
    """Text for an attribute or an element."""
    return html.escape(str(text), quote=True)
