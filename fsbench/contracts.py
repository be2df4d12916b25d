"""The tests that a plug-in's author runs on their own plug-in.

    from fsbench import contracts

    def test_my_swapper():
        contracts.check_swapper(MySwapper())

Each check raises AssertionError with one sentence that says which promise of `fsbench.interfaces` is broken. The images
are made up, small and without faces: what a plug-in does is not judged here, only how it behaves.
"""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fsbench.errors import CheckpointError, NotScorable, PluginError
from fsbench.faces.align import TEMPLATE
from fsbench.images import ImageSet
from fsbench.interfaces import (
    Batch,
    Budget,
    Context,
    Dataset,
    Embedder,
    Embeddings,
    Evidence,
    Faces,
    Lookalikes,
    Metric,
    Observed,
    Observer,
    Oracle,
    Passes,
    Refiner,
    Resampled,
    Source,
    Swapped,
    Swapper,
    Targets,
    Trainable,
    Wrapper,
    silent,
)
from fsbench.stats.calibration import Calibration, calibrate

TOLERANCE = 1e-4


def toy_faces(identities: int = 2, sessions: int = 3, images: int = 4, size: int = 64, seed: int = 0) -> Faces:
    """Make up `identities * sessions * images` blurry crops with template landmarks; deterministic in `seed`."""
    random = np.random.default_rng(seed)
    rows, pixels = [], []
    for person in range(identities):
        for session in range(sessions):
            for frame in range(images):
                rows.append(
                    {
                        "id": f"toy{person}/s{session}/{frame:04d}",
                        "identity": f"toy{person}",
                        "session": f"s{session}",
                        "clip": "",
                        "frame": frame,
                        **{name: float(random.uniform(-30, 30)) for name in ("yaw", "pitch", "roll")},
                        **{name: float(random.uniform(-15, 15)) for name in ("gaze_x", "gaze_y")},
                        **{name: float(random.uniform(0, 1)) for name in ("mouth_open", "smile", "blink")},
                    }
                )
                coarse = torch.from_numpy(random.uniform(0, 1, (1, 3, 4, 4)).astype(np.float32) * 0.5 + 0.25 * person)
                smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
                pixels.append(ImageSet.of(smooth.clamp(0, 1)).pixels[0])
    landmarks = np.repeat((TEMPLATE * size)[None], len(rows), 0).astype(np.float32)
    yy, xx = np.mgrid[0:size, 0:size] / size - 0.5
    mask = np.where((xx / 0.3) ** 2 + (yy / 0.4) ** 2 < 1, 255, 0).astype(np.uint8)[None, :, :, None]
    return Faces(ImageSet(np.stack(pixels)), pd.DataFrame(rows), landmarks, ImageSet(np.repeat(mask, len(rows), 0)))


def toy_targets(images: Tensor) -> Targets:
    """Make targets of images (N, 3, S, S), each a still with template landmarks."""
    landmarks = torch.from_numpy(TEMPLATE * images.shape[-1]).repeat(len(images), 1, 1)
    return Targets(images, landmarks, pd.DataFrame({"clip": "", "frame": range(len(images))}))


def toy_batch(n: int = 6, size: int = 64, seed: int = 0, needs: Sequence[str] = ()) -> Batch:
    """Make up outputs with a judge's embeddings, exact swaps, passes, and what the observers in `needs` would give.

    The last output has no face.
    """
    faces = toy_faces(2, 3, math.ceil(n / 3), size, seed)
    target, source = faces.of("toy1").select(range(n)), faces.of("toy0")
    assert target.masks is not None
    random = torch.Generator().manual_seed(seed)
    output = (0.5 * target.crops[:] + 0.5 * torch.rand(target.crops[:].shape, generator=random)).clamp(0, 1)
    vectors = torch.nn.functional.normalize(torch.randn(len(faces) + n, 16, generator=random), dim=1)
    view = vectors[len(faces) :].clone()
    view[-1] = torch.nan
    own = torch.from_numpy(np.flatnonzero(faces.rows["identity"] == "toy1")[:n])
    references = vectors[: len(faces)]
    rows, top = faces.rows.assign(split="test"), _toy_lookalikes(view, references)
    evidence = {
        "judge": Embeddings("toy", view, vectors[own], references, rows, top, _toy_calibration()),
        "exact": source.crops[list(range(n))],
        "recursion": Passes({1: output, 2: output * 0.9, 10: output * 0.5, 50: output * 0.2}),
    }
    observed = _toy_observed(target, random)
    return Batch(
        source=Source("toy0", source.crops[:4]),
        rows=target.rows,
        output=output,
        target=target.crops[:],
        mask=target.masks[:],
        evidence={**{name: replace(observed, observer=name) for name in needs}, **evidence},
    )


