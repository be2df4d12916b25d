"""Pages of data sets, networks, weights and faults: a card for each plug-in, of its docstring and its signature."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from docs.generate.markdown import Index, code_cell, docstring, escape, heading, prose, table
from fsbench import registry, weights
from fsbench.cli.weights import overview
from fsbench.faults import FAULTS
from fsbench.registry import Entry

PAGES = {
    "datasets": ("datasets.md", "Data sets", "What models are trained on, and what they are shown: `--dataset NAME`."),
    "embedders": ("networks.md", "Judges", "Face recognisers that give vectors. `--judges NAME,...` chooses them."),
    "observers": ("networks.md", "Observers", "Networks that tell facts about images, but not who a face is."),
    "evidence": ("networks.md", "Kinds of evidence", "What a metric may be handed beside outputs and targets."),
}
TITLES = {"datasets.md": "Data sets", "networks.md": "Networks"}
WEIGHTS, FAULT_PAGE = "weights.md", "faults.md"


def parameters(entry: Entry[Any]) -> Iterator[list[str]]:
    """Return a row for each parameter of a plug-in: name, default, what else it takes."""
    for name, parameter in entry.parameters.items():
        default, *others = entry.choices(name)
        required = parameter.default is parameter.empty
        shown = "required" if required else code_cell(default) or "none"
        yield [f"`{name}`", shown, ", ".join(f"`{value}`" for value in others)]


def note_places(index: Index) -> None:
    """Note where each plug-in and each fault is explained; of a name of several kinds the first stays."""
    for kind, (page, _, _) in PAGES.items():
        for name in registry.REGISTRIES[kind].names():
            index.add(name, page, _anchor(kind, name))
    index.add("judge", "judges.md", "judges")
    for name in weights.CATALOGUE:
        index.add(name, WEIGHTS, name)
    for name in FAULTS:
        index.add(name, FAULT_PAGE, name)


def _anchor(kind: str, name: str) -> str:
    return f"{'evidence' if kind == 'evidence' else kind[:-1]}-{name}"


def pages(index: Index) -> Iterator[tuple[str, str]]:
    """Return each page's path and text."""
    for page, title in TITLES.items():
        parts = [heading(1, title)]
        for kind, (home, plural, what) in PAGES.items():
            if home == page:
                parts += [heading(2, plural, kind), what] if plural != title else [what]
                for name in registry.REGISTRIES[kind].names():
                    parts += _card(kind, name, index, page)
        yield page, "\n\n".join(parts) + "\n"
    yield WEIGHTS, _weights(overview(full=True))
    yield FAULT_PAGE, _faults(index)


def _card(kind: str, name: str, index: Index, page: str) -> Iterator[str]:
    entry = registry.REGISTRIES[kind].get(name)
    summary, _, rest = (inspect.getdoc(entry.factory) or "").partition("\n\n")
    yield heading(3, name, _anchor(kind, name))
    yield f"**{prose(' '.join(summary.split()), index, page)}**"
    yield docstring(rest, index, page)
    if entry.parameters:
        yield table(["parameter", "default", "values"], parameters(entry))


def _weights(rows: Iterable[Mapping[str, Any]]) -> str:
    parts = [
        heading(1, "Weights"),
        "Pretrained files that fsbench knows by name. Nothing is downloaded that you did not ask for by name, and "
        "every file is held against its hash. Size and licence are shown before a download begins.",
        "```sh\nfsbench weights fetch standard   # what a default report shows\nfsbench weights list\n"
        "fsbench weights import FILE --as NAME   # a copy that you have\n```",
        "Groups: " + "; ".join(f"`{name}` is {', '.join(f'`{one}`' for one in weights.members(name))}" for name in
                               sorted(weights.GROUPS)) + ".",
    ]  # fmt: skip
    for row in rows:
        size = f"{row['size'] / 1e6:.1f} MB" if row["size"] else "not published"
        parts += [
            heading(2, row["name"], row["name"]),
            f"{escape(row['description'])}. Used by `{row['used_by']}`.",
            table(
                ["fact", ""],
                [
                    ["licence", escape(row["licence"])],
                    *([["restriction", escape(row["restriction"])]] if row["restriction"] else []),
                    ["size", size],
                    ["SHA-256", f"`{row['sha256']}`" if row["sha256"] else "not published: pinned at first use"],
                    ["source", "<br>".join(escape(source) for source in row["sources"]) or "you bring the file"],
                    ["citation", escape(row["citation"])],
                ],
            ),
        ]
    return "\n\n".join(parts) + "\n"


def _faults(index: Index) -> str:
    parts = [
        heading(1, "Known faults"),
        "`fsbench validate` makes exact swaps of synthetic people worse by known amounts, and looks which metrics "
        "notice. Strength 0 is the exact swap. Pixels are those of a crop with 128 a side. What each metric does about "
        "each fault stands on [its card](metrics/index.md#validity).",
    ]
    for name, fault in FAULTS.items():
        also = f"; a metric of {', '.join(fault.also)} may notice as well" if fault.also else ""
        parts += [
            heading(2, name, name),
            f"{prose(fault.description, index, FAULT_PAGE)} It is a fault of **{fault.aspect}**{also}. "
            f"It is shown on {'clips' if fault.clips else 'stills'}.",
            f"Strengths, in {escape(fault.unit)}: {', '.join(f'{strength:g}' for strength in fault.strengths)}.",
        ]
    return "\n\n".join(parts) + "\n"
