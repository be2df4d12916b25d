"""A training is never repeated, and never mistaken for another."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from fsbench import contracts
from fsbench.config import parse_pipeline
from fsbench.errors import CheckpointError, PluginError
from fsbench.harness.generate import swap_all
from fsbench.harness.models import Model, build, prepare_model
from fsbench.harness.parts import swap
from fsbench.harness.train import write_sidecar
from fsbench.images import to_bytes
from fsbench.interfaces import Budget, Context, Faces, Progress, Source, Swapped, Targets, Training
from fsbench.pairs import Group, Pairs
from fsbench.registry import refiners, swappers
from fsbench.store import copy_file

BUDGETS = ("smoke", "short", "full")


class Learner:
    """Remembers how often it was trained."""

    fits = 0

    def __init__(self) -> None:
        self.budgets = {"smoke": 1, "short": 2, "full": 3}

    def fit(self, data: Faces, budget: Budget, progress: Progress, checkpoint: Path) -> Training:
        type(self).fits += 1
        return Training(steps=budget.steps or 1, seconds=0.1, coaches=("arcface",))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("weights")

    def load(self, path: Path) -> None:
        if path.read_text() != "weights":
            raise CheckpointError(f"{path} is damaged")

    def swap(self, source: Source, targets: Targets) -> torch.Tensor:
        type(self).swaps += 1
        return targets.images


@pytest.fixture
def learner(registering: None) -> type[Learner]:
    kind = type("Learner", (Learner,), {"fits": 0, "swaps": 0, "__doc__": "Learns nothing.", "__module__": __name__})
    swappers.register("learner")(kind)
    return kind


def train(context: Context, faces: Faces, budget: str = "smoke", seed: int = 0, spec: str = "learner") -> Model:
    return prepare_model(build(parse_pipeline(spec), context), lambda: faces, budget, seed, context)


def test_a_finished_training_is_loaded(learner: type[Learner], fresh_context: Context) -> None:
    faces = contracts.toy_faces()
    first, second = train(fresh_context, faces), train(fresh_context, faces)
    assert learner.fits == 1
    assert (first.identity, first.training) == (second.identity, second.training)


def test_whatever_decides_a_training_trains_again(learner: type[Learner], fresh_context: Context) -> None:
    faces = contracts.toy_faces()
    renamed = dataclasses.replace(faces, rows=faces.rows.replace("toy0", "cain"))
    moved = dataclasses.replace(faces, landmarks=faces.landmarks + 1)
    bare = dataclasses.replace(faces, masks=None)
    others = contracts.toy_faces(seed=1)
    models = [train(fresh_context, data) for data in (faces, renamed, moved, bare, others)]
    models += [train(fresh_context, faces, budget="short"), train(fresh_context, faces, seed=1)]
    learner.inputs = {"coach.h5": "ab" * 32}  # weights that it is trained against
    models.append(train(fresh_context, faces))
    assert learner.fits == len(models) == len({model.identity for model in models})


class Darker:
    """Halves an output, and counts."""

    calls = 0

    def __init__(self, *, by: float = 2.0) -> None:
        self.by = by

    def refine(self, output: Swapped, targets: Targets, source: Source) -> torch.Tensor:
        type(self).calls += 1
        return output.images / self.by


@pytest.fixture
def darker(registering: None) -> type[Darker]:
    kind = type("Darker", (Darker,), {"calls": 0, "__doc__": "Halves.", "__module__": __name__})
    refiners.register("darker")(kind)
    return kind


PIPELINES = (
    "learner",
    "learner+darker",
    "learner+darker(by=4)",
    "learner+darker+darker",
    "learner+darker(by=4)+darker",
)


@pytest.mark.parametrize("order", [PIPELINES, PIPELINES[::-1]])
def test_a_swapper_is_trained_once_whatever_pipelines_it_stands_in(
    learner: type[Learner], darker: type[Darker], fresh_context: Context, order: tuple[str, ...]
) -> None:
    faces = contracts.toy_faces()
    models = [train(fresh_context, faces, spec=spec) for spec in order]
    assert learner.fits == 1
    assert len({model.identity for model in models}) == len(models)
    assert len({model.identities[0] for model in models}) == 1
    assert len({model.parts[0].weights for model in models}) == 1


def test_outputs_are_kept_after_each_part(learner: type[Learner], darker: type[Darker], fresh_context: Context) -> None:
    """Whatever comes first, each part sees each pair once, and what it gives is the same."""
    faces = contracts.toy_faces()
    parts = [(name, np.flatnonzero(faces.rows["identity"] != name)) for name in faces.identities]
    pairs = Pairs(
        tuple(
            Group(name, faces.of(name).crops.select(slice(1)), index, faces.select(index), None)
            for name, index in parts
        ),
        "each with the other",
    )
    found = {}
    for k, spec in enumerate(PIPELINES):
        model = train(fresh_context, faces, spec=spec)
        before, swaps = darker.calls, learner.swaps
        outputs, *_ = swap_all(model, pairs, fresh_context)
        found[spec] = outputs.levels()
        assert learner.swaps - swaps == (len(pairs.groups) if k == 0 else 0), spec
        assert darker.calls - before == (len(pairs.groups) if k else 0), spec  # the last part alone
        whole = [swap(model.parts, group.source, Targets.of(group.targets)).images for group in pairs.groups]
        assert np.array_equal(outputs.levels(), to_bytes(torch.cat(whole)))
    assert np.abs(found["learner"] / 8 - found["learner+darker(by=4)+darker"]).max() <= 1


def test_a_damaged_training_is_done_again(learner: type[Learner], fresh_context: Context) -> None:
    faces = contracts.toy_faces()
    weights = train(fresh_context, faces).parts[0].weights
    assert weights is not None
    weights.write_text("weigh")
    train(fresh_context, faces)
    assert learner.fits == 2


def test_a_loaded_model_tells_how_it_was_trained(
    learner: type[Learner], fresh_context: Context, tmp_path: Path
) -> None:
    faces = contracts.toy_faces()
    (trained,) = train(fresh_context, faces).parts
    assert trained.weights is not None
    assert trained.training is not None
    copy = tmp_path / "learner.safetensors"
    copy_file(trained.weights, copy)
    unknown = train(fresh_context, faces, spec=f"learner@{copy}")
    assert (unknown.kind, unknown.training, unknown.parts[0].trained_on) == ("loaded", None, "")
    write_sidecar(trained.training, trained.trained_on, copy)
    known = train(fresh_context, faces, spec=f"learner@{copy}")
    assert known.training is not None
    assert known.training.coaches == ("arcface",)
    assert known.parts[0].trained_on == faces.content_hash()


def test_a_model_that_can_be_trained_by_half_is_refused(learner: type[Learner], context: Context) -> None:
    class Half:
        """Forgets to save."""

        budgets: ClassVar = {"smoke": 1, "short": 2, "full": 3}
        fit, load, swap = Learner.fit, Learner.load, Learner.swap

    swappers.register("half")(Half)
    with pytest.raises(PluginError, match="no save"):
        build(parse_pipeline("half"), context)


def test_a_budget_that_is_as_long_as_the_full_one_is_called_full(
    learner: type[Learner], fresh_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def budget() -> str:
        training = train(fresh_context, contracts.toy_faces(), "smoke").parts[0].training
        assert training is not None
        return training.budget

    assert budget() == "smoke"
    monkeypatch.setattr(learner, "__init__", lambda self: setattr(self, "budgets", dict.fromkeys(BUDGETS, 3)))
    assert budget() == "full"
