"""A score whose cache and results lie at URLs equals the one that lies here, whatever happens to the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from object_store import ObjectStore, object_store
from typer.testing import CliRunner, Result

import fsbench
from fsbench import environment, remote
from fsbench.cli import app
from fsbench.errors import FsbenchError, OutputError, RemoteError, ResultError
from fsbench.harness import illustrations, run_urls
from fsbench.harness.run_lock import RunLock
from fsbench.remote import Objects
from fsbench.results import load

Photograph = Callable[..., None]
PASSING = ("created", "seconds", "command", "environment")  # what two runs of one plan differ in


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/there"


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "PAUSES", (0.05, 0.1))
        patch.setattr(run_urls, "EVERY", 0.05)
        patch.setattr(illustrations, "TABLES", {"lookalikes.parquet": illustrations.lookalikes})  # umap is slow
        yield


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Be another machine, whose cache is at a URL."""

    def become(name: str, cache: str) -> None:
        monkeypatch.setenv("FSBENCH_CACHE", cache)
        monkeypatch.setenv("FSBENCH_CACHE_LOCAL", str(tmp_path / f"machine {name}"))

    return become


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, photograph: Photograph) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for k, name in enumerate(("ann", "bob", "eve")):
        for i in range(4):
            photograph(folder / "people" / name / f"s{i // 2}" / f"{i}.png", name, 10 * k + i)
    for i in range(3):
        photograph(folder / "targets" / f"{i}.png", "eve", 100 + i)
        photograph(folder / "swap" / f"ann_{i}.png", "ann", 200 + i)
    return folder