def _toy_observed(target: Faces, random: torch.Generator) -> Observed:
    """Make up whatever the built-in observers give; nothing is seen in the last output."""
    n = len(target)
    arrays = {
        "features": torch.randn(2 * n, 16, generator=random),
        "logits": torch.randn(2 * n, 10, generator=random),
        "landmarks": torch.from_numpy(target.landmarks).repeat(2, 1, 1) + torch.randn(2 * n, 5, 2, generator=random),
        "rotation": torch.linalg.qr(torch.eye(3) + 0.1 * torch.randn(2 * n, 3, 3, generator=random)).Q,
        "blendshapes": torch.rand(2 * n, 52, generator=random),
        "gaze": 10 * torch.randn(2 * n, 2, generator=random),
        "openings": 10 * torch.rand(2 * n, 3, generator=random),
    }
    for array in arrays.values():
        array[n - 1] = torch.nan
    return Observed("toy", {k: v[:n] for k, v in arrays.items()}, {k: v[n:] for k, v in arrays.items()})


def _toy_lookalikes(output: Tensor, references: Tensor) -> Lookalikes:
    """Name the nearest of twenty made-up people; -1 for vectors of NaN."""
    people = torch.randn(20, output.shape[1], generator=torch.Generator().manual_seed(7))

    def nearest(vectors: Tensor) -> Tensor:
        lost = vectors.isnan().any(1, keepdim=True)
        return (vectors.nan_to_num() @ people.T).topk(10).indices.masked_fill(lost, -1)

    return Lookalikes(tuple(f"person {i}" for i in range(len(people))), nearest(output), nearest(references))


def _toy_calibration() -> Calibration | None:
    """Calibrate on 64 made-up people with four images each: impostor pairs enough for a false-accept rate of 1e-3."""
    vectors = np.random.default_rng(8).normal(size=(256, 16))
    person, session = np.divmod(np.arange(256), 4)
    return calibrate(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), person, session)


def check_swapper(swapper: Swapper | Oracle) -> None:
    """Shapes, range, determinism, untouched inputs, independence of batch size; a Trainable: `check_training` too."""
    _check_docstring(swapper)
    faces = toy_faces()
    if isinstance(swapper, Trainable):
        check_training(swapper, faces)
    if isinstance(swapper, Oracle):
        truth = faces.crops[:4]
        assert torch.equal(swapper.reveal(truth), truth), "an oracle's answer is the truth it is shown"
        return
    _check_swapping(swapper, faces)


def check_refiner(refiner: Refiner) -> None:
    """What `check_swapper` asks, of outputs with and without an alpha; a Trainable: `check_training` too."""
    _check_docstring(refiner)
    _check_signature(refiner, "refine")
    faces = toy_faces()
    if isinstance(refiner, Trainable):
        check_training(refiner, faces)
    source, targets = _toy_pair(faces)
    for alpha in (True, False):
        output = Swapped.of(_Fade(alpha=alpha).swap(source, targets))

        def refine(
            output: Swapped, targets: Targets, refiner: Refiner = refiner, source: Source = source
        ) -> Swapped | Tensor:
            return refiner.refine(output, targets, source)

        with _untouched("refine", source, targets, output):
            _check_outputs("refine", refine, output, targets)


def check_wrapper(wrapper: Wrapper) -> None:
    """What it makes of a swapper keeps the promises of one, whether that gives an alpha or not; two do not mix.

    A Trainable: `check_training` too.
    """
    _check_docstring(wrapper)
    _check_signature(wrapper, "wrap")
    faces = toy_faces()
    if isinstance(wrapper, Trainable):
        check_training(wrapper, faces)
    source, targets = _toy_pair(faces)
    for alpha in (True, False):
        wrapped = wrapper.wrap(_Fade(alpha=alpha))
        _check_swapping(wrapped, faces)
        with torch.inference_mode():
            before = Swapped.of(wrapped.swap(source, targets)).images
            wrapper.wrap(_Fade(amount=0.9, alpha=alpha)).swap(source, targets)
            after = Swapped.of(wrapped.swap(source, targets)).images
        assert torch.equal(before, after), "what wrap() made of a swapper changed when it wrapped another"


