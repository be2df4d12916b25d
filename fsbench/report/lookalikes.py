"""Look-alikes: the people that a judge names for a source's real images, and for each contestant's outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from fsbench.report.run import RunContents
from fsbench.results import ModelRecord

NAMES = 12  # people that a chart names; the others are counted together
OFTENEST = 5  # look-alikes that the table names, counted among the first five of every image
OTHERS = "all others"
NUMBERED = re.compile(r".* class \d+")


@dataclass(frozen=True)
class Bar:
    """How many images have a name first."""

    count: int
    share: float  # of the images in which a face was found
    length: float  # as a share of the chart's longest bar


@dataclass(frozen=True)
class Series:
    """The source's real images, or the outputs of one model."""

    title: str
    n_images: int  # with a face
    bars: tuple[Bar, ...]  # one for each name of the chart
    oftenest: tuple[tuple[str, float], ...]  # names, and the share of images that have them among their first five


@dataclass(frozen=True)
class Chart:
    """The look-alikes of one source person, real images beside outputs."""

    source: str
    names: tuple[str, ...]
    series: tuple[Series, ...]

    @property
    def numbered(self) -> bool:
        """Whether it names people by the number of their class, for want of their names."""
        return any(NUMBERED.fullmatch(name) for name in self.names)


def charts(run: RunContents, judge: str, models: Sequence[ModelRecord]) -> list[Chart]:
    """Return a chart for each of a few source people; none where the judge can name nobody."""
    if run.lookalikes.empty or run.references is None:
        return []
    table = run.lookalikes[(run.lookalikes["judge"] == judge) & (run.lookalikes["rank"] <= OFTENEST)]
    parts = ((source, dict(_of_source(run, table, source, models))) for source in run.sources)
    return [_chart(source, named) for source, named in parts if named]


def _of_source(
    run: RunContents, table: pd.DataFrame, source: str, models: Sequence[ModelRecord]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Candidates for the held-out images of a person, and for each model's outputs that should show this person."""
    assert run.references is not None
    real = (run.references["identity"] == source) & (run.references["split"] == "test")
    kinds = [("", "real images", real)]
    kinds += [(model.name, model.name, run.of(model.name)["source"] == source) for model in models]
    for model, title, wanted in kinds:
        candidates = table[table["model"] == model]
        part = candidates[wanted.to_numpy()[candidates["row"]]]
        if (part["rank"] == 1).any():
            yield title, part


def _chart(source: str, parts: dict[str, pd.DataFrame]) -> Chart:
    n_images = {title: int((part["rank"] == 1).sum()) for title, part in parts.items()}
    first = pd.DataFrame({title: part.loc[part["rank"] == 1, "name"].value_counts() for title, part in parts.items()})
    shares = first.fillna(0) / pd.Series(n_images)
    by_name = shares.sort_index().assign(largest=shares.max(axis=1))
    kept = by_name.nlargest(NAMES, "largest", keep="first").index
    shares = shares.loc[kept].sort_values(list(shares.columns), ascending=False, kind="stable")
    longest = max(float(shares.to_numpy().max()), 1e-9)
    names = tuple(map(str, shares.index))
    rest = len(first) > len(names)

    def series(title: str, part: pd.DataFrame) -> Series:
        heights = [float(share) for share in shares[title]]
        heights += [1 - sum(heights)] if rest else []
        bars = (Bar(round(share * n_images[title]), share, min(share / longest, 1.0)) for share in heights)
        often = part["name"].value_counts(sort=False).sort_index().nlargest(OFTENEST, keep="first")
        named = tuple((str(name), count / n_images[title]) for name, count in often.items())
        return Series(title, n_images[title], tuple(bars), named)

    return Chart(source, (*names, OTHERS) if rest else names, tuple(series(*part) for part in parts.items()))
