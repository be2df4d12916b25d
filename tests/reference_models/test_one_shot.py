"""One-shot swappers as ONNX files written by hand, whose answers are known in closed form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_files import binary, field, node, tensor, value_info, write_model

from fsbench import contracts
from fsbench.config import parse_pipeline
from fsbench.errors import BadParameter, FsbenchError, WeightsError
from fsbench.faces.align import TEMPLATE
from fsbench.harness.models import build, prepare_model
from fsbench.interfaces import Context, Source, Targets
from fsbench.registry import swappers
from reference_models.one_shot import families
from reference_models.one_shot.families import FAMILIES, Known
from reference_models.one_shot.model import OnnxSwapper

SIZE, CROP, D = 32, 64, 3
MATRIX = np.array([[1, 2, 0], [0, 1, 0], [3, 0, 1]], np.float32)
FACTORS = np.array([[2.0, -1.0, 3.0]], np.float32)
SOURCE = np.array([(0.2, 0.5, 0.8), (0.4, 0.7, 0.6)], np.float32)
TARGET = np.array((0.3, 0.6, 0.45), np.float32)
SHARE, WEIGHT = 0.2, 0.1
"""The answer of every swapper here: SHARE of the target plus WEIGHT of the source, both as they are given."""

ALL = sorted(FAMILIES)
WITH_CONVERTER = [name for name in ALL if FAMILIES[name][0].identity == "converted"]
WITH_RECOGNISER = [name for name in ALL if FAMILIES[name][0].identity != "image"]


def write_recogniser(path: Path, factor: float = 1.0) -> Path:
    """Features are the means of the channels, times a factor."""
    nodes = [node("GlobalAveragePool", "image", "pool"), node("Flatten", "pool", "flat")]
    nodes.append(binary("Mul", "flat", "factor", "features"))
    shapes = [value_info("image", ("N", 3, 112, 112))], [value_info("features", ("N", D))]
    return write_model(path, nodes, *shapes, tensor("factor", np.array([factor], np.float32)))


def write_converter(path: Path) -> Path:
    nodes = [binary("Mul", "input", "factors", "output")]
    return write_model(
        path, nodes, [value_info("input", (1, D))], [value_info("output", (1, D))], tensor("factors", FACTORS)
    )


def write_swapper(
    path: Path,
    family: str,
    *,
    names: tuple[str, str] | None = None,
    size: int | str = SIZE,
    source_first: bool = False,
    share: float | np.ndarray = SHARE,
    weight: float = WEIGHT,
    shift: np.ndarray | None = None,
    last: np.ndarray | None = MATRIX,
    channels: int = 3,
) -> Path:
    """output = share target + weight source + shift, the source as one colour."""
    target, source = names or FAMILIES[family][0].inputs[0]
    row = FAMILIES[family][0]
    if row.identity == "image":
        made, shape = node("GlobalAveragePool", source, "colour"), (1, 3, row.source_size, row.source_size)
    else:
        made, shape = binary("Unsqueeze", source, "axes", "colour"), (1, D)
    nodes = [
        made,
        binary("Mul", target, "share", "kept"),
        binary("Mul", "colour", "weight", "added"),
        binary("Add", "kept", "added", "sum"),
        binary("Add", "sum", "shift", "output"),
    ]
    numbers = {
        "axes": np.array([2, 3], np.int64),
        "share": np.broadcast_to(np.asarray(share, np.float32).reshape(-1, 1, 1), (3, 1, 1)),
        "weight": np.full(1, weight, np.float32),
        "shift": np.zeros((3, 1, 1), np.float32) if shift is None else shift.astype(np.float32).reshape(3, 1, 1),
    }
    if row.identity == "image":
        del numbers["axes"]
    constants = b"".join(tensor(name, values) for name, values in numbers.items())
    if family == "inswapper" and last is not None:
        constants += tensor("matrix", last)
    inputs = [value_info(target, (1, channels, size, size)), value_info(source, shape)]
    output = [value_info("output", (1, 3, size, size))]
    return write_model(path, nodes, inputs[::-1] if source_first else inputs, output, constants)


def write_all(folder: Path, family: str, **changes: object) -> Path:
    """A swapper with what it needs beside it, under the usual names."""
    folder.mkdir(parents=True, exist_ok=True)
    row = FAMILIES[family][0]
    if family == "cscs":
        write_recogniser(folder / "cscs_arcface_model.onnx")
        write_recogniser(folder / row.converter, factor=-2.0)
    elif row.identity != "image":
        write_recogniser(folder / "w600k_r50.onnx")
    if row.identity == "converted":
        write_converter(folder / row.converter)
    return write_swapper(folder / f"mine_{family}.onnx", family, **changes)  # type: ignore[arg-type]


def source() -> Source:
    return Source("ada", torch.from_numpy(SOURCE)[:, :, None, None].expand(2, 3, CROP, CROP).contiguous())


def targets(images: torch.Tensor) -> Targets:
    faces = contracts.toy_faces(size=images.shape[-1])
    return Targets(
        images, torch.from_numpy(TEMPLATE * images.shape[-1]).expand(len(images), 5, 2), faces.rows[: len(images)]
    )


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


FEATURES = (2 * SOURCE - 1).mean(0)
IMAGENET = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
EXPECTED: dict[str, tuple[np.ndarray, np.ndarray, bool]] = {  # target as given, source as given, outputs in [-1, 1]
    "inswapper": (TARGET, unit(unit(FEATURES) @ MATRIX), False),
    "hyperswap": (2 * TARGET - 1, unit(FEATURES), True),
    "simswap": ((TARGET - IMAGENET[0]) / IMAGENET[1], unit(FEATURES * FACTORS[0]), False),
    "ghost": (2 * TARGET - 1, FEATURES * FACTORS[0], True),
    "blendswap": (TARGET, SOURCE[0], False),
    "uniface": (2 * TARGET - 1, SOURCE[0], True),
    "hififace": (2 * TARGET - 1, unit(FEATURES * FACTORS[0]), True),
    "cscs": (2 * TARGET - 1, np.zeros(D), True),  # the ID adapter here points the other way
}


@pytest.mark.parametrize("family", ALL)
def test_levels_identity_and_range_by_closed_form(family: str, tmp_path: Path, context: Context) -> None:
    given, shown, signed = EXPECTED[family]
    shift = np.full(3, 0.0 if signed else 0.3)
    swapper = OnnxSwapper(file=str(write_all(tmp_path, family, shift=shift)), family=family, context=context)  # type: ignore[arg-type]
    images = torch.from_numpy(TARGET)[None, :, None, None].expand(1, 3, CROP, CROP)
    output = swapper.swap(source(), targets(images))
    answer = SHARE * given + WEIGHT * shown + shift
    expected = answer / 2 + 0.5 if signed else answer
    assert ((expected > 0) & (expected < 1)).all()
    assert np.allclose(output.images[0, :, CROP // 2, CROP // 2], expected, atol=1e-5)
    assert output.alpha is not None
    assert output.alpha[0, 0, CROP // 2, CROP // 2] == 1
    assert output.alpha[0, 0, 0, 0] < 0.002  # of the largest square the border passes near the corner
    assert np.allclose(output.images[0, :, 0, 0], TARGET, atol=2e-3)


@pytest.mark.parametrize("family", ALL)
def test_each_family_keeps_the_contract(family: str, tmp_path: Path, context: Context) -> None:
    shift = np.full(3, 0.0 if EXPECTED[family][2] else 0.3)
    path = write_all(tmp_path, family, shift=shift)
    contracts.check_swapper(OnnxSwapper(file=str(path), family=family, context=context))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ALL)
def test_an_answer_that_is_the_target_changes_nothing(family: str, tmp_path: Path, context: Context) -> None:
    """So the cut and the paste are each other's inverse, whatever the template, and however the landmarks lie."""
    row = FAMILIES[family][0]
    mean, deviation = (np.array(values) for values in row.levels)
    share, shift = (1.0, np.zeros(3)) if row.signed else (deviation, mean)
    path = write_all(tmp_path, family, share=share, weight=0.0, shift=shift, size=128)
    swapper = OnnxSwapper(file=str(path), family=family, context=context)  # type: ignore[arg-type]
    y, x = torch.meshgrid(torch.linspace(0.2, 0.8, CROP), torch.linspace(0.1, 0.9, CROP), indexing="ij")
    images = torch.stack([x, y, (x * y).sqrt()])[None]
    turned = targets(images)
    turn = torch.tensor([[0.96, -0.28], [0.28, 0.96]])
    moved = Targets(images, (turned.landmarks - CROP / 2) @ turn.T + CROP / 2 + 1.3, turned.rows)
    output = swapper.swap(source(), moved)
    assert output.alpha is not None
    assert (output.alpha == 1).float().mean() > 0.2
    assert (output.images - images).abs().max() < 1 / 255


