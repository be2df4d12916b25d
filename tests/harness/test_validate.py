"""Toy metrics whose answer is known, on drawn people with known faults; nothing is known by a metric's name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import contracts, validity
from fsbench.errors import NotScorable, UnknownName, UsageError
from fsbench.faults import FAULTS
from fsbench.harness import faulty
from fsbench.harness.faulty import expected
from fsbench.harness.validate import examine, find_faults, validate
from fsbench.interfaces import Batch, Context, Metric, MetricInfo
from fsbench.validity import Validation

TINY = "synthetic(people=2,sessions=9,images=2,gallery=0,frames=4,size=48)"
FACTS = MetricInfo(unit="levels", direction="lower", bounds=(0.0, 255.0), needs=("exact",), no_face="scored",
                   reference="closed form", group="truth", measures=("detail", "geometry"))  # fmt: skip


class Distance:
    """Mean distance to the exact swap, in levels of 255."""

    info = FACTS

    def measure(self, batch: Batch) -> Tensor:
        return 255 * (batch.output - batch.exact).abs().mean((1, 2, 3))

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())


class Praise(Distance):
    """Likes what is far from the exact swap."""

    info = replace(FACTS, direction="higher")


class Names(Distance):
    """Looks at the target only."""

    info = replace(FACTS, measures=("colour",))

    def measure(self, batch: Batch) -> Tensor:
        return batch.target.mean((1, 2, 3))


class Blind(Names):
    """Says that it measures detail, and looks at the target only."""

    info = FACTS


class Hidden(Distance):
    """Means nothing here."""

    def measure(self, batch: Batch) -> Tensor:
        raise NotScorable("there is no moon on these images")


class Fed(Distance):
    """Wants outputs that were fed back."""

    info = replace(FACTS, needs=("recursion",))


class Watched(Distance):
    """Wants an observer whose files nobody has."""

    info = replace(FACTS, needs=("no_such_network",))


class Half(Distance):
    """Cannot score the second half of the faulty outputs."""

    def measure(self, batch: Batch) -> Tensor:
        rows = super().measure(batch)
        return torch.where((rows > 12) & (batch.target.mean((1, 2, 3)) > 0), torch.nan, rows)


TOYS: dict[str, Metric] = {
    "distance": Distance(), "praise": Praise(), "names": Names(), "blind_one": Blind(), "hidden": Hidden(),
    "fed": Fed(), "watched": Watched(), "half": Half(),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Validation:
    from fsbench.environment import make_context

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return examine(TOYS, ["jpeg", "noise"], ["dlib_resnet"], make_context("cpu"), dataset=TINY, budget="smoke")


def verdicts(found: Validation, metric: str) -> dict[str, str]:
    return {name: response.verdict for name, response in found.of(metric).items()}


def test_a_metric_that_measures_the_fault_responds_from_the_first_strength_on(found: Validation) -> None:
    assert verdicts(found, "distance") == {"noise": "responds", "jpeg": "responds"}
    for name, response in found.of("distance").items():
        assert response.rho == pytest.approx(1)
        assert response.detection_threshold == FAULTS[name].strengths[0]
        assert (response.steps[0].value, response.steps[0].change) == (0, 0)
        assert [step.strength for step in response.steps] == [0, *FAULTS[name].strengths]
        assert response.share is not None
        assert 0 < response.share <= 1


def test_the_value_of_noise_is_that_of_the_closed_form(found: Validation) -> None:
    """Levels that Gaussian noise of 4 moves are rounded to whole ones: mean absolute value .8 * 4 = 3.19."""
    at_4 = next(step for step in found.of("distance")["noise"].steps if step.strength == 4)
    assert at_4.value == pytest.approx(4 * np.sqrt(2 / np.pi), rel=0.02)
    assert at_4.n_scored == 8


@pytest.mark.parametrize(("metric", "verdict"), [("praise", "wrong_way"), ("names", "ignores"), ("blind_one", "blind")])
def test_the_other_answers(found: Validation, metric: str, verdict: str) -> None:
    assert verdicts(found, metric) == {"noise": verdict, "jpeg": verdict}


def test_what_cannot_be_examined_is_told_with_the_reason(found: Validation) -> None:
    reasons = {one.metric: one.reason for one in found.unexamined}
    assert set(reasons) == {"hidden", "fed", "watched"}
    assert reasons["hidden"] == "there is no moon on these images"
    assert "fed back" in reasons["fed"]
    assert "no_such_network" in reasons["watched"]
    assert set(reasons).isdisjoint(one.metric.name for one in found.metrics)


def test_strengths_at_which_too_few_are_scored_do_not_count(found: Validation) -> None:
    response = found.of("half")["noise"]
    lost = [step for step in response.steps if not step.enough_scored]
    assert [step.strength for step in lost] == [16, 32, 64]
    assert response.verdict == "responds"
    assert all(step.value is None for step in lost if step.n_scored == 0)


def test_facts_of_a_metric(found: Validation) -> None:
    one = next(one for one in found.metrics if one.metric.name == "distance")
    assert one.perfect == 0
    assert one.trivial.keys() == {"copy_target", "copy_source"}
    assert all(value is not None and value > 1 for value in one.trivial.values())
    assert one.won_by == ()
    assert one.reliability is not None
    assert one.reliability > 0.99
    assert [part.n for part in one.parts] == [2, 4, 8]
    assert one.bias is None, "a mean does not depend on how many there are"
    assert one.cost is not None
    assert (one.cost.networks, one.cost.metric > 0) == (0, True)
    praised = next(one for one in found.metrics if one.metric.name == "praise")
    assert praised.won_by == ("copy_target", "copy_source")


def test_the_file_is_read_again_and_the_summary_keeps_what_is_drawn(found: Validation, tmp_path) -> None:
    validity.save(found, tmp_path / validity.FILE_NAME)
    assert validity.load(tmp_path) == found
    text = (tmp_path / validity.FILE_NAME).read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    validity.save_summary(found, tmp_path / "small.json")
    small = validity.load(tmp_path / "small.json")
    assert verdicts(small, "praise") == verdicts(found, "praise")
    assert small == validity.summary(found)
    for short, whole in zip(small.responses, found.responses, strict=True):
        for step, full in zip(short.steps, whole.steps, strict=True):
            kept, known = ([of.value or 0.0, of.low or 0.0, of.high or 0.0] for of in (step, full))
            assert kept == pytest.approx(known, rel=1e-4, abs=0)
            assert (step.value is None, step.significant) == (full.value is None, full.significant)
            assert step.n_scored is step.change is None
    assert (tmp_path / "small.json").stat().st_size < len(text) / 2


def test_provenance(found: Validation) -> None:
    assert (found.budget, found.n_outputs, found.n_sessions) == ("smoke", {"test": 8}, {"test": 8})
    assert found.dataset.spec == TINY
    assert found.judges == (), "no judge was asked, so none is named"


def test_the_same_seed_gives_the_same_result(found: Validation, context: Context) -> None:
    again = examine({"distance": Distance()}, ["jpeg", "noise"], [], context, dataset=TINY, budget="smoke")
    assert again.of("distance") == found.of("distance")


def test_what_is_expected_follows_from_what_a_metric_says() -> None:
    mix = FAULTS["identity_mix"]
    assert mix.aspect == "identity"
    assert "colour" in mix.also
    assert expected(replace(FACTS, measures=("identity",)), mix) == "respond"
    assert expected(replace(FACTS, measures=("colour",)), mix) == "either"
    assert expected(replace(FACTS, measures=("pose",)), mix) == "ignore"


def test_names_are_checked_before_any_work(context: Context) -> None:
    assert [fault.name for fault in find_faults(["noise", "blur"])] == ["blur", "noise"]
    assert len(find_faults([])) == len(FAULTS)
    with pytest.raises(UnknownName, match="blurr") as wrong:
        find_faults(["blurr"])
    assert "did you mean blur" in wrong.value.hint
    with pytest.raises(UnknownName, match="gt_psnrr"):
        validate(["gt_psnrr"], [], [], context)
    with pytest.raises(UnknownName, match="budget"):
        validate(["gt_psnr"], [], [], context, budget="huge")


def test_a_data_set_that_cannot_be_drawn(context: Context, tmp_path) -> None:
    from fsbench.png import write_png

    for person in ("ada", "bo"):
        for session in ("s0", "s1"):
            write_png(tmp_path / person / session / "0.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UsageError, match="known faults"):
        validate(["gt_psnr"], ["blur"], [], context, dataset=f"folder:{tmp_path}")


def test_nothing_is_drawn_where_no_metric_can_be_examined(fresh_context: Context) -> None:
    with pytest.raises(NotScorable, match="fed cannot be examined: it needs outputs that were fed back"):
        examine({"fed": Fed()}, ["blur"], [], fresh_context)
    assert not (fresh_context.store.root / "synthetic").exists()


def test_faults_of_clips_and_one_of_stills(context: Context) -> None:
    """Of four people, so that each clip has one source of three: frames of one clip must not be dealt out to all."""
    data = TINY.replace("people=2", "people=4").replace("size", "seed=9,size")
    metrics = {"far": Distance(), "distance": Distance()}
    found = examine(metrics, ["jitter", "lag", "noise"], [], context, dataset=data, budget="smoke")
    assert [one.metric.name for one in found.metrics] == ["distance", "far"], "in the order that an update keeps"
    assert {fault.name: fault.split for fault in found.faults} == {"noise": "test", "jitter": "clips", "lag": "clips"}
    assert (found.n_outputs, found.n_sessions) == ({"test": 16, "clips": 32}, {"test": 16, "clips": 8})
    for name in ("jitter", "lag"):
        response = found.of("distance")[name]
        assert response.expected == "either"
        assert response.direction == 1
        assert [step.value > 0 for step in response.steps] == [False] + [True] * 6


def test_targets_are_spread_over_sessions_and_people() -> None:
    faces = contracts.toy_faces(identities=3, sessions=4, images=5, size=8)
    chosen = faces.select(faulty.spread(faces, 6)).rows
    assert chosen["identity"].value_counts().tolist() == [2, 2, 2]
    assert chosen.groupby("identity")["session"].nunique().tolist() == [2, 2, 2]
    assert len(faulty.spread(faces, 100)) == 60


def test_clips_give_consecutive_frames_around_their_blinks() -> None:
    faces = contracts.toy_faces(identities=2, sessions=2, images=6, size=8)
    blink = np.where(faces.rows["frame"] == 4, 1.0, 0.0)
    clips = replace(faces, rows=faces.rows.assign(clip="c0", blink=blink))
    chosen = clips.select(faulty.consecutive(clips, 12)).rows
    assert chosen.groupby(["identity", "session"])["frame"].apply(list).tolist() == [[3, 4, 5]] * 4
    unknown = replace(clips, rows=clips.rows.drop(columns="blink"))
    first = unknown.select(faulty.consecutive(unknown, 12)).rows
    assert first.groupby(["identity", "session"])["frame"].apply(list).tolist() == [[0, 1, 2]] * 4


class TestCheckValidity:
    """What an author of a metric runs."""

    def test_a_metric_that_keeps_its_word(self, context: Context) -> None:
        contracts.check_validity(Distance(), faults=["noise"], dataset=TINY, context=context)

    @pytest.mark.parametrize(
        ("metric", "said"),
        [
            (Blind(), "Blind does not respond to noise, though it measures detail"),
            (Praise(), "Praise calls outputs better the more there is of noise"),
            (Hidden(), "no moon"),
            (Fed(), "fed back"),
        ],
    )
    def test_one_that_does_not(self, metric: Metric, said: str, context: Context) -> None:
        with pytest.raises(AssertionError, match=said):
            contracts.check_validity(metric, faults=["noise"], dataset=TINY, context=context)
