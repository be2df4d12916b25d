"""The sections of the page of a comparison: differences, samples against each other, flips, pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from fsbench.comparison.paired import PairedRows
from fsbench.comparison.table import RunDifference
from fsbench.comparison.wording import difference, name_of, p_value, remark, signed, value_of
from fsbench.numbers import number
from fsbench.report import budget, samples
from fsbench.report.compared import Compared, Contrast, improvement
from fsbench.report.page import Section
from fsbench.report.plots import ACCENTS, GREY, WIDTH, render
from fsbench.report.samples import Pair
from fsbench.report.sections.galleries import spread
from fsbench.report.thumbnails import MARKUP, Picture
from fsbench.results import MetricRecord, column
from fsbench.sampling import evenly

MOST_PLOTS, MOST_POINTS = 12, 2000
"""Plots of one pair of models, and points of one plot."""

EXTREMES, PAIRS = 6, 8
"""Samples that got better and worse most, and pairs that are shown side by side, at most."""

INPUTS = 2
"""Pictures beside outputs: source and target."""

BETTER, WORSE = ACCENTS[2], ACCENTS[1]


def differences(compared: Compared) -> dict[str, Any]:
    """Tables of all differences."""
    groups = []
    for contrast in compared.contrasts:
        rows = [_row(record, compared.metrics[record.metric]) for record in contrast.compared]
        groups.append((contrast, rows))
    return {"groups": groups}


def _row(record: RunDifference, metric: MetricRecord) -> dict[str, Any]:
    return {
        "verdict": record.verdict,
        "record": record,
        "name": name_of(record, metric),
        "summary": metric.summary,
        "reference": value_of(record.reference_value, metric),
        "value": value_of(record.value, metric),
        "difference": difference(record, metric),
        "p": p_value(record.p),
        "n": record.n,
        "better": record.n_better,
        "worse": record.n_worse,
        "remark": remark(record, metric),
    }


def scatters(compared: Compared, room: int) -> dict[str, Any] | None:
    """Each sample in both runs, with the diagonal on which nothing changed: what is better or worse first, of all pairs
    of models; what `room` bytes do not hold is named, and what is equal on every sample."""
    known, equal = [], []
    for contrast in compared.contrasts:
        ordered = sorted(contrast.compared, key=lambda record: record.verdict not in ("better", "worse"))
        rows = [(record, paired) for record in ordered if (paired := compared.paired(contrast, record))]
        known.append((contrast, [(record, paired) for record, paired in rows if any(paired.flips)]))
        equal.append([column(*record.key) for record, paired in rows if not any(paired.flips)])
    figures: list[list[tuple[RunDifference, Markup]]] = [[] for _ in known]
    for place, i in product(range(MOST_PLOTS), range(len(known))):
        contrast, differences = known[i]
        if place < len(differences) and room > 0:
            record, paired = differences[place]
            figure = _scatter(compared, contrast, record, paired)
            room -= budget.size(figure) + MARKUP
            figures[i] += [(record, figure)] if room >= 0 else []
    groups = [
        (contrast, shown, [column(*record.key) for record, _ in differences[len(shown) :]], same)
        for (contrast, differences), shown, same in zip(known, figures, equal, strict=True)
        if differences or same
    ]
    return {"groups": groups, "most_points": MOST_POINTS} if groups else None


def _scatter(compared: Compared, contrast: Contrast, record: RunDifference, paired: PairedRows) -> Markup:
    import seaborn as sns

    metric = compared.metrics[record.metric]
    chosen = evenly(len(paired.a), MOST_POINTS)
    a, b, better = paired.a[chosen], paired.b[chosen], improvement(paired, metric)[chosen]
    if paired.is_binary:  # points of equal place are told apart by a little noise, the same each time
        random = np.random.default_rng(0)
        a, b = (np.sign(side) + random.uniform(-0.06, 0.06, len(side)) for side in (a, b))
    kinds = np.where(better > 0, "better", np.where(better < 0, "worse", "equal"))

    def draw(axes: Axes) -> None:
        sns.scatterplot(
            x=a, y=b, hue=kinds, hue_order=["better", "worse", "equal"], ax=axes, s=14, linewidth=0, alpha=0.7,
            palette={"better": BETTER, "worse": WORSE, "equal": GREY}, legend=False,
        )  # fmt: skip
        low, high = min(a.min(), b.min()), max(a.max(), b.max())
        pad = 0.04 * (high - low) or 0.5
        axes.axline((low, low), slope=1, color=GREY, linewidth=0.9, linestyle="--", zorder=0)
        axes.set(xlim=(low - pad, high + pad), ylim=(low - pad, high + pad), aspect="equal")
        unit = f", {metric.unit}" if metric.unit and not paired.is_binary else ""
        axes.set_xlabel(f"A{unit}")
        axes.set_ylabel(contrast.letter)
        if paired.is_binary:
            axes.set(xticks=(0, 1), yticks=(0, 1), xticklabels=("no", "yes"), yticklabels=("no", "yes"))
        else:
            axes.locator_params(nbins=5)

    return render(
        draw, (0.8 * WIDTH, 0.8 * WIDTH), f"{name_of(record, metric)} of each sample, A and {contrast.letter}"
    )


@dataclass(frozen=True)
class Flip:
    """One sample in both runs."""

    pair: Pair
    pictures: tuple[Picture, ...]  # source, target, and the outputs of A and of the other run
    label: str
    reference: str
    value: str
    change: str

    @property
    def key(self) -> str:
        """What the page calls the pair."""
        return samples.key_of(*self.pair)


def flips(compared: Compared, room: int) -> dict[str, Any] | None:
    """The samples that got better and worse most, by the first metric of each pair of models, for `room` bytes."""
    known = [(contrast, *first) for contrast in compared.contrasts if (first := _first(compared, contrast))]
    cost = 2 * (INPUTS + 2) * compared.picture_bytes + 2 * compared.pair_bytes  # one that got better, and one worse
    count, n_groups = budget.fewer([cost] * len(known), EXTREMES, room)
    groups: list[dict[str, Any]] = []
    for contrast, record, paired in known[:n_groups]:
        metric = compared.metrics[record.metric]
        change = improvement(paired, metric)
        order = np.argsort(change, kind="stable")
        worst = [i for i in order[:count] if change[i] < 0]
        best = [i for i in order[::-1][:count] if change[i] > 0]
        groups.append({
            "contrast": contrast,
            "name": name_of(record, metric),
            "lists": [("worse", int((change < 0).sum()), _flips(compared, contrast, metric, paired, worst)),
                      ("better", int((change > 0).sum()), _flips(compared, contrast, metric, paired, best))],
            "n": len(change),
        })  # fmt: skip
    shown = [flip.pair for group in groups for _, _, flips in group["lists"] for flip in flips]
    content = {"groups": groups, "n_left_out": len(known) - n_groups}
    return content | {"numbers": samples.numbers(compared.sides, shown)} if known else None


def _first(compared: Compared, contrast: Contrast) -> tuple[RunDifference, PairedRows] | None:
    """The first difference by a metric of outputs, and its rows."""
    of_outputs = (record for record in contrast.compared if compared.metrics[record.metric].sample == "output")
    known = ((record, paired) for record in of_outputs if (paired := compared.paired(contrast, record)))
    return next(known, None)


def _flips(
    compared: Compared, contrast: Contrast, metric: MetricRecord, paired: PairedRows, chosen: Sequence[int]
) -> list[Flip]:
    table = compared.scores[0].tables["output"]
    return [
        Flip(
            (str(row["source"]), str(row["id"])),
            _pictures(compared, contrast, str(row["source"]), str(row["id"])),
            f"{row['source']} into {row['id']}",
            number(float(paired.a[i]), metric.digits),
            number(float(paired.b[i]), metric.digits),
            signed(float(paired.b[i] - paired.a[i]), metric),
        )
        for i in chosen
        for row in [table.iloc[int(paired.rows[i])]]
    ]


def _pictures(compared: Compared, contrast: Contrast, source: str, target: str) -> tuple[Picture, ...]:
    first = compared.scores[0]
    sides = [("A", first, contrast.reference), (contrast.letter, contrast.scores, contrast.model)]
    shown: list[Picture] = []
    for letter, scores, model in sides:
        row = compared.sample(scores, model, source, target)
        if row is None:
            shown.append(Picture(letter, "", f"{letter}: no picture"))
            continue
        thumbnails = compared.pictures[scores.label]
        if not any(picture.role == "source" for picture in shown):
            shown = [*thumbnails.inputs(row)[:INPUTS], *shown]
        shown.append(thumbnails.output(row, letter))
    return tuple(shown)


def pictures(compared: Compared, room: int) -> dict[str, Any] | None:
    """The same pairs in all runs, evenly over sessions, for `room` bytes."""
    first = compared.scores[0]
    if "output" not in first.tables or not compared.pictures:
        return None
    by_reference: dict[str, list[Contrast]] = {}
    for contrast in compared.contrasts:
        by_reference.setdefault(contrast.reference, []).append(contrast)
    costs = [(INPUTS + 1 + len(contrasts)) * compared.picture_bytes for contrasts in by_reference.values()]
    count, n_groups = budget.fewer(costs, PAIRS, room - PAIRS * compared.pair_bytes)
    table = first.tables["output"]
    chosen = spread((table["identity"] + "\n" + table["session"]).to_numpy(dtype=object), count)
    pairs = [(str(table.iloc[i]["source"]), str(table.iloc[i]["id"])) for i in chosen] if n_groups else []
    groups = []
    for reference, contrasts in list(by_reference.items())[:n_groups]:
        heads = [f"A: {reference}", *(f"{one.letter}: {one.model}" for one in contrasts)]
        rows = [(samples.key_of(*pair), _side_by_side(compared, contrasts, pair)) for pair in pairs]
        groups.append((reference, heads, rows))
    content = {"groups": groups, "n_left_out": len(by_reference) - n_groups}
    return content | {"numbers": samples.numbers(compared.sides, pairs)}


def _side_by_side(compared: Compared, contrasts: Sequence[Contrast], pair: Pair) -> tuple[Picture, ...]:
    each = [_pictures(compared, contrast, *pair) for contrast in contrasts]
    whole = max(each, key=len)  # with source and target, where any run has pictures of them
    return (*whole[:-2], each[0][-2], *(pictures[-1] for pictures in each))


SECTIONS = (
    Section("differences", "Differences", differences, "comparison/differences.html.j2"),
    Section("samples", "Each sample", scatters, "comparison/scatters.html.j2"),
    Section("flips", "Better and worse", flips, "comparison/flips.html.j2"),
    Section("pictures", "Side by side", pictures, "comparison/pictures.html.j2"),
)