def test_inputs_are_found_by_name_in_any_order(tmp_path: Path, context: Context) -> None:
    images = torch.from_numpy(TARGET)[None, :, None, None].expand(1, 3, CROP, CROP)
    answers = [
        OnnxSwapper(file=str(write_all(tmp_path / str(i), "simswap", **changes)), family="simswap", context=context)
        .swap(source(), targets(images))
        .images
        for i, changes in enumerate(
            [
                {},
                {"source_first": True},
                {"names": ("input", "onnx::Gemm_1")},
                {"names": ("input", "onnx::Gemm_1"), "source_first": True},
            ]
        )
    ]
    assert all(torch.equal(answer, answers[0]) for answer in answers[1:])


def test_the_files_of_512_pixels_of_simswap_want_other_levels(tmp_path: Path, context: Context) -> None:
    small, large = (
        OnnxSwapper(file=str(write_all(tmp_path / str(n), "simswap", size=n)), family="simswap", context=context)
        for n in (256, 512)
    )
    assert (small.size, small.family.levels) == (256, families.IMAGENET)
    assert (large.size, large.family.levels) == (512, families.UNIT)


def test_a_size_that_is_free_is_the_familys(tmp_path: Path, context: Context) -> None:
    path = write_all(tmp_path, "inswapper", size="side")
    assert OnnxSwapper(file=str(path), family="inswapper", context=context).size == 128


