"""A row of a metric is measured once: again only where its sample, its evidence or the metric is another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.config import Plan
from fsbench.errors import NotScorable
from fsbench.faces import detect
from fsbench.harness.evaluation import PreparedSet
from fsbench.harness.instruments import Instruments
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Context, EmbedderInfo, EvidenceOf, Faces, MetricInfo, ObserverInfo, Truth
from fsbench.pairs import EvaluationSet, Group, Pairs
from fsbench.registry import embedders, evidence, metrics, observers

MEASURED: dict[str, int] = {}
N_PER_SOURCE = 12


def facts(*needs: str, **changes: object) -> MetricInfo:
    given = {"unit": "", "direction": "lower", "bounds": (0, 9), "no_face": "", "reference": "", "needs": needs}
    return MetricInfo(**given | changes)


class Counting:
    """Counts the outputs that it measures."""

    info = facts()

    def measure(self, batch: Batch) -> Tensor:
        name = type(self).__name__
        MEASURED[name] = MEASURED.get(name, 0) + len(batch.output)
        return self.rows(batch)

    def rows(self, batch: Batch) -> Tensor:
        raise NotImplementedError

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())


class Pixels(Counting):
    """Looks at all that every metric is shown."""

    def rows(self, batch: Batch) -> Tensor:
        seen = (batch.output * batch.mask).mean((1, 2, 3)) - batch.target.mean((1, 2, 3)) + batch.source.images.mean()
        return seen + torch.tensor(batch.rows["frame"].to_numpy())


class ToExact(Counting):
    """Looks at exact swaps."""

    info = facts("exact")

    def rows(self, batch: Batch) -> Tensor:
        return (batch.output - batch.exact).abs().mean((1, 2, 3))


class ToReferences(Counting):
    """Looks at vectors."""

    info = facts("judge")

    def rows(self, batch: Batch) -> Tensor:
        return batch.embeddings.output @ batch.embeddings.references.nan_to_num().mean(0)


class Means(Counting):
    """Looks at what an observer tells."""

    info = facts("kept_means")

    def rows(self, batch: Batch) -> Tensor:
        output, target = batch.observed("kept_means", "means")
        return (output - target).abs().mean(1)


class Colours(Counting):
    """Has rows of three numbers."""

    def rows(self, batch: Batch) -> Tensor:
        return batch.output.mean((2, 3))


class Wide(Counting):
    """Has rows of features."""

    def rows(self, batch: Batch) -> Tensor:
        return batch.output.flatten(1)


class Foreign(Counting):
    """Needs evidence of another package."""

    info = facts("foreign")

    def rows(self, batch: Batch) -> Tensor:
        return batch["foreign"]


class Motion(Counting):
    """Looks at clips."""

    info = facts(sample="clip")

    def rows(self, batch: Batch) -> Tensor:
        return batch.output.mean((1, 2, 3)).diff().abs().mean()[None]


class Unscorable(Counting):
    """Cannot score anything."""

    def rows(self, batch: Batch) -> Tensor:
        raise NotScorable("never")


class ForeignEvidence:
    """Numbers the outputs."""

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        return lambda outputs: torch.arange(len(outputs.images)).float()


class Judge:
    """Takes the mean colour for a face."""

    info = EmbedderInfo("toy", 3, (), "mean colour")

    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        MEASURED["judge"] = MEASURED.get("judge", 0) + len(crops)
        return crops.mean((2, 3)) - 0.4


class Observer:
    """Tells mean colours."""

    info = ObserverInfo(weights=(), description="means")

    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        MEASURED["observer"] = MEASURED.get("observer", 0) + len(crops)
        return {"means": crops.mean((2, 3))}


class Everywhere:
    """Finds a face in every crop."""

    def __init__(self, device: torch.device) -> None:
        pass

    def detect_crops(self, crops: Tensor) -> np.ndarray:
        MEASURED["detector"] = MEASURED.get("detector", 0) + len(crops)
        return np.ones((len(crops), 5, 2), np.float32)


METRICS = {"pixels": Pixels, "to_exact": ToExact, "to_references": ToReferences, "means": Means, "colours": Colours}


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch, registering: None) -> None:
    MEASURED.clear()
    monkeypatch.setattr(detect, "Detector", Everywhere)
    for name, metric in {
        **METRICS,
        "wide": Wide,
        "motion": Motion,
        "foreign_row": Foreign,
        "unscorable": Unscorable,
    }.items():
        metrics.register(f"kept_{name}")(metric)
    embedders.register("kept_judge")(Judge)
    observers.register("kept_means")(Observer)
    evidence.register("foreign")(ForeignEvidence)


FACES = contracts.toy_faces(2, sessions=3, images=4, size=16)
OUTPUTS = ImageSet.of(1 - 0.9 * contracts.toy_faces(3, sessions=2, images=4, size=16).crops[:])  # 24


def pairs(faces: Faces = FACES, exact: ImageSet | None = None, source: float = 0.5) -> Pairs:
    """Two people, each of whom is the source of the other's images."""
    groups = []
    for k, (own, other) in enumerate((("toy0", "toy1"), ("toy1", "toy0"))):
        target = faces.of(other)
        assert target.masks is not None
        index = np.flatnonzero(faces.rows["identity"] == other)
        shown = target.crops if exact is None else exact.select(slice(12 * k, 12 * k + 12))
        images = torch.full((2, 3, 16, 16), source if k == 0 else 0.25)
        groups.append(Group(own, ImageSet.of(images), index, target, Truth(shown, target.masks)))
    return Pairs(tuple(groups), "all")


