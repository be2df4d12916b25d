"""ONNX files written by hand, whose features are known in closed form: the means of the channels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx_files import FLOAT, INT64, Shape, binary, constant, field, node, value_info, write_model

from fsbench.embedders.onnx import KNOWN, Onnx
from fsbench.errors import BadParameter, FsbenchError, UnknownName, WeightsError
from fsbench.faces.align import TEMPLATE
from fsbench.interfaces import Context
from fsbench.onnx.format import keeps_numbers_elsewhere
from fsbench.onnx.graph import read_graph
from fsbench.onnx.session import OnnxSession
from fsbench.registry import embedders
from fsbench.weights import CATALOGUE

COLOUR = (0.2, 0.5, 0.8)

MEANS = [node("GlobalAveragePool", "image", "pool"), node("Flatten", "pool", "means")]


def channel_means(path: Path, shape: Shape = ("N", 3, 16, 16)) -> Path:
    return write_model(path, MEANS, [value_info("image", shape)], [value_info("means", (shape[0], 3))])


def faces(n: int = 3, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Crops of one colour, each brighter than the one before."""
    brightness = torch.linspace(0.5, 1, n).view(n, 1, 1, 1)
    crops = brightness * torch.tensor(COLOUR).view(1, 3, 1, 1).expand(n, 3, size, size)
    return crops.contiguous(), torch.from_numpy(TEMPLATE * size).expand(n, 5, 2).contiguous()


@pytest.mark.parametrize(
    ("params", "mean", "std", "reverse"),
    [
        ({}, 127.5, 127.5, False),
        ({"order": "bgr"}, 127.5, 127.5, True),
        ({"mean": "0", "std": "255"}, 0, 255, False),
        ({"mean": "10/20/30", "std": "1/2/4"}, (10, 20, 30), (1, 2, 4), False),
        ({"mean": "10/20/30", "std": "1/2/4", "order": "bgr"}, (10, 20, 30), (1, 2, 4), True),
    ],
)
def test_preprocessing_by_closed_form(
    params: dict[str, str], mean: object, std: object, reverse: bool, tmp_path: Path, context: Context
) -> None:
    embedder = Onnx(file=str(channel_means(tmp_path / "mine.onnx")), context=context, **params)
    crops, landmarks = faces()
    expected = (crops[:, :, 0, 0] * 255 - torch.tensor(mean)) / torch.tensor(std)
    assert torch.allclose(embedder.embed(crops, landmarks), expected.flip(1) if reverse else expected, atol=1e-3)
    assert (embedder.info.family, embedder.info.dim, embedder.info.classes) == ("mine", 3, ())


@pytest.mark.parametrize("batch", ["N", 1])
def test_rows_are_independent_and_faceless_ones_are_nan(batch: int | str, tmp_path: Path, context: Context) -> None:
    embedder = Onnx(file=str(channel_means(tmp_path / "mine.onnx", (batch, 3, 16, 16))), context=context)
    crops, landmarks = faces(40)  # more than one batch
    landmarks[7] = torch.nan
    features = embedder.embed(crops, landmarks)
    assert features[7].isnan().all()
    assert features.isfinite().all(1).sum() == 39
    assert torch.allclose(features[39:], embedder.embed(crops[39:], landmarks[39:]))
    assert embedder.embed(crops[:0], landmarks[:0]).shape == (0, 3)


def test_channels_may_come_last(tmp_path: Path, context: Context) -> None:
    means = node("ReduceMean", "image", "means", axes=(1, 2))
    flat = node("Flatten", "means", "vector")
    path = write_model(
        tmp_path / "last.onnx", [means, flat], [value_info("image", ("N", 24, 24, 3))], [value_info("vector", ("N", 3))]
    )
    crops, landmarks = faces()
    expected = (crops[:, :, 0, 0] * 255 - 127.5) / 127.5
    assert torch.allclose(Onnx(file=str(path), context=context).embed(crops, landmarks), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "asked", "expected"),
    [(("N", 3, 16, 16), 0, 16), (("N", 3, 16, 16), 16, 16), (("N", 3, "H", "W"), 0, 112), (("N", 3, "H", "W"), 48, 48)],
)
def test_the_size_is_read_from_the_file(
    shape: Shape, asked: int, expected: int, tmp_path: Path, context: Context
) -> None:
    embedder = Onnx(file=str(channel_means(tmp_path / "mine.onnx", shape)), size=asked, context=context)
    assert f"{expected} px" in embedder.info.description


