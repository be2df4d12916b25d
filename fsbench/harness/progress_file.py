"""What a job has done so far, in a file of the folder that it writes into: `fsbench status` reads it.

The file is there while the job is at work, and after it was killed or failed; a result takes its place.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from fsbench.atomic import atomic_path
from fsbench.errors import OutputError, ResultError, one_line
from fsbench.events import (
    Event,
    FolderChosen,
    Message,
    ModelFailed,
    ModelFinished,
    ModelsPlanned,
    ResultWritten,
    StageAdvanced,
    StageBegun,
    Warned,
    plain,
)
from fsbench.files import first_problem, printable, read
from fsbench.harness.run_lock import RunLock, holder_of, own_name
from fsbench.record_types import Count, Facts, Number, Record
from fsbench.results import refuse_constant

PROGRESS_FILE = ".progress.json"
EVERY_SECONDS = 1.0
"""How often the file is written while a stage advances."""

LARGEST_FILE = 2**24
LEFT_BEHIND = f"{'[0-9a-f]' * 12}.*.partial"
"""Names of files that a killed process was writing (`fsbench.atomic`)."""

MOST_WARNINGS = 20
"""That the file holds; all are counted."""


Finite = Annotated[float, Field(allow_inf_nan=False)]


class StageProgress(Record):
    """The stage that was at work last, as `fsbench.events.StageAdvanced` has it."""

    stage: str
    number: int
    done: Finite | None = None
    total: Finite | None = None
    seconds: Finite | None = None
    rate: Finite | None = None
    left: Finite | None = None
    figures: Facts = Field(default_factory=dict)


class JobProgress(Record):
    """What a job has done so far."""

    schema_number: Literal[1]
    process: str
    locked: bool  # whether the lock of the folder tells that the process is there
    again: str  # the command that goes on, "" where there is none
    begun: Number  # seconds since 1970, as the next field
    updated: Number
    models: tuple[str, ...] = ()
    finished: dict[str, dict[str, Number | None]] = Field(default_factory=dict)  # values of a summary, by model
    failed: dict[str, str] = Field(default_factory=dict)  # why, by model
    n_warnings: Count = 0
    warnings: tuple[str, ...] = ()
    stage: StageProgress | None = None
    message: str = ""  # the last one since that stage began
    error: str = ""  # why the job ended without a result


def load(folder: Path) -> JobProgress | None:
    """Read the progress file of a folder, None where there is none; raises ResultError for what is no such file."""
    path = folder / PROGRESS_FILE
    try:
        raw = json.loads(read(path, LARGEST_FILE), parse_constant=refuse_constant)
        json.dumps(raw, ensure_ascii=False).encode("utf-8")  # half a pair of surrogates is no text that can be shown
        return JobProgress.model_validate(raw)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else one_line(error)
        raise ResultError(
            f"{printable(str(path))} does not say how far the job is: {printable(reason)[:200]}",
            "it is damaged, or of another version of fsbench; a job that goes on writes it anew",
        ) from error


class ProgressFile:
    """A listener that keeps the progress file and the lock of the folder that a job chose, for a `with` block.

    Both are there from the first stage on: what is refused before leaves nothing behind. A file that cannot be written
    is no reason to lose a job. Raises OutputError where another process has the lock.
    """

    def __init__(self, again: str = "") -> None:
        self._folder: Path | None = None
        self._at_work = self._finished = False
        self._lock: RunLock | None = None
        self._written = -math.inf  # time.monotonic()
        self._stage: StageBegun | StageAdvanced | None = None
        self._facts: dict[str, Any] = {"schema_number": 1, "process": own_name(), "again": again}
        self._facts |= {"begun": time.time(), "finished": {}, "failed": {}, "n_warnings": 0, "warnings": []}

    def __call__(self, event: Event) -> None:
        """Note an event, and write the file where it is due."""
        if isinstance(event, FolderChosen):
            self._folder = event.folder
            return
        self._note(event)
        if self._folder is None:
            return
        if not self._at_work and isinstance(event, StageBegun):
            self._at_work = True
            self._lock = RunLock.take(self._folder, lambda message: None)
            self._facts["locked"] = holder_of(self._folder) == own_name()  # a run may have taken it before
            for path in self._folder.glob(LEFT_BEHIND):
                with suppress(OSError):
                    path.unlink()
        due = not isinstance(event, StageAdvanced) or time.monotonic() >= self._written + EVERY_SECONDS
        if self._at_work and due:
            self._write(self._folder)

    def _note(self, event: Event) -> None:
        facts = self._facts
        match event:
            case Message():
                facts["message"] = event.text
            case StageBegun():
                self._stage, facts["message"] = event, ""
            case StageAdvanced():
                self._stage = event
            case ModelsPlanned():
                facts["models"] = event.models
            case ModelFinished():
                facts["finished"][event.model] = event.values
            case ModelFailed():
                facts["failed"][event.model] = event.error
            case Warned():
                facts["n_warnings"] += 1
                facts["warnings"] = [*facts["warnings"], event.text][:MOST_WARNINGS]
            case ResultWritten():
                self._finished = True

    def _write(self, folder: Path) -> None:
        stage = self._stage.facts() if self._stage is not None else None
        facts = plain({**self._facts, "stage": stage, "updated": time.time()})
        with suppress(OutputError), atomic_path(folder / PROGRESS_FILE, durable=False) as partial:
            partial.write_text(json.dumps(facts))
        self._written = time.monotonic()

    def __enter__(self) -> ProgressFile:
        """Return the listener."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Remove the file where there is a result, else keep in it why there is none; give the lock back."""
        if self._folder is None or not self._at_work:
            return
        if error is None or self._finished:
            with suppress(OSError):
                (self._folder / PROGRESS_FILE).unlink()
        else:
            self._facts["error"] = "interrupted" if isinstance(error, KeyboardInterrupt) else one_line(error)
            self._write(self._folder)
        if self._lock is not None:
            self._lock.release()