def measure(
    context: Context, *names: str, outputs: ImageSet = OUTPUTS, of: Pairs | None = None, faces: Faces = FACES
) -> dict[str, np.ndarray]:
    """Rows of some metrics, of which MEASURED tells how many were measured."""
    MEASURED.clear()
    plan = Plan(metrics=tuple(f"kept_{name}" for name in names), judges=("kept_judge",))
    evaluation = PreparedSet.prepare(Instruments.of(plan, context), of or pairs(faces), faces, None, context)
    features = evaluation.extract("model", outputs)
    return {name.removeprefix("kept_"): rows for name, _, rows in evaluation.measure(features)}  # type: ignore[misc]


def test_a_second_run_measures_nothing(fresh_context: Context) -> None:
    first = measure(fresh_context, *METRICS)
    assert [MEASURED[metric.__name__] for metric in METRICS.values()] == [24] * 5
    assert MEASURED["detector"] == MEASURED["judge"] == MEASURED["observer"] == 48
    again = measure(fresh_context, *METRICS)
    assert not MEASURED
    for name, rows in first.items():
        assert np.array_equal(rows, again[name])


def test_a_clip_is_measured_again_where_one_of_its_frames_is_another(fresh_context: Context) -> None:
    clips = replace(FACES, rows=FACES.rows.assign(clip="take"))
    first = measure(fresh_context, "motion", of=pairs(clips), faces=clips)["motion"]
    assert MEASURED["Motion"] == 24
    again = measure(fresh_context, "motion", of=pairs(clips), faces=clips)["motion"]
    assert "Motion" not in MEASURED
    changed = torch.cat([OUTPUTS[:9], 1 - OUTPUTS[9:10], OUTPUTS[10:]])
    other = measure(fresh_context, "motion", of=pairs(clips), faces=clips, outputs=ImageSet.of(changed))["motion"]
    assert MEASURED["Motion"] == 4, "the four frames of the third clip"
    assert np.array_equal(first, again)
    assert (first != other)[:, 0].tolist() == [False, False, True, False, False, False]


def test_one_more_metric_is_one_metric_more(fresh_context: Context) -> None:
    measure(fresh_context, "pixels", "to_references")
    measure(fresh_context, "pixels", "to_references", "to_exact")
    assert MEASURED == {"ToExact": 24}
    measure(fresh_context, "means", "to_references", "pixels")
    assert MEASURED == {"Means": 24, "observer": 48}


def test_a_model_that_made_some_equal_outputs_is_measured_where_it_differs(fresh_context: Context) -> None:
    whole = measure(fresh_context, *METRICS)
    changed = OUTPUTS[:]
    changed[[3, 17, 18]] = 1 - changed[[3, 17, 18]]
    some = measure(fresh_context, *METRICS, outputs=ImageSet.of(changed))
    assert {MEASURED[name] for name in MEASURED} == {3}
    same = np.delete(np.arange(24), [3, 17, 18])
    fresh_context.store.features.root.rename(fresh_context.store.root / "away")
    alone = measure(fresh_context, *METRICS, outputs=ImageSet.of(changed))
    for name in METRICS:
        assert np.array_equal(some[name][same], whole[name][same])
        assert np.allclose(some[name], alone[name], rtol=0, atol=1e-6)


def test_outputs_of_other_pairs_are_others(fresh_context: Context) -> None:
    """The same images in another order stand beside other targets."""
    measure(fresh_context, "pixels")
    measure(fresh_context, "pixels", outputs=OUTPUTS.select(np.arange(24)[::-1]))
    assert MEASURED == {"Pixels": 24}


def changed_mask() -> Pairs:
    assert FACES.masks is not None
    masks = FACES.masks[:]
    masks[20] = 1 - masks[20]
    return pairs(replace(FACES, masks=ImageSet.of(masks)))


def changed_fact() -> Pairs:
    rows = FACES.rows.copy()
    rows.loc[20, "frame"] = 77
    return pairs(replace(FACES, rows=rows))


def changed_exact() -> Pairs:
    exact = ImageSet.join([group.truth.exact for group in pairs().groups if group.truth])[:]
    exact[5] = 1 - exact[5]
    return pairs(exact=ImageSet.of(exact))


SHOWN = {
    "a mask": (changed_mask, {"Pixels": 1, "ToExact": 1, "ToReferences": 1, "Means": 1, "Colours": 1}),
    "a fact": (changed_fact, {"Pixels": 1, "ToExact": 1, "ToReferences": 1, "Means": 1, "Colours": 1}),
    "an exact swap": (changed_exact, {"ToExact": 1}),
    "a source": (
        lambda: pairs(source=0.75),
        {"Pixels": 12, "ToExact": 12, "ToReferences": 12, "Means": 12, "Colours": 12},
    ),
}