def test_the_output_that_is_a_vector_is_taken(tmp_path: Path, context: Context) -> None:
    copy = node("Identity", "image", "copy")
    path = write_model(
        tmp_path / "two.onnx",
        [*MEANS, copy],
        [value_info("image", ("N", 3, 16, 16))],
        [value_info("copy", ("N", 3, 16, 16)), value_info("means", ("N", 3))],
    )
    assert Onnx(file=str(path), context=context).info.dim == 3


IMAGE, VECTOR = value_info("image", ("N", 3, 16, 16)), value_info("means", ("N", 3))
IDENTITY = [node("Identity", "image", "means")]
REFUSED = {
    "rank 2": (IDENTITY, [value_info("image", ("N", 3))], [VECTOR], "shape Nx3"),
    "four channels": (MEANS, [value_info("image", ("N", 4, 16, 16))], [value_info("means", ("N", 4))], "Nx4x16x16"),
    "whole numbers": (
        IDENTITY,
        [value_info("image", ("N", 3, 16, 16), INT64)],
        [value_info("means", ("N", 3, 16, 16), INT64)],
        "int64",
    ),
    "two inputs": (
        [*MEANS, node("Identity", "more", "copy")],
        [IMAGE, value_info("more", ("N", 1))],
        [VECTOR, value_info("copy", ("N", 1))],
        "2 inputs",
    ),
    "no vector": (IDENTITY, [IMAGE], [value_info("means", ("N", 3, 16, 16))], "0 of its 1 outputs"),
    "two vectors": (
        [*MEANS, node("Identity", "means", "again")],
        [IMAGE],
        [VECTOR, value_info("again", ("N", 3))],
        "2 of its 2 outputs",
    ),
    "no square": (MEANS, [value_info("image", ("N", 3, 16, 20))], [VECTOR], "no square"),
    "batches of 8": (MEANS, [value_info("image", (8, 3, 16, 16))], [value_info("means", (8, 3))], "exactly 8 images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_recogniser_is_refused_in_one_sentence(case: str, tmp_path: Path, context: Context) -> None:
    nodes, inputs, outputs, reason = REFUSED[case]
    path = write_model(tmp_path / "mine.onnx", nodes, inputs, outputs)
    with pytest.raises(WeightsError, match=reason) as caught:
        Onnx(file=str(path), context=context)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "a pickle"])
def test_files_that_are_no_onnx_are_refused_in_one_sentence(damage: str, tmp_path: Path, context: Context) -> None:
    path = tmp_path / "mine.onnx"
    whole = channel_means(path).read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "text": b"no model\n",
            "truncated": whole[: len(whole) // 2],
            "a pickle": b"\x80\x04\x95\x10\x00\x00\x00}.",
        }[damage]
    )
    with pytest.raises(WeightsError, match=r"ONNX model|no network") as caught:
        Onnx(file=str(path), context=context)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("nested", [False, True], ids=["an initializer", "a constant in a branch"])
def test_numbers_in_another_file_are_refused(nested: bool, tmp_path: Path, context: Context) -> None:
    """The hash of the file would not be that of the network, so that its results could not be told apart."""
    np.ones(3, np.float32).tofile(tmp_path / "numbers.data")
    place = field(13, field(1, "location") + field(2, "numbers.data"))
    tensor = field(1, 3) + field(2, FLOAT) + field(8, "scale") + place

    def scaled(location: int) -> Path:
        graph = field(5, tensor + field(14, location))  # initializer
        if nested:
            graph = field(1, field(5, field(6, graph)))  # node, attribute, graph
        return write_model(tmp_path / "mine.onnx", [*MEANS], [IMAGE], [VECTOR], graph)

    assert not keeps_numbers_elsewhere(scaled(location=0))
    with pytest.raises(WeightsError, match="numbers in another file") as caught:
        Onnx(file=str(scaled(location=1)), context=context)
    assert "one file" in caught.value.hint


