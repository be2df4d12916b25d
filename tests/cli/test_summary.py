"""A run ends with one table on one screen, and a directory that cannot be one is told before any work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fsbench import results
from fsbench.cli import job, show, summary
from fsbench.errors import OutputError
from fsbench.results import RunResult

OLD = Path(__file__).parents[1] / "old_results/schema_3.json"
LONG = "swapper_{}(size=512,steps=40000,norm=group)@runs/2026-03-04/checkpoints/last_{}.safetensors"


def crowd(same_ends: bool = False) -> RunResult:
    """Six contestants with long names beside the baselines; all fail now and then, and one altogether."""
    result = results.load(OLD)
    first, names = result.models[0], [LONG.format("x" if same_ends else i, "x" if same_ends else i) for i in range(6)]
    if same_ends:
        names = [name.replace("norm=group", f"norm=group{i}") for i, name in enumerate(names)]
    extra = {"kind": "trained", "failures": {"no_face": 3, "missing": 1}}
    models = [first.model_copy(update={"name": name, **extra}) for name in names]
    models[-1] = models[-1].model_copy(update={"error": "ZeroDivisionError: division by zero", "failures": {}})
    values = [value.model_copy(update={"model": name}) for name in names[:-1] for value in result.find(first.name)]
    waiting = [
        value.model_copy(update={"metric": "fid", "value": None, "low": None, "high": None,
                                 "reason": "inception is not here (fsbench weights fetch inception)"})
        for value in result.values if value.metric == result.metrics[0].name
    ]  # fmt: skip
    metric = result.metrics[0].model_copy(update={"name": "fid"})
    return result.model_copy(update={
        "models": (*result.models, *models), "values": (*result.values, *values, *waiting),
        "metrics": (*result.metrics, metric),
        "warnings": (*result.warnings, *(f"{name} was trained for {i + 3} steps only" for i, name in enumerate(names)),
                     *(f"odd thing {letter}" for letter in "abcdefgh")),
    })  # fmt: skip


@pytest.mark.parametrize("same_ends", [False, True])
def test_the_end_of_a_run_fits_one_screen(
    same_ends: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    summary.print_summary(crowd(same_ends))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40 + 12 * same_ends, "\n".join(lines)  # names that differ in their middle alone are not cut
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines).split())
    assert "similarity" in said
    assert "4/" in said
    assert "ZeroDivisionError: division by zero" in said
    assert "fid waits for weights or packages: fsbench weights fetch inception" in said
    assert said.count("steps only") == 1
    assert "more warnings" in said


def test_all_of_it_is_one_option_away(capsys: pytest.CaptureFixture[str]) -> None:
    summary.print_summary(crowd(), verbose=True)
    said = " ".join(capsys.readouterr().out.split())
    for metric in crowd().metrics:
        assert metric.name in said
    assert said.count("steps only") == 6
    assert "odd thing h" in said


def test_what_waits_for_several_files_is_mended_by_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    result = crowd()
    value = next(value for value in result.values if value.metric == "fid")
    reasons = {
        "lpips": "lpips_alex is not here (fsbench weights fetch lpips_alex); and so on",
        "gt_lpips": "lpips_alex is not here (fsbench weights fetch lpips_alex)",
        "pose_error": "mediapipe is not installed (pip install mediapipe)",
    }
    more = [value.model_copy(update={"metric": name, "reason": reason}) for name, reason in reasons.items()]
    summary.print_summary(result.model_copy(update={"values": (*result.values, *more)}))
    said = " ".join(capsys.readouterr().out.split())
    assert ": pip install mediapipe; fsbench weights fetch inception lpips_alex" in said
    assert said.count("weights fetch") == 1


def judged(known: bool) -> RunResult:
    """Three contestants under one judge, whose paired differences are known, or not."""
    result = results.load(OLD)
    first, names, judge = result.models[0], ["x", "y", "z"], result.judges[0].name
    metric = result.metrics[0].model_copy(update={"name": "id_similarity", "headline": True, "direction": "higher"})
    value = result.values[0].model_copy(
        update={
            "metric": "id_similarity",
            "judge": judge,
            "value": 0.5,
            "low": 0.1,
            "high": 0.9,
            "reason": "",
            "n_failed": 0,
            "n_scored": 9,
            "n_total": 9,
        }
    )
    ranks = [results.Rank(model=name, mean=i + 1.0, by_judge={judge: i + 1.0}) for i, name in enumerate(names)]
    differences = [
        results.DifferenceRecord(
            model="x",
            other=other,
            metric="id_similarity",
            judge=judge,
            effect=effect,
            low=effect - 0.05,
            high=effect + 0.05,
            p=p,
            detectable=0.07,
            n=9,
        )
        for other, effect, p in (("y", 0.02, 0.4), ("z", 0.3, 1e-5))
    ]
    return result.model_copy(update={
        "models": tuple(first.model_copy(update={"name": name, "kind": "trained"}) for name in names),
        "metrics": (metric,), "values": tuple(value.model_copy(update={"model": name}) for name in names),
        "differences": tuple(differences) if known else (),
        "ranking": results.RankingRecord(metric="id_similarity", judges=(judge,), left_out={}, ranks=tuple(ranks)),
    })  # fmt: skip


@pytest.mark.parametrize("print_result", [summary.print_summary, lambda result: show.print_all(result, result.values)])
def test_contestants_are_told_apart_by_paired_differences(print_result, capsys: pytest.CaptureFixture[str]) -> None:
    print_result(judged(known=True))
    said = " ".join(capsys.readouterr().out.replace("\N{MINUS SIGN}", "-").split())
    assert "x is better than z by 0.300 [0.250, 0.350]; no difference to y is detectable at this size, one of" in said
    print_result(judged(known=False))
    said = " ".join(capsys.readouterr().out.split())
    assert "who is better is not known: an older fsbench wrote this result" in said
    assert "better than" not in said


@pytest.mark.parametrize(("out", "sentence"), [
    ("x" * 300, "too long"), ("a/" + "x" * 300, "too long"), ("a/" * 2040, "too long"), ("~nouser/x", "no user nouser"),
    ("a\0b", "null"), ("file", "is a file"), ("file/below", "file is a file"), ("pipe", "is a pipe"),
    ("[bold]dead", "cannot be a directory"), ("loop", "cannot be a directory"),
])  # fmt: skip
def test_a_directory_that_can_be_none(out: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    os.mkfifo("pipe")
    Path("[bold]dead").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    with pytest.raises(OutputError, match=r"--out ") as raised:
        job.usable_folder(Path(out))
    assert sentence in raised.value.message
    assert raised.value.hint
    assert len(raised.value.message) < 250


def test_directories_that_are_right(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for out in (tmp_path, tmp_path / "new/er/人", tmp_path / "link", tmp_path / "[bold]"):
        assert job.usable_folder(out) == out


def test_a_directory_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="nothing may be written"):
        job.usable_folder(tmp_path / "new")


def test_a_run_in_which_a_model_failed_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer

    monkeypatch.setattr("fsbench.report.write", lambda out: out / "report.html")
    for result, code in ((crowd(), 1), (results.load(OLD), 0)):
        try:
            job.conclude(result, tmp_path, "fsbench run --resume")
            left = 0
        except typer.Exit as leaving:
            left = leaving.exit_code
        assert left == code
        assert capsys.readouterr().out.splitlines()[-1] == f"report: {tmp_path / 'report.html'}"


def test_long_names_lose_their_parameters_before_their_parts() -> None:
    names = ["gan_mask+gatys(size=64,steps=12)", "gan_mask(adversarial=lsgan,mixup=0)", "copy_target",
             "gan_mask(adversarial=lsgan,mixup=0.2)", "a" * 40, "a" * 41]  # fmt: skip
    short = summary._shortened(names)
    assert short["gan_mask+gatys(size=64,steps=12)"] == "gan_mask+gatys(...)"
    assert short["copy_target"] == "copy_target"
    assert len(set(short.values())) == len(names)
    assert short["a" * 40] == "a" * 40, "names that would look alike stay whole"
    assert max(len(short[name]) for name in names[:4]) <= summary.NAME_WIDTH
