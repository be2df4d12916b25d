"""One page on how well judges tell people apart: figures, both distributions, and the errors at every threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes

from fsbench.report import page
from fsbench.report.page import Section
from fsbench.report.plots import ACCENTS, GREY, INK, WIDTH, render
from fsbench.results import CalibrationRecord, DatasetRecord, JudgeRecord
from fsbench.store import write_text

FILE_NAME = "calibration.html"
_LOWEST = 1e-5  # error rate at which the axes of the curve end

Shares = tuple[np.ndarray, np.ndarray]  # of genuine and of impostor pairs, in equal bins over [-1, 1]


@dataclass(frozen=True)
class Calibrations:
    """What the page is about: the judges that have a calibration, by name."""

    records: Mapping[str, CalibrationRecord]
    shares: Mapping[str, Shares]
    unfit: frozenset[str]  # judges that do not count


def write(
    folder: Path,
    dataset: DatasetRecord,
    judges: Sequence[JudgeRecord],
    shares: Mapping[str, Shares],
    warnings: Sequence[str],
) -> Path:
    """Write `folder/calibration.html`, self-contained, atomically, and return its path."""
    records = {judge.name: judge.calibration for judge in judges if judge.calibration is not None}
    unfit = frozenset(judge.name for judge in judges if judge.unfit)
    environment = page.environment()
    html = environment.get_template("calibration/page.html.j2").render(
        sections=page.render(SECTIONS, Calibrations(records, shares, unfit), environment),
        style=page.text("style.css"),
        dataset=dataset,
        judges=judges,
        warnings=warnings,
        names=list(records),
    )
    write_text(folder / FILE_NAME, html)
    return folder / FILE_NAME


def _figures(calibrations: Calibrations) -> dict[str, Any]:
    by_judge = {name: figures(record) for name, record in calibrations.records.items()}
    return {"figures": by_judge, "unfit": calibrations.unfit}


def _distributions(calibrations: Calibrations) -> dict[str, Any]:
    drawn = {name: histogram(name, calibrations.shares[name], record) for name, record in calibrations.records.items()}
    return {"histograms": drawn}


def _errors(calibrations: Calibrations) -> dict[str, Any]:
    return {"errors": errors({name: calibrations.shares[name] for name in calibrations.records})}


def figures(record: CalibrationRecord) -> dict[str, str]:
    """What a table says of one judge, by heading."""
    cells = {
        "people": f"{record.n_identities:,}",
        "images with a face": f"{record.n_images:,}",
        "genuine pairs": f"{record.n_genuine:,}",
        "impostor pairs": f"{record.n_impostor:,}",
        "d'": "not known" if record.d_prime is None else f"{record.d_prime:.2f}{_interval(record)}",
        "EER": "not known" if record.eer is None else f"{record.eer:.2%} at {record.eer_threshold:.3f}",
    }
    for point in record.points:
        known = point.threshold is not None and point.tar is not None
        cells[f"TAR at FAR {point.far:g}"] = f"{point.tar:.2%} at {point.threshold:.3f}" if known else point.reason
    return cells


def _interval(record: CalibrationRecord) -> str:
    if record.d_prime_low is None or record.d_prime_high is None:
        return ""
    return f" ({record.d_prime_low:.2f} to {record.d_prime_high:.2f})"


def histogram(judge: str, shares: Shares, record: CalibrationRecord) -> Markup:
    """Draw genuine and impostor pairs over the cosines where there are any, and the thresholds."""
    edges = np.linspace(-1, 1, len(shares[0]) + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    used = np.flatnonzero(shares[0] + shares[1] > 0)
    step = max(1, (used[-1] - used[0]) // 100)  # about a hundred bins are drawn

    def draw(axes: Axes) -> None:
        edges_drawn = edges[[*range(used[0], used[-1] + 1, step), used[-1] + 1]]
        for name, values, colour in (("genuine", shares[0], ACCENTS[0]), ("impostor", shares[1], GREY)):
            table = pd.DataFrame({"cosine": middles, "share": values})
            sns.histplot(table, x="cosine", weights="share", bins=edges_drawn.tolist(), stat="density", element="step",
                         linewidth=0, color=colour, alpha=0.5, label=name, ax=axes)  # fmt: skip
        for point in record.points:
            if point.threshold is not None:
                axes.axvline(point.threshold, color=INK, linewidth=0.8, linestyle="--", alpha=0.7)
                axes.text(point.threshold, 1.0, f" FAR {100 * point.far:g} %", fontsize=6.5, rotation=90, va="top",
                          transform=axes.get_xaxis_transform())  # fmt: skip
        axes.set_yticks([])
        axes.set_ylabel("")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"cosine, {judge}")
        axes.legend(frameon=False, loc="upper left")

    return render(draw, (1.4 * WIDTH, 2.0), f"Cosines of genuine and impostor pairs, {judge}, equal in area")


def errors(shares: Mapping[str, Shares]) -> Markup:
    """Draw for each judge how many genuine pairs are refused where so many impostor pairs are accepted."""

    def draw(axes: Axes) -> None:
        for colour, (judge, (genuine, impostor)) in zip(ACCENTS * len(shares), shares.items(), strict=False):
            accepted, refused = impostor[::-1].cumsum()[::-1], genuine.cumsum() - genuine
            axes.plot(
                np.clip(accepted, _LOWEST, 1), np.clip(refused, _LOWEST, 1), color=colour, linewidth=1.3, label=judge
            )
        axes.plot([_LOWEST, 1], [_LOWEST, 1], color=GREY, linewidth=0.7, linestyle=":")
        axes.set(
            xscale="log",
            yscale="log",
            xlim=(_LOWEST, 1),
            ylim=(_LOWEST, 1),
            xlabel="impostor pairs accepted (FAR)",
            ylabel="genuine pairs refused",
        )
        for axis in (axes.xaxis, axes.yaxis):  # the page's figures have no mathematical text
            axis.set_major_formatter(lambda rate, _: f"{100 * rate:g} %")
        axes.legend(frameon=False, loc="upper right")

    return render(draw, (WIDTH, WIDTH), "Genuine pairs refused against impostor pairs accepted, by judge")


SECTIONS = (
    Section("figures", "Figures", _figures, "calibration/figures.html.j2"),
    Section("distributions", "Cosines", _distributions, "calibration/distributions.html.j2"),
    Section("errors", "Errors at every threshold", _errors, "calibration/errors.html.j2"),
)
