"""Every metric is a function of tensors that gives the metric's own rows, and a class that gives its value."""

from __future__ import annotations

import inspect
import os
import pydoc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from blending import SMALL, Blend
from torch import Tensor

import fsbench
import fsbench.functional as F
from fsbench import weights
from fsbench.api.outputs import as_model
from fsbench.errors import FsbenchError, NotScorable, PluginError, UsageError
from fsbench.faces.align import TEMPLATE
from fsbench.harness import measurements
from fsbench.harness.evaluation import OutputFeatures, PreparedSet, Rows
from fsbench.harness.generate import feed_of, swap_all
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, EmbedderInfo, MetricInfo
from fsbench.pairs import Group
from fsbench.registry import metrics
from fsbench.store import Store

FILES = {"face_landmarker": "face_landmarker.task", "lpips_alex": "lpips_alexnet.pickle"}
ROWS = [name for name in metrics.names() if hasattr(metrics.get(name).factory, "measure")]
DISTRIBUTIONS = [name for name in metrics.names() if name not in ROWS]


class Measured(NamedTuple):
    """What the harness measured of some outputs, and what it showed to metrics."""

    prepared: PreparedSet
    features: OutputFeatures
    rows: Mapping[str, Rows]  # by metric

    def inputs(self, group: Group, here: slice, name: str) -> dict[str, Any]:
        """What a function of tensors is given of some outputs of one source, which stand at `here` of all."""
        of = slice(here.start - self.start(group), here.stop - self.start(group))
        part, real = group.take(of), self.prepared.set.real
        exact = None if part.truth is None else part.truth.exact[:]
        everything = {
            "output": self.features.outputs.images[here],
            "target": part.targets.crops[:],
            "mask": part.masks[:],
            "rows": part.targets.rows,
            "source": group.identity,
            "people": real.test,
            "gallery": real.gallery,
            "exact": exact,
            "true_landmarks": torch.from_numpy(part.targets.landmarks),
            "recursion": self.features.evidence["recursion"][here] if "recursion" in self.features.evidence else None,
        }
        return {key: everything[key] for key in inspect.signature(getattr(F, name)).parameters if key in everything}

    def start(self, group: Group) -> int:
        """Where the outputs of a source begin."""
        before = [len(other.index) for other in self.prepared.pairs.groups[: self.prepared.pairs.groups.index(group)]]
        return sum(before)

    def calls(self, name: str) -> Iterator[tuple[dict[str, Any], slice]]:
        """Arguments of a call for each source, or each clip, and which of the rows it gives."""
        pairs, clips = self.prepared.pairs, metrics.get(name).factory.info.sample == "clip"  # type: ignore[attr-defined]
        for group in pairs.groups:
            start = self.start(group)
            whole = slice(start, start + len(group.index))
            for number, span in enumerate(pairs.clips if clips else [whole]):
                if whole.start <= span.start < whole.stop:
                    yield self.inputs(group, span, name), slice(number, number + 1) if clips else span


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the networks that are to be had on this machine."""
    root = tmp_path_factory.mktemp("functional")
    own = Path(os.environ.get("FSBENCH_TEST_WEIGHTS") or Path.home() / ".cache/fsbench-test-weights")
    for name, file in FILES.items():
        if (own / file).is_file():
            weights.import_file(own / file, root / "weights", name)
    return root


@pytest.fixture
def _cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are kept, so that each network looks once at each image for all tests together."""
    monkeypatch.setenv("FSBENCH_CACHE", str(cache))
    monkeypatch.setattr("fsbench.functional._built.UnkeptStore", Store)