def call(*arguments: str | Path) -> Result:
    """Run a command; an error is raised as it is."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def score(folders: Path, out: str | Path, *more: str | Path) -> Result:
    inputs = ("--target", folders / "targets", "--source", folders / "people", "--outputs", f"mine={folders / 'swap'}")
    settings = ("--judges", "colour", "--metrics", "id_similarity,background", "--size", "64")
    return call("score", *inputs, *settings, "--out", out, *more)


def content(folder: Path) -> dict[str, Any]:
    """What a run says, without what passes."""
    raw: dict[str, Any] = json.loads(load(folder).model_dump_json())
    for model in raw["models"]:
        del model["swap_seconds"]
    return {name: value for name, value in raw.items() if name not in PASSING}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def here(
    folders: Path, tmp_path_factory: pytest.TempPathFactory, painted_now: Callable[[], AbstractContextManager[None]]
) -> Path:
    """The same score in a folder, with a cache in a folder."""
    place = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch, painted_now():
        patch.setenv("FSBENCH_CACHE", str(place / "cache"))
        assert score(folders, place / "out").exit_code == 0
    return place / "out"


@pytest.mark.parametrize("protocol", ["s3", "file"])
def test_a_score_at_a_url_equals_the_one_here(
    here: Path, folders: Path, url: str, protocol: str, server: ObjectStore, machine: Callable[[str, str], None]
) -> None:
    url = f"{server.bucket()}/there" if protocol == "s3" else url
    machine("one", f"{url}/cache")
    done = score(folders, f"{url}/out")
    assert done.exit_code == 0, done.output
    assert f"sent to {url}/out" in done.stdout
    assert set(Objects(f"{url}/out").listed()) == names(here)
    machine("two", f"{url}/cache")
    run = fsbench.load(f"{url}/out")
    assert content(run.folder) == content(here)
    assert names(run.folder) == names(here)
    for table in ("samples.parquet", "references.parquet", "lookalikes.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(run.folder / table), pd.read_parquet(here / table))
    assert run.report().parent == run.folder


def test_what_one_machine_computed_another_finds(
    folders: Path, url: str, machine: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("one", f"{url}/cache")
    score(folders, f"{url}/one")
    machine("two", f"{url}/cache")
    monkeypatch.setattr("fsbench.extraction.features._embed_block", lambda *_: pytest.fail("it is there"))
    monkeypatch.setattr("fsbench.harness.summarise.measure", lambda *_: pytest.fail("it is there"))
    assert score(folders, f"{url}/two").exit_code == 0
    assert content(fsbench.load(f"{url}/two").folder) == content(fsbench.load(f"{url}/one").folder)


def test_commands_read_urls(folders: Path, url: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        score(folders, f"{url}/{name}")
    shown = json.loads(call("show", f"{url}/one", "--metric", "background", "--model", "mine", "--json").stdout)
    assert shown["value"] == load(fsbench.load(f"{url}/one").folder).find("mine", "background")[0].value
    assert call("compare", f"{url}/one", f"{url}/two", "--metric", "background").exit_code == 0
    assert call("report", f"{url}/one").exit_code == 0
    assert call("report", f"{url}/one", f"{url}/two", "--out", tmp_path / "both.html").exit_code == 0
    call("baseline", "save", f"{url}/one", tmp_path / "baseline.json")
    Objects(url).put(tmp_path / "baseline.json", "baseline.json")
    assert call("gate", f"{url}/two", "--baseline", f"{url}/baseline.json").exit_code in (0, 3)
    assert call("export", f"{url}/one", "--format", "csv").exit_code == 0
    assert fsbench.load(f"{url}/one").compare(f"{url}/two", metrics="background").mismatches == []


def test_a_run_is_fetched_once_and_again_when_it_was_written_again(
    folders: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(folders, f"{url}/out")
    first, fetches, get = fsbench.load(f"{url}/out").folder, list[str](), Objects.get

    def counted(self: Objects, name: str, path: Path) -> bool:
        fetches.append(name)
        return get(self, name, path)

    monkeypatch.setattr(Objects, "get", counted)
    assert fsbench.load(f"{url}/out").folder == first
    assert fetches == []
    score(folders, f"{url}/out", "--resume")
    assert fsbench.load(f"{url}/out").folder != first


def test_the_result_is_sent_last(folders: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, put = list[str](), Objects.put

    def noted(self: Objects, path: Path, name: str) -> None:
        sent.append(name)
        put(self, path, name)

    monkeypatch.setattr(Objects, "put", noted)
    score(folders, f"{url}/out")
    assert sent[0] == "plan.json"
    assert sent[-1] == "result.json"
    assert sent.count("result.json") == 1


@pytest.mark.parametrize(("at", "wiped"), [(3, True), (12, False), (30, True)])
def test_a_store_that_is_restarted_loses_nothing(
    here: Path,
    folders: Path,
    server: ObjectStore,
    machine: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    wiped: bool,
) -> None:
    """It is stopped when so many objects were sent, and comes back at its old place, empty or not."""
    url, sent, put = f"{server.bucket()}/there", list[str](), Objects.put

    def counted(self: Objects, path: Path, name: str) -> None:
        sent.append(name)
        if len(sent) == at:
            server.stop_until_missed(monkeypatch, wiped=wiped)
        put(self, path, name)

    monkeypatch.setattr(Objects, "put", counted)
    machine("one", f"{url}/cache")
    done = score(folders, f"{url}/out")
    assert done.exit_code == 0, done.output
    assert "answers again" in done.stderr
    assert set(Objects(f"{url}/out").listed()) == names(here)
    machine("two", f"{url}/cache")
    assert content(fsbench.load(f"{url}/out").folder) == content(here)
    assert score(folders, f"{url}/again").exit_code == 0
    assert content(fsbench.load(f"{url}/again").folder) == content(here)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
def test_a_run_that_could_not_be_sent_is_resumed(
    here: Path,
    folders: Path,
    server: ObjectStore,
    machine: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: bool,
) -> None:
    url, finish = f"{server.bucket()}/there", run_urls._Upload._finish
    machine("one", f"{url}/cache")

    def away(self: Any) -> None:
        self._objects.patience = 0.2
        server.stop()
        finish(self)

    monkeypatch.setattr(run_urls._Upload, "_finish", away)
    with pytest.raises(RemoteError, match=f"{url}/out does not answer") as error:
        score(folders, f"{url}/out")
    server.start()
    assert error.value.exit_code == 2
    assert "result.json" not in Objects(f"{url}/out").listed()
    monkeypatch.setattr(run_urls._Upload, "_finish", finish)
    with pytest.raises(OutputError, match=f"{url}/out holds a.* run"):
        score(folders, f"{url}/out")
    if elsewhere:
        machine("two", f"{url}/cache")
        with pytest.raises(OutputError, match=f"{url}/out holds an unfinished run"):
            score(folders, f"{url}/out")
    assert score(folders, f"{url}/out", "--resume").exit_code == 0
    assert content(fsbench.load(f"{url}/out").folder) == content(here)
    assert set(Objects(f"{url}/out").listed()) == names(here)


def test_what_is_there_is_not_written_over(folders: Path, url: str, machine: Callable[[str, str], None]) -> None:
    for name in ("one", "two"):
        machine(name, f"{url}/cache")
        if name == "one":
            score(folders, f"{url}/out")
        for _ in range(2):
            with pytest.raises(OutputError, match=f"--out {url}/out holds a finished run"):
                score(folders, f"{url}/out")
        with pytest.raises(OutputError, match=f"--out {url}/out holds a finished run of another plan"):
            score(folders, f"{url}/out", "--seed", "3", "--resume")
        with pytest.raises(OutputError, match="is not empty and holds no run"):
            score(folders, url)
    before = Objects(f"{url}/out").listed()
    assert "result.json" in before
    assert not any(name.startswith("out/.") for name in Objects(url).listed())


def test_a_run_is_not_finished_while_it_is_resumed(
    folders: Path, url: str, monkeypatch: pytest.MonkeyPatch, machine: Callable[[str, str], None]
) -> None:
    machine("one", f"{url}/cache")
    score(folders, f"{url}/out")
    machine("two", f"{url}/cache")
    with monkeypatch.context() as patch:
        patch.setattr(run_urls._Upload, "_finish", lambda self: self._send(results=False))
        score(folders, f"{url}/out", "--resume")
    with pytest.raises(ResultError, match=f"{url}/out holds no finished run"):
        fsbench.load(f"{url}/out")


def test_a_place_that_was_emptied_is_new(folders: Path, url: str) -> None:
    score(folders, f"{url}/out")
    for name in Objects(f"{url}/out").listed():
        Objects(f"{url}/out").remove(name)
    assert score(folders, f"{url}/out", "--seed", "3").exit_code == 0
    assert fsbench.load(f"{url}/out").result.seed == 3


def test_two_runs_do_not_mix(folders: Path, url: str) -> None:
    folder = run_urls.working_folder(f"{url}/out", environment.cache_root())
    lock = RunLock.take(folder, print)
    assert lock is not None
    (folder / ".lock").write_text("process 1 on another node")
    try:
        with pytest.raises(OutputError, match=f"--out {url}/out is being written by another run"):
            score(folders, f"{url}/out")
    finally:
        lock.release()


def test_a_tool_that_fails_is_sent_as_well(folders: Path, url: str, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "note.txt").touch()
    done = score(folders, f"{url}/out", "--outputs", f"bad={tmp_path / 'bad'}")
    assert done.exit_code == 1
    assert [model.name for model in fsbench.load(f"{url}/out").result.models if model.error] == ["bad"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3:/bucket/out", "write s3://bucket/out"),
        ("s3://me:secret@bucket/out", "credentials"),
        ("s4://bucket/out", "no storage called s4"),
        ("s3://no-such-bucket/out", "there is no such bucket"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    folders: Path, server: ObjectStore, text: str, message: str, invoke: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = invoke("score", "--outputs", folders / "swap", "--target", folders / "targets",
                            "--source", folders / "people", "--judges", "colour", "--out", text)  # fmt: skip
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert "secret" not in err


def test_credentials_stand_in_no_file(
    folders: Path, server: ObjectStore, tmp_path: Path, machine: Callable[[str, str], None]
) -> None:
    url = server.bucket()
    machine("one", f"{url}/cache")
    score(folders, f"{url}/out")
    files = [path for path in (tmp_path / "machine one").rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if b"not so secret" in path.read_bytes()]


def test_only_runs_go_to_urls(tmp_path: Path, url: str) -> None:
    with pytest.raises(FsbenchError, match="is no directory here"):
        call("calibrate", tmp_path, "--judges", "colour", "--out", url)
    with pytest.raises(FsbenchError, match="is no directory here"):
        call("validate", "--out", url)
