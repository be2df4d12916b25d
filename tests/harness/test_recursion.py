"""Outputs fed back: what a model that darkens by one level a pass becomes, what is kept, what is left out and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.config import Plan, parse_pipeline
from fsbench.errors import NotScorable
from fsbench.evidence import recursion, references
from fsbench.evidence.recursion import FedBack
from fsbench.faces.align import TEMPLATE
from fsbench.harness import evaluation as evaluations
from fsbench.harness import passes as passes_table
from fsbench.harness.evaluation import PreparedSet
from fsbench.harness.generate import feed_of, swap_all
from fsbench.harness.instruments import Instruments
from fsbench.harness.models import Model, build, prepare_model
from fsbench.harness.pairing import make_pairs
from fsbench.harness.run import run as run_plan
from fsbench.images import ImageSet, read_image
from fsbench.interfaces import Context, DatasetInfo, EmbedderInfo, Faces, Source, Split, Swapped, Targets, Truth
from fsbench.metrics.recursion_drift import FIRST, LAST
from fsbench.registry import datasets, embedders, refiners, swappers
from fsbench.results import load

GREY, STEP, SIZE = 250, 1, 32  # levels of the toy images: a chessboard about a grey
DARKER = 4  # levels of a pass: fewer would count as no swap at all
CALLS: list[int] = []
FAILS_AT: list[int] = []  # number of the call that is interrupted


class Interrupted(KeyboardInterrupt):
    pass


class Chessboards:
    """Images of two people, all the same."""

    info = DatasetInfo(
        name="chessboards", revision="1", size=SIZE, description="-", licence="CC0-1.0", splits=("train", "test")
    )

    def faces(self, split: Split) -> Faces:
        made = contracts.toy_faces(2, sessions=6, images=3, size=SIZE)
        board = GREY + STEP * (np.indices((SIZE, SIZE)).sum(0) % 2 * 2 - 1)
        crops = ImageSet(np.broadcast_to(board[None, :, :, None], made.crops.shape).astype(np.uint8).copy())
        held_out = (made.rows["session"] >= "s2").to_numpy()
        return replace(made, crops=crops).select(held_out if split == "test" else ~held_out)

    def truth(self, source: str, targets: Faces) -> Truth:
        assert targets.masks is not None
        return Truth(targets.crops, targets.masks)


@pytest.fixture(autouse=True)
def _toys(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set, a judge, a swapper, and a detector that finds a face in everything."""
    CALLS.clear()
    FAILS_AT.clear()
    datasets.register("chessboards")(Chessboards)

    @swappers.register("fade")
    class Fade:
        """Answers with the target, some levels darker."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            CALLS.append(len(targets))
            if len(CALLS) in FAILS_AT:
                raise Interrupted
            return targets.images - DARKER / 255

    @refiners.register("brighten")
    class Brighten:
        """Makes outputs as many levels lighter."""

        def refine(self, output: Swapped, targets: Targets, source: Source) -> Tensor:
            return output.images + DARKER / 255

    @embedders.register("halves")
    class Halves:
        """Knows images by the colours of their halves."""

        info = EmbedderInfo(family="halves", dim=6, weights=(), description="-")

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(crops, (1, 2)).flatten(1)

    def everywhere(crops: ImageSet, title: str, context: Context) -> np.ndarray:
        return np.repeat((TEMPLATE * SIZE)[None], len(crops), 0)

    for module in (evaluations, references):
        monkeypatch.setattr(module, "find_landmarks", everywhere)


def plan(*models: str, metrics: tuple[str, ...] = ("id_similarity", "recursion_drift")) -> Plan:
    return Plan(dataset="chessboards", models=models, metrics=metrics, judges=("halves",), device="cpu")


def lightness(level: float) -> float:
    """CIE L* of a grey, from the definitions of sRGB and of L*."""
    return 116 * ((level / 255 + 0.055) / 1.055) ** (2.4 / 3) - 16


def difference(level: float, other: float) -> float:
    """CIEDE2000 of two greys: only the lightness is left, and a white point that is rounded (0.04 %)."""
    apart = ((lightness(level) + lightness(other)) / 2 - 50) ** 2
    return abs(lightness(level) - lightness(other)) / (1 + 0.015 * apart / (20 + apart) ** 0.5)


def evaluation_of(plan: Plan, context: Context, named: bool = True) -> PreparedSet:
    data = Chessboards()
    test = data.faces("test")
    return PreparedSet.prepare(Instruments.of(plan, context), make_pairs(data, test), test, None, context, named)


def model_of(text: str, context: Context) -> Model:
    return prepare_model(build(parse_pipeline(text), context), lambda: Chessboards().faces("train"), "auto", 0, context)


@pytest.fixture
def out(tmp_path: Path, fresh_context: Context) -> Path:
    run_plan(plan("fade", "fade+brighten"), tmp_path / "out", fresh_context)
    return tmp_path / "out"


def test_the_metric_and_the_harness_mean_the_same_passes() -> None:
    assert (recursion.PASSES[0], recursion.PASSES[-1]) == (FIRST, LAST)


def test_a_model_that_darkens_drifts_by_the_known_amount(out: Path) -> None:
    found = {value.model: value for value in load(out).find(metric="recursion_drift")}
    assert found["fade"].value == pytest.approx(difference(GREY - DARKER, GREY - 50 * DARKER), rel=5e-4)
    assert found["fade+brighten"].value == pytest.approx(0, abs=1e-6)  # refiners take part
    assert found["copy_target"].value == pytest.approx(0, abs=1e-6)
    assert (found["fade"].n_scored, found["fade"].n_total) == (8, 24)
    assert found["exact"].value is None
    assert "repeats the answers" in found["exact"].reason


def test_the_table_tells_colour_sharpness_and_identity(out: Path) -> None:
    table = pd.read_parquet(out / "recursion.parquet")
    assert table.columns.tolist() == ["model", "row", "n", "colour", "sharpness", "id_similarity@halves"]
    assert set(table["model"]) == {"copy_target", "copy_source", "alpha_paste", "fade", "fade+brighten"}
    fade = table[table["model"] == "fade"]
    assert fade.groupby("n").size().to_dict() == dict.fromkeys(recursion.PASSES, 8)
    expected = [difference(GREY - DARKER, GREY - n * DARKER) for n in fade["n"]]
    assert fade["colour"].tolist() == pytest.approx(expected, rel=5e-4)
    assert fade["sharpness"].tolist() == pytest.approx([1.0] * 32)  # the contrast is left as it is
    samples = pd.read_parquet(out / "samples.parquet").query("model == 'fade'").reset_index()
    first = fade[fade["n"] == 1]
    assert first["id_similarity@halves"].tolist() == pytest.approx(
        samples.loc[first["row"], "id_similarity@halves"].tolist()
    )


def test_images_of_every_pass_are_left_without_loss(out: Path) -> None:
    rows = pd.read_parquet(out / "recursion.parquet").query("model == 'fade'")["row"].unique()
    for row in rows:
        means = {n: read_image(out / f"recursion/fade/{row}/{n}.png").mean() for n in recursion.PASSES}
        assert means == {n: GREY - n * DARKER for n in recursion.PASSES}


def test_passes_are_made_once(tmp_path: Path, fresh_context: Context) -> None:
    run_plan(plan("fade"), tmp_path / "one", fresh_context)
    assert sum(CALLS) == 24 + 8 * 49
    run_plan(plan("fade"), tmp_path / "two", fresh_context)
    assert sum(CALLS) == 24 + 8 * 49


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, fresh_context: Context) -> None:
    FAILS_AT.append(2 + 2 + 2 * 8 + 3)  # 2 sources: outputs, 2 passes, 10 passes, and into the 50
    with pytest.raises(Interrupted):
        run_plan(plan("fade"), tmp_path / "out", fresh_context)
    CALLS.clear()
    FAILS_AT.clear()
    run_plan(plan("fade"), tmp_path / "out", fresh_context, resume=True)
    assert sum(CALLS) == 8 * 40
    assert read_image(tmp_path / "out/recursion/fade/1/50.png").mean() == GREY - 50 * DARKER


def test_a_model_that_fails_when_it_is_fed_back_is_the_one_that_failed(tmp_path: Path, fresh_context: Context) -> None:
    @swappers.register("fragile")
    class Fragile:
        """Cannot swap dark images."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            if targets.images.mean() < (GREY - 3 * DARKER) / 255:
                raise RuntimeError("too dark")
            return targets.images - DARKER / 255

    result = run_plan(plan("fade", "fragile"), tmp_path / "out", fresh_context)
    errors = {model.name: model.error for model in result.models if model.error}
    assert list(errors) == ["fragile"]
    assert "fed back its own outputs" in errors["fragile"]
    assert "too dark" in errors["fragile"]
    assert result.find("fade", "recursion_drift")[0].value is not None


