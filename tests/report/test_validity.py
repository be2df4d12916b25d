"""The page of a validation, and what it says of each metric."""

from __future__ import annotations

import re
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fsbench import validity
from fsbench.errors import ResultError
from fsbench.report import responses
from fsbench.report import validity as report
from fsbench.results import DatasetRecord, MetricRecord
from fsbench.validity import (
    CostRecord,
    ExaminedRecord,
    FaultRecord,
    ResponseRecord,
    StepRecord,
    SubsetRecord,
    UnexaminedRecord,
    Validation,
    Verdict,
)

STRENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
FAULTS = [
    FaultRecord(name=name, aspect=aspect, also=also, unit="px", strengths=STRENGTHS, description=f"About {name}.",
                split="test")
    for name, aspect, also in (("blur", "detail", ()), ("noise", "detail", ()), ("copy", "identity", ("colour",)))
]  # fmt: skip


def response(
    metric: str, fault: str, verdict: Verdict, judge: str | None = None, share: float | None = 0.5
) -> ResponseRecord:
    """A response whose value goes from 1 to where its verdict says."""
    slope = {"responds": 1, "turns_back": 1, "leaks": 0.5, "wrong_way": -0.7}.get(verdict, 0.0)
    if verdict == "unexamined":
        return ResponseRecord(metric=metric, judge=judge, fault=fault, expected="ignore", verdict=verdict,
                              reason="no moon")  # fmt: skip
    steps = tuple(
        StepRecord(strength=s, n_scored=20 if s < 16 else 3, value=1 + slope * s, low=1 + slope * s - 0.5,
                   high=1 + slope * s + 0.5, change=slope * s, change_low=None, change_high=None, enough_scored=s < 16,
                   significant=bool(slope and s))
        for s in (0.0, *STRENGTHS)
    )  # fmt: skip
    return ResponseRecord(
        metric=metric, judge=judge, fault=fault, verdict=verdict, steps=steps,
        expected="respond" if verdict in ("responds", "turns_back", "blind") else "ignore",
        rho=slope, rho_low=slope - 0.1, rho_high=slope, direction=1 if slope > 0 else -1 if slope < 0 else 0,
        detection_threshold=1.0 if slope else None, turning_point=4.0 if verdict == "turns_back" else None,
        change=8 * slope, effect_size=9.0 * slope, share=None if share is None else share * slope,
    )  # fmt: skip


