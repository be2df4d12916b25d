"""A gate for GitHub: annotations through standard output, and the summary of the job."""

from __future__ import annotations

from pathlib import Path

from fsbench.files import printable
from fsbench.gates.decide import GateResult
from fsbench.gates.wording import Metrics, sentence, title

MOST = 10
"""Annotations of each kind that GitHub shows of a step."""

LARGEST_SUMMARY = 2**20
"""Bytes: a larger summary is refused as a whole."""


def commands(result: GateResult, metrics: Metrics) -> list[str]:
    """Return annotations: errors for what blocks, warnings for what else does not pass, at most MOST of each."""
    errors = [check for check in result.checks if check.blocks]
    warnings = [check for check in result.checks if check.state != "pass" and not check.blocks]
    lines = []
    for level, checks in (("error", errors), ("warning", warnings)):
        shown = checks if len(checks) <= MOST else checks[: MOST - 1]
        lines += [_command(level, title(check), f"{check.state}: {sentence(check, metrics)}") for check in shown]
        if len(shown) < len(checks):
            lines.append(_command(level, "fsbench gate", f"{len(checks) - len(shown)} more stand in the summary"))
    return lines


def _command(level: str, title: str, message: str) -> str:
    r"""A command, escaped as GitHub reads it.

    >>> _command("error", "a:b,c", "50%")
    '::error title=a%3Ab%2Cc::50%25'
    """
    return f"::{level} title={_property(printable(title)[:200])}::{_data(printable(message)[:2000])}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def add_summary(path: Path, text: str) -> bool:
    """Add a text to the summary of a job, if there is room for it; returns whether there was."""
    there = path.stat().st_size if path.exists() else 0
    if there + len(text.encode()) + 1 > LARGEST_SUMMARY:
        return False
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return True
