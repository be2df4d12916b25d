"""Folders of runs that somebody edited, damaged or made: `show` and `report` print, write, or say why not."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from report_runs import JUDGE, ODD_NAME, write_run
from safetensors.numpy import load_file, save_file

from fsbench import report, results
from fsbench.cli.show import show
from fsbench.errors import ResultError
from fsbench.report.run import RunContents, read

MODELS = {"copy_target": 0.0, "gan_mask": 0.85, ODD_NAME: 0.2}
FUZZ = settings(max_examples=300)
FEW = settings(FUZZ, max_examples=12)
"""Of what draws a page, which takes about a second."""

HOSTILE = [
    "</script><script>alert(1)</script>",
    "$\\frac{$",
    "$x^",
    "\\n%s{0}",
    "\x1b[31mred",
    "[bold]",
    "a\0b",
    "\ud800",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\x",
    "nul\n\nline",
    "é" * 300,
    "\u202eabc",
    "{{ 7 * 7 }}",
    "<img src=x>",
    "",
]
ODD = [
    None,
    True,
    -1,
    0,
    1,
    2**63,
    2**53 + 1,
    -(10**18),
    1e308,
    -1e-300,
    1e16,
    [],
    {},
    [None],
    {"a": {}},
    "text",
    *HOSTILE,
]
TABLES = ("samples", "references", "lookalikes", "umap")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound run of three models, to be copied."""
    return write_run(tmp_path_factory.mktemp("hostile") / "run", models=MODELS, sessions=2, per_session=2)


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of a sound run."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def shown(folder: Path) -> str:
    """What both forms of `show` print; ResultError with a hint where they refuse."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            show(folder)
            show(folder, as_json=True)
    except ResultError as error:
        assert_one_sentence(error)
        raise
    return told.getvalue()


def opened(folder: Path) -> RunContents | None:
    """A run as the report reads it, None where it refuses with a sentence."""
    try:
        return read(folder)
    except ResultError as error:
        assert_one_sentence(error)
        return None


def assert_one_sentence(error: ResultError) -> None:
    assert "\n" not in error.message
    assert len(error.message) < 10_000
    assert error.message.isprintable()


def written(folder: Path) -> str:
    """The page of a run, "" where it is refused."""
    if (run := opened(folder)) is None:
        return ""
    page = report.html(run)
    page.encode("utf-8")
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    return page


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change result.json."""
    raw = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    change(raw)
    (folder / "result.json").write_text(json.dumps(raw), encoding="utf-8")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all parts of a JSON value."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def mutate(raw: Any, path: tuple[Any, ...], how: str, new: Any) -> None:
    """Change a JSON value at one place."""
    *outer, key = path
    try:
        for part in outer:
            raw = raw[part]
        old = raw[key]
    except (KeyError, IndexError, TypeError):  # an earlier change took it away
        return
    if isinstance(raw, str):
        return
    if how == "remove":
        del raw[key]
    elif how == "double":
        raw.append(old) if isinstance(raw, list) else raw.update({f"{key}2": old})
    else:
        raw[key] = new


def mutations(folder: Path) -> st.SearchStrategy[list[tuple[tuple[Any, ...], str, Any]]]:
    raw = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    one = st.tuples(
        st.sampled_from(list(places(raw))),
        st.sampled_from(["replace", "replace", "remove", "double"]),
        st.sampled_from(ODD),
    )
    return st.lists(one, min_size=1, max_size=3)


