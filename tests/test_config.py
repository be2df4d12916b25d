from __future__ import annotations

from pathlib import Path

import pytest

from fsbench import names
from fsbench.config import (
    BASELINES,
    Plan,
    Suite,
    load_suite,
    parse_budget,
    parse_device,
    parse_pipeline,
    refuse_repeated,
)
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


@pytest.mark.parametrize(
    ("text", "name", "parts"),
    [
        ("mine=gan_mask", "mine", ["gan_mask"]),
        (" step 2.000 = gan_mask(size=lite)@a=b/c.safetensors+gatys(alpha=1)", "step 2.000",
         ["gan_mask(size=lite)@a=b/c.safetensors", "gatys(alpha=1)"]),
        ("größer-2=precomputed:a=b", "größer-2", ["precomputed@a=b"]),
        ("'a, (b) = \"c\"'=gan_mask", 'a, (b) = "c"', ["gan_mask"]),
        ("'it''s'=gan_mask", "it's", ["gan_mask"]),
        ("gan_mask(size=lite)", "", ["gan_mask(size=lite)"]),
        ("gan_mask@a=b", "", ["gan_mask@a=b"]),
        ("precomputed:x=y", "", ["precomputed@x=y"]),
    ],
)  # fmt: skip
def test_a_model_may_have_a_name(text: str, name: str, parts: list[str]) -> None:
    pipeline = parse_pipeline(text)
    assert pipeline.name == name
    assert list(map(str, pipeline.parts)) == parts
    assert pipeline.label == (name or "+".join(pipeline.labels))
    assert parse_pipeline(str(pipeline)) == pipeline


@pytest.mark.parametrize(
    "models",
    [("a=gan_mask", "a=cyclegan"), ("exact=gan_mask",), ("targets=gan_mask",), ("cyclegan", "cyclegan=gan_mask")],
)
@pytest.mark.parametrize("baselines", [True, False])
def test_a_name_is_of_one_model(models: tuple[str, ...], baselines: bool) -> None:
    with pytest.raises(UsageError, match="is the name of another model"):
        Plan(models=models, baselines=baselines).pipelines()


def test_a_model_may_stand_under_two_names() -> None:
    labels = [pipeline.label for pipeline in Plan(models=("a=gan_mask", "b=gan_mask"), baselines=False).pipelines()]
    assert labels == ["a", "b"]


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
    suite = load_suite(path)
    plans = [experiment.plan for experiment in suite.experiments] if isinstance(suite, Suite) else [suite]
    for plan in plans:
        assert plan.models
        names.check(plan)


EXPERIMENTS = """
budget = "smoke"
metrics = ["gt_psnr"]

[[experiment]]
title = "Norm: group, or none?"
question = "Which?"
models = ["gan_mask(norm=group)", "gan_mask(norm=none)"]

[[experiment]]
title = "baselines"
models = ["gan_mask"]
baseline = "copy_target"
metrics = ["gt_ssim"]
"""


def load(folder: Path, text: str) -> Plan | Suite:
    path = folder / "notes.toml"
    path.write_text(text)
    return load_suite(path)


def test_a_suite_of_experiments_holds_a_plan_for_each(tmp_path: Path) -> None:
    suite = load(tmp_path, EXPERIMENTS)
    assert isinstance(suite, Suite)
    assert suite.name == "notes"
    first, second = suite.experiments
    assert first.plan == Plan(
        models=("gan_mask(norm=group)", "gan_mask(norm=none)"), metrics=("gt_psnr",), budget="smoke"
    )
    assert (first.question, first.baseline_label, first.folder) == (
        "Which?",
        "gan_mask(norm=group)",
        "norm-group-or-none",
    )
    assert (second.baseline_label, second.plan.metrics, second.plan.budget) == ("copy_target", ("gt_ssim",), "smoke")


def test_a_baseline_may_be_written_in_another_way(tmp_path: Path) -> None:
    text = '[[experiment]]\ntitle = "a"\nmodels = ["a(x=1,y=2)", "b"]\nbaseline = "a(y=2, x=1)"\n'
    suite = load(tmp_path, text)
    assert isinstance(suite, Suite)
    assert suite.experiments[0].baseline_label == "a(x=1,y=2)"


TABLE = '[[experiment]]\ntitle = "one"\nmodels = ["a", "b"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("experiment = []", "holds no experiment"),
        ("experiment = 3", "no list of tables"),
        ("experiment = [1]", "no list of tables"),
        ('[experiment]\ntitle = "one"', "no list of tables"),
        ("[[experiment]]\n", "title"),
        ('[[experiment]]\nmodels = ["a", "b"]\n', "title"),
        (TABLE.replace('"one"', "3"), "title"),
        (TABLE.replace("one", "?!"), "no letter or digit"),
        (TABLE + "question = 3", "question"),
        (TABLE + "seed = -1", "experiment 1: seed"),
        (TABLE + 'modles = ["a"]', "modles"),
        (TABLE + "[experiment.plan]", "plan"),
        (TABLE + "[[experiment.experiment]]\n", "'experiment'"),
        (TABLE + 'baseline = "c"', "experiment 'one': baseline 'c' is none of its models"),
        (TABLE + 'baseline = "exact"\nbaselines = false', "baseline 'exact' is none"),
        (TABLE + 'baseline = "a("', "experiment 'one': cannot read"),
        (TABLE.replace(', "b"', ""), "no model beside its baseline"),
        (TABLE.replace('"a", "b"', '"copy_target", "exact"'), "no model beside its baseline"),
        (TABLE.replace('"a", "b"', ""), "none of its models"),
        (TABLE + TABLE, "two experiments have the title 'one'"),
        (TABLE + TABLE.replace("one", "One!"), "as far as folders tell it from 'one'"),
        (TABLE.replace("experiment", "experiments"), "experiments"),
        ('question = "?"\n' + TABLE, "question"),
    ],
)
def test_wrong_suites_of_experiments_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert said in caught.value.message
    assert caught.value.hint
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 600


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