def test_a_file_that_is_damaged_anywhere_is_looked_through(tmp_path: Path) -> None:
    """No error, whatever byte is hit."""
    whole = channel_means(tmp_path / "mine.onnx").read_bytes()
    path, draw = tmp_path / "damaged.onnx", np.random.default_rng(0)
    for _ in range(300):
        bad = bytearray(whole)
        bad[draw.integers(len(bad))] = draw.integers(256)
        path.write_bytes(bytes(bad[: draw.integers(1, 2 * len(bad))]))
        assert not keeps_numbers_elsewhere(path)
    path.write_bytes(b"\xff" * 100_000)
    assert not keeps_numbers_elsewhere(path)


def test_a_gpu_that_onnx_runtime_cannot_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    path, said = channel_means(tmp_path / "mine.onnx"), list[str]()
    OnnxSession(path, 0, 112, torch.device("cpu"), said.append)
    assert not said
    OnnxSession(path, 0, 112, torch.device("cuda"), said.append)
    assert len(said) == 1
    assert "mine.onnx runs on the CPU" in said[0]


def test_it_is_named_on_the_command_line(tmp_path: Path, context: Context) -> None:
    path = channel_means(tmp_path / "mine.onnx")
    crops, landmarks = faces()
    found = [
        embedders.build(spec, context).embed(crops, landmarks)
        for spec in (f"onnx({path})", f"onnx@{path}", f"onnx(file={path},size=16,mean=127.5,std=127.5,order=rgb)")
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ("onnx(sfaec)", UnknownName, "unknown ONNX model 'sfaec'"),
        ("onnx(PATH,size=32)", BadParameter, "takes images of 16 pixels, not 32"),
        ("onnx(PATH,mean=1/2)", BadParameter, "one number, or three"),
        ("onnx(PATH,mean=grey)", BadParameter, "one number, or three"),
        ("onnx(PATH,std=0)", BadParameter, "one number, or three"),
        ("onnx(PATH,order=gbr)", BadParameter, "order"),
        ("onnx(PATH)@PATH", BadParameter, "two files"),
        ("onnx(nowhere/mine.onnx)", WeightsError, "no file"),
        ("onnx(sface)", WeightsError, "sface"),
    ],
)
def test_what_is_typed_wrong(
    spec: str, error: type[FsbenchError], match: str, tmp_path: Path, fresh_context: Context
) -> None:
    path = channel_means(tmp_path / "mine.onnx")
    with pytest.raises(error, match=match) as caught:
        embedders.build(spec.replace("PATH", str(path)), fresh_context)
    assert caught.value.hint


def test_what_is_known_is_in_the_catalogue() -> None:
    assert set(KNOWN) == {name for name, entry in CATALOGUE.items() if entry.file.endswith(".onnx")}


def test_a_network_has_to_be_named(context: Context) -> None:
    for spec in ("onnx", "onnx(size=0)"):
        with pytest.raises(BadParameter, match="needs a file") as caught:
            embedders.build(spec, context)
        assert "sface" in caught.value.hint


def test_the_description_tells_the_preprocessing(context: Context, tmp_path: Path) -> None:
    path = channel_means(tmp_path / "mine.onnx")
    info = embedders.build(f"onnx({path}, size=16, mean=123.7/116.3/103.5, std=58, order=bgr)", context).info
    assert info.description.endswith("16 px, BGR, mean 123.7/116.3/103.5, std 58")


def normalising(path: Path, steps: list[tuple[str, tuple[float, ...]]]) -> Path:
    """The means of channels, of an image that first goes through these operators."""
    nodes, name = [], "image"
    for number, (operator, _) in enumerate(steps):
        nodes.append(binary(operator, name, f"c{number}", f"x{number}"))
        name = f"x{number}"
    pool = [node("GlobalAveragePool", name, "pool"), node("Flatten", "pool", "means")]
    constants = b"".join(constant(f"c{number}", *values) for number, (_, values) in enumerate(steps))
    return write_model(path, nodes + pool, [IMAGE], [VECTOR], constants)