@FUZZ
@given(data=st.data())
def test_edited_records(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    raw = json.loads((whole / "result.json").read_text(encoding="utf-8"))
    for path, how, new in data.draw(mutations(whole)):
        mutate(raw, path, how, new)
    (tmp_path / "result.json").write_text(json.dumps(raw), encoding="utf-8")
    with contextlib.suppress(ResultError):
        shown(tmp_path)
    opened(tmp_path)


@FEW
@given(data=st.data())
def test_pages_of_edited_records(run: Path, whole: Path, data: st.DataObject) -> None:
    """Only texts and numbers are replaced, so that most pages are drawn."""
    raw = json.loads((whole / "result.json").read_text(encoding="utf-8"))
    texts = [path for path in places(raw) if isinstance(_at(raw, path), str)]
    for path in data.draw(st.lists(st.sampled_from(texts), min_size=5, max_size=40)):
        mutate(raw, path, "replace", data.draw(st.sampled_from(HOSTILE)))
    (run / "result.json").write_text(json.dumps(raw), encoding="utf-8")
    written(run)


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


@pytest.mark.parametrize("name", HOSTILE)
def test_a_model_of_any_name(run: Path, name: str) -> None:
    """It stands in records, tables, features, paths, plots and scripts."""
    raw = json.loads((run / "result.json").read_text(encoding="utf-8"))
    text = json.dumps(raw).replace(json.dumps(ODD_NAME), json.dumps(name))
    (run / "result.json").write_text(text, encoding="utf-8")
    if name and name != "\ud800":  # neither can be in a table
        for table in ("samples", "lookalikes", "umap"):
            rows = pd.read_parquet(run / f"{table}.parquet")
            rows["model"] = rows["model"].replace(ODD_NAME, name)
            rows.to_parquet(run / f"{table}.parquet")
        path = run / "features" / f"{JUDGE}.safetensors"
        arrays = load_file(path)
        arrays[name] = arrays.pop(ODD_NAME)
        save_file(arrays, path)
    page = written(run)
    assert bool(page) == bool(name and name != "\ud800"), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw["values"].append(raw["values"][0]), "stands twice"),
        (lambda raw: raw["models"].pop(), "of a model without a record"),
        (lambda raw: raw["judges"].clear(), "of a judge without a record"),
        (lambda raw: raw["metrics"].pop(0), "of a metric without a record"),
        (lambda raw: raw["models"].append(raw["models"][0]), "recorded twice"),
        (lambda raw: raw["values"][0].update(n_scored=10**6), "more pairs than there are"),
        (lambda raw: raw["values"][0].update(n_scored=-1), "n_scored"),
        (lambda raw: raw["values"][0].update(low=5.0, high=-5.0), "ends before it begins"),
        (lambda raw: raw["values"][0].update(value=None, reason=""), "null without a reason"),
        (lambda raw: raw["values"][0].update(value=1e308), "value"),
        (lambda raw: raw["differences"].append(raw["differences"][0]), "stands twice"),
        (lambda raw: raw["differences"].append(_turned(raw["differences"][0])), "stands twice"),
        (lambda raw: raw["differences"][0].update(other=raw["differences"][0]["model"]), "of a model with itself"),
        (lambda raw: raw["differences"][0].update(other="nobody"), "of a model without a record"),
        (lambda raw: raw["differences"][0].update(metric="nothing"), "of a metric without a record"),
        (lambda raw: raw["differences"][0].update(judge="nobody"), "of a judge without a record"),
        (lambda raw: raw["differences"][0].update(p=None), "has some of its numbers only"),
        (lambda raw: raw["differences"][0].update(low=5.0, high=-5.0), "ends before it begins"),
        (lambda raw: raw["differences"][0].update(p=1.5), r"differences\.0\.p"),
        (lambda raw: raw["differences"][0].update(n=-1), r"differences\.0\.n"),
        (lambda raw: raw["differences"][0].update(detectable=-1.0), r"differences\.0\.detectable"),
        (lambda raw: raw["differences"][0].update(effect=None, low=None, high=None, p=None), "null without a reason"),
        (lambda raw: raw["models"][0].update(failures={"no_face": 10**6}), "more pairs than there are"),
        (lambda raw: raw["models"][0].update(failures={"lost": 1}), "failures"),
        (lambda raw: raw["protocol"].update(n_pairs="many"), "n_pairs"),
        (lambda raw: raw.update(schema=True), "no schema number"),
        (lambda raw: raw.update(schema=99), "newer fsbench"),
        (lambda raw: raw.update(schema=1, metrics=None), "no valid result|not a valid result"),
        (lambda raw: raw.update(environment=_nested(60)), "nested"),
        (lambda raw: raw.update(extra=1), "extra"),
    ],
)
def test_records_that_contradict_each_other(run: Path, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    edit(run, change)
    with pytest.raises(ResultError, match=said):
        shown(run)
    assert opened(run) is None


def _turned(difference: dict[str, Any]) -> dict[str, Any]:
    return {**difference, "model": difference["other"], "other": difference["model"]}


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"1",
        b"\xff\xfe{}",
        b"\x80\x81",
        b'{"schema": NaN}',
        b'{"schema": ' + b"9" * 1_000_000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"schema": 4, "schema": 3}',
        b"\0" * 1000,
        b'{"schema": -3}',
        b'{"schema": 1e400}',
    ],
    ids=range(15),
)
def test_what_is_no_result(run: Path, content: bytes) -> None:
    (run / "result.json").write_bytes(content)
    with pytest.raises(ResultError, match=r"result\.json"):
        shown(run)
    assert opened(run) is None


