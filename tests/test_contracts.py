"""Every registered plug-in keeps its contract, and the checks catch plug-ins that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fsbench import contracts, registry
from fsbench.errors import BadParameter, FsbenchError, NotScorable, WeightsError
from fsbench.interfaces import Batch, Context, MetricInfo, Source, Swapped, Swapper, Targets
from fsbench.metrics.id_similarity import IdSimilarity
from fsbench.registry import Registry, load_plugins

SHELVES: list[Registry] = list(registry.REGISTRIES.values())


def test_no_builtin_is_broken() -> None:
    assert load_plugins() == []
    assert [refused for shelf in SHELVES for refused in shelf.refused] == []


def test_every_kind_of_plugin_has_a_contract() -> None:
    for kind in registry.REGISTRIES:
        assert callable(getattr(contracts, f"check_{kind.removesuffix('s')}")), kind


@pytest.mark.parametrize(("shelf", "name"), [(shelf, name) for shelf in SHELVES for name in shelf.names()])
def test_every_plugin_says_what_it_is(shelf: Registry, name: str) -> None:
    assert shelf.get(name).summary.endswith((".", ";")), (
        "the first paragraph of the docstring is printed by fsbench list"
    )


@pytest.mark.parametrize("name", registry.swappers.names())
def test_swappers(name: str, context: Context) -> None:
    """Those that need a file, a folder or a command are held to it by their own tests."""
    try:
        swapper = registry.swappers.build(name, context)
    except BadParameter as unnamed:
        pytest.skip(unnamed.message)
    contracts.check_swapper(swapper)


@pytest.mark.parametrize("name", registry.refiners.names())
def test_refiners(name: str, context: Context) -> None:
    """Those whose files are not there are held to it by their own tests, with files that are made up."""
    try:
        refiner = registry.refiners.build(name, context)
    except WeightsError as missing:
        pytest.skip(missing.message)
    contracts.check_refiner(refiner)


@pytest.mark.parametrize("name", registry.wrappers.names())
def test_wrappers(name: str, context: Context) -> None:
    contracts.check_wrapper(registry.wrappers.build(name, context))


@pytest.mark.parametrize("name", registry.evidence.names())
def test_evidence(name: str, context: Context) -> None:
    contracts.check_evidence(registry.evidence.build(name, context))


@pytest.mark.parametrize("name", registry.metrics.names())
def test_metrics(name: str, context: Context) -> None:
    """Those whose files are not there are held to it by their own tests, with files that are made up."""
    metric = registry.metrics.build(name, context)
    try:
        contracts.check_metric(metric)
    except NotScorable as missing:
        if "not installed" not in missing.message:
            raise
        pytest.skip(missing.message)


@pytest.mark.parametrize("name", registry.embedders.names())
def test_embedders(name: str, context: Context) -> None:
    """Those whose files are not there are held to it by their own tests, with files that are made up."""
    try:
        embedder = registry.embedders.build({"onnx": "onnx(sface)"}.get(name, name), context)
    except FsbenchError as missing:
        pytest.skip(missing.message)
    contracts.check_embedder(embedder)


@pytest.mark.parametrize("name", registry.observers.names())
def test_observers(name: str, context: Context) -> None:
    """Those whose files are not there are held to it by their own tests, as far as that goes without them."""
    try:
        observer = registry.observers.build(name, context)
    except FsbenchError as missing:
        pytest.skip(missing.message)
    contracts.check_observer(observer)


class Whole:
    """Looks at the whole batch."""

    def swap(self, source: Source, targets: Targets) -> torch.Tensor:
        return (targets.images * 0 + targets.images.mean()).clamp(0, 1)


class Bright:
    """Leaves the range."""

    def swap(self, source: Source, targets: Targets) -> torch.Tensor:
        return targets.images * 3


class Spoiler:
    """Writes into its input."""

    def swap(self, source: Source, targets: Targets) -> torch.Tensor:
        return targets.images.mul_(0.5).clone()


@pytest.mark.parametrize(
    ("swapper", "said"),
    [(Whole(), "other images of the batch"), (Bright(), "range"), (Spoiler(), "changed the target images")],
)
def test_a_bad_swapper_is_caught(swapper: object, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        contracts.check_swapper(swapper)


class AlphaNowAndThen:
    """Gives an alpha for single images alone."""

    def swap(self, source: Source, targets: Targets) -> Swapped:
        return Swapped(targets.images, targets.images[:, :1] if len(targets) == 1 else None)


class ThreeAlphas:
    """Gives an alpha per channel."""

    def swap(self, source: Source, targets: Targets) -> Swapped:
        return Swapped(targets.images, targets.images)


class Forgetful:
    """Writes into the rows."""

    def swap(self, source: Source, targets: Targets) -> torch.Tensor:
        targets.rows["frame"] = -1
        return targets.images


class Old:
    """Was written for tensors."""

    def swap(self, source: Source, target: torch.Tensor) -> torch.Tensor:
        return target


@pytest.mark.parametrize(
    ("swapper", "said"),
    [
        (AlphaNowAndThen(), "now and then"),
        (ThreeAlphas(), "alpha is a tensor"),
        (Forgetful(), "changed the rows"),
        (Old(), "takes a tensor as target"),
    ],
)
def test_a_swapper_with_a_bad_alpha_or_signature_is_caught(swapper: object, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        contracts.check_swapper(swapper)


class Halves:
    """Halves an output."""

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
        return Swapped(output.images / 2, output.alpha)


class NeedsAlpha(Halves):
    """Cannot do without an alpha."""

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
        assert output.alpha is not None, "there is no alpha"
        return super().refine(output, targets, source)


class OnTheOutput(Halves):
    """Writes into the output."""

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
        return Swapped(output.images.mul_(0.5), output.alpha)


@pytest.mark.parametrize(
    ("refiner", "said"), [(NeedsAlpha(), "no alpha"), (OnTheOutput(), "changed the output"), (Old(), "has no refine")]
)
def test_a_bad_refiner_is_caught(refiner: object, said: str) -> None:
    contracts.check_refiner(Halves())
    with pytest.raises(AssertionError, match=said):
        contracts.check_refiner(refiner)


class LastWrapped:
    """Remembers the last swapper alone."""

    def wrap(self, swapper: Swapper) -> LastWrapped:
        self.swapper = swapper
        return self

    def swap(self, source: Source, targets: Targets) -> Swapped:
        return Swapped.of(self.swapper.swap(source, targets))


class Nothing:
    """Makes nothing."""

    def wrap(self, swapper: Swapper) -> None:
        return None


@pytest.mark.parametrize(
    ("wrapper", "said"), [(LastWrapped(), "when it wrapped another"), (Nothing(), "has no swap"), (Old(), "no wrap")]
)
def test_a_bad_wrapper_is_caught(wrapper: object, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        contracts.check_wrapper(wrapper)


class BatchMean(IdSimilarity):
    """Depends on the batch."""

    def measure(self, batch: Batch) -> torch.Tensor:
        return batch.output.mean().expand(len(batch.rows))


class LastRow(IdSimilarity):
    """Depends on the order."""

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows[-1, 0])


class Unbounded(IdSimilarity):
    """Leaves its bounds."""

    info: MetricInfo = replace(IdSimilarity.info, bounds=(2.0, 3.0))


@pytest.mark.parametrize(
    ("metric", "said"), [(BatchMean(), "batch size"), (LastRow(), "order"), (Unbounded(), "bounds")]
)
def test_a_bad_metric_is_caught(metric: object, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        contracts.check_metric(metric)


class NearestOfTheBatch(IdSimilarity):
    """Counts how many outputs of the batch look like the same person."""

    def measure(self, batch: Batch) -> torch.Tensor:
        first = batch.lookalikes.output[:, 0]
        return (first[:, None] == first).float().mean(1)


def test_a_metric_that_looks_at_other_outputs_lookalikes_is_caught() -> None:
    with pytest.raises(AssertionError, match="batch size"):
        contracts.check_metric(NearestOfTheBatch())


def test_a_toy_batch_has_all_that_a_judge_tells() -> None:
    view = contracts.toy_batch().embeddings
    assert view.lookalikes is not None
    assert view.calibration is not None
    assert view.calibration.point(1e-3).threshold is not None
    assert ((view.lookalikes.output < 0).all(1) == view.output.isnan().any(1)).all()
    assert len(view.lookalikes.references) == len(view.references)
