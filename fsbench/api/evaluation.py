"""`fsbench.Evaluation`: real images prepared once, and a model that is scored on them as often as one likes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from fsbench import environment, guard, names
from fsbench.api.outputs import Swap, as_model, check_outputs
from fsbench.api.scores import SwapScores
from fsbench.config import BASELINES, Plan, parse_pipeline, plan_of
from fsbench.errors import PluginError, UsageError
from fsbench.extraction.blocks import BLOCK, spans
from fsbench.harness import records, sets, warn
from fsbench.harness.evaluation import OutputFeatures
from fsbench.harness.evaluator import Evaluator
from fsbench.harness.generate import feed_of, swap_all
from fsbench.harness.instruments import Instruments
from fsbench.harness.model_evaluation import ModelEvaluation
from fsbench.harness.models import Model, build, prepare_model
from fsbench.harness.pair_choice import PairChoice
from fsbench.harness.splits import Splits
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Dataset, Source, Swapper, Targets
from fsbench.record_types import SetName
from fsbench.results import ModelRecord
from fsbench.unkept import UnkeptStore

Names = str | Sequence[str]

_LOG = logging.getLogger("fsbench")


class Evaluation:
    """Scores a model again and again on the same pairs: made for training loops.

        evaluation = fsbench.Evaluation(dataset="synthetic", metrics="id_similarity,pose_error_five", max_pairs=60)
        for step in range(10_000):
            ...
            if step % 1000 == 0:
                scores = evaluation(swap, name=f"step {step}")
                log(scores.scalars())

    What `fsbench run` does once a run is done here: the data set is read, the faces of its real images are found,
    judges are enrolled and baselines measured. The cache serves for this and makes it fast the next time; without
    `cache` nothing is read from it and nothing is written anywhere. Scoring writes nothing. Values are those of
    `fsbench run`, to the last bit, for the same outputs, pairs, metrics and judges.

    The arguments have the names of the options of `fsbench run`, and its defaults; metrics look at crops. `dataset` may
    be an object that is a `fsbench.interfaces.Dataset`, and `pairs` a data frame, whose columns `source` and `target`
    name a person and the id of a held-out image; without `target`, `id` does, as in `Evaluation.pairs` and
    `Run.samples`. `max_pairs` takes that many pairs of stills, and that many clips, evenly over sources and sessions;
    by default all. `device` is where networks compute, and where the images lie that a model is given; `precision` is
    what judges compute in; `resamples` is the number of resamples behind intervals. Raises UsageError for what does not
    exist, DataError for data that cannot be used, NotScorable for a named metric whose network is missing; the text
    says what to do.

    `pairs` is a data frame of what goes into what, one row per output; `baselines` are the scores of copy_target,
    copy_source, alpha_paste and (where the data set knows the exact swaps) exact: a value means something between its
    floor and its ceiling.
    """

    def __init__(
        self,
        dataset: str | Dataset = "synthetic",
        *,
        metrics: Names | None = None,
        judges: Names | None = None,
        observers: Names | None = None,
        gallery: str | os.PathLike[str] | None = None,
        pairs: str | os.PathLike[str] | pd.DataFrame | None = None,
        max_pairs: int | None = None,
        baselines: bool = True,
        resamples: int | None = None,
        seed: int | None = None,
        device: str | None = None,
        precision: str | None = None,
        data_root: str | os.PathLike[str] | None = None,
        cache: bool = True,
    ) -> None:
        """Prepare everything that does not depend on a model."""
        frame = pairs if isinstance(pairs, pd.DataFrame) else None
        self._plan = plan_of(
            Plan(models=(), baselines=baselines), dataset=dataset if isinstance(dataset, str) else None,
            metrics=metrics, judges=judges, observers=observers, gallery=gallery,
            pairs=pairs if frame is None else None, max_pairs=max_pairs, resamples=resamples,
            seed=seed, device=device, precision=precision,
        )  # fmt: skip
        names.check(self._plan)
        choice = PairChoice.of(self._plan, frame)
        self._cache = cache
        self._store = environment.open_store(UnkeptStore, _LOG.info)
        self._context = Context(
            device=environment.find_device(self._plan.device),
            store=self._store,
            data_root=environment.data_root() if data_root is None else Path(data_root),
            log=_LOG.info,
        )
        with guard.unchanged(), self._store.keeping(cache):
            self._prepare(dataset, choice)
            self.baselines = tuple(self._baselines()) if baselines else ()

    def _prepare(self, dataset: str | Dataset, choice: PairChoice) -> None:
        """Read the data, and do what is done once for all models."""
        plan, context = self._plan, self._context
        instruments = Instruments.of(plan, context)
        self._splits = Splits(environment.build_dataset(dataset, context) if isinstance(dataset, str) else dataset)
        evaluations = sets.prepare(plan, instruments, self._splits, choice, context)
        self._main = next(iter(evaluations.values()))
        self._evaluators = {name: Evaluator(evaluation, plan) for name, evaluation in evaluations.items()}
        self._metrics = instruments.metrics
        self._records = {name: records.metric_record(name, of, None) for name, of in self._metrics.items()}
        self._judges = {name: records.judge_record(judge) for name, judge in self._main.judges.items()}
        self.warnings: tuple[str, ...] = (
            *warn.of_set(self._main.set, self._splits, instruments),
            *(warning for judge in self._judges.values() for warning in warn.of_judge(judge)),
        )

    def _baselines(self) -> Iterator[SwapScores]:
        """Measure the baselines, which also say what a failure counts as."""
        for label in BASELINES:
            built = build(parse_pipeline(label), self._context)
            if not built.needs_truth or self._main.pairs.exact is not None:
                model = prepare_model(built, lambda: self._splits["train"], "auto", 0, self._context)
                yield self._of_model(model)

    def __call__(
        self,
        swap: Swap | Swapper | Tensor,
        name: str = "swap",
        *,
        coach: str | Sequence[str] = (),
        key: str | None = None,
        batch_size: int = BLOCK,
    ) -> SwapScores:
        """Score a model; its values come with intervals, and pairs on which it failed count as the worst baseline does.

        `swap` is a function of a source and targets (`fsbench.interfaces.Source`, `Targets`: `source.images` (K, 3, S,
        S) shows the person whose identity is wanted, `targets.images` (N, 3, S, S) what to put it into), or an object
        with such a method `swap`; it returns outputs (N, 3, S, S), float, RGB in [0, 1]. It is handed `batch_size`
        targets at most, on the device of this evaluation, with gradients off; training or evaluation mode is left as
        it is: call `model.eval()` before, and `model.train()` afterwards. Random numbers, and other settings of torch
        and numpy, are afterwards what they were before. Or `swap` is a tensor of all outputs, one for each row of
        `pairs`; metrics that feed outputs back to the model have no value then.

        `coach` names the families of recognisers that the model was trained against: judges of these families flatter
        it, which `warnings` say. With a `key`, which has to stand for the weights of the model, outputs and all that
        is computed of them are kept in the cache, and taken from there the next time; without one nothing is.

        Raises what `swap` raises. Raises PluginError for outputs of another shape or type, outside [0, 1] or not
        finite, UsageError for what is no function.
        """
        coaches = (coach,) if isinstance(coach, str) else tuple(coach)
        if not name:
            raise UsageError("a model has an empty name", 'name it: name="step 2000"')
        if not 1 <= batch_size <= BLOCK:
            raise UsageError(f"batch_size is {batch_size}", f"it is from 1 to {BLOCK}")
        if key is not None and (isinstance(swap, Tensor) or not self._cache):
            why = "there is no cache" if not self._cache else "outputs that are there already are not kept"
            raise UsageError(f"{name} has a key, and {why}", "leave key out")
        model = as_model(swap, name, coaches, key and f"{key} {self._context.device.type}", batch_size)
        with guard.unchanged(), self._store.keeping(key is not None):
            try:
                return self._of_outputs(model, swap) if isinstance(swap, Tensor) else self._of_model(model)
            except PluginError as error:
                if (cause := error.__cause__) is None:  # it gave what is no output
                    raise
                cause.add_note(f"fsbench.Evaluation called it: {error.message} ({error.hint})")
                raise cause from None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(self._metrics)

    @property
    def dataset(self) -> Dataset:
        """The data set; `dataset.faces("train")` is what models may learn from."""
        return self._splits.dataset

    def __len__(self) -> int:
        return sum(len(evaluator.evaluation.pairs) for evaluator in self._evaluators.values())

    @property
    def pairs(self) -> pd.DataFrame:
        """What goes into what, one row per output in the order that outputs are wanted in: `set`, `source`, target."""
        rows = [of.evaluation.pairs.rows.assign(set=name) for name, of in self._evaluators.items()]
        return pd.concat(rows, ignore_index=True)

    def batches(self, size: int = BLOCK) -> Iterator[tuple[Source, Targets]]:
        """Give sources and targets, of one source and at most `size` targets at a time, in the order of `pairs`."""
        for evaluator in self._evaluators.values():
            for group in evaluator.evaluation.pairs.groups:
                source = Source(group.identity, group.references.on(self._context.device))
                for block in spans(len(group.index), size):
                    yield source, Targets.of(group.targets.select(block), self._context.device)

    def _of_model(self, model: Model) -> SwapScores:
        """Let a model swap all pairs, and measure its outputs, as a run does."""
        features: dict[SetName, OutputFeatures] = {}
        absent: dict[SetName, np.ndarray] = {}
        for name, evaluator in self._evaluators.items():
            evaluation = evaluator.evaluation
            swapped = swap_all(model, evaluation.pairs, self._context)
            absent[name] = swapped.absent
            feed = feed_of(model, self._context)
            features[name] = evaluation.extract(model.label, swapped.images, feed, swapped.seconds)
        first = next(iter(features.values()))
        return self._scores(model, records.model_record(model, first.outputs.seconds), features, absent)

    def _of_outputs(self, model: Model, outputs: Tensor) -> SwapScores:
        """Measure outputs of all pairs."""
        size = self._main.pairs.targets.shape[1]
        images = ImageSet.of(check_outputs(model.label, outputs, len(self), size))
        features: dict[SetName, OutputFeatures] = {}
        start = 0
        for name, evaluator in self._evaluators.items():
            end = start + len(evaluator.evaluation.pairs)
            features[name] = evaluator.evaluation.extract(model.label, images.select(slice(start, end)))
            start = end
        record = records.model_record(model, None).model_copy(update={"kind": "precomputed"})
        return self._scores(model, record, features, {})

    def _scores(
        self,
        model: Model,
        record: ModelRecord,
        features: Mapping[SetName, OutputFeatures],
        absent: Mapping[SetName, np.ndarray],
    ) -> SwapScores:
        done = ModelEvaluation.join(
            [of.evaluate(record, features[name], absent=absent.get(name)) for name, of in self._evaluators.items()]
        )
        families = {name: judge.family for name, judge in self._judges.items()}
        warnings = warn.of_model(model, done.record, len(self._main.pairs), families, self._splits.read)
        warnings += [
            f"{model.label} was trained against {family}, and no judge is of a family of that name: they are of "
            f"{', '.join(sorted(set(families.values())))}"
            for family in record.coaches
            if family not in families.values()
        ]
        return SwapScores(done, self._metrics, self._records, self._judges, (*self.warnings, *warnings))

    def __repr__(self) -> str:
        counts = f"{len(self)} outputs, {len(self.metrics)} metrics, judges {', '.join(self._judges)}"
        return f"<fsbench.Evaluation on {self.dataset.info.name}: {counts}>"
