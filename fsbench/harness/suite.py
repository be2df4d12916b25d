"""The service of a suite: one experiment after the other, each in a run folder of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from fsbench import results
from fsbench.config import Experiment, Suite
from fsbench.errors import OutputError
from fsbench.harness.run import run
from fsbench.harness.run_folder import RunFolder
from fsbench.interfaces import Context
from fsbench.suites import has_faults


def check(suite: Suite, out: Path, resume: bool) -> None:
    """Raise OutputError, before any work, where `out` holds something that this suite may not write over."""
    if results.holds_suite(out):
        if not resume:
            raise OutputError(
                f"--out {out} holds a suite of experiments", "add --resume to go on with it, or name another --out"
            )
        for experiment in suite.experiments:
            RunFolder(out / experiment.folder).check(experiment.plan, resume)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"--out {out} is not empty and holds no suite of experiments", "name a new directory")


def run_experiment(
    experiment: Experiment,
    out: Path,
    context: Context,
    *,
    command: str = "",
    resume: bool = False,
    members: AbstractContextManager[object] | None = None,
) -> results.RunResult:
    """Run an experiment in its folder below `out`; raises FsbenchError. `members` as in `run`.

    One that is finished is read where the run is resumed; it is run again where a model or metric of it failed.
    """
    folder = out / experiment.folder
    if resume and RunFolder(folder).is_finished(experiment.plan):
        result = results.load(folder)
        if not has_faults([result]):
            context.log("it is finished already")
            return result
    return run(experiment.plan, folder, context, command=command, resume=resume, strict=False, members=members)
