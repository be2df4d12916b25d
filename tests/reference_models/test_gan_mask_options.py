"""Options of gan_mask: what each brings, which do not go together, and that all of them train and are kept."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Generator, Tensor, nn

from fsbench import registry
from fsbench.contracts import toy_faces, toy_targets
from fsbench.errors import BadParameter, CheckpointError, UsageError
from fsbench.interfaces import Budget, Context, Source, silent
from fsbench.training import one_thread
from reference_models.gan_mask.data import OTHERS, domains, session_chances, training_images
from reference_models.gan_mask.learner import GanMaskLearner
from reference_models.gan_mask.losses import Adversarial, domain_confusion
from reference_models.gan_mask.model import GanMask
from reference_models.gan_mask.networks import Size, Swapnet, SwapnetShape, initialise
from reference_models.gan_mask.recipe import PUBLISHED, RECIPES, TINY, Recipe, configure

FACES = toy_faces(2, 2, 2, 64, 0)
STANDARD, SMALL = {"size": "standard"}, {"size": "tiny"}


@pytest.mark.parametrize(
    ("options", "shape", "recipe"),
    [
        (STANDARD, SwapnetShape(), PUBLISHED),
        (SMALL, SwapnetShape("tiny", "none"), TINY),
        (STANDARD | {"norm": "auto", "mixup": "auto"}, SwapnetShape(), PUBLISHED),
        ({"size": "lite", "norm": "group"}, SwapnetShape("lite", "group"), PUBLISHED),
        (SMALL | {"bottleneck": "conv"}, SwapnetShape("tiny", "none", "conv"), TINY),
        (SMALL | {"resolution": 128}, SwapnetShape("tiny", "none", resolution=128), TINY),
        (STANDARD | {"adversarial": "hinge"}, SwapnetShape(), dataclasses.replace(PUBLISHED, adversarial="hinge")),
        (STANDARD | {"mixup": 0.0}, SwapnetShape(), dataclasses.replace(PUBLISHED, mixup=0.0)),
        (  # a mixup that is asked for brings the loss whose images are mixed
            SMALL | {"mixup": 0.4},
            SwapnetShape("tiny", "none"),
            dataclasses.replace(TINY, adversarial="lsgan", mixup=0.4),
        ),
        (
            SMALL | {"mixup": 0.4, "adversarial": "vanilla"},
            SwapnetShape("tiny", "none"),
            dataclasses.replace(TINY, adversarial="vanilla", mixup=0.4),
        ),
        (  # relativistic losses have no mixtures
            STANDARD | {"adversarial": "ralsgan"},
            SwapnetShape(),
            dataclasses.replace(PUBLISHED, adversarial="ralsgan", mixup=0.0),
        ),
        (
            STANDARD | {"version": "v2"},
            SwapnetShape(norm="none", attention=False),
            dataclasses.replace(PUBLISHED, edges=1, eyes=0, alpha=1e-3, variation=0.01, schedule="v2"),
        ),
        (
            STANDARD | {"version": "v1"},
            SwapnetShape(norm="none", attention=False, mask=False),
            dataclasses.replace(
                PUBLISHED,
                adversarial="vanilla",
                adversarial_weight=0.25,
                mixup=0.1,
                edges=0,
                eyes=0,
                batch=32,
                schedule="v1",
                weight_decay=0,
                augmentation=dataclasses.replace(PUBLISHED.augmentation, rotation=20),
            ),
        ),
        (  # tiny keeps its own numbers
            SMALL | {"version": "v1"},
            SwapnetShape("tiny", "none", attention=False, mask=False),
            dataclasses.replace(TINY, adversarial="vanilla", adversarial_weight=0.25, mixup=0.1),
        ),
        (  # what is said beside a version holds
            SMALL | {"version": "v1", "adversarial": "none", "mask": True, "norm": "group"},
            SwapnetShape("tiny", "group", attention=False),
            dataclasses.replace(TINY, adversarial="none", adversarial_weight=0.25, mixup=0.1),
        ),
        (
            SMALL | {"version": "v1", "adversarial": "ralsgan"},
            SwapnetShape("tiny", "none", attention=False, mask=False),
            dataclasses.replace(TINY, adversarial="ralsgan", adversarial_weight=0.25, mixup=0.0),
        ),
        (STANDARD | {"version": "v2.2", "attention": False}, SwapnetShape(attention=False), PUBLISHED),
        (
            SMALL | {"perceptual_weights": "log"},
            SwapnetShape("tiny", "none"),
            dataclasses.replace(TINY, perceptual_weights="log"),
        ),
    ],
)
def test_what_options_say(options: dict[str, Any], shape: SwapnetShape, recipe: Recipe) -> None:
    assert configure(options) == (shape, recipe)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("mixup=0.2,adversarial=none", "adversarial=none has none"),
        ("mixup=0,adversarial=none", "adversarial=none has none"),
        ("mixup=0.2,adversarial=ralsgan", "no mixtures"),
        ("mixup=-0.1", "out of range"),
        ("mixup=1.5", "out of range"),
        ("mixup=nan", "out of range"),
        ("resolution=96", "resolution=96"),
        ("resolution=0", "resolution=0"),
        ("batch=0", "trains on nothing"),
        ("part_swaps=1.5", "out of range"),
        ("part_swaps=-1", "out of range"),
        ("part_swaps=nan", "out of range"),
        ("version=v3", "version=v3"),
        ("mask=perhaps", "mask=perhaps"),
        ("sampling=pose", "sampling=pose"),
        ("landmarks=perhaps", "landmarks=perhaps"),
        ("norm=spectral", "norm=spectral"),
        ("bottleneck=pooled", "bottleneck=pooled"),
        ("adversarial=wgan", "adversarial=wgan"),
        ("perceptual_weights=equal", "perceptual_weights=equal"),
        ("perceptual_layers=both", "perceptual_layers=both"),
    ],
)
def test_options_that_mean_nothing_are_refused(context: Context, options: str, reason: str) -> None:
    with pytest.raises(BadParameter) as caught:
        registry.swappers.build(f"gan_mask({options})", context)
    assert reason in caught.value.sentence


def test_options_are_read_from_the_command_line(context: Context) -> None:
    text = "gan_mask(size=tiny,norm=batch,bottleneck=conv,resolution=128,mixup=0.1,perceptual_weights=0.5)"
    model = registry.swappers.build(text, context)
    assert isinstance(model, GanMask)
    assert model.shape == SwapnetShape("tiny", "batch", "conv", 128)
    assert model.recipe == dataclasses.replace(TINY, adversarial="lsgan", mixup=0.1, perceptual_weights=0.5)


# ------------------------------------------------------------------------------------------------------------ training


def learner(shape: SwapnetShape, recipe: Recipe) -> GanMaskLearner:
    """One that is shown two images of each person."""
    own = [FACES.of(name).select([0, 2]) for name in FACES.identities]
    images = training_images(own, shape, recipe, torch.device("cpu"))
    return GanMaskLearner(shape, recipe, images, None, seed=0)


@pytest.mark.parametrize("n_people", [2, 3, 5])
@pytest.mark.parametrize("adversarial", ["none", "lsgan"])
def test_threads_change_no_bit_of_what_is_learnt(n_people: int, adversarial: Adversarial) -> None:
    faces = toy_faces(n_people, 2, 2, 64, 0)
    recipe = dataclasses.replace(TINY, batch=2, adversarial=adversarial)
    shape = SwapnetShape("tiny", "none")
    images = training_images([faces.of(name) for name in faces.identities], shape, recipe, torch.device("cpu"))
    alone, side_by_side = (GanMaskLearner(shape, recipe, images, None, 0, n_threads) for n_threads in (1, 2))
    assert [len(group) for group in side_by_side.groups] == [n_people // 2, n_people - n_people // 2]
    threads: set[int] = set()
    draw = side_by_side._draw

    def watched(*given: Any) -> Any:
        threads.add(threading.get_ident())
        return draw(*given)

    side_by_side._draw = watched  # type: ignore[method-assign]
    generators = [Generator().manual_seed(3) for _ in range(2)]
    with one_thread():
        for step in range(4):
            for one, generator in zip((alone, side_by_side), generators, strict=True):
                shown = one.step(step / 4, generator)
                assert set(shown) == {"pixels", "edges", "texture", "mask"} | (
                    {"fool", "critic"} if adversarial != "none" else set()
                )
    assert len(threads) > 1
    wanted, found = alone.networks.state_dict(), side_by_side.networks.state_dict()
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        (SwapnetShape("tiny", "batch"), {}),
        (SwapnetShape("tiny", "none"), {"many_to_one": True}),
        (SwapnetShape("lite", "none"), {}),
    ],
)
def test_what_is_computed_of_all_images_at_once_is_not_divided(shape: SwapnetShape, changes: dict[str, Any]) -> None:
    assert learner(shape, dataclasses.replace(TINY, **changes)).groups == [range(2)]


def without_gradient(networks: nn.Module) -> list[str]:
    return [
        name
        for name, weight in networks.named_parameters()
        if weight.grad is None or not weight.grad.isfinite().all() or not weight.grad.any()
    ]


TINY_SHAPE = SwapnetShape("tiny", "none")


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        (TINY_SHAPE, {"adversarial": "lsgan"}),
        (TINY_SHAPE, {"adversarial": "lsgan", "mixup": 0.0}),
        (TINY_SHAPE, {"adversarial": "ralsgan", "mixup": 0.0}),
        (TINY_SHAPE, {"adversarial": "vanilla"}),
        (TINY_SHAPE, {"adversarial": "hinge"}),
        (dataclasses.replace(TINY_SHAPE, bottleneck="conv"), {}),
        (dataclasses.replace(TINY_SHAPE, resolution=128), {}),
        (dataclasses.replace(TINY_SHAPE, norm="batch"), {}),
        (dataclasses.replace(TINY_SHAPE, norm="hybrid"), {}),
        (dataclasses.replace(TINY_SHAPE, landmarks=True), {"sampling": "session"}),
        (TINY_SHAPE, {"many_to_one": True}),
        (dataclasses.replace(TINY_SHAPE, mask=False), {"adversarial": "vanilla"}),
        (SwapnetShape("lite", "none", mask=False, attention=False), {"schedule": "v2"}),
        (SwapnetShape("lite", "batch", "conv", 128), {"schedule": "v2.2"}),
    ],
)
def test_gradients_reach_every_parameter(shape: SwapnetShape, changes: dict[str, Any]) -> None:
    recipe = dataclasses.replace(TINY, batch=2, half_precision=False, **changes)
    trained = learner(shape, recipe)
    before = {name: weight.detach().clone() for name, weight in trained.networks.named_parameters()}
    generator = Generator().manual_seed(0)
    for name, weight in trained.networks.named_parameters():
        if name.endswith("gamma") and weight.ndim == 0 and weight == 0:
            weight.data.fill_(0.5)  # attention begins at nothing, where its other weights have no gradient
    with one_thread():
        losses = trained.step(0.3, generator)
    assert all(bool(loss.isfinite()) for loss in losses.values())
    assert ("fool" in losses) == (recipe.adversarial != "none")
    assert ("domain" in losses) == recipe.many_to_one
    assert without_gradient(trained.networks) == []
    after = dict(trained.networks.named_parameters())
    assert [name for name, weight in before.items() if torch.equal(weight, after[name])] == []


@pytest.mark.slow
@pytest.mark.parametrize("shape", [TINY_SHAPE, dataclasses.replace(TINY_SHAPE, bottleneck="conv")])
def test_four_images_are_learnt_by_heart(shape: SwapnetShape) -> None:
    """Without augmentation the image part of the loss goes to almost nothing."""
    still = dataclasses.replace(TINY.augmentation, rotation=0, zoom=0, shift=0, warp=0, recolour=0, flip=0)
    recipe = dataclasses.replace(TINY, batch=2, half_precision=False, augmentation=still)
    trained, generator = learner(shape, recipe), Generator().manual_seed(0)
    with one_thread():
        pixels = [float(trained.step(i / 240, generator)["pixels"]) for i in range(240)]
    assert sum(pixels[-10:]) / 10 < 0.06 * pixels[0]  # measured: 0.03 and 0.02


def test_batch_norm_keeps_what_the_averaged_weights_make(tmp_path: Path, context: Context) -> None:
    """The running means are those of the weights that are kept, not of the weights that training passed through."""
    model = GanMask(size="tiny", norm="batch", context=context)
    model.fit(FACES, Budget(steps=6), silent, tmp_path / "c.pt")
    network = model._trained()
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 3 + 2 * 3
    kept = [norm.running_mean.clone() for norm in norms]
    region = torch.rand(1, 3, 64, 64, generator=Generator().manual_seed(0))
    alone, beside = network(region, 0).image, network(torch.cat([region, 1 - region]), 0).image[:1]
    assert torch.allclose(alone, beside, atol=1e-5)  # an answer does not depend on the others
    again = GanMask(size="tiny", norm="batch", context=context)
    again.fit(FACES, Budget(steps=6), silent, tmp_path / "c.pt")  # the training is finished, and goes on from its end
    norms = [layer for layer in again._trained().modules() if isinstance(layer, nn.BatchNorm2d)]
    assert all(torch.equal(mean, norm.running_mean) for mean, norm in zip(kept, norms, strict=True))
    assert all(norm.num_batches_tracked == 32 for norm in norms[:1])


def test_every_session_is_drawn_equally_often() -> None:
    rows = pd.DataFrame({"identity": ["a"] * 6 + ["b"] * 2, "session": ["s0"] * 4 + ["s1"] + ["s2"] + ["s0"] * 2})
    chances = session_chances(rows, torch.device("cpu"))
    assert chances.tolist() == [0.25] * 4 + [1, 1] + [0.5, 0.5]  # sessions of two people are two sessions
    share = [float(chances[:4].sum()), float(chances[4]), float(chances[5]), float(chances[6:].sum())]
    assert share == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "options", [{"sampling": "session"}, {"landmarks": True}, {"part_swaps": 0.5}, {"part_swaps": 1.0}]
)
def test_options_of_the_data_change_what_is_learnt(tmp_path: Path, context: Context, options: dict[str, Any]) -> None:
    models = [GanMask(size="tiny", context=context, **given) for given in ({}, options)]
    for i, model in enumerate(models):
        done = model.fit(FACES, Budget(steps=1), silent, tmp_path / f"{i}.pt")
    settings = {**done.settings, **done.settings["augmentation"]}
    assert {name: settings[name] for name in options} == options
    plain, changed = (model._trained().decoders.state_dict() for model in models)
    assert any(not torch.equal(plain[name], changed[name]) for name in plain)


def test_a_network_for_landmarks_is_shown_none_when_it_swaps() -> None:
    network = Swapnet(dataclasses.replace(TINY_SHAPE, landmarks=True), 1)
    initialise(network, Generator().manual_seed(0))
    region, blank = torch.rand(2, 3, 64, 64, generator=Generator().manual_seed(0)), torch.zeros(2, 1, 64, 64)
    assert torch.equal(network.encode(region), network.encode(region, blank))
    assert not torch.equal(network.encode(region), network.encode(region, blank + 1))


# --------------------------------------------------------------------------------------------------------- many to one


def test_all_but_the_first_share_a_decoder() -> None:
    faces = toy_faces(4, 2, 2, 64, 0)
    groups = domains(faces, many_to_one=True)
    assert list(groups) == ["toy0", OTHERS]
    assert groups["toy0"].identities == ["toy0"]
    assert groups[OTHERS].identities == ["toy1", "toy2", "toy3"]
    assert list(domains(faces, many_to_one=False)) == faces.identities


def test_many_to_one_knows_the_one(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = toy_faces(4, 2, 2, 64, 0)
    for recipe in (TINY, dataclasses.replace(PUBLISHED, batch=1)):  # the second ends with its decoders exchanged
        monkeypatch.setitem(RECIPES, "tiny", recipe)
        model, path = GanMask(size="tiny", many_to_one=True, context=context), tmp_path / "m.safetensors"
        model.fit(faces, Budget(steps=1), silent, tmp_path / f"{recipe.batch}.pt")
        model.save(path)
        loaded = GanMask(context=context)
        loaded.load(path)
        own = (["toy0", OTHERS], [OTHERS, "toy0"])[recipe.schedule == "v2.2"]
        assert loaded.identities == own
        targets = toy_targets(faces.crops[-2:])
        wanted = model.swap(Source("toy0", faces.crops[:1]), targets).images
        assert torch.equal(loaded.swap(Source("toy0", faces.crops[:1]), targets).images, wanted)
        for name in ("toy1", OTHERS):
            with pytest.raises(UsageError, match="not trained on") as caught:
                loaded.swap(Source(name, faces.crops[:1]), targets)
            assert caught.value.hint == "it knows toy0"


@pytest.mark.parametrize(("part", "higher"), [("generator", True), ("domains", False)])
def test_the_encoder_goes_where_its_codes_are_harder_to_tell_apart(part: str, higher: bool) -> None:
    """A small step of the encoder down the gradient of the loss raises it, one of the classifier lowers it."""
    trained = learner(TINY_SHAPE, dataclasses.replace(TINY, batch=4, many_to_one=True, half_precision=False))
    batches = trained._draw(range(2), [Generator().manual_seed(seed) for seed in range(2)])

    def loss() -> Tensor:
        return domain_confusion(trained.networks["domains"], *trained._codes(batches))

    before = loss()
    before.backward()
    with torch.no_grad():
        for weight in trained.networks[part].parameters():
            if weight.grad is not None:
                weight -= 0.01 * weight.grad
        after = loss()
    assert bool(after > before) == higher
    assert bool(after != before)


# --------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "options",
    [
        {"bottleneck": "conv"},
        {"resolution": 128},
        {"norm": "batch"},
        {"version": "v1", "landmarks": True, "bottleneck": "conv"},
    ],
)
def test_a_file_knows_its_shape(tmp_path: Path, context: Context, options: dict[str, Any]) -> None:
    model, path = GanMask(size="tiny", context=context, **options), tmp_path / "m.safetensors"
    model.fit(FACES, Budget(steps=1), silent, tmp_path / "c.pt")
    model.save(path)
    other = GanMask(context=context)
    other.load(path)
    assert other.shape == model.shape
    source, targets = Source("toy1", FACES.crops[:1]), toy_targets(FACES.crops[:2])
    assert torch.equal(other.swap(source, targets).images, model.swap(source, targets).images)
    wrong = {"bottleneck": "dense"} if "bottleneck" in options else {"resolution": 256}
    with pytest.raises(CheckpointError, match=next(iter(wrong))):
        GanMask(context=context, **wrong).load(path)


@pytest.mark.parametrize("size", ["lite", "tiny"])
def test_without_a_mask_the_whole_image_is_the_decoders_and_an_oval_is_pasted(context: Context, size: Size) -> None:
    model = GanMask(size=size, mask=False, context=context)
    model.network, model.identities = Swapnet(model.shape, 1), ["toy0"]
    initialise(model.network, Generator().manual_seed(0))
    image, alpha, _ = model.network.eval()(torch.rand(2, 3, 64, 64, generator=Generator().manual_seed(0)), 0)
    assert image.shape == (2, 3, 64, 64)
    assert (alpha == 1).all()
    masked = Swapnet(dataclasses.replace(model.shape, mask=True), 1)
    assert len(list(masked.parameters())) >= len(list(model.network.parameters()))
    output = model.swap(Source("toy0", FACES.crops[:1]), toy_targets(FACES.crops[:2]))
    assert output.alpha is not None
    assert output.alpha[..., 36, 32].min() > 0.9  # the nose
    assert output.alpha[..., :10, :].max() == 0  # hair and background
    assert output.alpha[..., 20:60, :8].max() == 0


def test_a_file_without_a_fact_has_the_published_shape(tmp_path: Path, context: Context) -> None:
    """Files of earlier versions know size, norm and identities only."""
    model, path = GanMask(size="tiny", context=context), tmp_path / "m.safetensors"
    model.fit(FACES, Budget(steps=1), silent, tmp_path / "c.pt")
    model.save(path)
    assert b"bottleneck" not in path.read_bytes()[:4096]
    GanMask(bottleneck="dense", resolution=64, context=context).load(path)
    with pytest.raises(CheckpointError, match="bottleneck=dense, not conv"):
        GanMask(bottleneck="conv", context=context).load(path)
