"""Pairs on which a model failed: found, counted, and never to its advantage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from torch import Tensor

from fsbench import report
from fsbench.cli import job
from fsbench.config import Plan
from fsbench.errors import NotScorable, OutputError, PluginError
from fsbench.harness import failures, illustrations, warn
from fsbench.harness.failures import Counted, Floor
from fsbench.harness.instruments import Instruments
from fsbench.harness.run import run as run_plan
from fsbench.harness.run_folder import RunFolder
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Context, EmbedderInfo, MetricInfo, Source, Targets
from fsbench.registry import embedders, metrics, swappers
from fsbench.results import RunResult

DATA = "synthetic(people=2,sessions=8,images=4,gallery=0,clips=0,size=64)"


class Some:
    """A metric of which only the direction matters."""

    def __init__(self, direction: str) -> None:
        self.info = MetricInfo(unit="", direction=direction, bounds=(0, 1), needs=(), no_face="-", reference="-")

    def measure(self, batch: Batch) -> Tensor:
        raise NotImplementedError

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())


HIGHER, LOWER = Some("higher"), Some("lower")
NAN = np.nan


def floor_of(metric: Some, *baselines: list[float]) -> tuple[np.ndarray, np.ndarray] | None:
    floor = Floor()
    for rows in baselines:
        floor.add("m", None, np.array(rows)[:, None])
    return floor.at(metric, "m", None)


def test_the_floor_is_the_worst_baseline_at_each_pair() -> None:
    rows = [[0.1, 0.9, NAN, NAN], [0.3, 0.2, 0.5, NAN]]
    worst, everyone = floor_of(HIGHER, *rows) or ((), ())
    np.testing.assert_array_equal(worst, [0.1, 0.2, 0.1, NAN])  # of the third, only one is known: the worst of all
    assert everyone.tolist() == [True, True, False, False]
    np.testing.assert_array_equal((floor_of(LOWER, *rows) or ((),))[0], [0.3, 0.9, 0.9, NAN])


def test_there_is_no_floor_without_rows_or_of_distributions() -> None:
    assert floor_of(HIGHER) is None
    assert floor_of(HIGHER, [NAN, NAN]) is None
    floor = Floor()
    floor.add("fid", None, np.ones((3, 8)))
    assert floor.at(LOWER, "fid", None) is None


@pytest.mark.parametrize(("metric", "counted"), [(HIGHER, [0.1, 0.2, 0.9, NAN]), (LOWER, [0.4, 0.3, 0.9, NAN])])
def test_a_failure_counts_as_the_floor_or_as_its_own_where_that_is_worse(metric: Some, counted: list[float]) -> None:
    own = np.array([0.4, NAN, 0.9, NAN])[:, None]
    failed = np.array(["no_face", "missing", "", ""], object)
    everyone = np.array([True, True, True, False])
    floor = np.array([0.1, 0.2 if metric is HIGHER else 0.3, 0.5, NAN])
    found = Counted.with_failures(metric, own, failed, (floor, everyone))
    np.testing.assert_array_equal(found.rows[:, 0], counted)
    assert (found.failed.tolist(), found.scored.tolist()) == ([True, True, False, False], [False, False, True, False])


def test_a_row_that_every_baseline_has_and_the_model_lacks_counts_as_the_floor() -> None:
    floor = np.array([0.2, 0.2]), np.array([True, False])
    found = Counted.with_failures(HIGHER, np.array([[NAN], [NAN]]), np.array(["", ""], object), floor)
    np.testing.assert_array_equal(found.rows[:, 0], [0.2, NAN])


def test_a_distribution_leaves_out_what_is_not_there_and_says_how_many() -> None:
    found = Counted.with_failures(LOWER, np.ones((3, 4)), np.array(["missing", "no_face", ""], object), None)
    assert (found.scored.tolist(), found.n_absent, found.failed.any()) == ([False, True, True], 1, False)


def images(*levels: int) -> ImageSet:
    return ImageSet(np.array(levels, np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("change", "inside_only", "found"),
    [(0, False, "unchanged"), (3, False, "unchanged"), (4, False, ""), (60, False, ""), (60, True, "unchanged")],
)
def test_what_differs_outside_the_face_alone_is_unchanged(change: int, inside_only: bool, found: str) -> None:
    changed, mask = images(100 + change).levels(), np.zeros((1, 8, 8, 1), np.uint8)
    mask[:, 2:6, 2:6] = 255
    if inside_only:
        changed[:, 2:6, 2:6] = 100
    targets, outputs, masks = images(100), ImageSet(changed), ImageSet(mask)
    nothing = np.array([""], object)
    assert failures.find(outputs, targets, masks, np.array([False]), nothing).tolist() == [found]
    assert failures.find(outputs, targets, masks, np.array([True]), nothing).tolist() == ["no_face"]
    missing = np.array(["missing"], object)
    assert failures.find(outputs, targets, masks, np.array([True]), missing).tolist() == ["missing"]


# ---------------------------------------------------------------------------------------------------- whole runs


@pytest.fixture
def _toys(registering: None) -> None:
    def register(name: str, swap: object) -> None:
        swappers.register(name)(type(name, (), {"__doc__": f"{name}.", "swap": swap, "__module__": __name__}))

    def first(self: object, source: Source, targets: Targets) -> Tensor:
        return source.images[:1].to(targets.images).expand_as(targets.images).clone()

    def now_and_then(self: object, source: Source, targets: Targets) -> Tensor:
        output = first(self, source, targets)  # perfect on the first target, and no face in the others
        output[1:] = 0.5
        return output

    def half_copied(self: object, source: Source, targets: Targets) -> Tensor:
        output = first(self, source, targets)
        output[::2] = targets.images[::2]
        return output

    def broken(self: object, source: Source, targets: Targets) -> Tensor:
        raise ValueError("no idea\nwhat to do")

    for name, swap in (
        ("first", first),
        ("now_and_then", now_and_then),
        ("half_copied", half_copied),
        ("blank", lambda self, source, targets: torch.zeros_like(targets.images)),
        ("copies", lambda self, source, targets: targets.images.clone()),
        ("broken", broken),
    ):
        register(name, swap)


def run(out: Path, context: Context, *models: str, **options: object) -> RunResult:
    plan = Plan(dataset=DATA, models=models, metrics=("id_similarity", "skin_colour", "pose_error_five"), **options)
    return run_plan(plan, out, context)


@pytest.mark.usefixtures("_toys")
@pytest.mark.parametrize("baselines", [True, False])
def test_who_destroys_the_hard_faces_does_not_stand_first(tmp_path: Path, context: Context, baselines: bool) -> None:
    result = run(tmp_path / "out", context, "now_and_then", "first", "half_copied", baselines=baselines)
    by_name = {model.name: model for model in result.models}
    n = result.protocol.n_pairs
    assert by_name["first"].failures == {}
    assert set(by_name["now_and_then"].failures) == {"no_face"}
    assert by_name["now_and_then"].failures["no_face"] >= n - 4  # two sources, blocks of one source each
    assert by_name["half_copied"].failures["unchanged"] >= n // 2 - 1
    assert result.ranking.ranks[0].model == "first"
    last = result.ranking.ranks[-1]
    assert (last.model, last.mean) == ("now_and_then", None)
    assert "failed on" in last.reason
    value, whole = (result.find(name, "id_similarity")[0] for name in ("now_and_then", "first"))
    assert value.n_scored + value.n_failed == value.n_total == whole.n_scored == n
    assert value.value is not None
    assert value.value_of_scored is not None
    assert whole.value is not None
    assert value.value < whole.value
    assert value.value_of_scored > value.value
    # A copy of half the targets does not gain by it, where copying wins.
    copied, honest = (result.find(name, "skin_colour")[0].value for name in ("half_copied", "first"))
    assert copied is not None
    assert honest is not None
    assert copied > 0.6 * honest  # half of it, if copies counted as the zero that they measure
    assert f"now_and_then failed on {n - value.n_scored} of {n} pairs" in " ".join(result.warnings)


@pytest.mark.usefixtures("_toys")
@pytest.mark.parametrize(("name", "kind"), [("blank", "no_face"), ("copies", "unchanged")])
def test_who_fails_everywhere_has_no_place(tmp_path: Path, context: Context, name: str, kind: str) -> None:
    result = run(tmp_path / "out", context, name)
    record = next(model for model in result.models if model.name == name)
    assert record.failures == {kind: result.protocol.n_pairs}
    value = result.find(name, "id_similarity")[0]
    assert (value.n_scored, value.n_failed) == (0, result.protocol.n_pairs)
    floor = result.find("copy_target", "id_similarity")[0].value if kind == "unchanged" else None  # of no face: nothing
    assert value.value == pytest.approx(floor)
    (rank,) = result.ranking.ranks
    assert rank.mean is None
    assert "failed on" in rank.reason


@pytest.mark.usefixtures("_toys")
def test_baselines_do_not_fail(tmp_path: Path, context: Context) -> None:
    result = run(tmp_path / "out", context, "first")
    assert all(not model.failures for model in result.models)
    assert all(value.n_failed == 0 for value in result.values)


@pytest.mark.usefixtures("_toys")
def test_the_failure_of_each_pair_stands_in_the_tables(tmp_path: Path, context: Context) -> None:
    run(tmp_path / "out", context, "half_copied")
    samples = pd.read_parquet(tmp_path / "out" / "samples.parquet")
    assert set(samples.loc[samples["model"] == "half_copied", "failure"]) == {"", "unchanged"}
    assert (samples.loc[samples["model"] != "half_copied", "failure"] == "").all()
    table = (tmp_path / "out" / "scores.csv").read_bytes()
    assert table.startswith(b"\xef\xbb\xbf")
    again = pd.read_csv(tmp_path / "out" / "scores.csv", encoding="utf-8-sig", keep_default_na=False)
    assert len(again) == len(samples)
    assert {"source", "output", "failure", "skin_colour"} <= set(again.columns)


@pytest.mark.parametrize("name", ["=1+1.png", "+1", "-2", "@SUM(A1)", '=HYPERLINK("http://a")', "\t=1", 'a,b;c"d\ne'])
def test_names_are_no_formulas_in_a_spreadsheet(tmp_path: Path, name: str) -> None:
    samples = pd.DataFrame({"model": [name], "id": ["a"], "file": [None], "value": [-0.5], "frame": [-1]})
    RunFolder(tmp_path).write_samples(lambda: [samples])
    again = pd.read_csv(tmp_path / "scores.csv", encoding="utf-8-sig")
    assert again["model"].item() == (name if name.startswith("a") else f"'{name}")
    assert again[["value", "frame"]].to_numpy().tolist() == [[-0.5, -1]]
    assert again["file"].isna().all()
    assert pd.read_parquet(tmp_path / "samples.parquet")["model"].item() == name


@pytest.mark.usefixtures("_toys")
@pytest.mark.parametrize("place", [("broken", "first"), ("first", "broken")])
def test_a_model_that_raises_is_a_row_with_its_reason(tmp_path: Path, context: Context, place: tuple[str, ...]) -> None:
    result = run(tmp_path / "out", context, *place)
    record = next(model for model in result.models if model.name == "broken")
    assert "no idea what to do" in record.error
    assert result.find("broken") == []
    assert result.find("first", "skin_colour")[0].value is not None
    assert [(rank.model, rank.mean) for rank in result.ranking.ranks] == [("first", 1), ("broken", None)]
    assert "no idea" in (tmp_path / "out" / "errors" / "broken.txt").read_text()
    assert any("broken failed" in warning for warning in result.warnings)
    assert json.loads((tmp_path / "out" / "result.json").read_text())["models"][-1]["name"] == "broken"


@pytest.mark.usefixtures("_toys")
def test_a_run_in_which_every_model_fails_raises_the_first_reason(tmp_path: Path, context: Context) -> None:
    with pytest.raises(Exception, match="no idea"):
        run(tmp_path / "out", context, "broken", baselines=False)


@pytest.mark.usefixtures("_toys")
def test_a_full_disk_is_not_the_models_fault(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutputError("no space left")

    monkeypatch.setattr("fsbench.harness.run_folder.RunFolder.write_outputs", full)
    with pytest.raises(OutputError):
        run(tmp_path / "out", context, "first")


@pytest.mark.usefixtures("_toys")
@pytest.mark.parametrize("where", ["measure", "summarise"])
def test_a_metric_that_raises_costs_its_own_value_alone(tmp_path: Path, context: Context, where: str) -> None:
    class Faulty(Some):
        """Raises."""

        def __init__(self) -> None:
            super().__init__("higher")

        def measure(self, batch: Batch) -> Tensor:
            if where == "measure":
                raise ZeroDivisionError("by nothing")
            return torch.ones(len(batch.rows))

        def summarise(self, rows: np.ndarray) -> float:
            raise ZeroDivisionError("by nothing")

    metrics.register("faulty")(Faulty)
    plan = Plan(dataset=DATA, models=("first",), metrics=("skin_colour", "faulty"))
    result = run_plan(plan, tmp_path / "out", context)
    assert {value.value for value in result.find(metric="faulty")} == {None}
    assert "by nothing" in result.find("first", "faulty")[0].reason
    assert result.find("first", "skin_colour")[0].value is not None
    assert all(value.is_fault == (value.metric == "faulty") for value in result.values)
    (warning,) = (warning for warning in result.warnings if "faulty: the metric failed" in warning)
    path = warning.partition("(traceback: ")[2].rstrip(")")
    assert "ZeroDivisionError: by nothing" in (tmp_path / "out" / path).read_text(encoding="utf-8")
    with pytest.raises(typer.Exit) as left:
        job.conclude(result, tmp_path / "out", "", quiet=True)
    assert left.value.exit_code == 1


@pytest.mark.usefixtures("_toys")
def test_a_reason_that_reads_like_a_fault_costs_no_result(tmp_path: Path, context: Context) -> None:
    class Honest(Some):
        """Means nothing here."""

        def __init__(self) -> None:
            super().__init__("higher")

        def measure(self, batch: Batch) -> Tensor:
            raise NotScorable("the metric failed to see a moon")

    metrics.register("honest")(Honest)
    plan = Plan(dataset=DATA, models=("first",), metrics=("skin_colour", "honest"))
    result = run_plan(plan, tmp_path / "out", context)
    assert result.find("first", "honest")[0].reason == "the metric failed to see a moon"
    assert result.find("first", "skin_colour")[0].value is not None


@pytest.mark.usefixtures("_toys")
def test_a_metric_that_cannot_be_made_is_left_out_where_it_is_not_named(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Raising(Some):
        """Cannot be made."""

        def __init__(self) -> None:
            raise ZeroDivisionError("by nothing")

    metrics.register("raising")(Raising)
    monkeypatch.setattr(metrics, "names", lambda: ["raising", "skin_colour"])
    instruments = Instruments.of(Plan(dataset=DATA, models=("first",)), context)
    assert set(instruments.metrics) == {"skin_colour"}
    (warning,) = warn.of_metrics(instruments.left_out)
    assert warning.startswith("raising is left out")
    assert "by nothing" in warning
    with pytest.raises(PluginError, match="by nothing"):
        Instruments.of(Plan(dataset=DATA, models=("first",), metrics=("raising",)), context)


@pytest.mark.usefixtures("_toys")
def test_a_judge_that_fails_on_outputs_costs_its_own_values(tmp_path: Path, context: Context) -> None:
    class Halves:
        """Embeds by the colours of the halves; cannot stand grey images."""

        info = EmbedderInfo(family="halves", dim=6, weights=(), description="-")

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            if bool((crops[:, :, ::8, ::8].std((1, 2, 3)) < 0.08).any()):
                raise ArithmeticError("all the same")
            return torch.nn.functional.adaptive_avg_pool2d(crops, (1, 2)).flatten(1)

    class Greyed:
        """Makes the source grey."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            return 0.5 + 0.2 * (source.images[:1].to(targets.images).expand_as(targets.images) - 0.5)

    embedders.register("halves")(Halves)
    swappers.register("greyed")(Greyed)
    result = run(tmp_path / "out", context, "first", "greyed", judges=("dlib_resnet", "halves"))
    assert not any(model.error for model in result.models)
    values = {(value.model, value.judge): value for value in result.find(metric="id_similarity")}
    assert "all the same" in values["greyed", "halves"].reason
    assert values["greyed", "halves"].is_fault
    assert values["first", "halves"].value is not None
    assert values["first", "dlib_resnet"].value is not None
    assert not values["greyed", "dlib_resnet"].is_fault
    assert report.write(tmp_path / "out").exists()


@pytest.mark.usefixtures("_toys")
@pytest.mark.parametrize("name", ["umap.parquet", "lookalikes.parquet", "recursion.parquet"])
@pytest.mark.parametrize("error", [RuntimeError("cannot cache function"), ImportError("no umap"), MemoryError()])
def test_an_ornament_costs_no_number(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    def fail(*_: object) -> None:
        assert (tmp_path / "out" / "result.json").exists(), "the numbers come first"
        raise error

    monkeypatch.setitem(illustrations.TABLES, name, fail)
    result = run(tmp_path / "out", context, "first")
    assert result.find("first", "skin_colour")[0].value is not None
    assert any(warning.startswith(name) for warning in result.warnings)
    assert (tmp_path / "out" / "result.json").read_text().count(f"{name} could not be made") == 1
