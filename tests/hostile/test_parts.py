"""Parts of a model that raise, lie or meddle: one sentence names each, and the other models of the run are finished."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.config import Plan
from fsbench.errors import CheckpointError, PluginError
from fsbench.evidence import references
from fsbench.faces.align import TEMPLATE
from fsbench.harness import evaluation as evaluations
from fsbench.harness.run import run as run_plan
from fsbench.images import ImageSet
from fsbench.interfaces import (
    Budget,
    Context,
    DatasetInfo,
    EmbedderInfo,
    Faces,
    Progress,
    Source,
    Split,
    Swapped,
    Swapper,
    Targets,
    Training,
    Truth,
)
from fsbench.registry import datasets, embedders, refiners, swappers, wrappers
from fsbench.results import RunResult

SIZE = 32
FITS: list[str] = []
BUDGETS = {"smoke": 1, "short": 2, "full": 3}


class Few:
    """A few images of two people."""

    info = DatasetInfo(
        name="few", revision="1", size=SIZE, description="-", licence="CC0-1.0", splits=("train", "test")
    )

    def faces(self, split: Split) -> Faces:
        made = contracts.toy_faces(2, sessions=6, images=1, size=SIZE)
        held_out = (made.rows["session"] >= "s4").to_numpy()
        return made.select(held_out if split == "test" else ~held_out)

    def truth(self, source: str, targets: Faces) -> Truth | None:
        return None


class Learns:
    """Learns how much darker outputs have to be: a swapper or a refiner."""

    def __init__(self) -> None:
        self.budgets: Any = BUDGETS
        self.by = 1.0

    def fit(self, data: Faces, budget: Budget, progress: Progress, checkpoint: Path) -> Any:
        FITS.append(type(self).__name__)
        self.by = 0.5
        return Training(steps=budget.steps or 1, seconds=0.1, coaches=(f"coach of {type(self).__name__}",))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(self.by))

    def load(self, path: Path) -> None:
        try:
            self.by = float(path.read_text())
        except ValueError:
            raise CheckpointError(f"{path} is damaged") from None

    def swap(self, source: Source, targets: Targets) -> Any:
        return targets.images * self.by

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Any:
        return Swapped(output.images * self.by, output.alpha)


class Wraps:
    """Wraps."""

    def wrap(self, swapper: Swapper) -> Any:
        return swapper


def raises(*_: Any, **__: Any) -> Any:
    raise ValueError("no idea")


def changed(kind: type, **methods: Any) -> type:
    return type("Changed", (kind,), {"__doc__": "Changed.", "__module__": __name__, **methods})


def training(**fields: Any) -> Callable[..., Any]:
    return lambda self, data, budget, progress, checkpoint: Training(**{"steps": 1, "seconds": 0.1, **fields})


IMAGES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "nan": (lambda images: images * torch.nan, "not finite"),
    "shape": (lambda images: images[:1, :, :4], "gave"),
    "dtype": (lambda images: (images * 255).byte(), "uint8"),
    "nothing": (lambda images: None, "NoneType"),
    "pair": (lambda images: (images, None), "tuple"),
    "nested": (lambda images: Swapped(Swapped(images)), "Swapped, not a tensor"),  # type: ignore[arg-type]
    "alpha": (lambda images: Swapped(images, images), "as alpha"),
}
FAULTY: dict[str, tuple[type, str]] = {
    "init": (changed(Learns, __init__=raises), "no idea"),
    "fit": (changed(Learns, fit=raises), "no idea"),
    "save": (changed(Learns, save=raises), "no idea"),
    "budgets": (changed(Learns, budgets=property(raises, lambda self, value: None)), "no idea"),
    "inputs": (changed(Learns, inputs=property(raises)), "no idea"),
    "half": (changed(Learns, save=property(lambda self: self.nothing)), "no save"),
    "no_training": (changed(Learns, fit=lambda *_: None), "fit gave NoneType"),
    "no_file": (changed(Learns, save=lambda *_: None), "wrote no file"),
    "no_json": (changed(Learns, fit=training(settings={"a": object()})), "cannot be written down"),
    "no_number": (changed(Learns, fit=training(settings={"a": float("nan")})), "cannot be written down"),
    "no_steps": (changed(Learns, fit=training(steps=-1)), "cannot be written down"),
    "one_coach": (changed(Learns, fit=training(coaches="arcface")), "coaches of its Training"),
    **{
        name: (
            changed(
                Learns,
                swap=lambda self, source, targets, spoil=spoil: spoil(targets.images),
                refine=lambda self, output, targets, source, spoil=spoil: spoil(output.images),
            ),
            reason,
        )
        for name, (spoil, reason) in IMAGES.items()
    },
    "call": (
        changed(Learns, swap=lambda self, source, targets: raises(), refine=lambda self, a, b, c: raises()),
        "no idea",
    ),
    "exits": (changed(Learns, swap=lambda self, a, b: exit(3), refine=lambda self, a, b, c: exit(3)), "SystemExit"),
}
FAULTY_WRAPPERS: dict[str, tuple[type, str]] = {
    "init": (changed(Wraps, __init__=raises), "no idea"),
    "wrap": (changed(Wraps, wrap=lambda self, swapper: raises()), "no idea"),
    "nothing": (changed(Wraps, wrap=lambda self, swapper: None), "has no swap"),
    "arguments": (changed(Wraps, wrap=lambda self, swapper: contracts.models._Fade.swap), "has no swap"),
    "exits": (changed(Wraps, wrap=lambda self, swapper: exit(3)), "SystemExit"),
    **{
        f"gives_{name}": (
            changed(
                Wraps,
                wrap=lambda self, swapper, spoil=spoil: type(
                    "Spoils", (), {"swap": lambda self, source, targets: spoil(targets.images)}
                )(),
            ),
            reason,
        )
        for name, (spoil, reason) in IMAGES.items()
    },
}


@pytest.fixture(autouse=True)
def _toys(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    FITS.clear()
    datasets.register("few")(Few)

    @embedders.register("halves")
    class Halves:
        """Knows images by the colours of their halves."""

        info = EmbedderInfo(family="halves", dim=6, weights=(), description="-")

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(crops, (1, 2)).flatten(1)

    for module in (evaluations, references):
        monkeypatch.setattr(module, "find_landmarks", everywhere)
    swappers.register("learns")(Learns)
    refiners.register("learns")(Learns)
    wrappers.register("wraps")(Wraps)


def everywhere(crops: ImageSet, title: str, context: Context) -> np.ndarray:
    return np.repeat((TEMPLATE * SIZE)[None], len(crops), 0)


def run(out: Path, context: Context, *models: str, baselines: bool = False) -> RunResult:
    plan = Plan(
        dataset="few",
        models=models,
        metrics=("skin_colour",),
        judges=("halves",),
        device="cpu",
        budget="smoke",
        baselines=baselines,
    )
    return run_plan(plan, out, context)


@pytest.mark.parametrize("kind", ["swapper", "refiner", "wrapper"])
def test_faulty_parts_are_named_and_the_others_are_finished(tmp_path: Path, fresh_context: Context, kind: str) -> None:
    faulty = FAULTY_WRAPPERS if kind == "wrapper" else FAULTY
    shelf: Any = {"swapper": swappers, "refiner": refiners, "wrapper": wrappers}[kind]
    for name, (factory, _) in faulty.items():
        shelf.register(f"bad_{name}")(factory)
    texts = {name: f"bad_{name}" if kind == "swapper" else f"learns+bad_{name}" for name in faulty}
    result = run(tmp_path / "out", fresh_context, *texts.values(), "learns", "learns+learns+wraps")
    errors = {model.name: model.error for model in result.models}
    for name, (_, reason) in faulty.items():
        assert f"bad_{name}" in errors[texts[name]], "it is named"
        assert reason in errors[texts[name]]
        assert "\n" not in errors[texts[name]]
        assert (tmp_path / "out" / "errors").is_dir()
    assert errors["learns"] == errors["learns+learns+wraps"] == ""
    values = {value.model: value.value for value in result.values}
    assert values["learns"] is not None
    assert values["learns+learns+wraps"] is not None
    assert FITS.count("Learns") == 2, "as a swapper and as a refiner"


@pytest.mark.parametrize("kind", ["swapper", "refiner"])
def test_a_part_that_cannot_load_is_named_and_the_others_are_finished(
    tmp_path: Path, fresh_context: Context, kind: str
) -> None:
    """What it saved itself, in a second run, and a file that it is given."""
    (swappers if kind == "swapper" else refiners).register("bad_load")(changed(Learns, load=raises))  # type: ignore[attr-defined]
    start = "" if kind == "swapper" else "learns+"
    first = run(tmp_path / "one", fresh_context, f"{start}bad_load", "learns")
    assert {model.error for model in first.models} == {""}
    (tmp_path / "w.safetensors").write_text("0.5")
    models = (f"{start}bad_load", f"{start}bad_load@{tmp_path}/w.safetensors", "learns")
    second = run(tmp_path / "two", fresh_context, *models)
    errors = {model.name: model.error for model in second.models}
    assert errors.pop("learns") == ""
    assert len(errors) == 2
    assert all("bad_load" in error and "raised ValueError: no idea" in error for error in errors.values())
    assert second.find("learns", "skin_colour")[0].value is not None


def test_a_run_of_which_no_model_can_be_made_never_begins(tmp_path: Path, fresh_context: Context) -> None:
    swappers.register("bad")(FAULTY["init"][0])
    with pytest.raises(PluginError, match=r"bad of .* raised ValueError: no idea"):
        run(tmp_path / "out", fresh_context, "bad", baselines=True)
    assert not (tmp_path / "out").exists()


def test_what_a_part_changes_and_prints_reaches_nobody(
    tmp_path: Path, fresh_context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    def meddle() -> None:
        sys.stdout.write("hello\n")
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(5)
        torch.set_grad_enabled(True)

    def meddling(kind: type, *names: str) -> type:
        def method(name: str) -> Callable[..., Any]:
            def meddles(self: Any, *args: Any) -> Any:
                meddle()
                return getattr(kind, name)(self, *args)

            return meddles

        return changed(kind, **{name: method(name) for name in names})

    methods = ("__init__", "fit", "save", "load", "swap", "refine")
    swappers.register("meddles")(meddling(Learns, *methods))
    refiners.register("meddles")(meddling(Learns, *methods))
    wrappers.register("wraps_meddling")(meddling(Wraps, "wrap"))
    before = torch.get_default_dtype(), torch.get_rng_state()
    first = run(tmp_path / "a", fresh_context, "learns", "learns+learns")
    second = run(tmp_path / "b", fresh_context, "meddles+meddles+wraps_meddling", "meddles", "learns", "learns+learns")
    assert (torch.get_default_dtype(), torch.get_rng_state().tolist()) == (before[0], before[1].tolist())
    assert capsys.readouterr().out == ""
    values = [{value.model: value.value for value in result.values} for result in (first, second)]
    assert all(values[1][name] == value for name, value in values[0].items())
    assert values[1]["meddles+meddles+wraps_meddling"] == values[0]["learns+learns"]


def test_a_refiner_is_trained_once_written_loaded_and_recorded(tmp_path: Path, fresh_context: Context) -> None:
    swappers.register("copies")(changed(object, swap=lambda self, source, targets: targets.images))
    result = run(tmp_path / "one", fresh_context, "copies+learns", "learns+learns", "learns+learns+wraps", "learns")
    assert FITS == ["Learns"] * 2, "a swapper and a refiner, each once"
    assert {model.name: model.kind for model in result.models} == dict.fromkeys(
        ["copies+learns", "learns+learns", "learns+learns+wraps", "learns"], "trained"
    )
    folder = tmp_path / "one" / "models"
    names = ["learns.json", "learns.refiner.json", "learns.refiner.safetensors", "learns.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    record = next(model for model in result.models if model.name == "copies+learns")
    assert record.training is None
    assert record.coaches == ("coach of Learns",)
    (part,) = record.parts
    assert (part.spec, part.training and part.training.steps) == ("learns", 1)
    assert len(part.weights_sha256) == 64
    assert any("refiner learns of copies+learns was trained for 1 steps only" in text for text in result.warnings)

    file = folder / "learns.refiner.safetensors"
    again = run(tmp_path / "two", fresh_context, f"copies+learns@{file}", f"copies+learns@{file}+wraps")
    assert len(FITS) == 2
    assert {model.kind for model in again.models} == {"loaded"}
    assert again.models[0].parts[0].training == part.training
    assert again.models[0].content == record.content
    file.with_suffix(".json").unlink()
    unknown = run(tmp_path / "three", fresh_context, f"copies+learns@{file}")
    assert any(
        "refiner learns@learns.refiner.safetensors" in text and "is not known" in text for text in unknown.warnings
    )
    assert json.loads((tmp_path / "three" / "result.json").read_text())["models"][0]["parts"][0]["training"] is None


def test_a_wrapper_may_learn_and_is_shown_a_trained_swapper(tmp_path: Path, fresh_context: Context) -> None:
    def wrap(self: Learns, swapper: Swapper) -> Any:
        faces = Few().faces("test")
        source, targets = Source("toy0", faces.of("toy0").crops[:]), Targets.of(faces.of("toy1"))
        output = Swapped.of(swapper.swap(source, targets)).images
        assert torch.allclose(output, targets.images * 0.5)  # as the swapper was trained
        return type("Darker", (), {"swap": lambda darker, *pair: Swapped.of(swapper.swap(*pair)).images * self.by})()

    wrappers.register("learns_too")(changed(Learns, wrap=wrap))
    result = run(tmp_path / "out", fresh_context, "learns+learns_too", "learns+learns")
    assert sorted(FITS) == ["Changed", "Learns", "Learns"]
    wrapped, refined = result.models
    assert wrapped.error == ""
    assert (tmp_path / "out" / "models" / "learns_too.wrapper.safetensors").is_file()
    assert wrapped.coaches == ("coach of Learns", "coach of Changed")
    assert [part.spec for part in wrapped.parts] == ["learns_too"]
    assert wrapped.kind == refined.kind == "trained"


def test_a_refiner_that_cannot_be_loaded_is_told_before_any_work(tmp_path: Path, fresh_context: Context) -> None:
    (tmp_path / "bad.safetensors").write_text("damaged")
    for file in ("bad", "nowhere"):
        with pytest.raises(CheckpointError, match=f"{file}.safetensors"):
            run(tmp_path / "out", fresh_context, "learns", f"learns+learns@{tmp_path}/{file}.safetensors")
    assert FITS == []
    assert not (tmp_path / "out").exists()
