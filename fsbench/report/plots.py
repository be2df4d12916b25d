"""Figures as inline SVG: text takes the page's colour and font, so they follow its theme and stay small."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fsbench.report.run import NOTHING_SWAPPED, RunContents
from fsbench.results import ModelRecord
from fsbench.store import fingerprint

INK = "#010203"  # becomes the colour of the page's text
GREY = "#8b919a"
ACCENTS = (
    "#3b82c4",
    "#d97f2b",
    "#3d9a5f",
    "#9a68c4",
    "#cf4d4d",
    "#2a9d9d",
    "#b8862b",
    "#c95f9e",
    "#6f8f2f",
    "#5b6fd0",
    "#a0674b",
    "#4f9fb8",
)
LABEL = 80  # characters of a name that a page shows
WIDTH = 4.0  # inches of a figure that stays readable on a phone
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fsbench",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
}


def render(draw: Callable[[Axes], None], size: tuple[float, float], alt: str) -> Markup:
    """Draw one pair of axes of `size` inches and return it as an SVG element; the same drawing gives the same text."""
    return render_rows(lambda rows: draw(rows[0]), 1, size, alt)


def render_rows(draw: Callable[[Sequence[Axes]], None], n: int, size: tuple[float, float], alt: str) -> Markup:
    """The same of some pairs of axes one above the other, over the same numbers."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's browser draws the text and has more fonts
        figure = Figure(figsize=size)
        draw(list(figure.subplots(n, sharex=True, squeeze=False)[:, 0]))
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    text = buffer.getvalue()
    prefix = f"f{fingerprint(text)[:8]}-"  # ids are unique in an SVG, not on a page of many
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}", tag[0]), text)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)  # would hold for the whole page
    _, box, body = re.split(r'<svg[^>]*viewBox="([^"]*)"[^>]*>', text, maxsplit=1)
    opening = f'<svg role="img" aria-label="{escape(alt)}" viewBox="{box}" style="max-width: {96 * size[0]:.0f}px">'
    return Markup(opening + body.strip().replace(INK, "currentColor"))


def colours(run: RunContents) -> dict[str, str]:
    """One colour per contestant; ceilings and baselines are grey."""
    accents = {model.name: ACCENTS[i % len(ACCENTS)] for i, model in enumerate(run.contestants)}
    return {model.name: accents.get(model.name, GREY) for model in run.result.models}


def short(name: str, limit: int = 26) -> str:
    """A name that fits beside an axis: what tells long names apart is often at their end."""
    tail = limit // 2 - 1
    return name if len(name) <= limit else f"{name[: limit - tail - 1]}…{name[-tail:]}"


def reference_line(model: ModelRecord) -> str:
    """Line style of the models that all others are held against; "" for the others."""
    return "--" if model.kind == "ceiling" else ":" if model.name == NOTHING_SWAPPED else ""
