"""`fsbench run --suite` for a suite of experiments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fsbench.cli import job, options, terminal
from fsbench.cli.show import print_experiment
from fsbench.errors import FsbenchError, Interrupted, OutputError, UsageError, one_line, traceback_of

if TYPE_CHECKING:
    from fsbench.config import Experiment, Suite
    from fsbench.executors import Execution
    from fsbench.suites import ExperimentRecord

OF_THE_QUESTION = ("models", "dataset")
"""Fields that may not be typed: with others, the answers would be to other questions."""


def with_options(suite: Suite, /, **typed: object) -> Suite:
    """The suite with typed options in every experiment, all names checked; raises UsageError."""
    from fsbench import names

    for name in OF_THE_QUESTION:
        if typed.get(name) is not None:
            raise UsageError(
                f"--{name} cannot be given beside a suite of experiments: its questions are about its own",
                f"change {name} in a copy of the file",
            )
    experiments = []
    for experiment in suite.experiments:
        with experiment.named_in_errors():
            plan = options.plan(experiment.plan, **typed)
            names.check(plan)
        experiments.append(experiment.with_plan(plan))
    return suite.model_copy(update={"experiments": tuple(experiments)})


def run(
    suite: Suite,
    folder: Path,
    data_root: Path | None,
    execution: Execution,
    *,
    resume: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> None:
    """Run all experiments, then write the page of the suite.

    An experiment that fails is told, and the others go on. Values are printed where it is `verbose`. Leaves with exit
    code 1 where an experiment failed, or a model, a metric or a report of one.
    """
    from fsbench import results, suites
    from fsbench.cli.summary import print_summary

    command, again = job.command_line(), job.resumed(folder)
    with job.running(again, quiet=quiet):
        import fsbench.harness.suite  # brings torch

        fsbench.harness.suite.check(suite, folder, resume)
    record = suites.begin(suite, command)
    suites.save(record, folder)
    sound = True
    for number, experiment in enumerate(suite.experiments, 1):
        if not quiet:
            terminal.line(f"experiment {number} of {len(suite.experiments)}: {experiment.title}", error=True)
        answered, whole = _run(experiment, folder, data_root, execution, command, again, resume=resume, quiet=quiet)
        record, sound = record.having(answered), sound and whole
        suites.save(record, folder)
        if not quiet:
            print_experiment(answered)
        if verbose and answered.finished:
            print_summary(results.load(folder / experiment.folder), verbose=True)
    sound = write_page(folder) and sound
    if not sound:
        raise typer.Exit(1)


def _run(
    experiment: Experiment,
    out: Path,
    data_root: Path | None,
    execution: Execution,
    command: str,
    again: str,
    *,
    resume: bool,
    quiet: bool,
) -> tuple[ExperimentRecord, bool]:
    """Run one experiment and write its report; its record, and whether all went well."""
    import fsbench.harness.suite
    from fsbench import suites
    from fsbench.store import write_text

    with job.running(again, quiet=quiet) as events:
        try:
            context = events.context(execution.device_of(experiment.plan), data_root)
            members = execution.share(experiment.plan, context, strict=False)
            result = fsbench.harness.suite.run_experiment(
                experiment, out, context, command=command, resume=resume, members=members
            )
            page, fault = job.write_report(out / experiment.folder)
        except (OutputError, Interrupted):  # of the disk and of the user, not of the experiment
            raise
        except Exception as error:  # noqa: BLE001 - whatever an experiment raises, the others go on
            if not isinstance(error, FsbenchError):
                write_text(out / f"{experiment.folder}-error.txt", traceback_of(error))
            return suites.failed(experiment, one_line(error)), False
    if page is None:
        terminal.line(f"the report of {experiment.title} could not be written ({fault})", error=True)
    return suites.answered(experiment, result), page is not None and not suites.has_faults([result])


def write_page(folder: Path) -> bool:
    """Write the page of a suite and print where it is; whether that went well."""
    from fsbench.report import suite

    page, fault = job.write_report(folder, suite.write)
    if page is None:
        terminal.line(f"the page of the suite could not be written ({fault}); the answers are in {folder}", error=True)
    else:
        terminal.line(f"report: {page}")
    return page is not None
