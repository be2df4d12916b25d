"""knn_code and knn_image: which look-alikes are found, what is mixed, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fsbench import registry
from fsbench.config import parse_pipeline
from fsbench.contracts import toy_faces, toy_targets
from fsbench.errors import BadParameter, CheckpointError, PluginError, UsageError
from fsbench.harness.models import build, prepare_model
from fsbench.harness.parts import swap
from fsbench.interfaces import Budget, CodeSwapper, Context, EmbedderInfo, Source, Swapped, Swapper, Targets, silent
from fsbench.registry import Entry
from reference_models import knn
from reference_models.gan_mask.model import GanMask
from reference_models.knn import KnnCode, KnnImage

FACES = toy_faces(2, 2, 4, 64, 0)
SOURCE = Source("toy0", FACES.of("toy0").crops[:2])


class Colour:
    """Features of an image: its three mean colours, and one more, so that no two point the same way."""

    info = EmbedderInfo(family="colour", dim=4, weights=(), description="for tests")

    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        features = torch.cat([crops.mean((2, 3)), torch.ones(len(crops), 1)], 1)
        return features.masked_fill(landmarks.isnan().any(2).any(1)[:, None], torch.nan)


class Inverter:
    """Answers the negative of its code, which is the target, inside the left half."""

    def swap(self, source: Source, targets: Targets) -> Swapped:
        return self.decode(self.encode(targets), source, targets)

    def encode(self, targets: Targets) -> Tensor:
        return targets.images

    def decode(self, codes: Tensor, source: Source, targets: Targets) -> Swapped:
        alpha = torch.zeros_like(targets.images[:, :1])
        alpha[..., : alpha.shape[-1] // 2] = 1
        return Swapped(torch.where(alpha > 0, 1 - codes, targets.images), alpha)


class Plain:
    """A swapper without codes and without alpha."""

    def swap(self, source: Source, targets: Targets) -> Tensor:
        return 1 - targets.images


@pytest.fixture(autouse=True)
def _colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.embedders._entries, "colour", Entry("colour", Colour))


def fitted(kind: type[KnnCode] | type[KnnImage], tmp_path: Path, context: Context, **options: float) -> object:
    wrapper = kind(features="colour", context=context, **options)
    wrapper.fit(FACES, Budget(steps=1), silent, tmp_path / "c.pt")
    return wrapper


def wrapped(kind: type, swapper: Swapper, tmp_path: Path, context: Context, **options: float) -> Swapper:
    return fitted(kind, tmp_path, context, **options).wrap(swapper)


def targets(n: int = 3) -> Targets:
    return Targets.of(FACES.of("toy1").select(range(n)))


def album() -> Tensor:
    return FACES.of("toy0").crops[:]


def nearest(images: Tensor, k: int) -> Tensor:
    """Indices (N, k) by a second way: angles between colours."""
    a, b = (Colour().embed(x, torch.zeros(len(x), 5, 2)).double() for x in (images, album()))
    angles = torch.stack([torch.cosine_similarity(row[None], b) for row in a]).acos()
    return angles.argsort(1)[:, :k]


@pytest.mark.parametrize("kind", [KnnCode, KnnImage])
def test_without_a_share_it_is_the_swapper_itself(kind: type, tmp_path: Path, context: Context) -> None:
    for swapper in (Inverter(), GanMask(context=context)):
        if isinstance(swapper, GanMask):
            swapper.fit(FACES, Budget(steps=1), silent, tmp_path / "g.pt")
        output = wrapped(kind, swapper, tmp_path, context, alpha=0).swap(SOURCE, targets())
        plain = Swapped.of(swapper.swap(SOURCE, targets()))
        assert torch.allclose(output.images, plain.images, atol=1e-6)
        assert torch.allclose(output.alpha, plain.alpha, atol=1e-6)


@pytest.mark.parametrize(("k", "alpha"), [(1, 1.0), (3, 0.4), (5, 1.0)])
def test_codes_are_mixed_with_those_of_the_nearest(k: int, alpha: float, tmp_path: Path, context: Context) -> None:
    shown = targets()
    output = wrapped(KnnCode, Inverter(), tmp_path, context, k=k, alpha=alpha).swap(SOURCE, shown)
    others = album()[nearest(shown.images, k)].mean(1)
    wanted = 1 - ((1 - alpha) * shown.images + alpha * others)
    assert torch.allclose(output.images[..., :32], wanted[..., :32], atol=1e-5)
    assert torch.equal(output.images[..., 32:], shown.images[..., 32:])


@pytest.mark.parametrize(("k", "alpha"), [(1, 1.0), (3, 0.4)])
def test_images_are_mixed_inside_the_face_alone(k: int, alpha: float, tmp_path: Path, context: Context) -> None:
    shown = targets()
    output = wrapped(KnnImage, Inverter(), tmp_path, context, k=k, alpha=alpha).swap(SOURCE, shown)
    others = album()[nearest(shown.images, k)].mean(1)
    wanted = 1 - ((1 - alpha) * shown.images + alpha * others)
    assert torch.allclose(output.images[..., :32], wanted[..., :32], atol=1e-5)
    assert torch.allclose(output.images[..., 32:], shown.images[..., 32:], atol=1e-6)  # not the mixture
    bare = Swapped.of(wrapped(KnnImage, Plain(), tmp_path, context, k=k, alpha=alpha).swap(SOURCE, shown))
    assert bare.alpha is None
    assert torch.allclose(bare.images, wanted, atol=1e-5)


def test_more_look_alikes_than_there_are_images_are_all_of_them(tmp_path: Path, context: Context) -> None:
    output = wrapped(KnnCode, Inverter(), tmp_path, context, k=99, alpha=1).swap(SOURCE, targets())
    assert torch.allclose(output.images[..., :32], 1 - album().mean(0)[..., :32].expand(3, -1, -1, -1), atol=1e-5)


@pytest.mark.parametrize("kind", [KnnCode, KnnImage])
def test_a_target_without_a_face_is_not_mixed(kind: type, tmp_path: Path, context: Context) -> None:
    shown = targets()
    blind = replace(shown, landmarks=shown.landmarks.clone())
    blind.landmarks[1] = torch.nan
    mixer = wrapped(kind, Inverter(), tmp_path, context, alpha=1)
    output, whole = mixer.swap(SOURCE, blind).images, mixer.swap(SOURCE, shown).images
    assert torch.allclose(output[1, ..., :32], 1 - shown.images[1, ..., :32], atol=1e-6)
    assert torch.equal(output[[0, 2]], whole[[0, 2]])


def test_codes_of_gan_mask_make_its_outputs(tmp_path: Path, context: Context) -> None:
    model = GanMask(context=context)
    model.fit(toy_faces(2, 2, 20, 64, 0), Budget(steps=1), silent, tmp_path / "g.pt")
    assert isinstance(model, CodeSwapper)
    shown = toy_targets(toy_faces(2, 2, 20, 64, 1).crops[:70])  # more than go through a network at once
    output, decoded = model.swap(SOURCE, shown), model.decode(model.encode(shown), SOURCE, shown)
    assert torch.allclose(output.images, decoded.images, atol=1e-6)
    assert torch.allclose(output.alpha, decoded.alpha, atol=1e-6)


# ------------------------------------------------------------------------------------------------------------ pipelines


def prepared(text: str, context: Context) -> object:
    return prepare_model(build(parse_pipeline(text), context), lambda: FACES, "1", 0, context)


@pytest.mark.parametrize("text", ["gan_mask+knn_code(features=colour,k=2)", "gan_mask+knn_image(features=colour,k=2)"])
def test_it_is_typed_after_the_swapper(text: str, context: Context) -> None:
    model, plain = prepared(text, context), prepared("gan_mask", context)
    output, before = (swap(each.parts, SOURCE, targets()).images for each in (model, plain))
    assert output.shape == before.shape
    assert not torch.equal(output, before)
    assert "colour" in model.coaches


@pytest.mark.parametrize("before", ["cyclegan", "copy_source", "gan_mask+recursive", "gan_mask+knn_code"])
def test_what_has_no_code_is_told_so(before: str, context: Context) -> None:
    with pytest.raises(UsageError, match="goes through a code, and this one does not"):
        prepared(f"{before}+knn_code(features=colour)", context)


def test_an_encoder_that_gives_no_codes_is_told_so(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (lambda self, shown: shown.images[:1], lambda self, shown: None, lambda self, shown: shown.images / 0):
        broken = type("Broken", (Inverter,), {"__doc__": "Breaks.", "encode": wrong})
        monkeypatch.setitem(registry.swappers._entries, "broken", Entry("broken", broken))
        model = prepared("broken+knn_code(features=colour)", context)
        with pytest.raises(PluginError, match="broken: encode gave no finite code"):
            swap(model.parts, SOURCE, targets())


# --------------------------------------------------------------------------------------------------------------- files


def test_a_file_gives_the_same_look_alikes_and_is_bound_to_its_recogniser(tmp_path: Path, context: Context) -> None:
    wrapper, path = fitted(KnnCode, tmp_path, context, k=2), tmp_path / "k.safetensors"
    wrapper.save(path)
    other = KnnCode(k=2, features="colour", context=context)
    other.load(path)
    outputs = [each.wrap(Inverter()).swap(SOURCE, targets()).images for each in (wrapper, other)]
    assert torch.equal(*outputs)
    with pytest.raises(CheckpointError, match="features=colour, not dlib"):
        KnnCode(features="dlib_resnet", context=context).load(path)
    with pytest.raises(CheckpointError, match="holds knn_code, not knn_image"):
        KnnImage(features="colour", context=context).load(path)


def test_only_so_many_images_are_kept_and_that_is_said(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knn, "MOST", 5)
    lines: list[str] = []
    wrapper = KnnCode(features="colour", context=replace(context, log=lines.append))
    done = wrapper.fit(FACES, Budget(steps=1), silent, tmp_path / "c.pt")
    assert [len(album.crops) for album in wrapper.known_images.values()] == [5, 5]
    assert lines == list(done.notes)
    assert lines[0] == "5 of 8 images of toy0 are kept to find look-alikes among"
    assert torch.equal(wrapper.known_images["toy0"].crops[-1] / 255, album()[-1])  # spread over all of them


def test_people_that_it_does_not_know_are_told(tmp_path: Path, context: Context) -> None:
    mixer = wrapped(KnnCode, Inverter(), tmp_path, context)
    with pytest.raises(UsageError, match="no images of 'nobody'") as caught:
        mixer.swap(Source("nobody", SOURCE.images), targets())
    assert "toy0, toy1" in caught.value.hint


@pytest.mark.parametrize("options", ["k=0", "k=-1", "alpha=1.1", "alpha=-0.1", "alpha=nan"])
@pytest.mark.parametrize("name", ["knn_code", "knn_image"])
def test_parameters_that_mean_nothing_are_refused(name: str, options: str, context: Context) -> None:
    with pytest.raises(BadParameter, match=name):
        registry.wrappers.build(f"{name}({options})", context)
