"""Style transfer in pipelines: any order, what is kept, what the result says of the files; and the real weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import contracts, weights
from fsbench.config import parse_pipeline
from fsbench.environment import make_context
from fsbench.harness import generate
from fsbench.harness.models import Model, build, prepare_model
from fsbench.harness.records import model_record
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Faces, Swapped, WeightsFile
from fsbench.pairs import Group, Pairs
from fsbench.registry import refiners
from fsbench.store import file_sha256
from fsbench.weights.tensors import read_tensors
from reference_models.style import restyle as shared
from reference_models.style.statistics import mean_and_deviation
from reference_models.style.vgg import read_encoder

FACES = contracts.toy_faces(size=48)
(GROUP,) = (
    Group(
        "toy0", FACES.crops.select(slice(2)), np.flatnonzero(FACES.rows["identity"] == "toy1")[:3],
        FACES.of("toy1").select(range(3)), None,
    ),
)  # fmt: skip
PAIRS = Pairs((GROUP,), "one")


def no_training() -> Faces:
    raise AssertionError("nothing is to be trained")


def model_of(text: str, context: Context) -> Model:
    return prepare_model(build(parse_pipeline(text), context), no_training, "auto", 0, context)


def outputs_of(text: str, context: Context) -> Tensor:
    return generate.swap_all(model_of(text, context), PAIRS, context)[0][:]


def test_refiners_stand_in_any_order_and_each_part_is_kept(
    style_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = ("adain(size=32)", "microast(size=32)", "wct(size=32)")
    texts = ["alpha_paste", "alpha_paste+{0}", "alpha_paste+{0}+{1}", "alpha_paste+{1}+{0}", "alpha_paste+{2}+{1}+{0}"]
    outputs = [outputs_of(text.format(*parts), style_context) for text in texts]
    for i, one in enumerate(outputs):
        assert all((one - other).abs().max() > 0.01 for other in outputs[:i]), texts[i]

    def again(*_: object) -> None:
        raise AssertionError("a part was computed again")

    monkeypatch.setattr("reference_models.style.adain.restyle", again)
    monkeypatch.setattr("reference_models.style.microast.restyle", again)
    for text, before in zip(texts, outputs, strict=True):
        assert torch.equal(outputs_of(text.format(*parts), style_context), before)
    with pytest.raises(Exception, match="computed again"):
        outputs_of("alpha_paste+adain(size=33)", style_context)


def test_the_hash_of_every_file_decides_what_is_kept(
    style_files: dict[str, Path], style_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text, names in {
        "alpha_paste+adain": ["vgg19_normalised", "adain_decoder"],
        "alpha_paste+wct": ["vgg19_normalised", "adain_decoder"],
        "alpha_paste+gatys": ["vgg19_normalised"],
        "alpha_paste+microast": [name for name in style_files if "microast" in name],
    }.items():
        before = model_of(text, style_context).identity
        assert before is not None
        assert model_of(text, style_context).identity == before
        for name in names:
            path = style_context.store.root / "weights" / weights.CATALOGUE[name].file
            state = read_tensors(path)
            first = next(iter(state))
            state[first] = state[first] + 1
            path.unlink()
            torch.save(state, path)
            with monkeypatch.context() as patch:
                entry = replace(weights.CATALOGUE[name], sha256=file_sha256(path))
                patch.setitem(weights.CATALOGUE, name, entry)
                assert model_of(text, style_context).identity != before, name
            path.unlink()
            path.symlink_to(style_files[name])


def test_the_result_names_the_files_of_all_parts_and_their_licences(style_context: Context) -> None:
    record = model_record(model_of("alpha_paste+adain+microast+wct", style_context), 0.1)
    assert record.weights == {
        name: entry.sha256
        for name, entry in weights.CATALOGUE.items()
        if entry.licence == "MIT" and entry.used_by in ("adain", "microast")
    }
    assert len(record.weights) == 6
    assert record.licences == ("MIT",)
    assert model_record(model_of("alpha_paste", style_context), 0.1).weights == {}


def test_notes_on_files_are_in_the_result_once(style_context: Context) -> None:
    model = model_of("alpha_paste+microast", style_context)
    plugin = model.parts[1].plugin
    noted = WeightsFile("mine", Path("mine"), "0" * 64, "not known", "the user's own file")
    plugin.weights_files = (noted, noted)
    record = model_record(model, 0.1)
    assert record.notes == ("the user's own file",)
    assert record.licences == ("not known",)


# --------------------------------------------------------------------------------------------------------- real weights


@pytest.fixture
def real_context(weights_folder: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The context of a run with the real files."""
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    context = make_context("cpu")
    folder = context.store.root / "weights"
    folder.mkdir(parents=True)
    for name in ("vgg19_normalised", "adain_decoder"):
        file = weights.CATALOGUE[name].file
        if not (weights_folder / file).is_file():
            pytest.skip(f"needs {file} among the real weights")
        (folder / file).symlink_to(weights_folder / file)
    for path in (shared / "data/weights/microast").glob("*.pth"):
        (folder / f"microast_{path.name}").symlink_to(path)
    return context