def check_training(plugin: Trainable, faces: Faces | None = None) -> None:
    """Named budgets, a training of two steps, and a saved file that gives the same model; a damaged one is refused."""
    assert set(plugin.budgets) >= {"smoke", "short", "full"}, (
        "budgets must say how many steps smoke, short and full are"
    )
    faces = faces or toy_faces()
    with tempfile.TemporaryDirectory() as folder:
        weights, damaged = Path(folder) / "model.safetensors", Path(folder) / "damaged.safetensors"
        told = plugin.fit(faces, Budget(steps=2, seed=1), silent, Path(folder) / "checkpoint.pt")
        assert told.steps == 2, f"a budget of 2 steps was answered with {told.steps}"
        assert told.seconds > 0, "Training.seconds must say how long it took"
        plugin.save(weights)
        trained = _answer(plugin, faces)
        plugin.load(weights)
        assert torch.allclose(trained, _answer(plugin, faces), atol=TOLERANCE), "save() then load() gives another model"
        damaged.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
        try:
            plugin.load(damaged)
        except CheckpointError:
            pass
        else:
            raise AssertionError("load() took half a file: a damaged file must raise CheckpointError")


class _Fade:
    """Fades targets into the mean image of the source inside a square; with or without the square as alpha."""

    def __init__(self, amount: float = 0.5, alpha: bool = True) -> None:
        self.amount, self.alpha = amount, alpha

    def swap(self, source: Source, targets: Targets) -> Swapped:
        side = targets.images.shape[-1] // 4
        alpha = torch.zeros_like(targets.images[:, :1])
        alpha[..., side:-side, side:-side] = self.amount
        images = alpha * source.images.mean(0) + (1 - alpha) * targets.images
        return Swapped(images, alpha if self.alpha else None)


def _toy_pair(faces: Faces) -> tuple[Source, Targets]:
    return Source("toy0", faces.of("toy0").crops[:3]), Targets.of(faces.of("toy1").select(range(5)))


@torch.inference_mode()
def _answer(plugin: Any, faces: Faces) -> Tensor:
    """Images of a swapper or refiner, or of what a wrapper makes of a swapper."""
    source, targets = _toy_pair(faces)
    if hasattr(plugin, "refine"):
        return Swapped.of(plugin.refine(_Fade().swap(source, targets), targets, source)).images
    swapper = plugin.wrap(_Fade()) if hasattr(plugin, "wrap") else plugin
    return Swapped.of(swapper.swap(source, targets)).images


def _check_swapping(swapper: Swapper, faces: Faces) -> None:
    _check_signature(swapper, "swap")
    source, targets = _toy_pair(faces)
    with _untouched("swap", source, targets):
        _check_outputs("swap", lambda output, targets: swapper.swap(source, targets), Swapped(targets.images), targets)


def _check_signature(plugin: object, method: str) -> None:
    from fsbench.harness.parts import check_signature  # what a run asks of it; nothing else here needs the harness

    try:
        check_signature(type(plugin).__name__, plugin, method)
    except PluginError as error:
        raise AssertionError(error.sentence) from error


def _check_outputs(
    method: str, answer: Callable[[Swapped, Targets], Swapped | Tensor], output: Swapped, targets: Targets
) -> None:
    """Shapes, range, determinism and independence of batch size of what is made of some outputs and their targets."""

    def one(i: int) -> Swapped:
        alpha = None if output.alpha is None else output.alpha[i : i + 1]
        return Swapped.of(answer(Swapped(output.images[i : i + 1], alpha), targets.select(slice(i, i + 1))))

    with torch.inference_mode():
        whole, again = (Swapped.of(answer(output, targets)) for _ in range(2))
        alone = [one(i) for i in range(len(targets))]
    _check_images(whole.images, targets.images)
    if whole.alpha is not None:
        _check_images(whole.alpha, targets.images[:, :1], "alpha")
    for name in ("images", "alpha"):
        first, second, parts = getattr(whole, name), getattr(again, name), [getattr(some, name) for some in alone]
        if first is None:
            assert second is None and parts == [None] * len(parts), f"{method}() gives an alpha now and then"
            continue
        assert torch.equal(first, second), f"{method}() gave another answer the second time"
        assert torch.allclose(first, torch.cat(parts), atol=TOLERANCE), (
            "the output for an image depends on the other images of the batch"
        )


