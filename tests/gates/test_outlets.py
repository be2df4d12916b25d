"""What systems show of a gate: JUnit, Markdown, annotations; whatever names hold, and however many checks there are."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from run_scores import records

from fsbench.gates.decide import Check, GateResult, State
from fsbench.gates.github import LARGEST_SUMMARY, add_summary, commands
from fsbench.gates.junit import junit
from fsbench.gates.markdown import MOST, markdown
from fsbench.gates.rules import Tier
from fsbench.gates.wording import age, headline

METRICS = {metric.name: metric for metric in records()}
HOSTILE = [
    "<script>alert(1)</script>", "a|b|c", "`x`", "@everyone", "a\nb\r\n::error::injected", "\x1b[2J\x00\x07",
    "\u202egnp", "]]>&amp;\"'", "::set-output name=x::y", "人" * 1300, "x" * 4000,
    "[a](http://b.c)", "![](x)", "www.example.com",
]  # fmt: skip


def check(state: State = "regression", tier: Tier = "critical", model: str = "swapper", reason: str = "") -> Check:
    numbers = {} if reason else {"margin": 0.01, "n": 144, "value": 0.55, "baseline_value": 0.6, "effect": -0.05,
                                 "low": -0.06, "high": -0.04, "p": 0.001, "detectable": 0.02}  # fmt: skip
    return Check(rule="id_similarity drop<=0.01", tier=tier, model=model, baseline_model=model, metric="id_similarity",
                 judge="toy", state=state, reason=reason, **numbers)  # fmt: skip


def result(*checks: Check, state: State = "regression", code: int = 1) -> GateResult:
    return GateResult(state=state, exit_code=code, run="new", baseline="b.json", baseline_created="2026-11-01",
                      age_days=12.0, checks=checks)  # fmt: skip


def test_junit_says_everything_where_gitlab_looks() -> None:
    gate = result(check(), check("pass"), check("inconclusive", "advisory"), check("inconclusive"))
    suite = ElementTree.fromstring(junit(gate, METRICS)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1"
    }  # fmt: skip
    first = suite[0]
    assert first.get("classname") == "fsbench gate.critical.swapper"
    failure = first.find("failure")
    assert failure is not None
    for part in ("regression", "id_similarity@toy 0.550", "0.600", "−0.050 [−0.060, −0.040]", "144", "12 days"):
        assert part in str(failure.text)
    skipped = suite[2].find("skipped")
    assert skipped is not None
    assert not skipped.attrib


def test_not_knowing_is_skipped_where_it_passes() -> None:
    gate = result(check("inconclusive"), state="inconclusive", code=0)
    (case,) = ElementTree.fromstring(junit(gate, METRICS)).iter("testcase")
    assert case.find("skipped") is not None
    assert case.find("error") is None
    (case,) = ElementTree.fromstring(junit(gate.model_copy(update={"exit_code": 3}), METRICS)).iter("testcase")
    assert case.find("error") is not None


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_names_everywhere(name: str) -> None:
    gate = result(check(model=name), check(reason=f"{name} fell over", model=name))
    suite = ElementTree.fromstring(junit(gate, METRICS))  # raises ParseError for what is no XML
    assert len(list(suite.iter("failure"))) == 2
    text = markdown(gate, METRICS)
    rows = [line for line in text.splitlines() if line.startswith("| ❌")]
    assert len(rows) == 2
    assert all(row.count(" | ") == 7 for row in rows)
    assert not re.search(r"<(?!/?code>)", text)
    assert not re.search(r"(?<![\w>])@\w", re.sub(r"<code>.*?</code>", "", text))
    assert "](" not in text
    assert "www.example" not in text
    for line in commands(gate, METRICS):
        assert re.fullmatch(r"::error title=[^\r\n,:]*::[^\r\n]*", line)


def test_a_comment_fits_and_says_what_is_left_out() -> None:
    text = markdown(result(*[check(model=f"{'m' * 150}{i}") for i in range(1000)]), METRICS)
    assert len(text) < 65_536
    assert len(text) > MOST / 2
    assert re.search(r"\d+ more lines are left out", text)


def test_the_worst_stands_first() -> None:
    lines = markdown(result(check("pass"), check("inconclusive"), check()), METRICS).splitlines()
    signs = [line.split("|")[1].strip() for line in lines if line.startswith("| ") and "drop" not in line][1:]
    assert signs == ["❌", "❔", "✅"]


def test_ten_annotations_of_each_kind() -> None:
    lines = commands(result(*[check()] * 25, *[check("inconclusive")] * 11), METRICS)
    assert [sum(line.startswith(f"::{level}") for line in lines) for level in ("error", "warning")] == [10, 10]
    assert "16 more" in lines[9]
    assert "2 more" in lines[-1]
    assert len(commands(result(*[check()] * 10), METRICS)) == 10


def test_a_summary_that_is_full_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    assert add_summary(path, "first")
    path.write_text("x" * (LARGEST_SUMMARY - 3))
    assert not add_summary(path, "more")
    assert path.stat().st_size == LARGEST_SUMMARY - 3


def test_the_age_of_a_baseline() -> None:
    gate = result(check())
    assert "12 days ago" in age(gate)
    assert "save a new one" in age(gate.model_copy(update={"age_days": 31.0}))
    assert "5 hours" in age(gate.model_copy(update={"age_days": 0.2}))
    assert "unknown" in age(gate.model_copy(update={"age_days": None}))
    assert headline(result(check(), check("pass"))) == "gate regression: 1 pass, 1 regression"
