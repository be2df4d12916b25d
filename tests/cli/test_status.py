"""`fsbench status`: how far a job is, what became of it, and how it goes on."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fsbench import results, suites
from fsbench.harness.progress_file import PROGRESS_FILE
from fsbench.harness.run_lock import LOCK_FILE, own_name
from fsbench.harness.status import status

Invoke = Callable[..., tuple[int, str, str]]
OLD = Path(__file__).parents[1] / "old_results"

JOB = """
import sys, time
from pathlib import Path
from fsbench import events
from fsbench.harness.progress_file import ProgressFile
with ProgressFile("fsbench run --out x --resume") as listener:
    job = events.Events(listener)
    job.tell(events.FolderChosen(Path(sys.argv[1])))
    job.tell(events.ModelsPlanned(("copy_target", "gan_mask", "cyclegan")))
    job.stage("drawing")
    job.tell(events.ModelFinished("copy_target", {"id_similarity@toy": 0.25, "gt_psnr": 17.8}))
    job.tell(events.ModelFailed("cyclegan", "ValueError: no memory"))
    job.tell(events.Warned("few people"))
    stage = job.stage("training gan_mask")
    stage(100, 400, {"loss": 0.5})
    time.sleep(0.01)
    stage(200, 400, {"loss": 0.25})
    listener._write(Path(sys.argv[1]))
    print("at work", flush=True)
    sys.stdin.readline()
    if sys.argv[2:]:
        raise ValueError(sys.argv[2])
"""


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", JOB, str(folder), *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


@pytest.fixture
def job(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A job of another process in the folder `out`."""
    process = begin(tmp_path / "out")
    yield process
    process.kill()
    process.communicate()


def test_of_a_job_at_work_it_tells_how_far_it_is(invoke: Invoke, job: subprocess.Popen[str], tmp_path: Path) -> None:
    code, said, _ = invoke("status", tmp_path / "out")
    assert code == 0
    first, *rest = said.splitlines()
    assert f"at work (process {job.pid} on {platform.node()}); for " in first
    assert "last progress" in first
    assert rest[:3] == [
        "1 of 3 models are done, 1 failed",
        "  copy_target: id_similarity@toy 0.25, gt_psnr 17.8",
        "  cyclegan failed: ValueError: no memory",
    ]
    assert rest[3].startswith("training gan_mask: 200 of 400 (50 %), ")
    assert "/s, " in rest[3]
    assert rest[3].endswith("left; loss 0.25")
    assert rest[4:] == ["1 warning, the first: few people"]
    facts = json.loads(invoke("status", tmp_path / "out", "--json")[1])
    assert facts["state"] == "running"
    assert facts["finished"] == {"copy_target": {"id_similarity@toy": 0.25, "gt_psnr": 17.8}}
    assert (facts["stage"]["done"], facts["stage"]["figures"]) == (200, {"loss": 0.25})
    assert facts["stage"]["left"] > 0
    assert facts["again"] == ""


def test_a_killed_job_is_said_to_be_killed_and_how_it_goes_on(
    invoke: Invoke, job: subprocess.Popen[str], tmp_path: Path
) -> None:
    job.kill()
    job.wait()
    _, said, _ = invoke("status", tmp_path / "out")
    assert f"killed: process {job.pid} on {platform.node()} is gone, and there is no result" in said
    assert "training gan_mask: 200 of 400 (50 %)" in said
    assert said.endswith("go on with: fsbench run --out x --resume\n")


def test_a_job_that_failed_says_why(invoke: Invoke, tmp_path: Path) -> None:
    process = begin(tmp_path / "out", "the disk is gone")
    process.communicate("\n")
    _, said, _ = invoke("status", tmp_path / "out")
    assert "ended without a result: ValueError: the disk is gone" in said
    assert "go on with: " in said


def test_a_job_that_is_done_leaves_nothing(invoke: Invoke, job: subprocess.Popen[str], tmp_path: Path) -> None:
    job.communicate("\n")
    code, _, errors = invoke("status", tmp_path / "out")
    assert code == 2
    assert "holds no run of fsbench" in errors