@contextmanager
def _untouched(method: str, source: Source, targets: Targets, output: Swapped | None = None) -> Iterator[None]:
    """Raise AssertionError where what a plug-in is given was written into."""

    def content() -> dict[str, np.ndarray]:
        alpha = None if output is None else output.alpha
        tensors = {
            "the source images": source.images,
            "the target images": targets.images,
            "the landmarks": targets.landmarks,
            "the output": None if output is None else output.images,
            "the alpha": alpha,
        }
        return {name: tensor.numpy().copy() for name, tensor in tensors.items() if tensor is not None} | {
            "the rows": targets.rows.to_numpy(copy=True)
        }

    before = content()
    try:
        yield
    finally:  # what was written into makes for other faults, of which it is the cause
        for name, array in content().items():
            assert np.array_equal(before[name], array), f"{method}() changed {name} that it was given"


def check_metric(metric: Metric, evidence: Mapping[str, Evidence] | None = None) -> None:
    """Facts complete; one row per output; value independent of batch size and order, finite and within its bounds.

    `evidence` of a kind that is not built in is made up by the author, by its name, for eight outputs.
    """
    _check_docstring(metric)
    info = metric.info
    assert info.reference, "info.reference must say where the definition comes from"
    assert info.no_face, "info.no_face must say what happens to an output without a face"
    assert info.measures, "info.measures must name what the metric is meant to respond to"
    low, high = info.bounds
    assert low < high, "info.bounds must be (lowest, highest)"
    batch = _batch_for(metric, evidence)
    rows = _rows(metric, [batch])
    alone = _rows(metric, [batch.take(slice(i, i + 1)) for i in range(len(batch.rows))])
    assert np.allclose(rows, alone, rtol=TOLERANCE, atol=1e-6, equal_nan=True), "rows depend on the batch size"
    scored = rows[~np.isnan(rows).any(1)]
    assert len(scored), "no output could be scored"
    value = metric.summarise(scored)
    shuffled = metric.summarise(scored[np.random.default_rng(0).permutation(len(scored))])
    assert math.isfinite(value), f"summarise() gave {value}"
    assert low - TOLERANCE <= value <= high + TOLERANCE, f"{value} lies outside info.bounds {info.bounds}"
    assert math.isclose(value, shuffled, rel_tol=1e-9, abs_tol=1e-12), "the value depends on the order of the rows"
    if isinstance(metric, Resampled):
        again = metric.statistic(scored)(np.arange(len(scored)))
        assert math.isclose(value, again, rel_tol=1e-9, abs_tol=1e-12), "statistic() of all rows is not summarise()"
    for lack in LACKING:
        check_nothing(metric, lack, evidence)


def _batch_for(metric: Metric, evidence: Mapping[str, Evidence] | None) -> Batch:
    """Eight made-up outputs with the evidence that a metric needs; more of them where it needs more."""
    batch = toy_batch(8, needs=metric.info.needs)
    batch = replace(batch, evidence={**batch.evidence, **(evidence or {})})
    try:
        _rows(metric, [batch])
    except NotScorable:
        return _crowded(batch)
    return batch


def _without_people(*identities: str) -> Callable[[Batch], Batch]:
    """Judges see a face on no real image of these people; the target images themselves are others."""

    def change(batch: Batch) -> Batch:
        view = batch.embeddings
        gone = torch.from_numpy(view.reference_rows["identity"].isin(identities).to_numpy(copy=True))[:, None]
        look = replace(batch.lookalikes, references=batch.lookalikes.references.masked_fill(gone, -1))
        references = view.references.masked_fill(gone, torch.nan)
        return with_evidence(batch, judge=replace(view, references=references, lookalikes=look))

    return change


def _without_faces(batch: Batch) -> Batch:
    """No network sees a face, on any image."""
    view = _without_people("toy0", "toy1")(batch).embeddings
    blind: dict[str, Evidence] = {"judge": replace(
        view,
        output=torch.full_like(view.output, torch.nan),
        target=torch.full_like(view.target, torch.nan),
        lookalikes=view.lookalikes and replace(view.lookalikes, output=torch.full_like(view.lookalikes.output, -1)),
    )}
    for name, evidence in batch.evidence.items():
        if isinstance(evidence, Observed):
            nothing = {key: torch.full_like(array, torch.nan) for key, array in evidence.output.items()}
            blind[name] = replace(evidence, output=nothing, target=nothing)
    return with_evidence(batch, **blind)