def test_a_byte_order_mark_is_no_damage(run: Path) -> None:
    """Editors add one."""
    path = run / "result.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert "gan_mask" in shown(run)


def test_a_result_too_large_is_not_read(run: Path) -> None:
    os.truncate(run / "result.json", 2**33)  # a hole in the file takes no disk
    with pytest.raises(ResultError, match="more than 64 MiB"):
        shown(run)


@pytest.mark.parametrize(
    "name", ["x" * 300, "x/" * 3000, "a\0b", "~nobody/x", "\udcff", "[bold]", "\x1b[31m", "/dev/zero"], ids=range(8)
)
def test_names_of_no_folder(name: str) -> None:
    with pytest.raises(ResultError):
        shown(Path(name))
    assert opened(Path(name)) is None


FILES = ("result.json", *(f"{table}.parquet" for table in TABLES), f"features/{JUDGE}.safetensors")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "dead link", "loop", "endless"])
def test_what_is_no_file_is_not_opened(run: Path, file: str, kind: str) -> None:
    path = run / file
    path.unlink()
    {
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
        "device": lambda p: p.symlink_to("/dev/tty"),
        "dead link": lambda p: p.symlink_to("nowhere"),
        "loop": lambda p: p.symlink_to(p.name),
        "endless": lambda p: p.symlink_to("/dev/zero"),
    }[kind](path)
    read_ = opened(run)
    if file == "result.json":
        assert read_ is None
        with pytest.raises(ResultError):
            shown(run)
    else:
        assert read_ is not None
        assert any(file in gap for gap in read_.gaps)


@FUZZ
@given(
    file=st.sampled_from(FILES),
    keep=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    near=st.booleans(),
)
def test_damaged_files(
    whole: Path, run: Path, file: str, keep: float, flips: list[tuple[float, int]], near: bool
) -> None:
    content = bytearray((whole / file).read_bytes())
    reach = min(len(content), 200)
    for where, value in flips:  # headers stand at the beginning, or at the end
        place = int(where * reach)
        content[place if near else len(content) - 1 - place] = value
    (run / file).write_bytes(content[: round(len(content) * keep)] if len(flips) % 2 else content)
    try:
        opened(run)
    finally:
        shutil.copy(whole / file, run / file)


def test_a_text_that_is_not_utf8(run: Path) -> None:
    path = run / "lookalikes.parquet"
    content = path.read_bytes()
    assert b"gan_mask" in content
    path.write_bytes(content.replace(b"gan_mask", b"gan_\xff\xfesk"))
    read_ = opened(run)
    assert read_ is not None
    assert any("lookalikes.parquet" in gap for gap in read_.gaps)


COLUMNS: dict[str, Callable[[int], Any]] = {
    "text": lambda n: ["x"] * n,
    "empty": lambda n: [None] * n,
    "nan": lambda n: np.full(n, np.nan),
    "huge": lambda n: np.full(n, 1e308),
    "infinite": lambda n: np.full(n, np.inf),
    "negative": lambda n: np.full(n, -5),
    "beyond": lambda n: np.arange(n) + 10**9,
    "fractions": lambda n: np.linspace(0, 1, n),
    "truths": lambda n: np.arange(n) % 2 == 0,
    "times": lambda n: pd.date_range("2020", periods=n),
    "lists": lambda n: [[1, 2]] * n,
    "bytes": lambda n: [b"\xff"] * n,
    "mixed": lambda n: pd.Categorical(["a"] * n),
    "hostile": lambda n: (HOSTILE[:7] * n)[:n],
    "large": lambda n: np.full(n, 2**64 - 1, np.uint64),
    "complex": lambda n: [{"a": i} for i in range(n)],
}


