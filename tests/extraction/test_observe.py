"""Observers look once at each image; what they need may be missing, and metrics say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.config import Plan
from fsbench.errors import NotScorable, PluginError, UnknownName, UsageError, WeightsError
from fsbench.evidence import references
from fsbench.evidence.needs import build_kinds
from fsbench.extraction.extractor import Extractor
from fsbench.extraction.features import observe
from fsbench.harness import evaluation as evaluations
from fsbench.harness.evaluation import PreparedSet
from fsbench.harness.instruments import Instruments
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Context, MetricInfo, ObserverInfo, Truth
from fsbench.pairs import Group, Pairs
from fsbench.registry import metrics, observers

LOOKS: list[int] = []


@pytest.fixture(autouse=True)
def _toys(registering: None) -> None:
    """A network of a few lines, one that is not installed, and metrics that ask them."""
    LOOKS.clear()

    @observers.register("light")
    class Light:
        """Tells how light an image is; sees nothing where no face was found."""

        def __init__(self, *, dim: float = 1.0) -> None:
            self.dim = dim
            self.info = ObserverInfo(weights=(), description="mean of all pixels")

        def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
            LOOKS.append(len(crops))
            light = self.dim * crops.mean((1, 2, 3))
            return {"light": torch.where(landmarks.isnan().any(2).any(1), torch.nan, light)}

    @observers.register("far")
    class Absent:
        """Is not there."""

        def __init__(self) -> None:
            raise WeightsError("the weights far are not installed", "fsbench weights fetch far")

    def facts(**changes: object) -> MetricInfo:
        given = {"unit": "", "direction": "lower", "bounds": (0, 1), "no_face": "not scored", "reference": "none"}
        return MetricInfo(**given | {"needs": ("light",), "measures": ("colour",)} | changes)

    @metrics.register("light_change")
    class LightChange:
        """Mean difference of lightness."""

        info = facts(checked_by="gt_light_change", digits=4, cautions=((100, "too few"), (10, "far too few")))

        def measure(self, batch: Batch) -> Tensor:
            output, target = batch.observed("light", "light")
            return (output - target).abs()

        def summarise(self, rows: np.ndarray) -> float:
            return float(rows.mean())

    @metrics.register("gt_light_change")
    class GtLightChange(LightChange):
        """Mean difference from a lightness of one half, which is the truth here."""

        info = facts(needs=("light", "exact"))

        def measure(self, batch: Batch) -> Tensor:
            return (batch.observed("light", "light")[0] - 0.5).abs()

    @metrics.register("far_change")
    class AbsentChange(LightChange):
        """Cannot be had."""

        info = facts(needs=("far",))


def pairs(known: bool = True) -> Pairs:
    faces = contracts.toy_faces(2, sessions=3, images=4, size=32)
    target = faces.of("toy1")
    assert target.masks is not None
    index = np.flatnonzero(faces.rows["identity"] == "toy1")
    truth = Truth(target.crops, target.masks) if known else None
    return Pairs((Group("toy0", faces.of("toy0").crops.select(slice(2)), index, target, truth),), "all")


def prepared(context: Context, *names: str, known: bool = True) -> PreparedSet:
    instruments = replace(Instruments.of(Plan(metrics=names, resamples=100), context), judges=[])
    faces = contracts.toy_faces(2, sessions=3, images=4, size=32)
    return PreparedSet.prepare(instruments, pairs(known), faces, None, context)


def test_it_looks_once_at_an_image(fresh_context: Context) -> None:
    crops = contracts.toy_faces(2, sessions=10, images=4, size=16).crops
    landmarks = np.zeros((len(crops), 5, 2), np.float32)
    landmarks[3] = np.nan
    light = Extractor.build(observers, "light", fresh_context)
    told = observe(light, crops, landmarks, "", fresh_context)
    assert LOOKS == [1] * 80  # on a CPU one at a time
    assert told["light"].isnan().nonzero()[:, 0].tolist() == [3]
    assert float(told["light"][5]) == pytest.approx(float(crops[5].mean()))
    again = observe(light, crops, landmarks, "", fresh_context)
    assert len(LOOKS) == 80
    assert torch.equal(told["light"].nan_to_num(-1), again["light"].nan_to_num(-1))
    landmarks[3] = 0
    assert observe(light, crops, landmarks, "", fresh_context)["light"].isfinite().all()
    assert len(LOOKS) == 80 + 1  # only the image whose landmarks changed
    observe(Extractor.build(observers, "light(dim=0.5)", fresh_context), crops, landmarks, "", fresh_context)
    assert len(LOOKS) == 80 + 1 + 80


def test_an_observer_owes_a_row_per_image(fresh_context: Context) -> None:
    @observers.register("short")
    class Short:
        """Forgets an image."""

        info = ObserverInfo(weights=(), description="")

        def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
            return {"x": torch.zeros(len(crops) - 1)}

    crops = contracts.toy_faces(size=16).crops
    short = Extractor.build(observers, "short", fresh_context)
    with pytest.raises(PluginError, match="0 rows of x for 1 images"):
        observe(short, crops, np.zeros((24, 5, 2), np.float32), "", fresh_context)


def test_an_observer_that_cannot_be_made_leaves_its_reason(fresh_context: Context) -> None:
    asked = [metrics.build(name, fresh_context) for name in ("light_change", "far_change", "gt_light_change")]
    found = build_kinds(asked, (), fresh_context)
    assert list(found.kinds) == ["light", "exact"]
    assert list(found.observers) == ["light"]
    assert found.missing["far"].message == "the weights far are not installed (fsbench weights fetch far)"


def test_a_file_of_the_users_own_takes_the_place_of_the_networks(fresh_context: Context) -> None:
    @observers.register("filed")
    class Filed:
        """Says where its file is."""

        def __init__(self, *, context: Context) -> None:
            if context.path == "wrong":
                raise WeightsError("no file of that network")
            self.info = ObserverInfo(weights=(), description=context.path)

    class Asks:
        info = MetricInfo("", "lower", (0, 1), ("filed",), "-", "-")

    asks = [Asks()]
    found = build_kinds(asks, ["filed@a/b.pth"], fresh_context)
    assert found.observers["filed"].observer.network.info.description == "a/b.pth"
    with pytest.raises(WeightsError, match="no file"):
        build_kinds(asks, ["filed@wrong"], fresh_context)
    with pytest.raises(UsageError, match="names no file"):
        build_kinds(asks, ["filed"], fresh_context)
    with pytest.raises(UnknownName, match="unknown observer 'filled'"):
        build_kinds(asks, ["filled@x"], fresh_context)


def test_a_plan_that_names_a_metric_is_refused_where_its_observer_is_missing(fresh_context: Context) -> None:
    with pytest.raises(NotScorable, match="fetch far"):
        prepared(fresh_context, "light_change", "far_change")


def test_a_plan_that_names_a_metric_is_refused_where_its_own_network_is_missing(fresh_context: Context) -> None:
    with pytest.raises(NotScorable, match="fsbench weights fetch lpips_alex"):
        prepared(fresh_context, "light_change", "lpips")


def test_outputs_are_held_against_their_own_targets(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (evaluations, references):
        monkeypatch.setattr(
            module, "find_landmarks", lambda crops, title, context: np.zeros((len(crops), 5, 2), np.float32)
        )
    ready = prepared(fresh_context, "light_change")
    darker = ImageSet((ready.pairs.targets.levels() // 2).astype(np.uint8))
    ((name, judge, rows),) = ready.measure(ready.extract("darker", darker))
    assert (name, judge) == ("light_change", None)
    expected = (ready.pairs.targets[:] - darker[:]).mean((1, 2, 3)).numpy()
    assert np.allclose(np.asarray(rows)[:, 0], expected, atol=1e-6)
    assert ready.estimator_errors()["light_change"] == pytest.approx(
        float((ready.pairs.targets[:].mean((1, 2, 3)) - 0.5).abs().mean()), abs=1e-6
    )
    assert prepared(fresh_context, "light_change", known=False).estimator_errors() == {}