def with_evidence(batch: Batch, **evidence: Any) -> Batch:
    """Return a batch with other evidence under some names."""
    return replace(batch, evidence={**batch.evidence, **evidence})


LACKING: dict[str, Callable[[Batch], Batch]] = {
    "images of the source": _without_people("toy0"),
    "images of the target": _without_people("toy1"),
    "images of anybody": _without_people("toy0", "toy1"),
    "any face": _without_faces,
    "a face in any mask": lambda batch: replace(batch, mask=torch.zeros_like(batch.mask)),
}
"""What a toy batch can be made to lack, so that comparing has no meaning whatever a model does."""


def check_nothing(metric: Metric, lack: str, evidence: Mapping[str, Evidence] | None = None) -> None:
    """No number is made of nothing: where an output with a face cannot be scored, one that lost it is not either.

    `lack` is a key of LACKING. Whether a metric looks at what is lacking shows itself: outputs with a face have no row.
    """
    try:
        rows = _rows(metric, [LACKING[lack](_batch_for(metric, evidence))])  # the last output has no face
    except NotScorable:
        return
    nothing = np.isnan(rows).any(1)
    assert not np.isinf(rows).any(), f"without {lack} there are infinite rows"
    assert nothing.all() or not nothing[:-1].all(), f"without {lack} a comparison means nothing, and gives a number"


def check_validity(
    metric: Metric,
    *,
    faults: Sequence[str] = (),
    judge: str = "dlib_resnet",
    dataset: str = "",
    budget: str = "smoke",
    context: Context | None = None,
) -> None:
    """It calls outputs worse as what it says it measures gets worse: known faults on synthetic people.

    `faults` are names of `fsbench.faults.FAULTS`, by default all of an aspect in `info.measures`; of one that it does
    not measure it is only asked that more of it is not better. A metric that needs a judge is shown what `judge` makes
    of the images. These are drawn once and kept in the cache: half a minute, then seconds. What the metric should
    ignore, and how well it does, is told by `fsbench validate`.
    """
    from fsbench.environment import make_context
    from fsbench.faults import FAULTS
    from fsbench.harness.validate import examine  # the very examination of `fsbench validate`; no other check needs it

    name = type(metric).__name__
    chosen = faults or [fault.name for fault in FAULTS.values() if fault.aspect in metric.info.measures]
    assert chosen, "info.measures names nothing that there is a fault of"
    try:
        found = examine({name: metric}, chosen, [judge], context or make_context("cpu"), dataset=dataset, budget=budget)
    except NotScorable as why:
        raise AssertionError(why.message) from why
    for missing in found.unexamined:
        raise AssertionError(f"{name} cannot be examined: {missing.reason}")
    for response in found.responses:
        fault = FAULTS[response.fault]
        assert response.verdict != "unexamined", f"{name} has no value under {fault.name}: {response.reason}"
        assert response.verdict != "blind", (
            f"{name} does not respond to {fault.name}, though it measures {fault.aspect}"
        )
        assert response.verdict != "wrong_way", f"{name} calls outputs better the more there is of {fault.name}"


def check_dataset(dataset: Dataset) -> None:
    """Facts complete; splits consistent, with unique ids, finite landmarks, and sessions that never cross splits."""
    info = dataset.info
    assert info.description and info.licence and info.revision, "info must have a description, a licence and a revision"
    assert "test" in info.splits, "a data set needs a test split"
    sessions: dict[str, set[tuple[str, str]]] = {}
    for split in info.splits:
        faces = dataset.faces(split)
        rows = faces.rows
        assert len(rows) == len(faces.crops) == len(faces.landmarks), (
            f"{split}: rows, crops and landmarks differ in number"
        )
        assert {"id", "identity", "session", "clip", "frame"} <= set(rows), (
            f"{split}: a required column of rows is missing"
        )
        assert rows["id"].is_unique, f"{split}: ids are not unique"
        assert faces.crops.pixels.shape[1:] == (info.size, info.size, 3), f"{split}: crops are not {info.size} pixels"
        assert np.isfinite(faces.landmarks).all(), f"{split}: landmarks are not finite"
        sessions[split] = set(zip(rows["identity"], rows["session"], strict=True))
    assert not sessions.get("train", set()) & sessions["test"], "a session stands in both train and test"
    test = dataset.faces("test")
    source = test.identities[0]
    targets = test.select(np.flatnonzero(test.rows["identity"] != source)[:2])
    truth = dataset.truth(source, targets)
    if truth is not None:
        assert len(truth.exact) == len(truth.mask) == len(targets), (
            "truth() owes one exact swap and one mask per target"
        )