@pytest.mark.parametrize(("change", "said"), [
    ({"process": "process 1 on elsewhere"}, "process 1 on elsewhere is on another machine, which cannot be asked"),
    ({"locked": False}, "cannot be locked"),
])  # fmt: skip
def test_where_nobody_knows_it_says_so(
    change: dict[str, Any], said: str, invoke: Invoke, job: subprocess.Popen[str], tmp_path: Path
) -> None:
    job.kill()
    job.wait()
    path = tmp_path / "out" / PROGRESS_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert said in invoke("status", tmp_path / "out")[1]
    assert json.loads(invoke("status", tmp_path / "out", "--json")[1])["state"] == "unknown"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"schema_number": 1}', b'{"schema_number": 99}'])
def test_a_damaged_file_hides_no_job(
    content: bytes, invoke: Invoke, job: subprocess.Popen[str], tmp_path: Path
) -> None:
    (tmp_path / "out" / PROGRESS_FILE).write_bytes(content)
    code, said, _ = invoke("status", tmp_path / "out")
    assert code == 0
    assert f"at work (process {job.pid} " in said
    assert "does not say how far the job is" in said
    job.kill()
    job.wait()
    code, said, _ = invoke("status", tmp_path / "out")
    assert (code, len(said.splitlines())) == (0, 1)
    assert "no process is at work, and there is no result; " in said


def test_names_from_outside_are_shown_and_never_obeyed(
    invoke: Invoke, job: subprocess.Popen[str], tmp_path: Path
) -> None:
    path = tmp_path / "out" / PROGRESS_FILE
    facts = json.loads(path.read_text())
    hostile = {"finished": {"\x1b[2J": {"a\nb": 1}}, "failed": {"[red]": "\x1b[31m"}, "warnings": ["\u202e"]}
    path.write_text(json.dumps({**facts, **hostile, "stage": {"stage": "\r", "number": 1, "figures": {"\x07": "x"}}}))
    code, said, _ = invoke("status", tmp_path / "out")
    assert code == 0
    assert not set(said) & set("\x1b\r\x07\u202e")
    assert "[red] failed: \\x1b[31m" in said


def test_a_finished_run_and_one_of_an_older_version(invoke: Invoke, tmp_path: Path) -> None:
    shutil.copy(OLD / "schema_3.json", tmp_path / results.FILE_NAME)
    _, said, _ = invoke("status", tmp_path)
    assert "finished, 20" in said
    assert "fsbench report writes it" in said
    facts = json.loads(invoke("status", tmp_path, "--json")[1])
    assert facts["state"] == "finished"
    assert len(facts["finished"]) + len(facts["failed"]) == len(facts["models"]) > 0
    (tmp_path / results.FILE_NAME).unlink()
    (tmp_path / results.PLAN_FILE).write_text("{}")
    (tmp_path / LOCK_FILE).write_text("process 1 on x")
    assert "no process is at work, and there is no result; nothing says how far" in invoke("status", tmp_path)[1]
    (tmp_path / results.FILE_NAME).write_text("{")
    code, _, errors = invoke("status", tmp_path)
    assert code == 2
    assert "cannot be read as a result" in errors


