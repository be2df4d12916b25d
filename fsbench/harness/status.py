"""What a job does in a folder, or did: what `fsbench status` tells."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from fsbench import results, suites
from fsbench.errors import ResultError
from fsbench.files import printable
from fsbench.harness import progress_file
from fsbench.harness.progress_file import JobProgress, StageProgress
from fsbench.harness.run_lock import holder_of
from fsbench.record_types import Count, Number, Record

State = Literal["running", "finished", "failed", "killed", "stopped", "unknown", "waiting"]

OTHER_RESULTS = ("validation.json", "calibration.json")
"""Results of jobs that are no runs."""

NOBODY = "no process is at work"


class JobStatus(Record):
    """How far a job is; of a folder of several, such as a suite of experiments, the `jobs` in it."""

    folder: str
    state: State
    sentence: str  # what that means
    again: str = ""  # the command that goes on, where no process is at work
    seconds: Number | None = None  # since it began; of one that ended, until then
    age: Number | None = None  # seconds since the last progress
    models: tuple[str, ...] = ()  # that it has to do, in their order
    finished: dict[str, dict[str, Number | None]] = Field(default_factory=dict)  # values of a summary, by model
    failed: dict[str, str] = Field(default_factory=dict)  # why, by model
    stage: StageProgress | None = None  # that is at work, or was last
    message: str = ""  # the last one since that stage began
    n_warnings: Count = 0
    warnings: tuple[str, ...] = ()  # the first ones
    jobs: tuple[JobStatus, ...] = ()


def status(folder: Path) -> JobStatus:
    """Tell what a job does in its `--out` folder, or in those below; raises ResultError where there is none."""
    if results.holds_suite(folder):
        return _of_suite(folder)
    if os.path.isdir(folder):  # False also for a name that no folder can have
        job = _of_job(folder)
        below = [] if job is not None else sorted(filter(os.path.isdir, folder.glob("*")))
        jobs = [one for one in map(_of_job, below) if one is not None]
        if job is not None or jobs:
            return job or _of_several(folder, jobs)
    raise ResultError(
        f"{printable(str(folder))} holds no run of fsbench, and none is at work there",
        "name the --out directory of a run, or a folder of such; a run appears with its first stage of work",
    )


def _of_job(folder: Path) -> JobStatus | None:
    """The status of one job; None where there is none."""
    shown, holder = printable(str(folder)), holder_of(folder)
    if holder is None and os.path.isfile(folder / results.FILE_NAME):
        return _of_result(folder)
    try:
        progress, gap = progress_file.load(folder), ""
    except ResultError as error:
        progress, gap = None, f"; {error.message}"
    if holder is not None:
        sentence = f"at work ({printable(holder) or 'a process that has just begun'}){gap}"
        return _of_progress(shown, "running", sentence, progress)
    if progress is not None:
        return _of_progress(shown, *_ended(progress), progress)
    if other := next((name for name in OTHER_RESULTS if os.path.isfile(folder / name)), ""):
        return JobStatus(folder=shown, state="finished", sentence=f"finished: {other} is there{gap}")
    if gap or os.path.isfile(folder / results.PLAN_FILE):
        sentence = f"{NOBODY}, and there is no result{gap or '; nothing says how far it came'}"
        return JobStatus(folder=shown, state="stopped", sentence=sentence)
    return None


def _of_result(folder: Path) -> JobStatus:
    result = results.load(folder)
    failed = {model.name: model.error for model in result.models if model.error}
    page = "" if os.path.isfile(folder / "report.html") else "; its report is not there: fsbench report writes it"
    return JobStatus(
        folder=printable(str(folder)),
        state="finished",
        sentence=f"finished, {result.created}{page}",
        seconds=result.seconds,
        models=tuple(model.name for model in result.models if model.kind != "floor"),
        finished={model.name: {} for model in result.models if not model.error and model.kind != "floor"},
        failed=failed,
        n_warnings=len(result.warnings),
        warnings=result.warnings[: progress_file.MOST_WARNINGS],
    )


def _of_progress(folder: str, state: State, sentence: str, progress: JobProgress | None) -> JobStatus:
    if progress is None:
        return JobStatus(folder=folder, state=state, sentence=sentence)
    now = time.time()
    return JobStatus(
        folder=folder,
        state=state,
        sentence=sentence,
        again="" if state == "running" else progress.again,
        seconds=max(0.0, (now if state == "running" else progress.updated) - progress.begun),
        age=max(0.0, now - progress.updated),
        **progress.model_dump(include={"models", "finished", "failed", "stage", "message", "n_warnings", "warnings"}),
    )


def _ended(progress: JobProgress) -> tuple[State, str]:
    """Why nobody has the lock of a folder without a result."""
    if progress.error:
        return "failed", f"ended without a result: {progress.error}"
    if progress.process.rpartition(" on ")[2] != platform.node():
        return "unknown", f"{progress.process} is on another machine, which cannot be asked from here"
    if not progress.locked:
        return "unknown", f"the folder cannot be locked, so that nothing says whether {progress.process} is there"
    return "killed", f"killed: {progress.process} is gone, and there is no result"


def _of_suite(folder: Path) -> JobStatus:
    suite, jobs = suites.load(folder), []
    for experiment in suite.experiments:
        place = folder / experiment.folder
        job = _of_job(place) if not experiment.finished or holder_of(place) is not None else _of_result(place)
        if experiment.error and (job is None or job.state != "running"):
            job = JobStatus(folder=str(place), state="failed", sentence=f"failed: {experiment.error}")
        waiting = JobStatus(folder=printable(str(place)), state="waiting", sentence="not run yet")
        jobs.append(job or waiting)
    words = suite.command.split()
    again = suite.command if "--resume" in words or not words else f"{suite.command} --resume"
    return _of_several(folder, jobs, again)


def _of_several(folder: Path, jobs: Sequence[JobStatus], again: str = "") -> JobStatus:
    """The status of several jobs: that of the one at work, else that of the worst off."""
    n_finished = sum(job.state == "finished" for job in jobs)
    order: tuple[State, ...] = ("running", "killed", "unknown", "stopped", "waiting", "failed", "finished")
    state = min((job.state for job in jobs), key=order.index)
    return JobStatus(
        folder=printable(str(folder)),
        state="stopped" if state == "waiting" else state,
        sentence=f"{n_finished} of {len(jobs)} are finished" + (f", {NOBODY}" if state == "waiting" else ""),
        again="" if state in ("running", "finished") else again,
        jobs=tuple(jobs),
    )