def test_nothing_is_fed_back_where_no_metric_asks(tmp_path: Path, fresh_context: Context) -> None:
    run_plan(plan("fade", metrics=("skin_colour",)), tmp_path / "out", fresh_context)
    assert sum(CALLS) == 24
    assert not list((tmp_path / "out").glob("recursion*"))


def test_a_slow_model_is_fed_back_only_where_the_metric_is_named(fresh_context: Context) -> None:
    named, by_default = (evaluation_of(plan("fade"), fresh_context, named) for named in (True, False))
    model = model_of("fade", fresh_context)
    outputs, *_ = swap_all(model, named.pairs, fresh_context)
    feed = feed_of(model, fresh_context)
    left_out = by_default.extract("fade", outputs, feed, seconds=2.0)
    reason = left_out.evidence["recursion"]
    assert isinstance(reason, NotScorable)
    assert "392 swaps would take about 13 minutes" in reason.message
    assert "--metrics" in reason.message
    for asked, seconds in ((by_default, 1.0), (named, 2.0)):
        assert isinstance(asked.extract("fade", outputs, feed, seconds).evidence["recursion"], FedBack)
    measured = {name: rows for name, _, rows in by_default.measure(left_out)}
    assert measured["recursion_drift"] is reason
    assert isinstance(measured["id_similarity"], np.ndarray)


