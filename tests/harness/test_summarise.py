"""Values from rows: counts, intervals, reasons; the same for any batch size."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from fsbench import contracts
from fsbench.errors import PluginError
from fsbench.harness import records, summarise
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, MetricInfo
from fsbench.pairs import Group, Pairs
from fsbench.stats import blocks


class Brightness:
    """Mean of the output; dark outputs cannot be scored."""

    info = MetricInfo(
        unit="", direction="higher", bounds=(0, 1), needs=(), no_face="-", reference="closed form", min_samples=3
    )

    def measure(self, batch: Batch) -> torch.Tensor:
        mean = batch.output.mean((1, 2, 3))
        return torch.where(mean < 0.1, torch.nan, mean)

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())


def pairs() -> Pairs:
    faces = contracts.toy_faces(2, sessions=3, images=4, size=16)
    groups = []
    for source, target in (("toy0", "toy1"), ("toy1", "toy0")):
        index = np.flatnonzero(faces.rows["identity"] == target)
        groups.append(Group(source, faces.of(source).crops.select(slice(2)), index, faces.select(index), None))
    return Pairs(tuple(groups), "all")


def outputs(values: np.ndarray) -> ImageSet:
    return ImageSet(np.broadcast_to(values[:, None, None, None], (len(values), 16, 16, 3)).astype(np.uint8).copy())


def a_value(values: np.ndarray):
    rows = summarise.measure(Brightness(), "brightness", pairs(), outputs(values), {})
    return value_of(pairs(), rows)


def value_of(all_pairs: Pairs, rows: np.ndarray):
    return summarise.value(Brightness(), "brightness", "m", None, blocks.design(all_pairs.rows, 200, 0), rows)[0]


def test_unscorable_outputs_are_counted_and_left_out() -> None:
    value = a_value(np.r_[np.full(4, 0), np.full(20, 102)])
    assert (value.n_scored, value.n_total, value.n_clusters) == (20, 24, 5)
    assert value.value == pytest.approx(0.4)
    assert (value.low, value.high) == (pytest.approx(0.4), pytest.approx(0.4))


def test_too_few_are_null_with_a_reason() -> None:
    value = a_value(np.r_[np.full(22, 0), np.full(2, 102)])
    assert (value.value, value.low, value.n_scored) == (None, None, 2)
    assert "3 are needed" in value.reason


def test_one_session_of_an_identity_has_a_value_and_no_interval() -> None:
    value = a_value(np.r_[np.full(4, 102), np.full(8, 0), np.full(12, 102)])
    assert value.value == pytest.approx(0.4)
    assert (value.low, value.high) == (None, None)
    assert "images of one session" in value.no_interval


def test_the_batch_size_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    shades = outputs(np.linspace(40, 250, 24))
    whole = summarise.measure(Brightness(), "brightness", pairs(), shades, {})
    monkeypatch.setattr(summarise, "CHUNK", 5)
    assert np.array_equal(whole, summarise.measure(Brightness(), "brightness", pairs(), shades, {}))


def test_batches_hold_the_targets_of_their_outputs() -> None:
    everything = pairs()
    shown = list(summarise.batches(everything, outputs(np.arange(24) * 10.0), {}))
    assert [batch.source.identity for batch in shown] == ["toy0", "toy1"]
    for batch, group in zip(shown, everything.groups, strict=True):
        assert torch.equal(batch.target, group.targets.crops[:])
        assert batch.rows["id"].tolist() == group.targets.rows["id"].tolist()
    assert torch.cat([batch.output[:, 0, 0, 0] for batch in shown]).mul(255).round().tolist() == list(range(0, 240, 10))


def test_a_metric_owes_one_row_per_output() -> None:
    class Short(Brightness):
        def measure(self, batch: Batch) -> torch.Tensor:
            return torch.zeros(1)

    with pytest.raises(PluginError, match="12 outputs"):
        summarise.measure(Short(), "short", pairs(), outputs(np.arange(24.0)), {})


def test_one_image_of_each_person_has_an_interval_over_people() -> None:
    faces = contracts.toy_faces(12, sessions=1, images=1, size=16)
    index = np.arange(1, 12)
    alone = Pairs((Group("toy0", faces.of("toy0").crops.select(slice(1)), index, faces.select(index), None),), "one")
    rows = np.linspace(0.2, 0.8, 11)[:, None]
    value = value_of(alone, rows)
    assert value.resampled == "people"
    assert value.n_clusters == 11
    assert value.low is not None
    assert value.high is not None
    assert value.low < value.value < value.high


@pytest.mark.parametrize(("dark", "reason"), [(24, "none of 24 outputs could"), (23, "1 of 24 outputs could")])
def test_the_reason_counts_outputs(dark: int, reason: str) -> None:
    assert a_value(np.r_[np.full(dark, 0), np.full(24 - dark, 102)]).reason.startswith(reason)


def test_the_version_of_a_definition_is_in_the_result() -> None:
    class Sharper(Brightness):
        """Another definition."""

        info = dataclasses.replace(Brightness.info, version=3)

    assert records.metric_record("brightness", Brightness(), None).version == 1
    assert records.metric_record("brightness", Sharper(), None).version == 3


@pytest.mark.parametrize(("people", "unit"), [(9, "sessions"), (12, "sessions and sources")])
def test_sources_are_drawn_again_where_they_are_many(people: int, unit: str) -> None:
    """Some sources are harder than others: what is said of others is less certain than what is said of these."""
    n = 20 * people
    rows = pd.DataFrame({"identity": "Ada", "session": [f"s{i // people}" for i in range(n)],
                         "source": [f"p{i % people}" for i in range(n)]})  # fmt: skip
    random = np.random.default_rng(0)
    scores = random.normal(size=people)[np.arange(n) % people] + 0.1 * random.normal(size=n)
    value, _ = summarise.value(Brightness(), "brightness", "m", None, blocks.design(rows, 300, 0), scores[:, None])
    assert value.resampled == unit
    assert value.n_clusters == 20
    width = min(value.high, 1) - max(value.low, 0)
    assert (width > 0.3) is (unit != "sessions")
