from __future__ import annotations

from pathlib import Path

import pytest

from fsbench.config import BASELINES, Plan, load_suite, parse_budget, parse_device, parse_pipeline, refuse_repeated
from fsbench.errors import UsageError


@pytest.mark.parametrize(
    ("text", "meant"),
    [("smoke", "smoke"), ("2000", 2000), ("180s", 180.0), ("1.5s", 1.5), ("3m", 180.0), ("1.5h", 5400.0)],
)
def test_budgets(text: str, meant: object) -> None:
    assert parse_budget(text) == meant


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "shrot", "0s"])
def test_unreadable_budgets(text: str) -> None:
    with pytest.raises(UsageError, match="budget"):
        parse_budget(text)


def test_a_pipeline_is_a_swapper_and_other_parts() -> None:
    pipeline = parse_pipeline("gan_mask(size=lite)@runs/x/m.safetensors")
    assert (pipeline.swapper.name, pipeline.swapper.path, pipeline.label) == (
        "gan_mask",
        "runs/x/m.safetensors",
        "gan_mask(size=lite)@m.safetensors",
    )
    refined = parse_pipeline("gan_mask(size=lite)+prnet(mode=eyes)+blur")
    assert [spec.name for spec in refined.parts] == ["gan_mask", "prnet", "blur"]
    assert refined.label == "gan_mask(size=lite)+prnet(mode=eyes)+blur"


def test_a_path_may_be_followed_by_parts() -> None:
    pipeline = parse_pipeline("gan_mask(size=lite)@a+b/m.safetensors+prnet(mode=eyes)+blur")
    assert (pipeline.swapper.path, [spec.name for spec in pipeline.parts]) == (
        "a+b/m.safetensors",
        ["gan_mask", "prnet", "blur"],
    )


def test_files_of_the_same_name_stay_apart() -> None:
    plan = Plan(
        models=("a@run1/models/a.safetensors", "a@run2/models/a.safetensors", "b@run1/b.safetensors"), baselines=False
    )
    labels = ["a@run1/models/a.safetensors", "a@run2/models/a.safetensors", "b@b.safetensors"]
    assert [pipeline.label for pipeline in plan.pipelines()] == labels


def test_baselines_stand_first_and_every_model_once() -> None:
    labels = [p.label for p in Plan(models=("gan_mask", "copy_target", "gan_mask")).pipelines()]
    assert labels == [*BASELINES, "gan_mask"]
    assert [p.label for p in Plan(models=("a",), baselines=False).pipelines()] == ["a"]


def test_a_suite_file_is_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text('models = ["gan_mask"]\nbudget = "smoke"\n')
    assert load_suite(path) == Plan(models=("gan_mask",), budget="smoke")


@pytest.mark.parametrize(("text", "said"), [("modles = []", "modles"), ("seed = 'x'", "seed"), ("= 3", "TOML")])
def test_a_wrong_suite_file_names_the_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        load_suite(path)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[1] / "benchmarks").glob("*.toml")), ids=lambda path: path.stem
)
def test_suites_that_come_with_fsbench_load(path: Path) -> None:
    assert load_suite(path).models


@pytest.mark.parametrize(
    ("text", "meant"),
    [("auto", ("auto", 0)), ("cpu", ("cpu", 0)), ("cpu:0", ("cpu", 0)), ("cuda", ("cuda", 0)),
     ("cuda:99", ("cuda", 99))],
)  # fmt: skip
def test_devices(text: str, meant: tuple[str, int]) -> None:
    assert parse_device(text) == meant


@pytest.mark.parametrize("text", ["", " ", "cdua", "CUDA", "cuda:", "cuda:-1", "cuda:\u0663", "cpu:1", "c" * 400])
def test_unreadable_devices(text: str) -> None:
    with pytest.raises(UsageError, match="unknown device") as caught:
        parse_device(text)
    assert len(caught.value.message) < 200
    assert "use auto, cpu, cuda or cuda:N" in caught.value.hint


@pytest.mark.parametrize(
    "texts", [["a", "a"], ["a", "b", "a"], ["a(x=1,y=2)", "a(y=2, x=1)"], ["a@'f.pt'", "a@f.pt"], ["a+b", "a + b"]]
)
def test_what_is_named_twice_is_told(texts: list[str]) -> None:
    with pytest.raises(UsageError, match="named twice"):
        refuse_repeated("model", texts)


@pytest.mark.parametrize("texts", [[], ["a"], ["a", "a+b"], ["a", "a(x=1)"], ["a@f.pt", "a@g.pt"], ["n=x", "n=y"]])
def test_what_differs_is_no_repetition(texts: list[str]) -> None:
    refuse_repeated("model", texts)
