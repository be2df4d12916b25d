"""Blocks of consecutive frames, drawn again within their clips where clips are too few to be drawn themselves.

Each clip is cut into BLOCKS parts that are drawn with replacement (Carlstein, Annals of Statistics 14(3), 1986). What
follows is said of other stretches of these clips, and nothing of other clips.

Neighbouring blocks resemble each other where a number changes slowly. The variance of independent blocks is multiplied
by (1 + r) / (1 - r), and the degrees of freedom are divided by it, as of the mean of a first-order autoregression
(Zwiers and von Storch, Journal of Climate 8(2), 1995). r is the correlation of neighbouring blocks. It belongs to the
value or the difference itself, whose resamples are regressed on how often each block is in them: the coefficients are
what each block adds. The estimate from n blocks of a clip is too small by (1 + 3 r) / n (Kendall, Biometrika 41, 1954),
for which it is corrected; below 0 it counts as 0.

Intervals and paired differences cover 92 to 97 % where a clip is as long as ten times the number of frames over which
the autocorrelation falls to 1/e, and 90 % where it is five times as long (simulated in tests/stats/test_blocks.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fsbench.stats.resampling import FEWEST_DEGREES, Design, Spread, Statistic

if TYPE_CHECKING:
    import pandas as pd

BLOCKS = 12
"""Parts of a clip."""

SHORTEST = 2
"""Frames of a block, at least."""

FEWEST_BLOCKS = 8
"""Blocks of each clip, in effective number (Kish), without which there is no interval: how alike neighbours are cannot
be told of fewer."""

LARGEST_CORRELATION = 0.9
"""Of neighbouring blocks: what is estimated above it is no more than a guess, and so is the interval at it."""


@dataclass(frozen=True, eq=False)
class BlockDesign(Design):
    """Frames of clips, of which blocks are drawn within each clip: `people` are the clips, `sessions` the blocks.

    Where samples are clips, `sample` (N,) is the number of the sample that each frame is of. Statistics are then
    functions of frames, while `among` is told which clips are kept.
    """

    sample: np.ndarray | None = None

    @classmethod
    def of_frames(
        cls, rows: pd.DataFrame, *, resamples: int, seed: int, sample: np.ndarray | None = None
    ) -> BlockDesign:
        """Cut clips into blocks, by the columns `identity`, `session`, `clip` and `frame` of all frames (N, ...).

        Frames of one clip with the same number are drawn together, whatever their source.
        """
        clip = rows.groupby(["identity", "session", "clip"], sort=False, observed=True).ngroup().to_numpy()
        frames = rows["frame"].to_numpy(np.int64)
        ends = np.array([(frames[clip == k].min(), frames[clip == k].max() + 1) for k in range(clip.max() + 1)])
        first, length = ends[:, 0], ends[:, 1] - ends[:, 0]
        blocks = np.clip(length // SHORTEST, 1, BLOCKS)
        block = (frames - first[clip]) * blocks[clip] // length[clip]
        return cls(clip, clip * BLOCKS + block, np.zeros(len(clip), int), resamples, seed, sample=sample)

    def _take(self, kept: np.ndarray) -> BlockDesign:
        entries = kept if self.sample is None else kept[self.sample]
        sample = None if self.sample is None else (np.cumsum(kept) - 1)[self.sample[entries]]
        clips, blocks, sources = (labels[entries] for labels in (self.people, self.sessions, self.sources))
        return BlockDesign(clips, blocks, sources, self.resamples, self.seed, sample=sample)

    @property
    def _whole_people(self) -> Literal[False]:
        return False

    @property
    def unit(self) -> Literal["blocks of frames"]:
        """What is drawn again."""
        return "blocks of frames"

    @property
    def reason(self) -> str:
        """Why there are no intervals, "" where there are."""
        draws = self.draws[0]
        total, squares = (np.bincount(draws.stratum, draws.sizes.astype(np.float64) ** power) for power in (1, 2))
        if (total**2 / squares < FEWEST_BLOCKS - 0.5).any():
            return f"a clip has frames of fewer than {FEWEST_BLOCKS} blocks, too few for an interval"
        return ""

    def spread(self, resampled: np.ndarray) -> Spread:
        """Standard error as of independent blocks, widened by how alike neighbours are; raises NotScorable."""
        independent, alike = super().spread(resampled), self._correlation(resampled[0])
        inflation = (1 + alike) / (1 - alike)
        degrees_of_freedom = max(float(FEWEST_DEGREES[0]), independent.degrees_of_freedom / inflation)
        return Spread(independent.error * np.sqrt(inflation), degrees_of_freedom)

    def _correlation(self, values: np.ndarray) -> float:
        """Correlation of what neighbouring blocks add to a value, from its resamples (B,); 0 where none adds."""
        draws, known = self.draws[0], np.isfinite(values)
        counts, changes = draws.counts[: len(values)][known] - 1.0, values[known] - values[known].mean()
        added = np.linalg.lstsq(counts, changes)[0]  # (C,), the smallest ones: of each clip they have the mean 0
        if not added.any():
            return 0.0
        neighbours = draws.stratum[1:] == draws.stratum[:-1]
        correlation = float((added[1:] * added[:-1])[neighbours].sum() / (added**2).sum())
        n_blocks = len(added) / len(self._sessions_of)
        return float(np.clip(correlation + (1 + 3 * max(correlation, 0.0)) / n_blocks, 0, LARGEST_CORRELATION))


def design(rows: pd.DataFrame, resamples: int, seed: int) -> Design:
    """How samples are drawn again, by their columns: sessions of targets within identities, and sources.

    Where sessions are too few, and all samples are frames of clips, blocks of these within each clip.
    """
    people, sessions, sources = (rows[name].factorize()[0] for name in ("identity", "session", "source"))
    by_session = Design.of(people, sessions, sources, resamples=resamples, seed=seed)
    if not len(rows) or "frame" not in rows or (rows["clip"] == "").any():
        return by_session
    return or_blocks(by_session, rows)


def of_clips(
    clips: Sequence[np.ndarray], clip_row: Callable[[np.ndarray], float], summarise: Callable[[np.ndarray], float]
) -> Statistic:
    """Return a value of clips as a function of ascending indices into their frames.

    `clips` holds the rows of the frames of each, (M, K), of which `clip_row` makes the row of the clip, and `summarise`
    the value of these (C, 1).
    """
    frames, ends = np.concatenate(clips), np.cumsum([len(rows) for rows in clips])

    def value(index: np.ndarray) -> float:
        parts = np.split(frames[index], np.searchsorted(index, ends[:-1]))
        return float(summarise(np.array([[clip_row(part)] for part in parts], np.float64)))

    return value


def or_blocks(by_session: Design, rows: pd.DataFrame, sample: np.ndarray | None = None) -> Design:
    """Return a design, or where it gives no intervals, that of blocks of frames, if this gives some.

    `rows` and `sample` as in `BlockDesign`.
    """
    if not by_session.reason:
        return by_session
    blocks = BlockDesign.of_frames(rows, resamples=by_session.resamples, seed=by_session.seed, sample=sample)
    return by_session if blocks.reason else blocks