@pytest.fixture(scope="module")
def measured(cache: Path) -> dict[str, Measured]:
    """All metrics of stills and of clips, as the harness measures them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSBENCH_CACHE", str(cache))
        evaluation = fsbench.Evaluation(dataset=SMALL, baselines=False)
    model, sets = as_model(Blend(), "blend", (), None, 64), dict[str, Measured]()
    for name, evaluator in evaluation._evaluators.items():
        prepared = evaluator.evaluation
        outputs = swap_all(model, prepared.pairs, prepared.context)
        features = prepared.extract("blend", outputs.images, feed_of(model, prepared.context))
        sets[name] = Measured(prepared, features, {metric: rows for metric, _, rows in prepared.measure(features)})
    return sets


COMPARED: set[str] = set()


@pytest.mark.usefixtures("_cached")
@pytest.mark.parametrize("name", ROWS)
def test_a_function_gives_the_rows_of_its_metric(name: str, measured: dict[str, Measured]) -> None:
    """And the class of its name gives the value of all of them."""
    if "crop" not in metrics.get(name).factory.info.stages:  # type: ignore[attr-defined]
        pytest.skip("it looks at frames, which an Evaluation does not")
    of = next(of for of in measured.values() if name in of.rows)
    rows = of.rows[name]
    function, running = getattr(F, name), getattr(F, F._camel(name))()
    if isinstance(rows, NotScorable):
        arguments, _ = next(of.calls(name))
        with pytest.raises(NotScorable) as caught:
            function(**arguments)
        assert caught.value.message == rows.message
        return
    whole = []
    for arguments, here in of.calls(name):
        own = function(**arguments)
        assert own.dtype == torch.float64
        assert own.shape[0] == here.stop - here.start
        np.testing.assert_allclose(own.reshape(len(own), -1), rows[here], rtol=0, atol=1e-6, equal_nan=True)
        running.update(**arguments)
        whole.append(rows[here])
    together = np.concatenate(whole)
    known = measurements.scored(together)
    assert (running.n_total, running.n_scored) == (len(together), known.sum())
    if known.any():
        value = measurements.statistic(of.prepared.metrics[name], together, known)(np.arange(known.sum()))
        assert running.compute() == pytest.approx(value, abs=1e-6)
        COMPARED.add(name)
    running.reset()
    with pytest.raises(NotScorable, match="update first"):
        running.compute()


def test_most_metrics_were_compared() -> None:
    """With the real networks all but a few: those that need more people, or are not installed."""
    if not COMPARED:
        pytest.skip("the tests before this one were not run")
    assert {"id_similarity", "id_leakage", "background", "gt_psnr", "tl_id", "pose_error_five"} <= COMPARED
    assert len(COMPARED) > 25


@pytest.mark.usefixtures("_cached")
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distance_of_distributions_is_that_of_a_run(name: str, measured: dict[str, Measured]) -> None:
    of = measured["stills"]
    features, metric = of.rows[name], of.prepared.metrics[name]
    output, target = of.features.outputs.images[:], of.prepared.pairs.targets[:]
    if isinstance(features, NotScorable):
        with pytest.raises(NotScorable) as caught:
            getattr(F, name)(output, target)
        assert caught.value.message == features.message
        random = np.random.default_rng(0).normal(size=(2, 12, 16)).astype(np.float32)
        output, target = map(torch.from_numpy, random)
        features = measurements.PairedFeatures.of(*random)
    enough = features.scored.sum() >= metric.info.min_samples
    running = getattr(F, F._camel(name))()
    running.update(output[:5], target[:5])
    running.update(output=output[5:], target=target[5:])
    if not enough:
        for compute in (running.compute, lambda: getattr(F, name)(output, target)):
            with pytest.raises(NotScorable, match="are needed"):
                compute()
        return
    value = measurements.statistic(metric, features, features.scored)(np.arange(features.scored.sum()))
    assert getattr(F, name)(output, target) == pytest.approx(value, rel=1e-6, abs=1e-6)
    assert running.compute() == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_frechet_distance_is_that_of_gaussians() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(300, 3)), random.normal(1.0, 2.0, size=(200, 3))
    # of one dimension each: (m1 - m2)^2 + (s1 - s2)^2
    one = F.frechet_distance(first[:, :1], second[:, :1])
    assert one == pytest.approx((first[:, 0].mean() - second[:, 0].mean()) ** 2
                                + (first[:, 0].std(ddof=1) - second[:, 0].std(ddof=1)) ** 2)  # fmt: skip
    assert F.frechet_distance(torch.from_numpy(first), first) == pytest.approx(0, abs=1e-9)
    paired = [torch.from_numpy(side[:100].astype(np.float32)) for side in (first, second)]
    assert F.frechet_distance(*paired) == pytest.approx(F.fid(*paired))


@pytest.mark.parametrize("features", [np.ones(3), np.ones((2, 3, 4)), np.ones((1, 3)), np.full((4, 3), np.nan),
                                      np.ones((4, 2)), torch.ones(4, 3, dtype=torch.complex64), "text"])  # fmt: skip
def test_what_is_no_set_of_features_is_told(features: Any) -> None:
    with pytest.raises(UsageError, match="no Fréchet distance"):
        F.frechet_distance(features, np.random.default_rng(0).normal(size=(5, 3)))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("change", "said"), [
    (lambda x: x.numpy(), "output is ndarray"),
    (lambda x: x[0], r"of a single image give output\[None\]"),
    (lambda x: x.permute(0, 2, 3, 1), r"output.permute\(0, 3, 1, 2\)"),
    (lambda x: x[..., :32], "as high as they are wide"),
    (lambda x: x[:, :1], r"not \(N, 3, S, S\)"),
    (lambda x: x[:0], "holds no image"),
    (lambda x: (x * 255).byte(), r"output.float\(\) / 255"),
    (lambda x: x * 255, "goes from"),
    (lambda x: x * 2 - 1, r"\(output \+ 1\) / 2"),
    (lambda x: x.masked_fill(x > 0.5, torch.nan), "not finite"),
    (lambda x: x[:2], "target does not fit output"),
    (lambda x: torch.rand(3, 3, 32, 32), "target does not fit output"),
])  # fmt: skip
def test_what_is_no_image_is_told(images: Tensor, change: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        F.background(change(images), images, mask=torch.ones(len(images), 1, 64, 64))


def test_any_float_will_do_and_gradients_do_not_pass(images: Tensor) -> None:
    rows = F.vbench_flickering(images, images)
    for dtype in (torch.float16, torch.float64):
        other = F.vbench_flickering(images.to(dtype).requires_grad_(), images)
        assert not other.requires_grad
        assert other == pytest.approx(rows, abs=1e-3)
    mask = torch.zeros(3, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1
    assert F.background(images, images, mask=mask).tolist() == [0, 0, 0]
    assert F.background(images, images, mask=mask.bool()).tolist() == [0, 0, 0]


def test_a_metric_looks_at_no_more_than_it_needs(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        raise AssertionError("faces are looked for")

    monkeypatch.setattr("fsbench.functional._asked.find_landmarks", never)
    assert F.gt_psnr_crop(images, images).tolist() == pytest.approx([58.92] * 3, abs=0.01)
    assert F.vbench_flickering(images).shape == (1,)
    with pytest.raises(PluginError, match="looked for"):
        F.background(images, images)


@pytest.mark.parametrize(("name", "arguments", "said"), [
    ("pose_error_five", {}, r"pose_error_five looks at target.*give target=\(N, 3, S, S\)"),
    ("background", {}, "looks at target"),
    ("gt_psnr", {}, "looks at exact"),
    ("gt_pose_error_five", {"target": 0}, "does not know the true yaw, pitch, roll"),
    ("gt_jitter", {"target": 0}, "give true_landmarks="),
    ("recursion_drift", {"target": 0}, "give recursion="),
    ("id_similarity", {}, "looks at source"),
    ("id_retrieval", {}, "give people="),
    ("id_leakage", {"source": 0}, "who is in the targets is not given"),
    ("id_verified", {"source": 0}, "not calibrated.*give people="),
    ("id_topk", {"source": 0}, "no gallery.*gallery="),
    ("id_similarity", {"source": "ann"}, "of whom people has no images"),
    ("id_similarity", {"source": torch.rand(2, 3, 64, 64)}, r"source\[None\]"),
    ("id_similarity", {"source": torch.rand(3, 64, 64)}, "for K images of each"),
    ("id_similarity", {"source": 0, "judge": "arcfase"}, "arcface_mbf"),
    ("id_similarity", {"source": 0, "judge": object()}, "judge is object"),
    ("id_similarity", {"source": 0, "people": 5}, "people is int"),
    ("flicker", {"target": 0, "rows": {"frame": [2, 1, 0]}}, "does not ascend"),
    ("flicker", {"target": 0, "rows": {"frame": [2, 1]}}, "one entry for each output"),
    ("mmd", {"target": 0, "sigma": -1}, "sigma"),
    ("background", {"target": 0, "device": "gpu"}, "unknown device"),
])  # fmt: skip
def test_what_is_missing_or_wrong_is_told(images: Tensor, name: str, arguments: dict[str, Any], said: str) -> None:
    given = {key: images if isinstance(value, int) and key in ("target", "source") else value
             for key, value in arguments.items()}  # fmt: skip
    with pytest.raises(FsbenchError, match=f"(?s){said}"):
        getattr(F, name)(images, **given)


def test_a_wrong_argument_is_a_type_error(images: Tensor) -> None:
    with pytest.raises(TypeError, match=r"pose_error_five\(output.*'judge'"):
        F.pose_error_five(images, images, judge="dlib_resnet")
    with pytest.raises(UsageError, match="IdSimilarity takes no sigma\nit takes judge, device"):
        F.IdSimilarity(sigma=1)


class Shades:
    """A judge that knows faces by their colour."""

    info = EmbedderInfo(family="shades", dim=3, weights=(), description="mean colour")

    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        return crops.mean((2, 3)) - 0.4


@pytest.mark.usefixtures("_cached")
def test_a_source_is_one_image_for_each_output_or_several_or_one_for_all(measured: dict[str, Measured]) -> None:
    faces = measured["stills"].prepared.set.real.test
    first, second = (faces.of(name).crops[:] for name in faces.identities)
    vectors = {name: torch.nn.functional.normalize(side.mean((2, 3)) - 0.4).double()
               for name, side in (("first", first), ("second", second))}  # fmt: skip
    cosines = vectors["first"] @ vectors["second"].T  # all faces are found: these are real images
    own = F.id_similarity(first, second[: len(first)], judge=Shades())
    np.testing.assert_allclose(own, cosines.diagonal(), atol=1e-6)
    np.testing.assert_allclose(F.id_similarity(first, second[None], judge=Shades()), cosines.mean(1), atol=1e-6)
    several = torch.stack([second[:2]] * len(first))
    np.testing.assert_allclose(F.id_similarity(first, several, judge=Shades()), cosines[:, :2].mean(1), atol=1e-6)
    named = F.id_similarity(first, "b", judge=Shades(), people={"a": first, "b": second})
    np.testing.assert_allclose(named, cosines.mean(1), atol=1e-6)
    running = F.IdSimilarity(judge=Shades())
    running.update(first[:1], second[:1])
    running.update(first[1:], second[1 : len(first)])
    assert running.compute() == pytest.approx(float(cosines.diagonal().mean()), abs=1e-6)


@pytest.mark.usefixtures("_cached")
def test_what_a_judge_raises_is_told_as_it_is(images: Tensor) -> None:
    class Clumsy(Shades):
        """Asks for what it has not."""

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            return self.network(crops)

    with pytest.MonkeyPatch.context() as patch:
        _see_faces(patch)
        with pytest.raises(PluginError, match="'Clumsy' object has no attribute 'network'"):
            F.id_similarity(images, images, judge=Clumsy())


def _see_faces(patch: pytest.MonkeyPatch) -> None:
    """Let every image have a face."""

    def find(crops: ImageSet, *_: object) -> np.ndarray:
        return np.repeat(np.float32(TEMPLATE * crops.shape[1])[None], len(crops), 0)

    for module in ("fsbench.functional._asked", "fsbench.evidence.references"):
        patch.setattr(f"{module}.find_landmarks", find)


def test_rows_that_name_people_by_number_are_put_together_for_the_same_people_only(images: Tensor) -> None:
    running = F.IdTopkJsd(judge=Shades())
    gallery = {f"stranger {i}": torch.rand(1, 3, 64, 64) for i in range(8)}
    people = {"a": images, "b": images.flip(0)}
    with pytest.MonkeyPatch.context() as patch:
        _see_faces(patch)
        running.update(images, "a", people=people, gallery=gallery)
        running.update(images, "b", people=people, gallery=gallery)
        assert 0 <= running.compute() <= 1
        with pytest.raises(UsageError, match="need the same people"):
            running.update(images, images[:1], people=people, gallery=gallery)
        with pytest.raises(UsageError, match="need the same people"):
            running.update(images, "a", people=dict(people), gallery=gallery)


@pytest.mark.parametrize("name", metrics.names())
def test_help_teaches(name: str) -> None:
    function, kind = getattr(F, name), getattr(F, F._camel(name))
    entry = metrics.get(name)
    text = pydoc.plain(pydoc.render_doc(function))
    assert function.__name__ == name
    assert entry.summary[:60] in " ".join(text.split())
    for parameter in inspect.signature(function).parameters:
        assert f"\n{parameter}: " in function.__doc__, f"{parameter} is not told"
    assert max(map(len, function.__doc__.splitlines())) <= 120
    assert "(N, 3, S, S)" in text
    assert "Raises UsageError" in " ".join(text.split())
    info: MetricInfo = entry.factory.info  # type: ignore[attr-defined]
    assert not info.unit or f"in {info.unit}" in " ".join(text.split())
    assert function is getattr(F, name)
    assert "compute" in pydoc.plain(pydoc.render_doc(kind))
    settings, given = (inspect.signature(of).parameters for of in (kind, kind.update))
    assert {*settings, *given} == {"self", *inspect.signature(function).parameters}
    assert all(f"{parameter}: " in kind.update.__doc__ for parameter in list(given)[1:])
    assert {name, F._camel(name)} <= set(dir(F))


def test_signatures_say_what_belongs_first() -> None:
    first = {name: [p.name for p in inspect.signature(getattr(F, name)).parameters.values() if p.default is p.empty]
             for name in ("pose_error", "id_similarity", "gt_psnr", "fid", "fid_face")}  # fmt: skip
    assert first == {
        "pose_error": ["output", "target"],
        "id_similarity": ["output", "source"],
        "gt_psnr": ["output", "exact"],
        "fid": ["output", "target"],
        "fid_face": ["output", "target"],
    }
    assert inspect.signature(F.lpips).parameters["backbone"].default == "alex"
    assert inspect.signature(F.id_similarity).parameters["judge"].default == "dlib_resnet"
    assert list(inspect.signature(F.IdSimilarity).parameters) == ["judge", "device"]


def test_what_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="did you mean pose_error"):
        _ = F.pose_eror
    assert not hasattr(F, "_nothing")
    assert F.inception_score.__name__ == "is"


class Glow:
    """Mean brightness of an output over that of its target; 1 keeps it."""

    info = MetricInfo(
        unit="x", direction="lower", bounds=(0.0, 9.0), needs=(), no_face="scored like any other", reference="here"
    )
    summarise = staticmethod(lambda rows: float(np.median(rows)))

    def __init__(self, *, power: float = 1.0) -> None:
        self.power = power

    def measure(self, batch: Batch) -> Tensor:
        return (batch.output.mean((1, 2, 3)) / batch.target.mean((1, 2, 3))) ** self.power


def test_a_metric_of_another_package_is_a_function_too(registering: None, images: Tensor) -> None:
    metrics.register("glow")(Glow)
    assert F.glow(images / 2, images).tolist() == pytest.approx([0.5] * 3, abs=0.01)
    assert F.glow(images / 2, images, power=2.0).tolist() == pytest.approx([0.25] * 3, abs=0.01)
    told = " ".join(F.glow.__doc__.split())
    assert "in x; lower is better" in told
    assert "not their mean" in told
    running = F.Glow(power=2.0)
    for i in range(3):
        running.update(images[i : i + 1] * (i + 1) / 4, images[i : i + 1])
    assert running.compute() == pytest.approx(0.25, abs=0.01)


def test_what_a_metric_of_another_package_raises_is_its_fault(registering: None, images: Tensor) -> None:
    class Crash(Glow):
        """Never measures."""

        def measure(self, batch: Batch) -> Tensor:
            raise RuntimeError("no luck")

    metrics.register("crash")(Crash)
    with pytest.raises(PluginError, match=r"metric .*crash raised RuntimeError: no luck"):
        F.crash(images, images)


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: Tensor) -> None:
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    F.id_similarity(images, images)
    F.pose_error_five(images, images)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
