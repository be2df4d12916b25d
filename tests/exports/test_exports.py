"""The numbers of a run in the formats of other programs: all there, and nothing of a name is markup or a formula."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from fsbench import results
from fsbench.errors import UsageError
from fsbench.exports import documents, tables, trackers, workbook
from fsbench.results import DifferenceRecord, Rank, RunResult, column

Invoke = Callable[..., tuple[int, str, str]]
OLD = Path(__file__).parents[1] / "old_results/schema_3.json"
HOSTILE = ["=1+1", "<b>&|`*_[x](y)", "a\nb\x1b[2J\u202e", "$x$ \\input{y} % ~^#{}", "人 ü", "n" * 4000]


def renamed(names: list[str]) -> RunResult:
    """A run whose models have other names, in its order; those that are left over keep theirs."""
    result = results.load(OLD)
    new = dict(zip([model.name for model in result.models], names, strict=False))
    content = json.loads(result.model_dump_json(by_alias=True))

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rename(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [rename(inner) for inner in value]
        return new.get(value, value) if isinstance(value, str) else value

    return RunResult.model_validate({**content, **{key: rename(content[key]) for key in content if key != "metrics"}})


@pytest.fixture
def run() -> RunResult:
    return results.load(OLD)


def contest(result: RunResult) -> RunResult:
    """The same run, whose baselines compete but for the first: they differ by id_similarity, and not by gt_psnr."""
    models = (result.models[0], *(model.model_copy(update={"kind": "ready"}) for model in result.models[1:]))
    judge = result.judges[0].name
    value = {v.model: v.value or 0.0 for v in result.values if (v.metric, v.judge) == ("id_similarity", judge)}
    order = sorted((model.name for model in models[1:]), key=lambda name: -value[name])
    ranks = tuple(Rank(model=name, mean=i + 1, by_judge={judge: i + 1}) for i, name in enumerate(order))
    ranking = result.ranking.model_copy(update={"metric": "id_similarity", "judges": (judge,), "ranks": ranks})
    differences = [
        DifferenceRecord(model=a, other=b, metric=metric, judge=of, n=9, effect=0.2, low=0.1, high=0.3, p=p,
                         detectable=0.1, degrees_of_freedom=9)
        for a, b in combinations(order, 2) for metric, of, p in (("id_similarity", judge, 1e-9), ("gt_psnr", None, 0.5))
    ]  # fmt: skip
    return result.model_copy(update={"models": models, "ranking": ranking, "differences": tuple(differences)})


def test_a_summary_has_what_ranks_and_who_is_better_than_all_others(run: RunResult) -> None:
    run = contest(run)
    assert len(run.ranking.ranks) > 1
    summary = tables.summary(run, ["id_similarity", "gt_psnr", "pose_error_five"])
    assert summary.heads[0].startswith("id_similarity@")
    names = [rank.model for rank in run.ranking.ranks]
    assert [name for name, _ in summary.rows] == [*names, run.models[0].name]
    assert [[name for name, cells in summary.rows if cells[k].best] for k in range(3)] == [names[:1], [], []]
    for k, metric in enumerate(("id_similarity", "gt_psnr")):
        numbers = {value.model: value.value for value in run.find(metric=metric)}
        shown = float(dict(summary.rows)[names[0]][k].text)
        assert shown == pytest.approx(numbers[names[0]], abs=0.006)
    unknown = tables.summary(run.model_copy(update={"differences": ()}), ["id_similarity"])
    assert not any(cell.best for _, cells in unknown.rows for cell in cells)


def test_metrics_may_be_named(run: RunResult) -> None:
    judge = run.judges[0].name
    (head,) = tables.summary(run, [column(run.ranking.metric, judge)]).heads
    assert head.startswith(f"{run.ranking.metric}@{judge}")
    assert len(tables.summary(run, tables.known_metrics(run)).heads) == len(
        {(value.metric, value.judge) for value in run.values if value.value is not None} - {(None, None)}
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_no_markup(name: str) -> None:
    summary = tables.summary(renamed([name]))
    text, tex = documents.markdown(summary), documents.latex(summary)
    (line,) = [line for line, row in zip(text.splitlines()[2:], summary.rows, strict=False) if row[0] == name]
    assert line.count(" | ") == len(summary.heads)
    assert not re.search(r"[<>`*\[\]$\\\x1b\u202e]", re.sub(r"</?code>", "", line.split(" | ")[0])) or "\\x1b" in line
    rows = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(summary.rows)
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == len(summary.heads)
        assert not re.search(r"(?<!\\)[%#_]", row)
        assert row.count("{") - row.count(r"\{") == row.count("}") - row.count(r"\}")
    assert r"\input" not in tex


@pytest.mark.parametrize("name", HOSTILE)
def test_all_values_stand_in_csv_and_json(name: str, tmp_path: Path, invoke: Invoke) -> None:
    result = renamed([name])
    results.save(result, tmp_path)
    code, said, _ = invoke("export", tmp_path, "--format", "csv", "--out", tmp_path / "values.csv")
    assert code == 0, said
    rows = list(csv.DictReader(io.StringIO((tmp_path / "values.csv").read_text(encoding="utf-8"), newline="")))
    assert [row["metric"] for row in rows] == [value.metric for value in result.values]
    numbers = [float(row["value"]) if row["value"] else None for row in rows]
    assert numbers == [value.value for value in result.values]
    assert not any(row["model"].startswith("=") for row in rows)
    code, said, _ = invoke("export", tmp_path, "--format", "json")
    assert code == 0
    loaded = json.loads(said)
    assert [row["value"] for row in loaded] == pytest.approx([v.value for v in result.values], abs=1e-12, nan_ok=True)


def test_a_workbook_computes_nothing(tmp_path: Path) -> None:
    result = renamed(HOSTILE)
    workbook.write(result, tmp_path / "run.xlsx")
    import zipfile

    with zipfile.ZipFile(tmp_path / "run.xlsx") as archive:
        names = [name for name in archive.namelist() if "worksheets/sheet" in name]
        sheets = [archive.read(name).decode() for name in names]
    assert len(sheets) == 4
    assert not any("<f>" in sheet or "hyperlink" in sheet for sheet in sheets)
    assert sum(sheet.count("<v>") for sheet in sheets) > len(result.values)


def test_without_its_package_the_remedy_is_told(
    run: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "find_spec", lambda name: None)
    for name in ("mlflow", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
    writers: list[Callable[[], object]] = [
        lambda: workbook.write(run, tmp_path / "a.xlsx"),
        lambda: trackers.to_mlflow(run, str(tmp_path), "a"),
        lambda: trackers.to_tensorboard(run, tmp_path),
    ]
    for write in writers:
        with pytest.raises(UsageError, match="is not installed") as caught:
            write()
        assert caught.value.hint.startswith("pip install")
    assert list(tmp_path.iterdir()) == []


def test_mlflow_is_given_a_run_for_each_model(run: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, tuple[dict[str, str], dict[str, float], int]] = {}
    current: list[tuple[str, dict[str, str]]] = []
    mlflow = ModuleType("mlflow")

    @contextmanager
    def start_run(run_name: str) -> Iterator[None]:
        current.append((run_name, {}))
        yield

    def set_tracking_uri(uri: str) -> None:
        if uri == "nowhere":
            raise RuntimeError("not a store")

    def log_metrics(metrics: dict[str, float], step: int) -> None:
        logged[current[-1][0]] = (current[-1][1], metrics, step)

    vars(mlflow).update(
        set_tracking_uri=set_tracking_uri, set_experiment=lambda name: None, start_run=start_run,
        exceptions=SimpleNamespace(MlflowException=RuntimeError),
        log_params=lambda params: current[-1][1].update(params), log_metrics=log_metrics,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    assert trackers.to_mlflow(run, "file:x", "synthetic") == len(run.models)
    with pytest.raises(UsageError, match="MLflow cannot use nowhere: RuntimeError: not a store"):
        trackers.to_mlflow(run, "nowhere", "synthetic")
    judge = run.judges[0].name
    for model in run.models:
        params, metrics, step = logged[model.name]
        assert params["revision"] == run.dataset.revision
        assert step == (model.training.steps if model.training else 0)
        value = run.find(model.name, "id_similarity")[0]
        assert metrics[f"id_similarity_{judge}"] == value.value
        assert metrics[f"id_similarity_{judge}/low"] == value.low
        assert all(re.fullmatch(r"[\w\-. :/]+", name) for name in metrics)


def test_tensorboard_is_given_all_numbers(run: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scalars: list[tuple[str, str, float]] = []

    class SummaryWriter:
        def __init__(self, folder: str) -> None:
            self.folder = Path(folder).name

        def __enter__(self) -> SummaryWriter:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def add_scalar(self, name: str, number: float, step: int) -> None:
            scalars.append((self.folder, name, number))

        def add_text(self, name: str, text: str, step: int) -> None:
            assert run.dataset.revision in text

    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    stand_in: Any = SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    assert trackers.to_tensorboard(run, tmp_path) == len(run.models)
    expected = [
        (results.slug(model.name), *pair) for model in run.models for pair in trackers.scalars(run.find(model.name))
    ]
    assert scalars == expected
    assert len({name for folder, name, _ in scalars if folder == results.slug(run.models[0].name)}) > 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "xlsx"), "needs a place"),
        (("--format", "mlflow"), "needs a place"),
        (("--format", "csv", "--metrics", "kid"), "--metrics is for md and latex"),
        (("--metrics", "id_similarty"), "did you mean id_similarity"),
        (("--format", "word"), "'word'"),
    ],
)
def test_what_cannot_be_written_is_told(words: tuple[str, ...], said: str, tmp_path: Path, invoke: Invoke) -> None:
    results.save(results.load(OLD), tmp_path)
    code, _, errors = invoke("export", tmp_path, *words)
    assert code == 2
    assert said in " ".join(errors.split())


def test_a_table_of_values_reads_back_as_it_was(run: RunResult) -> None:
    table = tables.values_frame(run.values, run.metrics)
    assert len(table) == len(run.values)
    assert pd.api.types.is_float_dtype(table["value"])
    assert set(tables.models(run)["model"]) == {model.name for model in run.models}