@pytest.mark.parametrize("what", SHOWN)
def test_what_a_metric_is_shown_decides(what: str, fresh_context: Context) -> None:
    make, expected = SHOWN[what]
    measure(fresh_context, *METRICS)
    measure(fresh_context, *METRICS, of=make())
    assert expected == MEASURED


def test_other_references_are_other_evidence_of_judges_only(fresh_context: Context) -> None:
    measure(fresh_context, *METRICS)
    more = contracts.toy_faces(3, sessions=3, images=4, size=16)
    measure(fresh_context, *METRICS, of=pairs(), faces=more)
    assert MEASURED.pop("ToReferences") == 24
    assert MEASURED.keys() <= {"judge", "observer", "detector"}


def test_another_version_is_another_metric(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(fresh_context, "pixels", "means")
    monkeypatch.setattr(Pixels, "info", facts(version=2))
    measure(fresh_context, "pixels", "means")
    assert MEASURED == {"Pixels": 24}


@pytest.mark.parametrize("name", ["wide", "foreign_row", "unscorable"])
def test_what_cannot_be_kept_is_measured_each_time(name: str, fresh_context: Context) -> None:
    for _ in range(2):
        rows = measure(fresh_context, name)[name]
        assert sum(MEASURED.values()) >= (1 if name == "unscorable" else 24)
        if name == "unscorable":
            assert isinstance(rows, NotScorable)
    kept = fresh_context.store.features.root / "metrics"
    assert not kept.exists()


def test_a_metric_whose_code_is_in_no_file_is_measured_each_time(fresh_context: Context) -> None:
    names = {"__name__": "console", "Counting": Counting, "MEASURED": MEASURED}
    exec("class Typed(Counting):\n    def rows(self, batch):\n        return batch.output.mean((1, 2, 3))", names)
    metrics.register("kept_typed")(names["Typed"])  # type: ignore[arg-type]
    for _ in range(2):
        measure(fresh_context, "typed")
        assert MEASURED["Typed"] == 24


def test_an_instance_that_was_put_in_a_metrics_place_is_measured(fresh_context: Context) -> None:
    measure(fresh_context, "pixels")

    class Other(Pixels):
        """Not what the registry makes."""

    plan = Plan(metrics=("kept_pixels",), judges=("kept_judge",))
    instruments = replace(Instruments.of(plan, fresh_context), metrics={"kept_pixels": Other()})
    evaluation = PreparedSet.prepare(instruments, pairs(), FACES, None, fresh_context)
    MEASURED.clear()
    list(evaluation.measure(evaluation.extract("model", OUTPUTS)))
    assert MEASURED == {"Other": 24}


def test_a_damaged_row_is_measured_again(fresh_context: Context) -> None:
    first = measure(fresh_context, "pixels")
    (path,) = (fresh_context.store.features.root / "metrics").rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    assert np.allclose(measure(fresh_context, "pixels")["pixels"], first["pixels"], rtol=0, atol=1e-6)
    assert MEASURED == {"Pixels": 1}


def test_rows_do_not_depend_on_which_outputs_were_known(fresh_context: Context) -> None:
    """Half of the outputs first, then all: every row stands at its own output."""
    for k in range(2):
        half = pairs().take(np.arange(12 * k, 12 * k + 12))
        measure(fresh_context, *METRICS, of=half, outputs=OUTPUTS.select(slice(12 * k, 12 * k + 12)))
    whole = measure(fresh_context, *METRICS)
    assert not MEASURED
    fresh_context.store.features.root.rename(fresh_context.store.root / "away")
    alone = measure(fresh_context, *METRICS)
    for name in METRICS:
        assert np.array_equal(whole[name], alone[name])


CLIPS = replace(FACES, rows=FACES.rows.assign(clip="a", frame=np.arange(24) % 4))
"""Six clips of four frames."""


def test_a_clip_is_measured_whole_where_a_frame_of_it_changed(fresh_context: Context) -> None:
    whole = measure(fresh_context, "motion", of=pairs(CLIPS), faces=CLIPS)["motion"]
    assert (MEASURED["Motion"], len(whole)) == (24, 6)
    measure(fresh_context, "motion", of=pairs(CLIPS), faces=CLIPS)
    assert "Motion" not in MEASURED
    changed = OUTPUTS[:]
    changed[[9, 13]] = 1 - changed[[9, 13]]
    again = measure(fresh_context, "motion", of=pairs(CLIPS), faces=CLIPS, outputs=ImageSet.of(changed))["motion"]
    assert MEASURED["Motion"] == 8
    assert (again != whole)[:, 0].tolist() == [False, False, True, True, False, False]


def test_without_clips_a_metric_of_clips_says_so(fresh_context: Context) -> None:
    assert isinstance(measure(fresh_context, "motion")["motion"], NotScorable)
