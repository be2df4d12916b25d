"""Pairs of source and target, the real images beside them, and what a model made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from fsbench.faces.region import ovals
from fsbench.hashes import hex_digits
from fsbench.images import ImageSet
from fsbench.interfaces import Faces, Sample, SetName, Source, Targets, Truth, clip_names, clip_spans
from fsbench.store import fingerprint


@dataclass(frozen=True)
class Group:
    """The pairs of one source identity: it goes into every image of `targets`."""

    identity: str  # of the source
    references: ImageSet  # (K, 3, S, S) its training crops, spread over sessions
    index: np.ndarray  # rows of `EvaluationSet.targets`
    targets: Faces
    truth: Truth | None

    @property
    def source(self) -> Source:
        """The source as models are given it: its crops are read."""
        return Source(self.identity, self.references[:])

    @property
    def masks(self) -> ImageSet:
        """Where each target, or its exact swap, shows the face, (N, 1, S, S); by landmarks where nobody knows."""
        if self.truth is not None:
            return self.truth.mask
        return self.targets.masks or ovals(self.targets.landmarks, self.targets.crops.shape[1])

    def take(self, rows: slice | np.ndarray) -> Group:
        """Return some of the pairs."""
        index = np.arange(len(self.index))[rows]
        truth = Truth(self.truth.exact.select(index), self.truth.mask.select(index)) if self.truth else None
        return replace(self, index=self.index[index], targets=self.targets.select(index), truth=truth)

    def fingerprint(self) -> list[str]:
        """What decides an output, besides the model: name and pixels of the source, targets, and exact swaps."""
        pixels = [self.references, self.targets.crops, *([self.truth.exact] if self.truth else [])]
        shown = Targets.of(self.targets)
        facts = [shown.landmarks.nan_to_num(-1).tolist(), shown.rows.to_dict("list")]
        return [self.identity, fingerprint(facts), *(images.content_hash() for images in pixels)]


@dataclass(frozen=True)
class Pairs:
    """All pairs of a run, in the order of samples.parquet: group by group."""

    groups: tuple[Group, ...]
    rule: str

    def __len__(self) -> int:
        return sum(len(group.index) for group in self.groups)

    @property
    def index(self) -> np.ndarray:
        """Row of `EvaluationSet.targets` that each pair has as its target, (N,)."""
        return np.concatenate([group.index for group in self.groups])

    @cached_property
    def targets(self) -> ImageSet:
        """The target image of each pair, (N, 3, S, S)."""
        return ImageSet.join([group.targets.crops for group in self.groups])

    @cached_property
    def masks(self) -> ImageSet:
        """Where each target, or its exact swap, shows the face, (N, 1, S, S)."""
        return ImageSet.join([group.masks for group in self.groups])

    @cached_property
    def exact(self) -> ImageSet | None:
        """The exact swap of each pair, (N, 3, S, S); None where one of them is not known."""
        truths = [group.truth for group in self.groups if group.truth is not None]
        return ImageSet.join([truth.exact for truth in truths]) if len(truths) == len(self.groups) else None

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The targets' rows, with a column `source`, (N, ...)."""
        return pd.concat([group.targets.rows.assign(source=group.identity) for group in self.groups], ignore_index=True)

    @cached_property
    def clips(self) -> tuple[slice, ...]:
        """The pairs of each source and clip, which lie side by side in the order of the frames."""
        clip = clip_names(self.rows)
        return clip_spans((self.rows["source"] + "\n" + clip).mask(clip == "", ""))

    def shown(self, sample: Sample, rows: slice = slice(None)) -> pd.DataFrame:
        """What is known of some samples, and what tells the images of two runs apart.

        `target_sha256` and `source_sha256` are the first 16 hex digits of a SHA-256: of the target's pixels, or over
        the frames of its clip; and over all images of the source.
        """
        samples = self.samples(sample).iloc[rows]
        if sample == "output":
            targets = [hex_digits(digest[:8]) for digest in self.targets.select(rows).hashes()]
        else:
            hashes = self.targets.hashes()
            targets = [hashlib.sha256(hashes[span].tobytes()).hexdigest()[:16] for span in self.clips[rows]]
        sources = {group.identity: group.references.content_hash()[:16] for group in self.groups}
        return samples.assign(
            target_sha256=pd.Series(targets, samples.index, object),
            source_sha256=pd.Series(samples["source"].map(sources).tolist(), samples.index, object),
        )

    def samples(self, sample: Sample) -> pd.DataFrame:
        """What is known of each sample of a metric.

        Of a clip `source`, `identity`, `session`, `clip`, `rate` where the data set tells it, and `frames`.
        """
        if sample == "output":
            return self.rows
        facts = ["source", "identity", "session", "clip", *(["rate"] if "rate" in self.rows else [])]
        first = self.rows.iloc[[span.start for span in self.clips]][facts]
        return first.assign(frames=[span.stop - span.start for span in self.clips]).reset_index(drop=True)

    def take(self, rows: np.ndarray) -> Pairs:
        """Return some of the pairs, by their numbers in ascending order."""
        groups, start = [], 0
        for group in self.groups:
            here = rows[(rows >= start) & (rows < start + len(group.index))] - start
            groups += [group.take(here)] if len(here) else []
            start += len(group.index)
        return Pairs(tuple(groups), self.rule)

    def by_group(self, images: ImageSet) -> list[ImageSet]:
        """Images of all pairs, in their order, group by group."""
        ends = np.cumsum([len(group.index) for group in self.groups])
        return [images.select(slice(end - len(group.index), end)) for group, end in zip(self.groups, ends, strict=True)]


