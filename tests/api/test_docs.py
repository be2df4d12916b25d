"""docs/python.md and the README's Python: all of it runs, on smaller data, with stand-ins for the loggers' packages."""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, create_autospec

import pytest
from blending import TINY

import fsbench

ROOT = Path(__file__).parents[2]


def snippets(path: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / path).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def loggers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, float, int]]]:
    """Stand-ins that keep what they are told and refuse what the real ones refuse."""
    logged: dict[str, list[tuple[str, float, int]]] = {"tensorboard": [], "mlflow": [], "wandb": []}

    def keep(who: str, scalars: dict[str, float], step: int) -> None:
        for name, value in scalars.items():
            assert isinstance(value, float)
            assert who != "mlflow" or re.fullmatch(r"[\w./ :-]+", name), f"MLflow refuses {name}"
            logged[who].append((name, value, step))

    class SummaryWriter:
        def __init__(self, folder: str) -> None: ...

        def add_scalar(self, name: str, value: float, step: int) -> None:
            keep("tensorboard", {name: value}, step)

    modules: dict[str, Any] = {
        "torch.utils.tensorboard": SimpleNamespace(SummaryWriter=SummaryWriter),
        "mlflow": SimpleNamespace(log_metrics=lambda scalars, step: keep("mlflow", scalars, step)),
        "wandb": SimpleNamespace(
            init=lambda project: SimpleNamespace(log=lambda scalars, step: keep("wandb", scalars, step))
        ),
    }
    for name, stand_in in modules.items():
        module = ModuleType(name)
        vars(module).update(vars(stand_in))
        monkeypatch.setitem(sys.modules, name, module)
    return logged


def lay_out(run: Any, folder: Path) -> None:
    """Lay the files of a run out as those of another tool: results/SOURCE_TARGET.png, targets, people."""
    place = run.folder
    shutil.copytree(place / "inputs/source", folder / "people")
    for name in ("targets", "results"):
        (folder / name).mkdir()
    for sample in run.samples.query("model == 'gan_mask'").itertuples():
        flat = sample.id.replace("/", "-")
        shutil.copy(place / f"inputs/target/{sample.id}.png", folder / f"targets/{flat}.png")
        shutil.copy(place / sample.output, folder / f"results/{sample.source}_{flat}.png")


@pytest.mark.usefixtures("_plain_runs")
def test_the_page_about_python_runs(
    loggers: dict[str, list[tuple[str, float, int]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "docs_python"}
    parts = snippets("docs/python.md")
    assert len(parts) > 8
    for number, part in enumerate(parts):
        text = part.replace('dataset="synthetic"', f'dataset="{TINY}"')
        if "fsbench.score(" in text:
            lay_out(names["run"], tmp_path)
        exec(compile(text, f"docs/python.md, snippet {number + 1}", "exec"), names)
    history = names["history"]
    assert [scores.name for scores in history] == ["step 10", "step 20", "step 30"]
    for who, logged in loggers.items():
        assert {step for _, _, step in logged} == {10, 20, 30}, who
        assert len(logged) == sum(len(scores.scalars()) for scores in history)
    assert ("id_similarity@dlib_resnet/low", history[0].scalars()["id_similarity@dlib_resnet/low"], 10) in loggers[
        "wandb"
    ]
    assert set(names["better"]["metric"]) == {"id_similarity", "pose_error_five", "background"}
    assert len(names["scored"].values)
    assert Path("change.html").exists()
    assert Path("first.html").exists()
    loop = next(part for part in parts if "optimiser.step()" in part)
    assert len([line for line in loop.splitlines() if line.strip()]) <= 40


def test_the_python_of_the_readme_is_called_as_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    (part,) = snippets("README.md")
    calls: list[str] = []

    def stand_in(name: str, answer: Any) -> Any:
        signature = inspect.signature(getattr(fsbench, name))

        def call(*args: Any, **kwargs: Any) -> Any:
            signature.bind(*args, **kwargs)
            calls.append(name)
            return answer

        return call

    run = create_autospec(fsbench.Run, instance=True)
    evaluation = create_autospec(fsbench.Evaluation, instance=True)
    module = SimpleNamespace(
        run=stand_in("run", run), score=stand_in("score", run), load=stand_in("load", run),
        Evaluation=stand_in("Evaluation", evaluation), functional=MagicMock(),
    )  # fmt: skip
    names = {"swap": lambda source, targets: targets.images}
    exec(
        compile(re.sub(r"^import fsbench$", "", part, flags=re.MULTILINE), "README.md", "exec"),
        {**names, "fsbench": module},
    )
    assert {"run", "Evaluation"} <= set(calls)