@pytest.mark.parametrize(
    ("steps", "mean", "std"),
    [
        ([("Sub", (127.5,)), ("Mul", (1 / 127.5,))], 0, 1),
        ([("Sub", (127.5, 127.5, 127.5)), ("Div", (128.0, 128.0, 128.0))], 0, 1),
        ([("Div", (255.0,)), ("Sub", (0.485, 0.456, 0.406)), ("Div", (0.229, 0.224, 0.225))], 0, 1),
        ([("Mul", (1 / 255,))], 0, 1),
        ([("Add", (-103.9, -116.8, -123.7))], 0, 1),
        ([("Sub", (0.5,)), ("Div", (0.5,))], 0, 255),
        ([("Mul", (2.0,)), ("Sub", (1.0,))], 0, 255),
        ([("Sub", (0.485, 0.456, 0.406)), ("Div", (0.229, 0.224, 0.225))], 0, 255),
        ([("Mul", (1.0,))], 127.5, 127.5),
    ],
)
def test_a_file_that_normalises_for_itself_is_given_what_it_wants(
    steps: list[tuple[str, tuple[float, ...]]], mean: float, std: float, tmp_path: Path, context: Context
) -> None:
    path = normalising(tmp_path / "mine.onnx", steps)
    embedder = Onnx(file=str(path), context=context)
    assert f"mean {mean:g}, std {std:g} (" in embedder.info.description
    told = Onnx(file=str(path), mean=str(mean), std=str(std), context=context)
    assert torch.equal(embedder.embed(*faces()), told.embed(*faces()))
    assert "(assumed" not in told.info.description


def test_what_is_told_wins_over_what_the_file_does(tmp_path: Path, context: Context) -> None:
    path = normalising(tmp_path / "mine.onnx", [("Sub", (127.5,)), ("Mul", (1 / 127.5,))])
    info = Onnx(file=str(path), mean="1", std="2", context=context).info
    assert info.description.endswith("mean 1, std 2")


def test_what_is_assumed_is_said(tmp_path: Path, context: Context) -> None:
    said = list[str]()
    Onnx(file=str(channel_means(tmp_path / "mine.onnx")), context=dataclasses.replace(context, log=said.append))
    assert len(said) == 1
    assert "assumed" in said[0]
    assert "mean=..,std=.." in said[0]


@pytest.mark.parametrize("operator", ["NoSuchOperator", "Foo"])
def test_a_sound_file_that_cannot_be_run_is_not_called_damaged(operator: str, tmp_path: Path, context: Context) -> None:
    path = write_model(tmp_path / "mine.onnx", [node(operator, "image", "means")], [IMAGE], [VECTOR])
    with pytest.raises(WeightsError, match=f"ONNX Runtime .* cannot run.*{operator}") as caught:
        Onnx(file=str(path), context=context)
    assert "damaged" not in caught.value.message


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 20, 1 << 20), (3, 1 << 33, 7)])
def test_a_tensor_larger_than_the_file_is_refused_before_it_is_made(
    shape: tuple[int, ...], tmp_path: Path, context: Context
) -> None:
    tensor = field(5, b"".join(field(1, n) for n in shape) + field(2, FLOAT) + field(8, "big") + field(9, b"1234"))
    path = write_model(tmp_path / "mine.onnx", MEANS, [IMAGE], [VECTOR], tensor)
    with pytest.raises(WeightsError, match="more memory"):
        Onnx(file=str(path), context=context)


def test_a_graph_that_is_damaged_anywhere_is_read_without_an_error(tmp_path: Path) -> None:
    steps = [("Sub", (0.485, 0.456, 0.406)), ("Div", (0.229, 0.224, 0.225))]
    whole = normalising(tmp_path / "mine.onnx", steps).read_bytes()
    path, draw = tmp_path / "damaged.onnx", np.random.default_rng(0)
    for _ in range(500):
        bad = bytearray(whole)
        bad[draw.integers(len(bad))] = draw.integers(256)
        path.write_bytes(bytes(bad[: draw.integers(1, 2 * len(bad))]))
        graph = read_graph(path)
        if graph is not None:
            graph.affine()
            graph.excess(len(bad))
