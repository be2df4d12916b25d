"""Tables by group, cautions, what copies win, and what every report tells of its metrics' validity."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench import report, results, validity
from fsbench.report import tables
from fsbench.report.run import read

MakeRun = Callable[..., Path]


def rewritten(folder: Path, **changes: object) -> Path:
    """Store a run's result with other fields."""
    results.save(results.load(folder).model_copy(update=changes), folder)
    return folder


def test_a_group_has_a_table_of_its_metrics_under_every_judge(make_run: MakeRun) -> None:
    folder = make_run(judges=("one", "two"))
    told = results.load(folder)
    moved = [metric.model_copy(update={"group": "realism" if metric.name == "id_target_verified" else metric.group})
             for metric in told.metrics]  # fmt: skip
    run = read(rewritten(folder, metrics=tuple(moved)))
    assert [head.column.key for head in tables.of_group(run, "realism").heads] == [
        "id_target_verified@one", "id_target_verified@two"]  # fmt: skip
    assert [head.column.key for head in tables.of_group(run, "attributes").heads] == ["pose_error"]
    likeness, accepted = tables.of_judge(run, "one")
    assert "id_target_verified@one" not in [head.column.key for head in (*likeness.heads, *accepted.heads)]
    page = report.html(run)
    assert page.index('id="realism"') < page.index('id="attributes"') < page.index('id="provenance"')


def test_what_limits_a_value_stands_below_its_table_once(make_run: MakeRun) -> None:
    folder = make_run()
    told = results.load(folder)
    few = {"caution": "unreliable: few images"}
    values = tuple(value.model_copy(update=few if value.metric == "pose_error" else {}) for value in told.values)
    page = report.html(read(rewritten(folder, values=values)))
    attributes = page[page.index('<section id="attributes"') :].partition("</section>")[0]
    assert attributes.count("1: unreliable: few images.") == 1
    assert attributes.count('href="#caution-attributes">1</a>') == len(told.models)


def test_the_error_of_an_estimator_stands_on_its_card(make_run: MakeRun) -> None:
    folder = make_run()
    told = results.load(folder)
    known = {"checked_by": "gt_pose_error", "estimator_error": 3.96, "digits": 0}
    changed = tuple(metric.model_copy(update=known if metric.name == "pose_error" else {}) for metric in told.metrics)
    page = report.html(read(rewritten(folder, metrics=changed)))
    card = page[page.index('<article id="metric-pose_error"') :].partition("</article>")[0]
    assert "4.0 degrees, what gt_pose_error gives the unchanged targets" in card


@pytest.fixture
def validation() -> validity.Validation:
    found = validity.shipped()
    assert found is not None, "fsbench validate --summary fsbench/validity.json writes it"
    return found


def test_a_metric_without_an_entry_is_not_examined_yet(make_run: MakeRun) -> None:
    folder = make_run()
    assert "Not examined yet" not in report.html(read(folder))
    result = results.load(folder)
    renamed = [metric.model_copy(update={"name": "brand_new" if metric.name == "pose_error" else metric.name})
               for metric in result.metrics]  # fmt: skip
    values = [value.model_copy(update={"metric": "brand_new" if value.metric == "pose_error" else value.metric})
              for value in result.values]  # fmt: skip
    page = report.html(read(rewritten(folder, metrics=tuple(renamed), values=tuple(values), differences=())))
    command = "fsbench validate --metrics brand_new"
    card = page[page.index('<article id="metric-brand_new"') :].partition("</article>")[0]
    assert f"Not examined yet: {command}" in card
    section = page[page.index('<section id="validity"') :].partition("</section>")[0]
    assert f"Not examined yet: brand_new (<code>{command} --update</code>)" in section


def test_the_shipped_verdicts_name_nothing_of_the_machine(validation: validity.Validation) -> None:
    text = validity.SHIPPED.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.:/])/\w+/", text)  # an absolute path, of whatever machine


def test_a_report_tells_what_its_metrics_respond_to(
    make_run: MakeRun, validation: validity.Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = read(make_run(judges=("dlib_resnet",)))
    page = report.html(run)
    card = page[page.index('<article id="metric-id_similarity"') :].partition("</article>")[0]
    assert '<a href="#validity">Validity:</a>' in card
    assert "identity_mix" in card
    matrix = page[page.index('<section id="validity"') :].partition("</section>")[0]
    assert all(fault.name in matrix for fault in validation.faults)
    assert "copy_source in id_similarity@dlib_resnet" in page[page.index('id="won-summary"') :].partition("</p>")[0]

    monkeypatch.setattr(validity, "shipped", lambda: None)
    without = report.html(run)
    assert 'id="validity"' not in without
    assert "fsbench validate --metrics id_similarity" in without