@pytest.fixture
def two_faces(shared: Path) -> tuple[Tensor, Tensor]:
    """Photographs of two people in the sizes of crops, content and style."""
    people = [sorted((shared / "data/lfw" / name).rglob("*.jpg"))[0] for name in ("George_W_Bush", "Colin_Powell")]
    photographs = ImageSet.of_files(people)[:]
    side = torch.nn.functional.interpolate(photographs, size=(160, 160), mode="bilinear", antialias=True)
    return side[:1], side[1:] * torch.tensor([1.0, 0.8, 0.6]).view(3, 1, 1)


def style_loss(encoder: torch.nn.Module, image: Tensor, style: Tensor) -> float:
    """Squared distances of the means and deviations of relu4_1: Huang and Belongie 2017, equation 13."""
    (maps,), (wanted,) = encoder(image), encoder(style)
    pairs = zip(mean_and_deviation(maps), mean_and_deviation(wanted), strict=True)
    return float(sum((one - other).square().sum() for one, other in pairs))


@pytest.mark.parametrize(("name", "share"), [("adain", 0.35), ("wct(alpha=1)", 0.35), ("microast(size=160)", 0.8)])
def test_the_style_of_the_answer_is_nearer_to_the_style(
    name: str, share: float, real_context: Context, two_faces: tuple[Tensor, Tensor]
) -> None:
    content, style = two_faces
    with torch.inference_mode():
        encoder = read_encoder(
            weights.find("vgg19_normalised", real_context.store.root / "weights").path, "relu4_1", torch.device("cpu")
        )
        answer = refiners.build(name, real_context).stylise(content, style).clamp(0, 1)
        assert style_loss(encoder, answer, style) < share * style_loss(encoder, content, style)
    pixels = (answer - content).abs().mean()
    assert pixels < (style - content).abs().mean(), "it still shows the content"


def test_gatys_brings_the_gram_matrices_of_the_real_network_nearer(
    real_context: Context, two_faces: tuple[Tensor, Tensor]
) -> None:
    content, style = (torch.nn.functional.interpolate(image, size=(48, 48), mode="area") for image in two_faces)
    answer = refiners.build("gatys(steps=6)", real_context).stylise(content, style)
    objective = refiners.build("gatys(alpha=1)", real_context).objective(content, style)
    with torch.no_grad():
        assert objective(answer.clamp(0, 1)) < 0.5 * objective(content)
    assert (answer - content).abs().mean() < (style - content).abs().mean(), "it still shows the content"


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("name", ["adain(alpha=0)", "microast(alpha=0)"])
def test_without_any_style_a_face_comes_back(
    name: str, size: int, real_context: Context, two_faces: tuple[Tensor, Tensor]
) -> None:
    face, other = (
        torch.nn.functional.interpolate(image, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
        for image in two_faces
    )
    refined = refiners.build(name, real_context).refine(Swapped(face), contracts.toy_targets(other), None)
    square, _ = shared.face_square(size)
    error, distance = ((image - face)[square].square().mean().sqrt() for image in (refined.images, other))
    assert error < distance * (0.4 if "adain" in name else 0.1)