def test_a_face_that_nobody_found_is_where_the_template_has_it(tmp_path: Path, context: Context) -> None:
    swapper = OnnxSwapper(file=str(write_all(tmp_path, "hyperswap")), family="hyperswap", context=context)
    shown = targets(torch.rand(1, 3, CROP, CROP, generator=torch.Generator().manual_seed(1)))
    faceless = Targets(shown.images, torch.full_like(shown.landmarks, torch.nan), shown.rows)
    assert torch.equal(swapper.swap(source(), shown).images, swapper.swap(source(), faceless).images)


def know(monkeypatch: pytest.MonkeyPatch, path: Path, known: Known) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for module in ("families", "model", "identity"):
        monkeypatch.setattr(f"reference_models.one_shot.{module}.KNOWN", {**families.KNOWN, digest: known})


def test_a_file_is_known_by_its_hash(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_all(tmp_path, "ghost")
    with pytest.raises(BadParameter, match="not known by its hash"):
        OnnxSwapper(file=str(path), context=context)
    know(monkeypatch, path, Known("ghost_1_256", "ghost"))
    swapper = OnnxSwapper(file=str(path), context=context)
    assert swapper.family is FAMILIES["ghost"][0]
    assert (swapper.weights_files[0].name, swapper.weights_files[0].licence) == ("ghost_1_256", "Apache-2.0")
    with pytest.raises(BadParameter, match="ghost_1_256, and not of the family simswap"):
        OnnxSwapper(file=str(path), family="simswap", context=context)
    know(monkeypatch, path, Known("w600k_r50", is_swapper=False))
    with pytest.raises(BadParameter, match="a recogniser"):
        OnnxSwapper(file=str(path), context=context)


def test_a_recogniser_that_the_swapper_was_trained_with_needs_no_converter(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_swapper(tmp_path / "mine.onnx", "ghost")
    recogniser = write_recogniser(tmp_path / "ghost_arcface_backbone.onnx")
    with pytest.raises(WeightsError, match="needs a converter") as caught:
        OnnxSwapper(file=str(path), family="ghost", context=context)
    assert "converter=none" in caught.value.hint
    told = OnnxSwapper(file=str(path), family="ghost", converter="none", context=context)
    know(monkeypatch, recogniser, Known("ghost_arcface", "ghost", is_swapper=False))
    known = OnnxSwapper(file=str(path), family="ghost", context=context)
    for swapper in (told, known):
        assert swapper.coaches == ("ghost_arcface_backbone",)
        assert len(swapper.weights_files) == 2


@pytest.mark.parametrize("family", ALL)
def test_what_it_is_conditioned_on_is_its_coach(family: str, tmp_path: Path, context: Context) -> None:
    path = write_all(tmp_path, family)
    model = prepare_model(
        build(parse_pipeline(f"onnx_swapper('{path}',family={family})"), context), lambda: 1 / 0, "auto", 0, context
    )
    assert model.kind == "ready"
    n_files = {"image": 1, "features": 2, "mapped": 2, "converted": 3, "summed": 3}[FAMILIES[family][0].identity]
    assert len(model.weights_files) == n_files
    assert FAMILIES[family][0].licence in model.weights_files[0].licence
    if family == "cscs":
        assert model.coaches == ("cscs_arcface_model", "cscs_id_adapter")
    elif family in WITH_RECOGNISER:
        assert set(model.coaches) == {"arcface_mbf", "arcface_w600k_r50", "w600k_r50"}
    else:
        assert model.coaches == ()


def test_files_anywhere_are_named(tmp_path: Path, context: Context) -> None:
    path = write_swapper(tmp_path / "mine.onnx", "hififace")
    other = tmp_path / "other"
    other.mkdir()
    recogniser, converter = write_recogniser(other / "r.onnx"), write_converter(other / "c.onnx")
    swapper = swappers.build(
        f"onnx_swapper('{path}',family=hififace,recogniser='{recogniser}',converter='{converter}')", context
    )
    assert swapper.coaches[0] == "r"


def damage(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"no model\n", "cut": whole[: len(whole) // 2]}[kind])


@pytest.mark.parametrize("kind", ["empty", "text", "cut"])
@pytest.mark.parametrize("file", ["mine_simswap.onnx", "w600k_r50.onnx", "crossface_simswap.onnx"])
def test_a_damaged_file_is_one_sentence(file: str, kind: str, tmp_path: Path, context: Context) -> None:
    path = write_all(tmp_path, "simswap")
    damage(tmp_path / file, kind)
    with pytest.raises(WeightsError) as caught:
        OnnxSwapper(file=str(path), family="simswap", context=context)
    assert file in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


WRONG: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "another family's inputs": (lambda f: write_all(f, "cscs"), "ghost", "its inputs are input_1, input_2"),
    "inputs of other names": (lambda f: write_all(f, "ghost", names=("a", "b")), "ghost", "its inputs are a, b"),
    "a recogniser": (
        lambda f: write_recogniser(write_all(f, "ghost").parent / "x.onnx"),
        "ghost",
        "its inputs are image",
    ),
    "one channel": (lambda f: write_all(f, "ghost", channels=1), "ghost", "target has the shape 1x1x32x32"),
    "no matrix": (lambda f: write_all(f, "inswapper", last=None), "inswapper", "no inswapper"),
    "a matrix that is none": (
        lambda f: write_all(f, "inswapper", last=np.ones(3, np.float32)),
        "inswapper",
        "stands 3",
    ),
    "an image for features": (lambda f: write_all(f, "blendswap"), "hyperswap", "needs a recogniser"),
    "a matrix for other features": (
        lambda f: write_all(f, "inswapper", last=np.eye(5, dtype=np.float32)),
        "inswapper",
        "for 5 features, and the recogniser gives 3",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_one_sentence(case: str, tmp_path: Path, context: Context) -> None:
    write, family, sentence = WRONG[case]
    with pytest.raises(FsbenchError, match=sentence) as caught:
        OnnxSwapper(file=str(write(tmp_path)), family=family, context=context)  # type: ignore[arg-type]
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_an_output_that_is_no_image_is_one_sentence(tmp_path: Path, context: Context) -> None:
    write_all(tmp_path, "hyperswap")
    shapes = [value_info("target", (1, 3, SIZE, SIZE)), value_info("source", (1, D))]
    path = write_model(
        tmp_path / "mine.onnx",
        [node("Flatten", "target", "output"), node("Identity", "source", "copy")],
        shapes,
        [value_info("output", (1, 3 * SIZE * SIZE)), value_info("copy", (1, D))],
    )
    with pytest.raises(WeightsError, match="it gives 1x3072, 1x3, where 1x3x32x32 is wanted"):
        OnnxSwapper(file=str(path), family="hyperswap", context=context)


def test_features_of_another_length_are_one_sentence(tmp_path: Path, context: Context) -> None:
    path = write_all(tmp_path, "hyperswap")
    nodes = [
        node("GlobalAveragePool", "image", "pool"),
        node("Flatten", "pool", "flat"),
        binary("Concat", "flat", "flat", "features") + field(5, field(1, "axis") + field(3, 1) + field(20, 2)),
    ]
    write_model(
        tmp_path / "w600k_r50.onnx", nodes, [value_info("image", (1, 3, 112, 112))], [value_info("features", (1, 6))]
    )
    with pytest.raises(WeightsError, match=r"mine_hyperswap\.onnx is no hyperswap swapper"):
        OnnxSwapper(file=str(path), family="hyperswap", context=context)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("onnx_swapper", "needs to know file"),
        ("onnx_swapper(nowhere.onnx)", "no file"),
        ("onnx_swapper(nowhere.onnx,family=inswap)", "family=inswap"),
    ],
)
def test_what_is_typed_wrong(spec: str, sentence: str, context: Context) -> None:
    with pytest.raises(FsbenchError, match=sentence) as caught:
        swappers.build(spec, context)
    assert caught.value.hint


def test_a_photograph_takes_no_recogniser(tmp_path: Path, context: Context) -> None:
    path, recogniser = write_all(tmp_path, "uniface"), write_recogniser(tmp_path / "r.onnx")
    with pytest.raises(BadParameter, match="shown a photograph"):
        OnnxSwapper(file=str(path), family="uniface", recogniser=str(recogniser), context=context)
