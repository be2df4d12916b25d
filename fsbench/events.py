"""What happens in a job, as events that its listeners are told: bars, lines, JSON objects, the progress file of a run.

Work tells them by `Context.stage`, `Context.log` and `Context.tell`, and knows of no listener.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from fsbench.interfaces import Progress  # brings torch

RATE_SECONDS = 30.0
"""A rate is that of the last one to two times so many seconds."""


@dataclass(frozen=True)
class Event:
    """Something that happened; `name` is what machines know it by."""

    name: ClassVar[str]

    def facts(self) -> dict[str, Any]:
        """Its fields as JSON values; a number that is not finite is null."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True)
class Message(Event):
    """A line for the reader."""

    name = "message"
    text: str


@dataclass(frozen=True)
class StageBegun(Event):
    """A stage of work, such as the training of one model; `number` tells stages of one title apart."""

    name = "stage"
    stage: str
    number: int


@dataclass(frozen=True)
class StageAdvanced(Event):
    """How far a stage is: `done` of `total`, in the stage's own unit (images, steps, seconds of a budget)."""

    name = "progress"
    stage: str
    number: int
    done: float
    total: float
    seconds: float  # since the stage began
    rate: float | None  # of `done`, per second; None until it is known
    left: float | None  # seconds
    figures: Mapping[str, float]  # losses, rates


@dataclass(frozen=True)
class FolderChosen(Event):
    """The folder that the job may write into: it has been checked."""

    name = "folder"
    folder: Path


@dataclass(frozen=True)
class ModelsPlanned(Event):
    """The models of a run in their order, baselines among them; a later one replaces it."""

    name = "models"
    models: tuple[str, ...]


@dataclass(frozen=True)
class ModelFinished(Event):
    """A model was measured; `values` are those of a summary by METRIC or METRIC@JUDGE, None for no value."""

    name = "model_finished"
    model: str
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class ModelFailed(Event):
    """A model has no values; `error` says why."""

    name = "model_failed"
    model: str
    error: str


@dataclass(frozen=True)
class Warned(Event):
    """A sentence that limits what the result says."""

    name = "warning"
    text: str


@dataclass(frozen=True)
class ResultWritten(Event):
    """The result is there, and all that the numbers need."""

    name = "result"
    path: Path


@dataclass(frozen=True)
class JobFailed(Event):
    """The job ended without its result, and how that is put right."""

    name = "error"
    text: str
    hint: str


Listener = Callable[[Event], None]


class Events:
    """Tells listeners what happens, in the order in which they are given."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners
        self._numbers = itertools.count(1)

    def tell(self, event: Event) -> None:
        """Tell all listeners of an event."""
        for listener in self._listeners:
            listener(event)

    def log(self, message: str) -> None:
        """Tell a line for the reader."""
        self.tell(Message(message))

    def stage(self, title: str) -> Progress:
        """Begin a stage; the function that is returned tells how far it is."""
        number = next(self._numbers)
        self.tell(StageBegun(title, number))
        return _Stage(self.tell, title, number)


class _Stage:
    """A Progress that knows its rate."""

    def __init__(self, tell: Listener, title: str, number: int) -> None:
        self._tell, self._title, self._number = tell, title, number
        self._begun = time.monotonic()
        self._since: tuple[float, float] | None = None  # a moment, and what was done then
        self._next = (0.0, 0.0)  # the moment that takes its place

    def __call__(self, done: float, total: float, figures: Mapping[str, float] | None = None) -> None:
        now, done, total = time.monotonic(), float(done), float(total)
        rate = self._rate(now, done)
        left = (total - done) / rate if rate else None
        self._tell(StageAdvanced(self._title, self._number, done, total, now - self._begun, rate, left, figures or {}))

    def _rate(self, now: float, done: float) -> float | None:
        """How much is done per second; None where that is not known, since what was there before came at once."""
        if self._since is None:
            self._since = self._next = (now, done)
            return None
        if now - self._next[0] >= RATE_SECONDS:
            self._since, self._next = self._next, (now, done)
        elapsed, gained = now - self._since[0], done - self._since[1]
        return gained / elapsed if elapsed > 0 and gained > 0 else None


def plain(value: Any) -> Any:
    """A value as JSON has it; a figure of a plug-in may be any number, such as a tensor's, or none."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()  # names of files may hold half a character
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Mapping):
        return {plain(str(name)): plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else None