def damage(run: Path, table: str, how: str, column: str) -> None:
    """Change one table: its rows, its columns' names, or what a column holds."""
    path = run / f"{table}.parquet"
    rows = pd.read_parquet(path)
    n = len(rows)
    changed = {
        "drop": lambda: rows.drop(columns=column),
        "none": lambda: rows.iloc[:0],
        "one": lambda: rows.iloc[:1],
        "twice": lambda: pd.concat([rows, rows]),
        "shuffle": lambda: rows.sample(frac=1, random_state=0),
        "index": lambda: rows.set_index(column),
        "rename": lambda: rows.rename(columns={column: "\x1b[31m</script>"}),
        "nothing": lambda: rows[[]],
    }.get(how, lambda: rows.assign(**{column: COLUMNS[how](n)}))()
    changed.to_parquet(path)


@settings(FUZZ, max_examples=200)
@given(data=st.data())
def test_odd_tables(whole: Path, run: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(TABLES))
    columns = list(pd.read_parquet(whole / f"{table}.parquet"))
    how = ["drop", "none", "one", "twice", "shuffle", "index", "rename", "nothing", *COLUMNS]
    damage(run, table, data.draw(st.sampled_from(how)), data.draw(st.sampled_from(columns)))
    try:
        opened(run)
    finally:
        shutil.copy(whole / f"{table}.parquet", run / f"{table}.parquet")


