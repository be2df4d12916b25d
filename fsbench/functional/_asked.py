"""Batches whose parts are made when a metric looks at them: what a metric does not look at need not be given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench import guard
from fsbench.errors import NotScorable, UsageError
from fsbench.evidence.judge import JudgedOutputs
from fsbench.evidence.needs import JUDGE
from fsbench.evidence.references import enrol, find_faces
from fsbench.evidence.targets import TargetFeatures
from fsbench.extraction.blocks import spans
from fsbench.extraction.features import embed, find_landmarks
from fsbench.faces.region import ovals
from fsbench.functional._inputs import NOBODY, Given, Sources, alike, as_faces, checked_images, table
from fsbench.harness.strangers import join
from fsbench.harness.summarise import CHUNK
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Embeddings, Faces, Source, Truth
from fsbench.interfaces.evidence import VECTORS
from fsbench.interfaces.references import PersonImages, ReferenceIndex
from fsbench.pairs import EvaluationSet, Group, Outputs, Pairs, RealImages

if TYPE_CHECKING:
    from fsbench.functional._built import BuiltMetric

SHAPES = {
    "target": "(N, 3, S, S), the images that outputs were made from",
    "source": "(N, 3, S, S), an image of whom each output should show",
    "exact": "(N, 3, S, S), the right answers",
}
NOT_FED = "outputs are given, not the model"


class AskedBatch(Batch):
    """A batch whose fields are made when they are first asked for."""

    def __init__(self, parts: Mapping[str, Callable[[], Any]]) -> None:
        object.__setattr__(self, "_parts", parts)

    def __getattr__(self, name: str) -> Any:
        """Make a field; called for what is not there yet, and where a property of a batch raised AttributeError."""
        parts: Mapping[str, Callable[[], Any]] = self.__dict__["_parts"]
        if name not in parts:
            return object.__getattribute__(self, name)  # which raises what was raised before
        value = parts[name]()
        object.__setattr__(self, name, value)
        return value


class _Evidence(Mapping[str, Any]):
    """Evidence for some of the outputs, made when it is asked for."""

    def __init__(self, inputs: Inputs, rows: slice) -> None:
        self._inputs, self._rows = inputs, rows

    def __getitem__(self, name: str) -> Any:
        return self._inputs.evidence(name)[self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._inputs.built.metric.info.needs)

    def __len__(self) -> int:
        return len(self._inputs.built.metric.info.needs)


class Inputs:
    """What follows from the arguments of one call."""

    def __init__(self, built: BuiltMetric, given: Given) -> None:
        """Check the arguments; raises UsageError."""
        self.built, self.given = built, given
        self.clip = built.metric.info.sample == "clip"
        self.output = checked_images("output", given.output)
        self.n = len(self.output)
        self.rows = table(given.rows, self.n, self.clip)
        self.people, self.gallery = as_faces("people", given.people), as_faces("gallery", given.gallery)
        self._target = self._images("target", given.target)
        self._exact = self._images("exact", given.evidence.get("exact"))
        self._mask = self._images("mask", given.mask, 1)
        self.sources = None if given.source is None else Sources.of(given.source, self.n, self.people)
        self._known: dict[str, Any] = {}
        for name, value in given.evidence.items():
            if value is not None and hasattr(value, "__len__") and len(value) != self.n:
                raise UsageError(f"{name} has {len(value)} entries for {self.n} outputs", "give one for each output")

    def _images(self, name: str, given: Tensor | None, channels: int = 3) -> ImageSet | None:
        return None if given is None else alike(name, checked_images(name, given, channels), self.output)

    def lacking(self, name: str) -> UsageError:
        """The error for an argument that the metric looks at and that was left out."""
        return UsageError(f"{self.built.name} looks at {name}, which is not given", f"give {name}={SHAPES[name]}")

    def batches(self) -> Iterator[AskedBatch]:
        """Outputs of one source identity each; for a metric of clips, the whole clip."""
        if self.sources is not None and len(self.sources.names) > 1:
            blocks = [slice(i, i + 1) for i in range(self.n)]
        else:
            blocks = [slice(0, self.n)] if self.clip else spans(self.n, CHUNK)
        yield from map(self._batch, blocks)

    def _batch(self, block: slice) -> AskedBatch:
        return AskedBatch(
            {
                "source": lambda: self._source(block),
                "rows": lambda: self.rows[block].reset_index(drop=True),
                "output": lambda: self.output[block],
                "target": lambda: self.target[block],
                "mask": lambda: self.masks[block],
                "evidence": lambda: _Evidence(self, block),
            }
        )

    def _source(self, block: slice) -> Source:
        if self.sources is None:
            raise self.lacking("source")
        name = self.sources.names[block.start if len(self.sources.names) > 1 else 0]
        faces = self.sources.faces if self.sources.faces is not None else self.people
        assert faces is not None
        return Source(name, faces.of(name).crops[:])

    @property
    def target(self) -> ImageSet:
        """Images that outputs were made from; raises UsageError where they are not given."""
        if self._target is None:
            raise self.lacking("target")
        return self._target

    @cached_property
    def output_landmarks(self) -> np.ndarray:
        """Five landmarks of each output, (N, 5, 2); NaN where no face is found."""
        return find_landmarks(self.output, "outputs", self.built.context)

    @cached_property
    def target_landmarks(self) -> np.ndarray:
        """The same of targets."""
        return find_landmarks(self.target, "targets", self.built.context)

    @cached_property
    def masks(self) -> ImageSet:
        """Where target or exact swap show the face: as given, or an oval by landmarks."""
        if self._mask is not None:
            return self._mask
        if self._target is None and self._exact is not None:
            return ovals(find_landmarks(self._exact, "exact swaps", self.built.context), self.output.shape[1])
        return ovals(self.target_landmarks, self.output.shape[1])

    def evidence(self, name: str) -> Any:
        """Evidence for all outputs, as given or as its kind makes it; raises NotScorable and UsageError."""
        if name not in self._known:
            self._known[name] = self._evidence(name)
        return self._known[name]

    def _evidence(self, name: str) -> Any:
        if name == JUDGE:
            return self.embeddings
        if name == "exact":
            if self._exact is None:
                raise self.lacking(name)
            return self._exact
        if self.given.evidence.get(name) is not None:
            return self.given.evidence[name]
        kinds = self.built.kinds
        if name in kinds.missing:
            raise kinds.missing[name]
        try:
            of = guard.run(f"evidence {name}", kinds.kinds[name].prepare, self.evaluation)
            return guard.run(f"evidence {name}", of, self.outputs)
        except NotScorable as why:
            if name in kinds.observers:
                raise
            raise NotScorable(why.message, f"give {name}=, for each output") from why

    @cached_property
    def outputs(self) -> Outputs:
        """The outputs as kinds of evidence are shown them."""
        return Outputs("outputs", self.output, self.output_landmarks, NOT_FED)

    @cached_property
    def evaluation(self) -> EvaluationSet:
        """The targets as kinds of evidence are shown them."""
        targets = Faces(self.target, self.rows, self.target_landmarks)
        truth = None if self._exact is None else Truth(self._exact, self.masks)
        names = [NOBODY] if self.sources is None else self.sources.names
        group = Group(names[0], self.target.select([0]), np.arange(self.n), targets, truth)
        nobody = np.empty((0, 5, 2), np.float32)
        real = RealImages(targets, None, self.target_landmarks, nobody)
        pairs = Pairs((group,), "as given")
        return EvaluationSet(pairs, targets, self.target_landmarks, real, "clips" if self.clip else "stills")

    @cached_property
    def target_vectors(self) -> Tensor:
        """The judge's unit vectors of targets, (N, D); NaN where targets are not given."""
        judge, context = self.built.required_judge, self.built.context
        if self._target is None:
            return torch.full((self.n, judge.network.info.dim), torch.nan)
        return embed(judge, self._target, self.target_landmarks, "targets", context).vectors

    @cached_property
    def embeddings(self) -> Embeddings:
        """What the judge says of outputs, targets, and the real images of people and sources."""
        judge, context = self.built.required_judge, self.built.context
        given = self.people, None if self.sources is None else self.sources.faces
        parts = [faces for faces in given if faces is not None]
        if not parts:
            vectors = embed(judge, self.output, self.output_landmarks, "outputs", context).vectors
            rows = pd.DataFrame(columns=["identity", "session", "split"])
            nobody = _KnownPeople(vectors[:0], rows)
            return Embeddings(judge.name, vectors, self.target_vectors, vectors[:0], rows, index=nobody)
        real = find_faces(join(parts), self.gallery, context)
        enrolled = enrol(judge, real, context)
        enrolled = replace(enrolled, index=_KnownPeople(enrolled.references.vectors, real.rows))
        targets = TargetFeatures(judge.name, {VECTORS: self.target_vectors}, np.arange(self.n))
        features = enrolled.extract(self.outputs, context)
        return JudgedOutputs(enrolled, real.rows, targets, features)[slice(0, self.n)]


class _KnownPeople(ReferenceIndex):
    """References by person, which says so where it is asked for somebody who was not given."""

    def held_out(self, identity: str, hidden: str | None = None) -> PersonImages:
        """As a `ReferenceIndex`; raises UsageError where nobody said who is in the targets."""
        if identity == NOBODY:
            raise UsageError(
                "who is in the targets is not given",
                "give people={name: images, ...}, and rows={'identity': [the name in each target]}",
            )
        return super().held_out(identity, hidden)