@pytest.mark.parametrize("place", ["nowhere", "", "file", "x" * 300])
def test_where_there_is_no_job_is_one_sentence(place: str, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said, errors = invoke("status", tmp_path / place)
    assert (code, said) == (2, "")
    assert "holds no run of fsbench" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("name", ["validation.json", "calibration.json"])
def test_a_finished_validation_and_calibration(name: str, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    assert f"finished: {name} is there" in invoke("status", tmp_path)[1]


def test_a_folder_of_runs_tells_of_each(invoke: Invoke, job: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    shutil.copy(OLD / "schema_3.json", tmp_path / "old" / results.FILE_NAME)
    (tmp_path / "notes").mkdir()
    said = invoke("status", tmp_path)[1]
    assert said.splitlines()[0] == f"{tmp_path}: 1 of 2 are finished"
    assert f"  {tmp_path / 'out'}: at work (process {job.pid}" in said
    assert "notes" not in said.replace(str(tmp_path), "")
    facts = json.loads(invoke("status", tmp_path, "--json")[1])
    assert facts["state"] == "running"
    assert [job["state"] for job in facts["jobs"]] == ["finished", "running"]


def suite(folder: Path, *records: suites.ExperimentRecord) -> Path:
    folder.mkdir()
    suites.save(suites.SuiteResult(name="s", command="fsbench run --suite s.toml", experiments=records), folder)
    return folder


def experiment(name: str, **fields: Any) -> suites.ExperimentRecord:
    return suites.ExperimentRecord(title=name, folder=name, baseline="copy_target", **fields)


def test_a_suite_tells_of_each_experiment(invoke: Invoke, tmp_path: Path) -> None:
    folder = suite(
        tmp_path / "suite", experiment("done", finished=True), experiment("lost", error="no file"),
        experiment("out"), experiment("later"),
    )  # fmt: skip
    (folder / "done").mkdir()
    shutil.copy(OLD / "schema_3.json", folder / "done" / results.FILE_NAME)
    process = begin(folder / "out")
    facts = json.loads(invoke("status", folder, "--json")[1])
    assert facts["state"] == "running"
    assert [job["state"] for job in facts["jobs"]] == ["finished", "failed", "running", "waiting"]
    process.kill()
    process.communicate()
    said = invoke("status", folder)[1]
    assert "1 of 4 are finished" in said
    assert "failed: no file" in said
    assert "not run yet" in said
    assert said.endswith("go on with: fsbench run --suite s.toml --resume\n")


def test_a_suite_between_two_experiments_and_one_that_is_done(invoke: Invoke, tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", experiment("lost", error="no file"), experiment("later"))
    assert json.loads(invoke("status", folder, "--json")[1])["state"] == "stopped"
    shutil.rmtree(folder)
    folder = suite(tmp_path / "suite", experiment("lost", error="no file"))
    facts = json.loads(invoke("status", folder, "--json")[1])
    assert (facts["state"], facts["again"]) == ("failed", "fsbench run --suite s.toml --resume")


def test_it_is_watched_until_nobody_is_at_work(job: subprocess.Popen[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fsbench", "status", str(tmp_path / "out"), "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["state"] == "running"
        job.kill()
        job.wait()
        states = [json.loads(line)["state"] for line in watching.stdout]
    assert watching.returncode == 0
    assert states[-2:] == ["killed", "killed"]


def test_watching_ends_with_ctrl_c_in_silence(job: subprocess.Popen[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fsbench", "status", str(tmp_path / "out"), "--watch"]
    ignored = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, ignored)
    assert watching.stdout is not None
    assert "at work" in watching.stdout.readline()
    time.sleep(0.1)
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=60)
    assert (watching.returncode, errors) == (0, "")


def test_looking_keeps_no_run_from_starting(tmp_path: Path) -> None:
    """Who looks shares the lock for a moment."""
    from fsbench.harness.run_lock import RunLock

    (tmp_path / LOCK_FILE).write_text("process 1 on x")
    code = "import sys\nfrom pathlib import Path\nfrom fsbench.harness.run_lock import holder_of\n"
    code += "print(flush=True)\nwhile True: holder_of(Path(sys.argv[1]))"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as looking:
        assert looking.stdout is not None
        looking.stdout.readline()
        for _ in range(20):
            (tmp_path / LOCK_FILE).touch()
            lock = RunLock.take(tmp_path, pytest.fail)
            assert lock is not None
            assert status(tmp_path).sentence == f"at work ({own_name()})"
            lock.release()
        looking.kill()


def test_it_brings_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "matplotlib", "scipy", "pyarrow", "PIL"}
    code = f"import sys, fsbench.harness.status, fsbench.cli.status; print(sorted({heavy} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert said.stdout == "[]\n"
