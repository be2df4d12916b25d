"""A model is scored again and again: real images are prepared once, and values are those of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from blending import SMALL, TINY, Blend, Hide, blend
from torch import Tensor, nn

import fsbench
from fsbench.errors import (
    BadParameter,
    DataError,
    DeviceError,
    MissingData,
    NotScorable,
    PluginError,
    UnknownName,
    UsageError,
)
from fsbench.evidence import references
from fsbench.extraction import features
from fsbench.interfaces import Source, Swapped, Targets
from fsbench.registry import swappers


@pytest.mark.usefixtures("_plain_runs")
def test_values_are_those_of_a_run(evaluation: fsbench.Evaluation, registering: None, tmp_path: Path) -> None:
    swappers.register("blend")(Blend)
    run = fsbench.run("blend", SMALL, metrics=list(evaluation.metrics), out=tmp_path / "out")
    scores = evaluation(blend, "blend")
    for name in ("blend", "copy_target", "exact"):
        of_run = run.values[run.values["model"] == name].reset_index(drop=True)
        own = scores if name == "blend" else next(one for one in evaluation.baselines if one.name == name)
        pd.testing.assert_frame_equal(own.values, of_run, check_exact=True)
    samples = run.samples[run.samples["model"] == "blend"].reset_index(drop=True).drop(columns="output")
    pd.testing.assert_frame_equal(scores.samples[samples.columns], samples, check_dtype=False, check_exact=True)
    given = evaluation(torch.cat([blend(*each) for each in evaluation.batches(3)]), "blend")
    pd.testing.assert_frame_equal(given.values, scores.values, check_exact=True)


@pytest.mark.usefixtures("_plain_runs")
def test_failures_count_as_they_do_in_a_run(evaluation: fsbench.Evaluation, registering: None, tmp_path: Path) -> None:
    swappers.register("hide")(Hide)
    run = fsbench.run("hide", SMALL, metrics=list(evaluation.metrics), out=tmp_path / "out")
    scores = evaluation(Hide(), "hide")
    assert scores.record.failures["unchanged"] > 0
    assert scores.record.failures["no_face"] > 0
    pd.testing.assert_frame_equal(
        scores.values, run.values[run.values["model"] == "hide"].reset_index(drop=True), check_exact=True
    )
    assert any("failed on" in warning for warning in scores.warnings)


def test_real_images_are_prepared_once_and_nothing_is_taken_from_a_cache(
    evaluation: fsbench.Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    find = features.find_landmarks

    def counting(images: object, title: str, context: object) -> np.ndarray:
        looked.append(title)
        return find(images, title, context)

    def never(*args: object) -> None:
        raise AssertionError("the real images are enrolled again")

    for module in ("fsbench.harness.evaluation", "fsbench.evidence.references", "fsbench.harness.sets"):
        monkeypatch.setattr(f"{module}.find_landmarks", counting)
    monkeypatch.setattr(references, "enrol", never)
    swap = Blend()
    first, again = evaluation(swap, "first"), evaluation(swap, "again")
    assert looked == ["first", "first", "again", "again"], "stills and clips of the outputs, nothing else"
    assert swap.calls == 8, "two sources into stills and into clips, twice"
    assert first.scalars() == again.scalars()


def test_what_is_scored_is_computed_anew_unless_there_is_a_key(evaluation: fsbench.Evaluation, own_cache: Path) -> None:
    def files() -> dict[Path, float]:
        return {path: path.stat().st_mtime for path in own_cache.rglob("*") if path.is_file()}

    before = files()
    assert before, "what was prepared is there"
    swap = Blend()
    evaluation(swap, "step 1")
    assert files() == before, "nothing is written"
    kept = evaluation(swap, "step 1", key="of these weights")
    assert files() != before
    calls = swap.calls
    assert evaluation(swap, "step 1", key="of these weights").scalars() == kept.scalars()
    assert swap.calls == calls, "what has a key is taken from the cache"
    evaluation(swap, "step 1", key="of other weights")
    assert swap.calls == calls + 4
    evaluation(swap, "step 1")
    assert swap.calls == calls + 8, "without a key it is not"


def test_without_a_cache_nothing_is_read_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    evaluation = fsbench.Evaluation(dataset=TINY, metrics="background", cache=False, baselines=False)
    assert evaluation(blend).scalars()["background"] > 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(UsageError, match="there is no cache"):
        evaluation(blend, key="x")


def test_a_cache_that_cannot_be_written_is_told_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    with caplog.at_level(logging.INFO, "fsbench"):
        evaluation = fsbench.Evaluation(dataset=TINY, metrics="background")
    assert evaluation(blend).scalars()["background"] > 0
    assert any("without the cache" in message for message in caplog.messages)


def test_settings_of_the_process_stay(quick: fsbench.Evaluation) -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(), nn.Sigmoid())

    def swap(source: Source, targets: Targets) -> Tensor:
        assert not torch.is_grad_enabled()
        assert model.training, "the mode is the user's"
        torch.manual_seed(5)
        return model(targets.images)

    torch.manual_seed(1)
    before = torch.get_rng_state(), torch.get_num_threads(), dict(os.environ), np.random.get_state()[1].tolist()
    quick(swap)
    assert model.training
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_num_threads(), dict(os.environ), np.random.get_state()[1].tolist()) == before[1:]
    assert torch.is_grad_enabled()
    assert model[0].weight.grad is None


def test_a_model_that_keeps_tensors_of_its_first_call_can_be_trained_afterwards(quick: fsbench.Evaluation) -> None:
    class Positions(nn.Module):
        """Keeps a table that depends on the size of its input, as attention with positions does."""

        def __init__(self) -> None:
            super().__init__()
            self.weight, self.table = nn.Parameter(torch.tensor(0.5)), None

        def forward(self, images: Tensor) -> Tensor:
            if self.table is None:
                self.table = torch.ones_like(images[:1])
            return (images * self.weight * self.table).clamp(0, 1)

    model = Positions()

    def swap(source: Source, targets: Targets) -> Tensor:
        targets.images.mul_(1.0)  # in place, which is the function's own affair
        return model(targets.images)

    quick(swap)
    model(torch.rand(2, 3, 48, 48)).mean().backward()
    assert model.weight.grad is not None


SHAPES = [
    (lambda images: images[..., :32], "(N, 3, 48, 32) for (N, 3, 48, 48)"),
    (lambda images: images.permute(0, 2, 3, 1), "(N, 48, 48, 3) for (N, 3, 48, 48)"),
    (lambda images: images[:0], "(0, 3, 48, 48) for (N, 3, 48, 48)"),
    (lambda images: images[0], "(3, 48, 48) for (N, 3, 48, 48)"),
    (lambda images: (images * 255).byte(), "gave uint8"),
    (lambda images: images * 255, "values from "),
    (lambda images: images * 2 - 1, "scale or clamp them"),
    (lambda images: torch.full_like(images, torch.nan), "not finite"),
    (lambda images: images.numpy(), "gave ndarray, not a tensor"),
    (lambda images: None, "gave NoneType, not a tensor"),
    (lambda images: Swapped(images, images), "as alpha, gave"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), SHAPES, ids=[said for _, said in SHAPES])
def test_what_is_no_output_is_told(quick: fsbench.Evaluation, change: Callable, said: str) -> None:
    def swap(source: Source, targets: Targets) -> object:
        return change(targets.images)

    with pytest.raises(PluginError) as caught:
        quick(swap, "step 7")
    n = len(next(quick.batches())[1])
    assert said.replace("(N", f"({n}") in str(caught.value)
    assert "step 7" in str(caught.value)


@pytest.mark.parametrize(("change", "said"), SHAPES[:8], ids=[said for _, said in SHAPES[:8]])
def test_tensors_that_are_no_outputs_are_told(quick: fsbench.Evaluation, change: Callable, said: str) -> None:
    with pytest.raises(PluginError) as caught:
        quick(change(torch.rand(len(quick), 3, 48, 48)), "step 7")
    assert said.replace("(N", f"({len(quick)}") in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_will_do_and_gradients_are_cut(quick: fsbench.Evaluation, dtype: torch.dtype) -> None:
    outputs = torch.cat([blend(*each) for each in quick.batches()])
    exact = quick(outputs).scalars()
    other = quick(outputs.to(dtype).requires_grad_()).scalars()
    levels = {torch.float16: 0.1, torch.bfloat16: 0.6, torch.float64: 0}  # by which the type may round, of 255
    assert other["background"] == pytest.approx(exact["background"], abs=levels[dtype])


def test_what_a_function_raises_reaches_the_user(quick: fsbench.Evaluation) -> None:
    class OutOfIdeas(Exception):
        pass

    def swap(source: Source, targets: Targets) -> Tensor:
        raise OutOfIdeas("no idea")

    with pytest.raises(OutOfIdeas, match="no idea") as caught:
        quick(swap, "<b>step</b>")
    assert caught.traceback[-1].name == "swap"
    assert "<b>step</b>" in caught.value.__notes__[0]


def test_a_function_of_tensors_is_told_what_it_is_given(quick: fsbench.Evaluation) -> None:
    with pytest.raises(AttributeError, match="'Targets' object") as caught:
        quick(lambda source, targets: targets.clamp(0, 1))
    assert "targets.images" in caught.value.__notes__[0]


@pytest.mark.parametrize(("swap", "kind", "said"), [
    (5, UsageError, "a function of source and targets"),
    (lambda targets: targets, PluginError, r"is called swap\(source, targets"),
    (lambda source, targets, strength: targets, PluginError, r"is called swap\(source, targets"),
])  # fmt: skip
def test_what_cannot_be_called_is_told(
    quick: fsbench.Evaluation, swap: object, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        quick(swap)  # type: ignore[arg-type]


@pytest.mark.parametrize(("arguments", "said"), [
    ({"name": ""}, "empty name"),
    ({"batch_size": 0}, "from 1 to 64"),
    ({"batch_size": 65}, "from 1 to 64"),
])  # fmt: skip
def test_wrong_arguments_are_told(quick: fsbench.Evaluation, arguments: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        quick(blend, **arguments)


def test_a_key_is_for_functions(quick: fsbench.Evaluation) -> None:
    with pytest.raises(UsageError, match="outputs that are there already"):
        quick(torch.rand(len(quick), 3, 48, 48), key="x")


@pytest.mark.parametrize(("arguments", "kind", "said"), [
    ({"metrics": "id_similarty"}, UnknownName, "did you mean id_similarity"),
    ({"metrics": ["background", "background"]}, UsageError, "named twice"),
    ({"metrics": "mmd(sigma=0)"}, BadParameter, "sigma"),
    ({"judges": "arcfase"}, UnknownName, "arcface_mbf"),
    ({"judges": ()}, UsageError, "no judge"),
    ({"dataset": "sinthetic"}, UnknownName, "synthetic"),
    ({"device": "gpu"}, UsageError, "unknown device"),
    ({"device": "cuda:99"}, DeviceError, "cuda:99"),
    ({"max_pairs": 0}, UsageError, "max_pairs: input should be greater"),
    ({"max_pairs": "five"}, UsageError, "max_pairs: input should be a valid integer"),
    ({"pairs": "absent.csv"}, MissingData, "absent.csv"),
    ({"pairs": 5}, UsageError, "pairs: input should be a valid string"),
    ({"pairs": [("p001", "p000/s1/0")]}, UsageError, "pairs: input should be a valid string"),
    ({"pairs": pd.DataFrame({"source": ["p001"]})}, DataError, "no column 'target'"),
    ({"pairs": pd.DataFrame({"target": ["p001"]})}, DataError, "no column 'source'"),
    ({"pairs": pd.DataFrame({"source": [], "target": []})}, DataError, "no row"),
    ({"pairs": pd.DataFrame({"source": ["p001"], "id": [None]})}, DataError, "row 0: there is no held-out image"),
    ({"pairs": pd.DataFrame({"source": [1.5], "target": ["."]})}, DataError, "row 0: there is no identity '1.5'"),
    ({"resamples": 5}, UsageError, "resamples: "),
    ({"seed": -1}, UsageError, "seed: "),
])  # fmt: skip
def test_what_does_not_exist_is_told(arguments: dict, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        fsbench.Evaluation(**{"dataset": TINY, "metrics": "background", **arguments})
    assert said in str(caught.value)


def test_a_named_metric_whose_network_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path))
    with pytest.raises(NotScorable, match="fsbench weights fetch"):
        fsbench.Evaluation(dataset=TINY, metrics="lpips")


def test_targets_are_handed_over_in_batches(quick: fsbench.Evaluation) -> None:
    sizes: list[int] = []

    def swap(source: Source, targets: Targets) -> Tensor:
        sizes.append(len(targets))
        assert targets.images.shape[1:] == source.images.shape[1:] == (3, 48, 48)
        return blend(source, targets)

    whole = quick(swap)
    assert max(sizes) > 3
    sizes.clear()
    assert quick(swap, batch_size=3).scalars() == whole.scalars()
    assert max(sizes) == 3
    assert sum(sizes) == len(quick) == len(quick.pairs)


def test_pairs_say_what_goes_into_what(evaluation: fsbench.Evaluation) -> None:
    pairs = evaluation.pairs
    assert set(pairs["set"]) == {"stills", "clips"}
    assert (pairs["source"] != pairs["identity"]).all()
    sources = [source.identity for source, targets in evaluation.batches(5) for _ in range(len(targets))]
    ids = [name for _, targets in evaluation.batches(5) for name in targets.rows["id"]]
    assert sources == pairs["source"].tolist()
    assert ids == pairs["id"].tolist()


def test_so_many_pairs_are_taken_evenly(context: object) -> None:
    metrics, few = "background,tl_id", 3
    some = fsbench.Evaluation(dataset=SMALL, metrics=metrics, max_pairs=few, baselines=False)
    whole = fsbench.Evaluation(dataset=SMALL, metrics=metrics, baselines=False)
    stills, clips = (some.pairs[some.pairs["set"] == name] for name in ("stills", "clips"))
    assert len(stills) == few
    assert stills["source"].nunique() == 2
    assert len(clips.groupby(["source", "identity", "session", "clip"])) == few
    assert (clips.groupby(["source", "identity", "session", "clip"]).size() == 4).all(), "a clip is never cut"
    of_all = whole(blend).samples.set_index(["source", "id"])["background"]
    of_some = some(blend).samples.set_index(["source", "id"])["background"]
    pd.testing.assert_series_equal(of_some, of_all[of_some.index], check_exact=True)
    assert fsbench.Evaluation(dataset=SMALL, metrics=metrics, max_pairs=10_000, baselines=False).pairs.equals(
        whole.pairs
    )


def test_pairs_are_those_of_a_table(evaluation: fsbench.Evaluation, tmp_path: Path) -> None:
    own = evaluation.pairs[evaluation.pairs["source"] == evaluation.pairs["source"].iloc[0]]
    wanted = own.iloc[1:].sample(frac=1, random_state=1)
    assert set(wanted["set"]) == {"stills", "clips"}
    wanted[["source", "id"]].to_csv(tmp_path / "pairs.csv", header=["source", "target"], index=False)
    metrics = "background,id_similarity,tl_id"
    scores = {}
    for name, pairs in {"frame": wanted, "path": tmp_path / "pairs.csv"}.items():
        some = fsbench.Evaluation(dataset=SMALL, metrics=metrics, pairs=pairs, baselines=False)
        assert set(some.pairs["source"] + some.pairs["id"]) == set(wanted["source"] + wanted["id"])
        scores[name] = some(blend)
    run = fsbench.run("alpha_paste", SMALL, metrics=metrics, pairs=tmp_path / "pairs.csv", out=tmp_path / "out")
    measured = fsbench.Evaluation(dataset=SMALL, metrics=metrics, pairs=wanted)
    pasted = next(scores for scores in measured.baselines if scores.name == "alpha_paste")
    of_run = run.values[run.values["model"] == "alpha_paste"]
    pd.testing.assert_frame_equal(scores["frame"].values, scores["path"].values, check_exact=True)
    pd.testing.assert_frame_equal(pasted.values, of_run.reset_index(drop=True), rtol=0, atol=1e-9)
    assert of_run["value"].notna().all()
    few = fsbench.Evaluation(dataset=SMALL, metrics="background", pairs=run.samples.query("model == 'alpha_paste'"),
                             max_pairs=3, baselines=False)  # fmt: skip
    assert len(few.pairs) == 3
    assert set(few.pairs["id"]) <= set(wanted["id"])


def test_a_judge_of_the_coach_is_told_and_so_is_an_unknown_family(evaluation: fsbench.Evaluation) -> None:
    coached = evaluation(blend, "step", coach=["dlib", "arcface"])
    assert coached.record.coaches == ("dlib", "arcface")
    assert any("judge dlib_resnet is its coach, and flatters it" in warning for warning in coached.warnings)
    assert any("trained against arcface, and no judge is of a family" in warning for warning in coached.warnings)
    assert not any("coach" in warning for warning in evaluation(blend, "step").warnings)


def test_scalars_are_flat(evaluation: fsbench.Evaluation) -> None:
    scores = evaluation(blend)
    scalars = scores.scalars()
    value = scores.values.set_index("metric").loc["id_similarity"]
    name = "id_similarity@dlib_resnet"
    assert [scalars[name], scalars[f"{name}/low"], scalars[f"{name}/high"]] == value[["value", "low", "high"]].tolist()
    assert all(isinstance(number, float) for number in scalars.values())
    plain = scores.scalars(plain=True)
    assert plain["id_similarity_dlib_resnet/low"] == scalars[f"{name}/low"]
    assert list(plain.values()) == list(scalars.values())


def test_what_has_no_value_is_no_scalar_and_has_a_reason() -> None:
    evaluation = fsbench.Evaluation(dataset=TINY, metrics="id_topk,background", baselines=False)
    scores = evaluation(blend)
    assert set(scores.scalars()) >= {"background"}
    assert not any("id_topk" in name for name in scores.scalars())
    row = scores.values.set_index("metric").loc["id_topk"]
    assert np.isnan(row["value"])
    assert row["reason"]


def test_scores_are_compared_in_pairs(evaluation: fsbench.Evaluation) -> None:
    def worse(source: Source, targets: Targets) -> Tensor:
        return (blend(source, targets) + 0.1).clamp(0, 1)

    first, second = evaluation(blend, "first"), evaluation(worse, "second")
    change = second.compare(first).set_index("metric")
    values = [scores.values.set_index("metric")["value"] for scores in (second, first)]
    effect = change["effect"].astype(float)
    pd.testing.assert_series_equal(effect, (values[0] - values[1])[effect.index].rename("effect"))
    back = first.compare(second).set_index("metric")
    np.testing.assert_allclose(back["effect"].astype(float), -effect)
    np.testing.assert_allclose(back["p"].astype(float), change["p"].astype(float))
    assert change["p"].astype(float).between(0, 1).all()
    assert (change["low"] <= change["effect"]).all()
    assert (change["effect"] <= change["high"]).all()
    other = fsbench.Evaluation(dataset=TINY, metrics="background", baselines=False)
    with pytest.raises(UsageError, match="two evaluations"):
        first.compare(other(blend))


def test_a_notebook_is_shown_text_and_no_markup(evaluation: fsbench.Evaluation) -> None:
    scores = evaluation(blend, "<script>alert('x')</script>\n& \u202e")
    shown = scores._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "id_similarity@dlib_resnet" in shown
    assert "script" in repr(scores)
    assert SMALL.partition("(")[0] in repr(evaluation)


def test_a_data_set_may_be_an_object() -> None:
    from fsbench import contracts
    from fsbench.interfaces import DatasetInfo, Faces

    class Toys:
        """Made-up people."""

        info = DatasetInfo("toys", "1", 48, "made up", "CC0-1.0", ("train", "test"))

        def faces(self, split: str) -> Faces:
            everything = contracts.toy_faces(2, sessions=6, images=2, size=48)
            held_out = everything.rows["session"] >= "s4"
            return everything.select((held_out if split == "test" else ~held_out).to_numpy())

        def truth(self, source: str, targets: Faces) -> None:
            return None

    evaluation = fsbench.Evaluation(dataset=Toys(), metrics="background,skin_colour")  # type: ignore[arg-type]
    assert [scores.name for scores in evaluation.baselines] == ["copy_target", "copy_source", "alpha_paste"]
    assert evaluation(lambda source, targets: targets.images * 0.9).scalars()["skin_colour"] > 0