@pytest.mark.parametrize(("table", "how", "column"), [
    ("samples", "shuffle", "id"), ("samples", "text", "yaw"), ("samples", "huge", "pose_error"),
    ("samples", "empty", f"id_similarity@{JUDGE}"), ("samples", "hostile", "source"),
    ("samples", "hostile", "identity"),
    ("samples", "hostile", "id"), ("samples", "drop", "pose_error"), ("samples", "truths", f"id_similarity@{JUDGE}"),
    ("samples", "large", "smile"), ("samples", "nan", "yaw"),
    ("references", "hostile", "identity"), ("references", "none", "split"), ("lookalikes", "negative", "rank"),
    ("lookalikes", "hostile", "name"), ("lookalikes", "infinite", "score"), ("umap", "huge", "x2"),
    ("umap", "nan", "z3"),
    ("umap", "text", "judge"), ("umap", "beyond", "row"),
])  # fmt: skip
def test_pages_of_odd_tables(run: Path, table: str, how: str, column: str) -> None:
    damage(run, table, how, column)
    assert written(run)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: {},
        lambda a: {**a, "references": a["references"][:-1]},
        lambda a: {k: v[:, :1] * 0 for k, v in a.items()},
        lambda a: {k: np.nan_to_num(v).astype(np.int32) for k, v in a.items()},
        lambda a: {k: v * 1e30 for k, v in a.items()},
        lambda a: {**a, "gan_mask": np.repeat(a["gan_mask"], 2, 1) / np.float32(2**0.5)},
        lambda a: {k: v.reshape(-1) for k, v in a.items()},
        lambda a: {**a, "gan_mask": a["gan_mask"][..., None]},
        lambda a: {k: np.full_like(v, np.nan) for k, v in a.items()},
        lambda a: {k: np.full_like(v, np.inf) for k, v in a.items()},
        lambda a: {**a, "gan_mask": np.zeros(0, np.float32)},
        lambda a: {k: v.astype(np.float16) for k, v in a.items()},
    ],
    ids=range(12),
)
def test_pages_of_odd_vectors(run: Path, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> None:
    path = run / "features" / f"{JUDGE}.safetensors"
    save_file({key: np.ascontiguousarray(array) for key, array in change(load_file(path)).items()}, path)
    assert written(run)


def secret(path: Path) -> Path:
    """A picture of one colour that no picture of the run has; as JPEG it stays recognisable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), (255, 0, 255)).save(path, "PNG")
    return path


def pictures(page: str) -> list[Image.Image]:
    import base64
    import re

    return [
        Image.open(io.BytesIO(base64.b64decode(one))) for one in re.findall(r"data:image/\w+;base64,([\w+/=]+)", page)
    ]


def shows_secret(page: str) -> bool:
    return any(
        np.abs(np.array(one.convert("RGB")).reshape(-1, 3).mean(0) - (255, 0, 255)).max() < 20 for one in pictures(page)
    )


@pytest.mark.parametrize("way", ["absolute", "up", "link", "folder link", "source", "source up", "id", "backslash"])
def test_no_picture_from_outside_is_shown(run: Path, tmp_path: Path, way: str) -> None:
    outside = secret(tmp_path / "elsewhere" / "secret.png")
    rows = pd.read_parquet(run / "samples.parquet")
    leads = os.path.relpath(outside, run)
    if way in ("absolute", "up", "backslash"):
        rows["output"] = {"absolute": str(outside), "up": f"outputs/../{leads}", "backslash": leads.replace("/", "\\")}[
            way
        ]
    elif way == "link":
        for name in rows["output"]:
            (run / name).unlink(missing_ok=True)
            (run / name).symlink_to(outside)
    elif way == "folder link":
        (run / "away").symlink_to(outside.parent)
        rows["output"] = "away/secret.png"
    elif way == "id":
        rows["output"] = [f"outputs/x/y/{leads}"] * len(rows)
        rows["id"] = os.path.relpath(outside.with_suffix(""), run)
    else:
        stem = str(outside.with_suffix("")) if way == "source" else f"../../{leads.removesuffix('.png')}"
        rows["source"] = stem
    rows.to_parquet(run / "samples.parquet")
    page = written(run)
    assert page
    assert not shows_secret(page)


def test_a_picture_of_the_run_is_shown(run: Path) -> None:
    """What the tests above look for is seen where it is there."""
    rows = pd.read_parquet(run / "samples.parquet")
    for name in rows["output"]:
        secret(run / name)
    assert shows_secret(written(run))


def test_pictures_that_are_none(run: Path) -> None:
    """Pipes are not opened, bombs not decoded; other formats, and what is no image, are no pictures of fsbench's."""
    outputs = [run / name for name in dict.fromkeys(pd.read_parquet(run / "samples.parquet")["output"])]
    for i, path in enumerate(outputs):
        path.unlink()
        if i % 5 == 0:
            os.mkfifo(path)
        elif i % 5 == 1:
            path.mkdir()
        elif i % 5 == 2:
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
        elif i % 5 == 3:
            Image.new("1", (20_000, 20_000)).save(path, "PNG")
        else:
            secret(path)
            Image.open(path).save(path, "GIF")
    assert not shows_secret(written(run))
    assert stat.S_ISFIFO(outputs[0].stat().st_mode)


def test_show_gives_reasons(run: Path) -> None:
    """What a script needs to know of a value is in `show --json`."""
    edit(run, lambda raw: raw["values"][0].update(value=None, low=None, high=None, reason="no face was found"))
    edit(
        run,
        lambda raw: raw["values"][1].update(
            n_failed=2, value_of_scored=0.5, n_scored=2, caution="few", resampled="people"
        ),
    )
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        show(run, as_json=True)
    first, second, third = json.loads(told.getvalue())[:3]
    assert first["reason"] == "no face was found"
    assert second["n_failed"] == 2
    assert second["value_of_scored"] == 0.5
    assert second["caution"] == "few"
    assert second["resampled"] == "people"
    assert "n_failed" not in third
    assert "reason" not in third
    assert "value" in third


def test_results_of_old_schemas_are_checked_too() -> None:
    for schema in (1, 2, 3):
        with pytest.raises(ResultError, match="not a valid result"):
            results.parse({"schema": schema, "metrics": [{}]}, "x")