def test_files_of_another_tool_cannot_be_fed_back(fresh_context: Context) -> None:
    evaluation = evaluation_of(plan("fade"), fresh_context)
    features = evaluation.extract("files", evaluation.pairs.targets)
    measured = {name: rows for name, _, rows in evaluation.measure(features)}
    assert "only files are known" in measured["recursion_drift"].message


def rows_of(sources: int, sessions: int, images: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (f"a{source}", "b", f"s{session}", f"{source}/{session}/{image}")
            for source in range(sources)
            for session in range(sessions)
            for image in range(images)
        ],
        columns=["source", "identity", "session", "id"],
    )


@pytest.mark.parametrize(("sources", "sessions", "images"), [(2, 10, 5), (1, 8, 1), (8, 1, 3), (4, 2, 7), (3, 9, 2)])
def test_the_choice_is_even(sources: int, sessions: int, images: int) -> None:
    rows = rows_of(sources, sessions, images)
    chosen = rows.iloc[recursion.choose(rows)]
    assert len(chosen) == recursion.FED_BACK
    assert np.ptp(chosen.groupby("source").size()) <= 1
    assert chosen["source"].nunique() == sources
    assert not chosen.duplicated(["source", "session"]).any()


def test_a_session_with_many_images_counts_no_more_than_another() -> None:
    rows = pd.concat([rows_of(1, 4, 1), rows_of(1, 1, 500).assign(session="long")], ignore_index=True)
    assert recursion.choose(rows).tolist() == [0, 1, 2, 3, 35, 347]  # at 4 + 1 / 16 and 4 + 11 / 16


def test_fewer_pairs_than_wanted_are_all_fed_back() -> None:
    assert recursion.choose(rows_of(1, 1, 5)).tolist() == [0, 1, 2, 3, 4]
    assert recursion.choose(rows_of(40, 1, 2)).tolist() == sorted(set(recursion.choose(rows_of(40, 1, 2)).tolist()))
    assert len(recursion.choose(rows_of(40, 1, 2))) == recursion.FED_BACK


def test_some_of_the_pairs_keep_their_targets_and_answers() -> None:
    data = Chessboards()
    pairs = make_pairs(data, data.faces("test"))
    part = pairs.take(np.array([1, 5, 13]))
    assert part.rows["id"].tolist() == pairs.rows["id"].iloc[[1, 5, 13]].tolist()
    assert part.index.tolist() == pairs.index[[1, 5, 13]].tolist()
    assert [len(group.truth.exact) for group in part.groups] == [2, 1]
    assert len(pairs.take(np.array([20])).groups) == 1


def test_what_was_not_fed_back_is_nan_in_a_batch() -> None:
    levels = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    passes = FedBack(np.array([2, 5, 6]), {1: ImageSet(levels), 50: ImageSet(levels + 100)})
    for rows in (slice(0, 8), slice(4, 6), slice(0, 2)):
        for n, images in passes[rows].images.items():
            shown = dict(zip(range(rows.start, rows.stop), images[:, 0, 0, 0].mul(255).tolist(), strict=True))
            known = {row: value for row, value in shown.items() if not np.isnan(value)}
            base = 100 if n == 50 else 0
            there = {row: base + k for k, row in enumerate([2, 5, 6]) if rows.start <= row < rows.stop}
            assert known == pytest.approx(there)


def test_sharpness_of_a_chessboard_of_a_ramp_and_of_nothing() -> None:
    """A chessboard of +-a has the Laplacian +-8 a everywhere; a ramp has none."""
    where = torch.ones(2, 1, 40, 40)
    board = torch.from_numpy(np.indices((40, 40)).sum(0) % 2 * 2.0 - 1)
    images = torch.stack([0.5 + 0.05 * board.expand(3, -1, -1), torch.arange(40.0).expand(3, 40, -1).double() / 40])
    where[:, :, :3] = where[:, :, -3:] = where[:, :, :, :3] = where[:, :, :, -3:] = 0
    assert passes_table.sharpness(images, where).tolist() == pytest.approx([64 * 0.05**2, 0.0], abs=1e-9)
    assert passes_table.sharpness(images, torch.zeros_like(where)).isnan().all()


def test_half_the_contrast_is_a_quarter_of_the_sharpness() -> None:
    batch = contracts.toy_batch(6)
    whole, half = (passes_table.sharpness(s * batch.output + 0.1, batch.mask) for s in (1.0, 0.5))
    assert torch.allclose(half, whole / 4)