def check_embedder(embedder: Embedder) -> None:
    """Feature size, determinism, independence of batch size, and NaN for an image without landmarks."""
    _check_docstring(embedder)
    faces = toy_faces(2, 1, 3, 96)
    crops, landmarks = faces.crops[:], torch.from_numpy(faces.landmarks.copy())
    with torch.inference_mode():
        features = embedder.embed(crops, landmarks)
        alone = torch.cat([embedder.embed(crops[i : i + 1], landmarks[i : i + 1]) for i in range(len(crops))])
        landmarks[0] = torch.nan
        without = embedder.embed(crops, landmarks)
    assert features.shape == (len(crops), embedder.info.dim), (
        f"features are {tuple(features.shape)}, info.dim is {embedder.info.dim}"
    )
    assert torch.isfinite(features).all(), "features are not finite"
    assert torch.allclose(features, alone, rtol=1e-3, atol=1e-4), (
        "the features of an image depend on the other images of the batch"
    )
    assert without[0].isnan().all(), "an image without landmarks must get a row of NaN"
    assert torch.allclose(without[1:], features[1:], rtol=1e-3, atol=1e-4), (
        "an image without landmarks changes the others' features"
    )


def check_observer(observer: Observer) -> None:
    """One row of numbers per image, deterministic, and independent of the other images of the batch."""
    _check_docstring(observer)
    faces = toy_faces(2, 1, 3, 96)
    crops, landmarks = faces.crops[:], torch.from_numpy(faces.landmarks.copy())
    with torch.inference_mode():
        told, again = observer.observe(crops, landmarks), observer.observe(crops, landmarks)
        alone = [observer.observe(crops[i : i + 1], landmarks[i : i + 1]) for i in range(len(crops))]
    assert told, "an observer tells something"
    for name, array in told.items():
        assert array.dtype == torch.float32, f"{name} is {array.dtype}, not float32"
        assert len(array) == len(crops), f"{name} has {len(array)} rows for {len(crops)} images"
        assert torch.equal(array.nan_to_num(), again[name].nan_to_num()), f"{name} is another the second time"
        assert torch.allclose(array, torch.cat([one[name] for one in alone]), rtol=1e-3, atol=1e-4, equal_nan=True), (
            f"{name} of an image depends on the other images of the batch"
        )


def _check_docstring(plugin: object) -> None:
    said = inspect.getdoc(type(plugin)) or ""
    assert said.split("\n\n")[0].strip().endswith((".", ";")), (
        "the docstring's first paragraph must be a sentence: tables and reports print it"
    )


def _check_images(output: Tensor, like: Tensor, what: str = "output") -> None:
    assert isinstance(output, Tensor) and output.shape == like.shape, f"{what} is a tensor {tuple(like.shape)}"
    assert output.dtype == torch.float32, f"{what} is {output.dtype}, not float32"
    assert torch.isfinite(output).all(), f"{what} is not finite"
    low, high = float(output.min()), float(output.max())
    assert low >= -TOLERANCE and high <= 1 + TOLERANCE, f"{what} leaves the range [0, 1]"


def _rows(metric: Metric, batches: list[Batch]) -> np.ndarray:
    parts = []
    for batch in batches:
        rows = metric.measure(batch)
        assert rows.ndim in (1, 2) and len(rows) == len(batch.rows), "measure() owes one row per output"
        parts.append(rows.double().numpy().reshape(len(rows), -1))
    return np.concatenate(parts)


def _crowded(batch: Batch) -> Batch:
    """Add strangers to the gallery, for metrics that need more than two people."""
    view = batch.embeddings
    strangers = pd.DataFrame(
        [
            {"id": f"x{i}", "identity": f"stranger{i}", "session": "s0", "clip": "", "frame": 0, "split": "gallery"}
            for i in range(10)
        ]
    )
    vectors = torch.nn.functional.normalize(
        torch.randn(10, view.references.shape[1], generator=torch.Generator().manual_seed(9)), dim=1
    )
    references = torch.cat([view.references, vectors])
    rows = pd.concat([view.reference_rows, strangers], ignore_index=True)
    lookalikes = _toy_lookalikes(view.output, references)
    return with_evidence(
        batch, judge=replace(view, references=references, reference_rows=rows, lookalikes=lookalikes)
    )
