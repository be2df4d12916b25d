"""What a plug-in does or raises stays its own."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import contracts, guard, registry
from fsbench.errors import PluginError, UnknownName
from fsbench.harness.parts import Part, swap
from fsbench.interfaces import Source, Swapped, Targets
from fsbench.specs import parse_spec


class Own(BaseException):
    """An error that is no Exception."""


def outputs_of(answer: Callable[[Source, Targets], Any]) -> Tensor:
    """What a swapper that is `mine` and answers so makes of a pair."""
    part = Part("mine", parse_spec("mine"), "swapper", SimpleNamespace(swap=answer))
    return swap([part], *pair()).images


def pair() -> tuple[Source, Targets]:
    faces = contracts.toy_faces()
    return Source("toy0", faces.of("toy0").crops[:3]), Targets.of(faces.of("toy1").select(range(4)))


@pytest.mark.parametrize(
    "error", [SystemExit(3), SystemExit(), GeneratorExit(), Own("no"), StopIteration(), ValueError("x")]
)
def test_whatever_is_raised_names_the_plugin(error: BaseException) -> None:
    def answer(source: Source, targets: Targets) -> Tensor:
        raise error

    with pytest.raises(PluginError, match=f"mine raised {type(error).__name__}") as told:
        outputs_of(answer)
    assert told.value.__cause__ is error


@pytest.mark.parametrize("error", ["SystemExit(3)", "ValueError('x')", "KeyError()", "GeneratorExit()"])
@pytest.mark.parametrize("where", ["import", "construction"])
def test_a_plugin_that_raises_leaves_the_others(
    error: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registering: None
) -> None:
    register = "from fsbench.registry import metrics\n\n@metrics.register('{0}')\nclass {0}:\n    'Of {0}.'\n"
    raising = f"    def __init__(self): raise {error}\n" if where == "construction" else f"raise {error}\n"
    word = error.partition("(")[0].lower()
    names = {kind: f"{kind}_{where}_{word}" for kind in ("a_bad", "b_good")}
    (tmp_path / f"{names['a_bad']}.py").write_text(register.format("early") + register.format("bad") + raising)
    (tmp_path / f"{names['b_good']}.py").write_text(register.format("good"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    points = [EntryPoint(name, name, registry.ENTRY_POINTS) for name in names.values()]
    monkeypatch.setattr(registry, "_installed", lambda state: tuple(points))
    broken = [one for one in registry.load_plugins() if one.origin == names["a_bad"]]
    kind = error.partition("(")[0]
    assert [one.error.partition(":")[0] for one in broken] == ([kind] if where == "import" else [])
    for name in ("early", "good"):
        registry.metrics.build(name, None)
    if where == "import":
        with pytest.raises(UnknownName, match=f"{names['a_bad']} could not be imported: {kind}"):
            registry.metrics.get("later")
    else:
        with pytest.raises(PluginError, match=f"bad of {names['a_bad']} raised {kind}"):
            registry.metrics.build("bad", None)


def test_ctrl_c_passes() -> None:
    def answer(source: Source, targets: Targets) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outputs_of(answer)


def test_what_is_written_into_arguments_reaches_nobody() -> None:
    source, targets = pair()
    images, pixels, landmarks = source.images.clone(), targets.images.clone(), targets.landmarks.clone()

    def answer(source: Source, targets: Targets) -> Tensor:
        source.images.zero_()
        targets.landmarks.zero_()
        targets.rows["clip"] = "mine"
        targets.rows.loc[9] = ["image", "x", 9]
        return targets.images.mul_(0.5)

    def refine(output: Swapped, targets: Targets, source: Source) -> Swapped:
        assert torch.equal(source.images, images)
        assert torch.equal(targets.images, pixels)
        assert torch.equal(targets.landmarks, landmarks)
        assert targets.rows["clip"].tolist() == [""] * 4
        output.images.mul_(2)
        return output

    parts = [
        Part("mine", parse_spec("mine"), "swapper", SimpleNamespace(swap=answer)),
        *[Part("twice", parse_spec("twice"), "refiner", SimpleNamespace(refine=refine))] * 2,
    ]
    assert torch.equal(swap(parts[:1], source, targets).images, pixels * 0.5)
    swap(parts[:2], source, targets)
    assert torch.equal(source.images, images)
    assert torch.equal(targets.images, pixels)
    assert torch.equal(targets.landmarks, landmarks)
    assert targets.rows["clip"].tolist() == [""] * 4


def test_an_answer_that_is_written_into_later_does_not_change() -> None:
    kept: list[torch.Tensor] = []

    def answer() -> torch.Tensor:
        kept.append(torch.ones(2))
        return kept[0]

    given = guard.call("mine", answer)
    kept[0].zero_()
    assert torch.equal(given, torch.ones(2))


def test_a_batch_is_copied_to_the_last_tensor() -> None:
    batch = contracts.toy_batch()
    twin = guard.copied(batch)
    before = batch.embeddings.references.clone()
    twin.embeddings.references.zero_()
    twin.embeddings.reference_rows["identity"] = "nobody"
    twin.source.images.zero_()
    assert torch.equal(batch.embeddings.references, before)
    assert "nobody" not in set(batch.embeddings.reference_rows["identity"])
    assert batch.source.images.any()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda target: target * 255, "values from"),
        (lambda target: target - 0.01 - target, "values from"),
        (lambda target: (target * 255).to(torch.uint8), "uint8"),
        (lambda target: target.long(), "int64"),
        (lambda target: target > 0, "bool"),
        (lambda target: target * torch.nan, "not finite"),
        (lambda target: target[:1], "for"),
        (lambda target: target.numpy(), "ndarray"),
        (lambda target: None, "NoneType"),
    ],
)
def test_what_is_no_image_is_an_error(answer: Callable[[Tensor], Any], said: str) -> None:
    with pytest.raises(PluginError, match=f"mine gave .*{said}"):
        outputs_of(lambda source, targets: answer(targets.images))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_point_is_converted(dtype: torch.dtype) -> None:
    output = outputs_of(lambda source, targets: targets.images.to(dtype) + 1e-5)
    assert output.dtype == torch.float32
    assert float(output.max()) <= 1


CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "device": (lambda: torch.set_default_device("meta"), lambda: torch.zeros(1).device),
    "threads": (lambda: torch.set_num_threads(torch.get_num_threads() + 1), torch.get_num_threads),
    "grad": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "deterministic": (lambda: torch.use_deterministic_algorithms(True), torch.are_deterministic_algorithms_enabled),
    "torch's numbers": (lambda: torch.manual_seed(5), lambda: torch.get_rng_state().numpy().tobytes()),
    "numpy's numbers": (lambda: np.random.seed(5), lambda: str(np.random.get_state())),
    "random's numbers": (lambda: random.seed(5), random.getstate),
    "numpy's errors": (lambda: np.seterr(all="raise"), np.geterr),
    "environment": (lambda: os.environ.update(FSBENCH_SEED="x"), lambda: dict(os.environ)),
    "folder": (lambda: os.chdir("/"), os.getcwd),
    "warnings": (lambda: warnings.simplefilter("ignore"), lambda: list(warnings.filters)),
    "output": (lambda: setattr(sys, "stdout", None), lambda: sys.stdout),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("ends", ["well", "in SystemExit"])
def test_the_state_of_the_process_is_put_back(name: str, ends: str) -> None:
    change, read = CHANGES[name]
    before = read()

    def spoil() -> None:
        change()
        if ends != "well":
            raise SystemExit(1)

    try:
        guard.run("mine", spoil)
    except PluginError:
        assert ends != "well"
    assert read() == before


def test_what_it_prints_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    guard.run("mine", lambda: sys.stdout.write("hello\n"))
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "hello\n")
