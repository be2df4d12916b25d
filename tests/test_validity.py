"""The file of verdicts that comes with fsbench: how a metric is put into it, and what is said of one that is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsbench import registry, validity
from fsbench.errors import ResultError, UsageError
from fsbench.validity import StepRecord, UnexaminedRecord, Validation

Change = Callable[[Validation], Validation]


@pytest.fixture
def shipped() -> Validation:
    return validity.load(validity.SHIPPED)


@pytest.fixture
def file(shipped: Validation, tmp_path: Path) -> Path:
    validity.save_summary(shipped, tmp_path / "validity.json")
    return tmp_path / "validity.json"


def part(whole: Validation, name: str, new: str, judge: str | None = None) -> Validation:
    """What an examination of the metric `new` alone gives, where it answers as `name` does."""
    step = StepRecord(strength=0, n_scored=1, value=1, low=None, high=None, change=None, change_low=None,
                      change_high=None, counts=True, noticed=False)  # fmt: skip
    examined = [one for one in whole.metrics if one.metric.name == name]
    return whole.model_copy(update={
        "created": "2027-01-01T00:00:00+00:00", "command": f"fsbench validate --metrics {new} --update",
        "metrics": tuple(one.model_copy(update={"metric": one.metric.model_copy(update={"name": new}), "judge": judge})
                         for one in examined),
        "responses": tuple(one.model_copy(update={"metric": new, "judge": judge, "steps": (step,)})
                           for one in whole.responses if one.metric == name),
        "unexamined": (), "judges": (), "observers": (), "registered": (*whole.registered, new),
    })  # fmt: skip


def test_no_verdict_is_about_a_metric_that_is_gone(shipped: Validation) -> None:
    entries = {one.metric.name for one in shipped.metrics} | {one.metric for one in shipped.unexamined}
    assert entries <= set(registry.metrics.names())
    assert entries == {one.metric for one in shipped.responses} | {one.metric for one in shipped.unexamined}


def test_a_metric_has_an_entry_or_is_not_examined_yet(shipped: Validation) -> None:
    entries = {one.metric.name for one in shipped.metrics} | {one.metric for one in shipped.unexamined}
    names = [*registry.metrics.names(), "brand_new"]
    assert set(shipped.missing(names)) == set(names) - entries
    assert "brand_new" in shipped.missing(names)


def test_a_new_metric_joins_the_others(shipped: Validation, file: Path) -> None:
    before = file.read_text().splitlines()
    validity.update(file, part(shipped, "background", "brand_new"))
    after = validity.load(file)
    assert [one for one in after.metrics if one.metric.name != "brand_new"] == list(shipped.metrics)
    assert [one for one in after.responses if one.metric != "brand_new"] == list(shipped.responses)
    assert len(after.of("brand_new")) == len(shipped.faults)
    names = [one.metric.name for one in after.metrics]
    assert names == sorted(names)
    assert not any(step.n_scored for one in after.responses for step in one.steps), "a summary stays one"
    assert all(len(one.steps) == 1 for one in after.responses if one.metric == "brand_new")
    assert after.schema_number == validity.SCHEMA
    assert (after.command, after.environment) == (shipped.command, shipped.environment)
    assert [(one.metrics, one.command) for one in after.updates] == [
        (("brand_new",), "fsbench validate --metrics brand_new --update")]  # fmt: skip
    changed = set(file.read_text().splitlines()) ^ set(before)
    assert len(changed) < len(shipped.faults) + 20, "an update touches the lines of its own metrics"


def test_a_metric_that_is_examined_again_replaces_all_that_was_known(shipped: Validation, file: Path) -> None:
    validity.update(file, part(shipped, "background", "id_similarity", "elsewhere"))
    after = validity.load(file)
    assert after.of("id_similarity", "dlib_resnet") == {}
    assert len(after.of("id_similarity", "elsewhere")) == len(shipped.faults)
    assert len(after.metrics) == len(shipped.metrics)
    validity.update(file, part(shipped, "background", "id_similarity"))
    assert [one.metrics for one in validity.load(file).updates] == [("id_similarity",)]


def test_curves_stay_where_the_file_has_them(shipped: Validation, tmp_path: Path) -> None:
    validity.save(part(shipped, "background", "first"), tmp_path / "validation.json")
    validity.update(tmp_path / "validation.json", part(shipped, "gt_psnr", "second"))
    after = validity.load(tmp_path)
    assert {one.metric.name for one in after.metrics} == {"first", "second"}
    assert all(one.steps and one.steps[0].n_scored for one in after.responses)


def test_a_metric_that_cannot_be_examined_here_keeps_its_entry(shipped: Validation, file: Path) -> None:
    reasons = tuple(UnexaminedRecord(metric=name, summary="", reason="no file") for name in ("lpips", "brand_new"))
    validity.update(file, part(shipped, "background", "other").model_copy(update={"unexamined": reasons}))
    after = validity.load(file)
    assert after.of("lpips") == shipped.of("lpips") != {}
    assert {one.metric for one in after.unexamined} == {one.metric for one in shipped.unexamined} | {"brand_new"}


def dataset(**fields: object) -> Change:
    return lambda one: one.model_copy(update={"dataset": one.dataset.model_copy(update=fields)})


CHANGES: dict[str, Change] = {
    "--seed 0, not 1": lambda one: one.model_copy(update={"seed": 1}),
    "--budget short, not full": lambda one: one.model_copy(update={"budget": "full"}),
    "--faults": lambda one: one.model_copy(update={"faults": one.faults[1:]}),
    "--dataset synthetic": dataset(spec="synthetic(people=2)"),
    "another data set revision": dataset(revision="0"),
    "another ladder of faults": lambda one: one.model_copy(update={"faults": (
        one.faults[0].model_copy(update={"strengths": (1.0, 2.0)}), *one.faults[1:])}),
    "another number of outputs": lambda one: one.model_copy(update={"n_outputs": {"test": 1}}),
    "another number of resamples": lambda one: one.model_copy(update={"resamples": 7}),
    "another judge dlib_resnet": lambda one: one.model_copy(update={"judges": (
        validity.load(validity.SHIPPED).judges[0].model_copy(update={"weights": {"dlib_resnet": "0"}}),)}),
    "another observer inception": lambda one: one.model_copy(update={"observers": (
        next(known for known in validity.load(validity.SHIPPED).observers if known.name == "inception").model_copy(
            update={"weights": {"inception": "0"}}),)}),
}  # fmt: skip


@pytest.mark.parametrize("sentence", CHANGES)
def test_what_does_not_compare_is_refused(sentence: str, shipped: Validation, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(UsageError) as caught:
        validity.update(file, CHANGES[sentence](part(shipped, "background", "brand_new")))
    assert sentence in caught.value.message
    assert "\n" not in caught.value.message
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "step", [[], [0.0, 1.0, 0.9, 1.1, True], [0.0, 1.0, 0.9, 1.1, True, False, 3], [[], 1, 1, 1, 1, 1]]
)
def test_a_step_of_another_length_is_refused(step: list[object], shipped: Validation, tmp_path: Path) -> None:
    validity.save_summary(part(shipped, "background", "brand_new"), tmp_path / "validity.json")
    content = json.loads((tmp_path / "validity.json").read_text())
    assert validity.load(tmp_path / "validity.json").of("brand_new")["blur"].steps[0].strength == 0
    content["responses"][0]["steps"] = [step]
    (tmp_path / "validity.json").write_text(json.dumps(content))
    with pytest.raises(ResultError, match=r"not a valid validation: .*steps") as caught:
        validity.load(tmp_path / "validity.json")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("field", "change", "said"),
    [
        ("n_sessions", lambda splits: splits.pop("test"), "different splits"),
        ("responses", list.pop, "every metric to every fault"),
        ("responses", lambda responses: responses.append(responses[0]), "every metric to every fault"),
        ("metrics", list.pop, "every metric to every fault"),
        ("faults", lambda faults: faults[0].update(name="<b>"), "every metric to every fault"),
        ("faults", lambda faults: faults[0].update(strengths=[]), "faults.0.strengths"),
        ("metrics", lambda metrics: metrics[0].update(bias=0.5, parts=[]), "no parts"),
    ],
)
def test_records_that_contradict_each_other_are_refused(
    field: str, change: Callable[[Any], object], said: str, file: Path
) -> None:
    content = json.loads(file.read_text())
    change(content[field])
    file.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="not a valid validation") as caught:
        validity.load(file)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_an_entry_has_a_line_of_its_own(shipped: Validation, file: Path) -> None:
    lines = file.read_text().splitlines()
    assert validity.SHIPPED.read_text().splitlines() == lines, "the file is as fsbench writes it"
    entry = next(line for line in lines if line.startswith('{"metric": {"name": "background"'))
    assert json.loads(entry.rstrip(","))["metric"]["unit"] == "levels"