def examined(name: str, group: str = "truth", judge: str | None = None) -> ExaminedRecord:
    return ExaminedRecord(
        metric=MetricRecord(name=name, summary=f"Summary of {name}.", unit="dB", direction="lower", digits=2,
                            no_face="-", reference="-", group=group, estimator_error=0.25),
        judge=judge, measures=("detail",), perfect=1.0, perfect_low=0.5, perfect_high=1.5,
        trivial={"copy_target": 0.5, "copy_source": None}, won_by=("copy_target",), full_scale=8.0, reliability=0.987,
        parts=(SubsetRecord(n=5, value=1.2), SubsetRecord(n=20, value=1.0)), parts_of="blur 4 px", bias=0.2,
        cost=CostRecord(networks=12.0, metric=0.3), cautions=("few",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def record() -> Validation:
    verdicts: dict[str, list[Verdict]] = {
        "sharp": ["responds", "turns_back", "ignores"],
        "<b>odd": ["blind", "leaks", "wrong_way"],
        "half": ["unexamined", "ignores", "leaks"],
    }
    metrics = [examined("sharp"), examined("<b>odd", "identity", "a(judge=1)"), examined("half", "realism")]
    return Validation(
        schema=validity.SCHEMA, created="2026-01-02T03:04:05+00:00", command="fsbench validate", seed=0, seconds=12.0,
        budget="smoke", alpha=0.05, n_outputs={"test": 20}, n_sessions={"test": 10}, resamples=100,
        environment={"python": "3.11"},
        dataset=DatasetRecord(spec="synthetic", name="synthetic", description="made-up people", revision="1",
                              licence="-", size=64, synthetic=True, content={"test": "0" * 64}, identities=()),
        judges=(), observers=(), faults=tuple(FAULTS), metrics=tuple(metrics),
        unexamined=(UnexaminedRecord(metric="gone", summary="", reason="its weights are missing"),),
        responses=tuple(
            response(one.metric.name, fault.name, verdict, one.judge, None if one.metric.name == "half" else 0.5)
            for one in metrics
            for fault, verdict in zip(FAULTS, verdicts[one.metric.name], strict=True)
        ),
        warnings=("five sessions are few",),
    )  # fmt: skip


class Tags(HTMLParser):
    """Ids, links and outside addresses of a page; fails on a tag that closes what is not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.aims: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "wbr", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("href", "src"):
                self.aims.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass


@pytest.fixture(scope="module")
def page(record: Validation) -> str:
    return report.html(record)


def test_every_metric_and_fault_stands_on_the_page(page: str, record: Validation) -> None:
    body = page[page.index("<body>") :].replace("<wbr>", "")
    for one in record.metrics:
        assert body.count(escape(one.metric.name)) > 3
    for fault in record.faults:
        assert fault.description in body
    assert "gone was not examined: its weights are missing" in body
    assert "five sessions are few" in body
    assert "no moon" in body


def test_ids_are_unique_and_every_link_leads_somewhere_on_the_page(page: str) -> None:
    tags = Tags(page)
    assert len(tags.ids) == len(set(tags.ids))
    assert all(aim.startswith("#") and aim[1:] in tags.ids for aim in tags.aims)
    assert len([aim for aim in tags.aims if "." in aim]) == 3 * 3 + 3, "nine cells and three metrics"


def test_nothing_comes_from_elsewhere_and_nothing_is_nan(page: str) -> None:
    assert not re.search(r"https?://|url\(|@import", page)
    assert not re.search(r"\b(nan|NaN|None|inf)\b", page)
    assert "<b>odd" not in page


def test_cells_are_read_without_colours(record: Validation) -> None:
    table = str(responses.matrix(record))
    cells = re.findall(r'<td class="(\w+) (\w*)" title="([^"]*)"><a[^>]*>([^<]*)</a>', table)
    assert [(verdict, text) for verdict, _, _, text in cells] == [
        ("blind", "○"), ("leaks", "! 25"), ("wrong_way", "✗ −35"),  # identity comes first
        ("unexamined", "–"), ("ignores", "·"), ("leaks", "! ×4.5"),
        ("responds", "✓ 50"), ("turns_back", "↶ 50"), ("ignores", "·"),
    ]  # fmt: skip
    assert [depth for verdict, depth, *_ in cells if verdict == "leaks"] == ["middle", "middle"]
    assert [depth for verdict, depth, *_ in cells if verdict == "responds"] == ["strong"]
    assert len({mark.sign for mark in responses.MARKS.values()}) == len(responses.MARKS)


def test_a_matrix_in_another_page_has_no_links(record: Validation) -> None:
    table = str(responses.matrix(record, linked=False))
    assert "href" not in table
    assert "✓ 50" in table


def test_a_summary_has_the_same_matrix_sentences_and_curves(record: Validation, tmp_path: Path) -> None:
    validity.save_summary(record, tmp_path / "small.json")
    small = validity.load(tmp_path / "small.json")
    assert responses.matrix(small) == responses.matrix(record)
    assert responses.for_metric(small, "sharp") == responses.for_metric(record, "sharp")
    assert report.html(small) == report.html(record)


def test_a_summary_of_before_has_no_curves(record: Validation, tmp_path: Path) -> None:
    bare = tuple(one.model_copy(update={"steps": ()}) for one in record.responses)
    validity.save_summary(record.model_copy(update={"responses": bare, "schema_number": 2}), tmp_path / "old.json")
    page = report.html(validity.load(tmp_path / "old.json"))
    assert "<polyline" in report.html(record)
    assert "<polyline" not in page
    assert "the curves' scale" not in unescape(page)
    assert "sharp" in page


def test_sentences(record: Validation) -> None:
    assert responses.for_metric(record, "sharp") == [
        "Responds to blur (ρ 1.00, from 1 px).",
        "Responds, but then turns back, to noise (after 4 px).",
        "Ignores copy.",
        "No better for the exact swap than for copy_target.",
        "From 5 outputs its value is 20 % larger than from 20.",
    ]
    odd = responses.for_metric(record, "<b>odd", "a(judge=1)")
    assert odd[:3] == [
        "Does not respond, though it should, to blur.",
        "Calls outputs better with more copy (35 % of its largest response).",
        "Is moved, though it should not be, by noise (25 % of its largest response).",
    ]
    assert responses.for_metric(record, "<b>odd", "another judge") == odd
    assert responses.for_metric(record, "gone") == ["Not examined: its weights are missing."]
    assert responses.for_metric(record, "unheard_of") == []


def test_strengths_that_do_not_count_are_not_drawn(record: Validation) -> None:
    drawn = report.curves(record, record.metrics[0])
    assert list(drawn) == ["Meant to respond to", "Meant to ignore"]
    first = drawn["Meant to respond to"][0]
    assert str(first.figure).count("<circle") == 5
    assert any("from 16 px on too few" in said for said in first.facts)


def test_the_page_is_written_beside_its_file(record: Validation, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=validity.FILE_NAME):
        report.write(tmp_path)
    validity.save(record, tmp_path / validity.FILE_NAME)
    assert report.write(tmp_path).read_text(encoding="utf-8") == report.html(validity.load(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "cannot be read"), ("[]", "no schema"), ('{"schema": 99}', "newer"), ('{"schema": 1}', "not a valid")],
)
def test_files_that_are_none(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / validity.FILE_NAME).write_text(text)
    with pytest.raises(ResultError, match=said):
        validity.load(tmp_path)


def test_no_metric_at_all(record: Validation) -> None:
    nothing = record.model_copy(update={"metrics": (), "responses": ()})
    assert "No metric could be examined" in report.html(nothing)