@dataclass(frozen=True)
class RealImages:
    """Real images that outputs are compared with, and the landmarks that the detector finds in them.

    Those of the test split stand first, those of the gallery after them. Frames of clips are not among them where the
    test split has stills.
    """

    test: Faces
    gallery: Faces | None
    test_landmarks: np.ndarray  # (T, 5, 2) float32; NaN where no face was found
    gallery_landmarks: np.ndarray  # (G, 5, 2)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """What is known about each image, (T + G, ...), with a column `split`."""
        rows = [faces.rows.assign(split=split) for split, faces, _ in self.parts]
        return pd.concat(rows, ignore_index=True)

    @property
    def parts(self) -> list[tuple[str, Faces, np.ndarray]]:
        """Name of the split, faces and landmarks of each part."""
        test = ("test", self.test, self.test_landmarks)
        return [test] if self.gallery is None else [test, ("gallery", self.gallery, self.gallery_landmarks)]

    @property
    def n_faces(self) -> int:
        """Images in which the detector finds a face."""
        return sum(int(np.isfinite(landmarks).all((1, 2)).sum()) for _, _, landmarks in self.parts)


@dataclass(frozen=True)
class EvaluationSet:
    """Pairs of one kind, stills or clips, and the real images that their outputs are compared with."""

    pairs: Pairs
    targets: Faces  # images of the test split that are swapped into
    target_landmarks: np.ndarray  # (T, 5, 2) float32, as the detector finds them; NaN where no face was found
    real: RealImages
    name: SetName = "stills"
    named: bool = False  # whether the user named the metrics: what takes long is then done
    # (T, F, D) unit features of the faces in the frame of each target, the one that is swapped first; NaN for none, and
    # where a frame shows one alone. None: frames are not known, or nobody who tells people apart
    people: np.ndarray | None = None


Feed = Callable[[Group, ImageSet, int, Callable[[int], None]], ImageSet]
"""(pairs of one source, images that stand for their targets, n, done) -> what the model makes of them in n passes.

`done` is told the number of images after each pass.
"""


@dataclass(frozen=True)
class Outputs:
    """What one model made of all pairs, in their order."""

    label: str
    images: ImageSet  # (N, 3, S, S)
    landmarks: np.ndarray  # (N, 5, 2) float32; NaN where no face was found
    feed: Feed | str  # feeds images to the model as targets, 8-bit after each pass; or why it cannot be done
    seconds: float = 0.0  # per output
    absent: np.ndarray | None = None  # (N,) bool, which are not there; None: all are
    changes: np.ndarray | None = None  # (N, F) levels by which a paste changes each of these faces; NaN for none
    weights: ImageSet | None = None  # (N, 1, S, S) share of the output in each pixel; None: crops, which are not pasted
