"""A job's progress file says how far it is, costs next to nothing, and is gone where there is a result."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cost import cost, lines

from fsbench import events
from fsbench.config import Plan
from fsbench.errors import DataError, OutputError, ResultError
from fsbench.events import Events
from fsbench.harness import progress_file
from fsbench.harness.progress_file import PROGRESS_FILE, ProgressFile, load
from fsbench.harness.run_folder import RunFolder
from fsbench.harness.run_lock import LOCK_FILE


def begun(folder: Path, listener: ProgressFile) -> Events:
    job = Events(listener)
    job.tell(events.FolderChosen(folder))
    return job


def raising(error: BaseException, folder: Path, *told: events.Event) -> None:
    """Do a job that tells so much of the folder, and raises."""
    with ProgressFile() as listener:
        job = begun(folder, listener)
        for event in told:
            job.tell(event)
        raise error


WORK = events.StageBegun("work", 1)


def test_it_says_what_was_told(tmp_path: Path) -> None:
    with ProgressFile("fsbench run --resume") as listener:
        job = begun(tmp_path / "out", listener)
        job.tell(events.ModelsPlanned(("a", "b", "c\udcff")))
        assert load(tmp_path / "out") is None, "before any work nothing is left behind"
        assert not (tmp_path / "out").exists()
        job.stage("drawing")(1, 4)
        job.tell(events.ModelFinished("a", {"id_similarity@toy": 0.5, "gt_psnr": None}))
        job.tell(events.ModelFailed("c\udcff", "it raised"))
        for text in map(str, range(30)):
            job.tell(events.Warned(text))
        job.stage("training b")
        job.log("without a loss")
        told = load(tmp_path / "out")
        assert told is not None
        assert told.again == "fsbench run --resume"
        assert told.models == ("a", "b", "c\\udcff")
        assert told.finished == {"a": {"id_similarity@toy": 0.5, "gt_psnr": None}}
        assert told.failed == {"c\\udcff": "it raised"}
        assert (told.n_warnings, told.warnings[:2], len(told.warnings)) == (30, ("0", "1"), 20)
        assert told.stage is not None
        assert (told.stage.stage, told.stage.done, told.message) == ("training b", None, "without a loss")
        assert told.locked
    assert not list((tmp_path / "out").iterdir())


def test_while_a_stage_advances_it_is_written_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_file.time, "monotonic", lambda: now[0])
    written: list[float] = []
    write = ProgressFile._write

    def counted(self: ProgressFile, folder: Path) -> None:
        written.append(now[0])
        write(self, folder)

    monkeypatch.setattr(ProgressFile, "_write", counted)
    with ProgressFile() as listener:
        stage = begun(tmp_path, listener).stage("work")
        for step in range(1000):
            now[0] = step / 100  # ten seconds
            stage(step, 1000)
        assert written == [0, *range(1, 10)]


def test_it_costs_next_to_nothing(tmp_path: Path) -> None:
    """Written ten times, which takes ten seconds of a job, with 20 models of 40 values; and told 10,000 times."""
    with ProgressFile() as listener:
        job = begun(tmp_path, listener)
        job.stage("work")
        for model in range(20):
            job.tell(events.ModelFinished(f"model {model}", {f"metric {k}": 0.1 * k for k in range(40)}))

        def write() -> None:
            for _ in range(10):
                listener._write(tmp_path)

        def advance() -> None:
            stage = job.stage("steps")
            for step in range(10_000):
                stage(step, 10_000, {"loss": 0.5})

        assert cost(write, over=lines, times=3) < 1
        assert cost(advance, over=lines, times=3) < 2


@pytest.mark.parametrize(("error", "why"), [(KeyboardInterrupt(), "interrupted"), (ValueError("x"), "ValueError: x"),
                                            (DataError("no face", "add some"), "no face (add some)")])  # fmt: skip
def test_where_there_is_no_result_it_says_why(error: BaseException, why: str, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        raising(error, tmp_path, WORK)
    told = load(tmp_path)
    assert told is not None
    assert told.error == why
    assert [path.name for path in tmp_path.iterdir()] == [PROGRESS_FILE]
    RunFolder(tmp_path).check(Plan(), resume=False)  # such a folder may be used again


def test_what_a_killed_job_was_writing_is_removed(tmp_path: Path) -> None:
    for name in ("0123456789ab.77.partial", "mine.partial"):
        (tmp_path / name).write_text("half")
    with ProgressFile() as listener:
        begun(tmp_path, listener).stage("work")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.partial"]


def test_an_error_after_the_result_leaves_the_result_alone(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        raising(KeyboardInterrupt(), tmp_path, WORK, events.ResultWritten(tmp_path / "result.json"))
    assert not list(tmp_path.iterdir())


def test_what_is_refused_before_any_work_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        raising(DataError("no images"), tmp_path / "out", events.ModelsPlanned(("a",)))
    assert not (tmp_path / "out").exists()


def test_two_jobs_do_not_write_into_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ProgressFile() as listener:
        begun(tmp_path, listener).stage("work")
        monkeypatch.setattr("fsbench.harness.run_lock.own_name", lambda: "another process")
        with pytest.raises(OutputError, match="being written by another run"), ProgressFile() as second:
            begun(tmp_path, second).stage("work")
        assert {path.name for path in tmp_path.iterdir()} == {LOCK_FILE, PROGRESS_FILE}


def test_a_run_may_have_the_lock_already(tmp_path: Path) -> None:
    """As one does whose real images were all looked at before."""
    lock = RunFolder(tmp_path).begin(Plan(), None, pytest.fail)
    assert lock is not None
    with ProgressFile() as listener:
        begun(tmp_path, listener).stage("work")
        told = load(tmp_path)
        assert told is not None
        assert told.locked
    assert (tmp_path / LOCK_FILE).exists(), "it is the run that gives it back"
    lock.release()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.name)])
@pytest.mark.parametrize("name", [PROGRESS_FILE, LOCK_FILE])
def test_odd_things_in_its_place_do_not_end_a_job(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    make(tmp_path / name)
    with ProgressFile() as listener:
        job = begun(tmp_path, listener)
        job.stage("work")(1, 2)
        job.tell(events.ModelFinished("a", {}))


def test_a_folder_that_cannot_be_written_does_not_end_a_job(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with ProgressFile() as listener:
        begun(tmp_path / "file", listener).stage("work")


WHOLE = {"schema_number": 1, "process": "process 1 on x", "locked": True, "again": "", "begun": 0, "updated": 1}


@pytest.mark.parametrize("content", [
    "", "{", "[]", "null", "1", '"x"', "[" * 100_000, json.dumps(WHOLE)[:-9], json.dumps({**WHOLE, "begun": 1e400}),
    json.dumps({**WHOLE, "begun": float("nan")}), json.dumps({**WHOLE, "schema_number": 2}), "\x00",
    json.dumps({**WHOLE, "more": 1}), json.dumps({**WHOLE, "models": "a"}), json.dumps({**WHOLE, "stage": {"done": 1}}),
    json.dumps({**WHOLE, "finished": {"a": {"b": float("inf")}}}), json.dumps({**WHOLE, "n_warnings": -1}),
    json.dumps({**WHOLE, "again": "\udcff"}),
])  # fmt: skip
def test_what_is_no_progress_is_one_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / PROGRESS_FILE).write_text(content)
    with pytest.raises(ResultError, match="does not say how far the job is") as caught:
        load(tmp_path)
    assert len(caught.value.message.splitlines()) == 1


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero"),
                                  lambda path: path.symlink_to(path.name), lambda path: path.write_bytes(b"\xff\xfe"),
                                  lambda path: os.truncate(path, 2**40) if path.touch() is None else None])  # fmt: skip
def test_what_is_no_file_is_one_sentence(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / PROGRESS_FILE)
    with pytest.raises(ResultError, match="does not say how far the job is"):
        load(tmp_path)
