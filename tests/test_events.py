"""What happens in a job reaches every listener, with rates that are true and values that JSON has."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from fsbench import events
from fsbench.events import Event, Events, Message, StageAdvanced, StageBegun


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(events.time, "monotonic", clock)
    return clock


def test_listeners_are_told_in_order() -> None:
    told: list[tuple[str, Event]] = []
    job = Events(lambda event: told.append(("a", event)), lambda event: told.append(("b", event)))
    job.log("hello")
    job.stage("one")
    job.stage("one")
    assert told[:2] == [("a", Message("hello")), ("b", Message("hello"))]
    stages = [event for who, event in told if who == "a" and isinstance(event, StageBegun)]
    assert [stage.stage for stage in stages] == ["one", "one"]
    assert len({stage.number for stage in stages}) == 2, "stages of one title are told apart"


def advances(clock: Clock, calls: list[tuple[float, float]], total: float) -> list[StageAdvanced]:
    """What a stage tells that is called at these times with so much done."""
    told: list[Event] = []
    stage = Events(told.append).stage("work")
    for now, done in calls:
        clock.now = now
        stage(done, total)
    return [event for event in told if isinstance(event, StageAdvanced)]


def test_what_was_done_before_is_no_rate(clock: Clock) -> None:
    first, second = advances(clock, [(1, 900), (11, 920)], 1000)
    assert (first.rate, first.left) == (None, None)
    assert (second.rate, second.left) == (2, 40)
    assert second.seconds == 11


def test_a_rate_is_that_of_the_last_minute(clock: Clock) -> None:
    fast = [(float(now), 100.0 * now) for now in range(100)]
    slow = [(float(now), 9900.0 + now - 99) for now in range(100, 200)]
    told = advances(clock, fast + slow, 20_000)
    assert told[99].rate == pytest.approx(100)
    assert told[-1].rate == pytest.approx(1)


@pytest.mark.parametrize("calls", [[(0, 5), (0, 5)], [(0, 5), (1, 5)], [(0, 5), (1, 4)], [(0, 5), (0, 9)]])
def test_without_progress_there_is_no_rate(clock: Clock, calls: list[tuple[float, float]]) -> None:
    assert advances(clock, calls, 10)[-1].rate is None


@pytest.mark.parametrize(
    ("figure", "written"),
    [
        (0.5, 0.5), (3, 3), (math.nan, None), (-math.inf, None), (np.float32(0.25), 0.25), (np.int64(7), 7),
        (torch.tensor(2.0), 2.0), (torch.tensor(2.0, requires_grad=True).detach(), 2.0), (None, None), ("high", "high"),
        ([1.0, math.inf], [1.0, None]), ({"a": np.float64(1)}, {"a": 1}), (object, str(object)), (10**400, 10**400),
    ],
)  # fmt: skip
def test_any_figure_of_a_plugin_is_json(figure: object, written: object) -> None:
    told: list[Event] = []
    Events(told.append).stage("work")(1, 2, {"figure": figure})  # type: ignore[dict-item]
    facts = json.loads(json.dumps(told[-1].facts(), allow_nan=False))
    assert facts["figures"] == {"figure": written}


def test_a_text_that_is_no_unicode_is_written_all_the_same() -> None:
    facts = Message("photo\udcff.png").facts()
    assert facts == {"text": "photo\\udcff.png"}
    json.dumps(facts, ensure_ascii=False).encode()


@pytest.mark.parametrize(("done", "total"), [(math.nan, 1), (1, math.inf), (1, math.nan), (0, 0), (2, 1), (-1, 1)])
def test_odd_numbers_are_told_as_they_are_or_as_null(done: float, total: float) -> None:
    told: list[Event] = []
    stage = Events(told.append).stage("work")
    stage(done, total)
    stage(done, total)
    facts = json.loads(json.dumps(told[-1].facts(), allow_nan=False))
    assert facts["done"] == (done if math.isfinite(done) else None)
