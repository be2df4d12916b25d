"""The page of models: each part of a pipeline with its parameters, and what it makes of synthetic people."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from docs.generate.markdown import Index, docstring, heading, prose, table
from docs.generate.pictures import Pictures
from docs.generate.plugins import parameters
from fsbench import registry

PAGE = "models.md"
KINDS = {
    "swappers": ("Swappers", "A swapper puts the source's face into targets. It stands alone, or first in a pipeline."),
    "refiners": (
        "Refiners",
        "A refiner improves the outputs of the parts before it: `gan_mask+adain`. It is shown output and target.",
    ),
    "wrappers": (
        "Wrappers",
        "A wrapper makes a swapper out of the parts before it: `gan_mask+recursive(n=3)` calls them three times.",
    ),
}


def note_places(index: Index) -> None:
    """Note where each part of a pipeline is explained."""
    for kind in KINDS:
        for name in registry.REGISTRIES[kind].names():
            index.add(name, PAGE, f"{kind[:-1]}-{name}")


def page(index: Index, pictures: Pictures) -> str:
    """Return the text of the page."""
    parts = [
        heading(1, "Models"),
        "A model is written `NAME`, `NAME(parameter=value,...)`, `NAME@WEIGHTS`, or as a pipeline: "
        "`SWAPPER+PART+...`. A path with a comma, a plus or parentheses in it stands in quotes. `mine=MODEL` gives it "
        "a name of your own. `fsbench list models` prints the same as this page.",
        "The people in the pictures do not exist: they are drawn by the data set "
        f"{index.link('synthetic', PAGE)}. Each group of three is source, target and output.",
    ]
    for kind, (title, what) in KINDS.items():
        parts += [heading(2, title), what]
        for name in registry.REGISTRIES[kind].names():
            parts += _card(kind, name, index, pictures)
    return "\n\n".join(parts) + "\n"


def _card(kind: str, name: str, index: Index, pictures: Pictures) -> Iterator[str]:
    entry = registry.REGISTRIES[kind].get(name)
    summary, _, rest = (inspect.getdoc(entry.factory) or "").partition("\n\n")
    yield heading(3, name, f"{kind[:-1]}-{name}")
    yield f"**{prose(' '.join(summary.split()), index, PAGE)}**"
    picture = pictures.of(kind, name)
    if picture is not None:
        yield f"![Source, target and output of {picture.model}]({picture.path}){{ .strip }}\n\n*{picture.caption}*"
    yield docstring(rest, index, PAGE)
    if entry.parameters:
        yield table(["parameter", "default", "values"], parameters(entry))
