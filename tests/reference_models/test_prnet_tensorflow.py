"""The reader of TensorFlow's checkpoints, and the conversion of PRNet's own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from fsbench.errors import CheckpointError
from fsbench.interfaces import Context
from reference_models.prnet.convert import convert, main, published_layout, published_name
from reference_models.prnet.model import PositionRefiner
from reference_models.prnet.network import PositionNetwork
from reference_models.prnet.tensorflow import read_checkpoint, read_index


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block of a LevelDB table; every 16th key is written whole."""
    body, restarts, before = b"", [], b""
    for k, (key, value) in enumerate(entries):
        shared = 0
        if k % 16:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        else:
            restarts.append(len(body))
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    for restart in restarts or [0]:
        body += restart.to_bytes(4, "little")
    return body + len(restarts or [0]).to_bytes(4, "little")


def write_checkpoint(index: Path, tensors: Mapping[str, np.ndarray], per_block: int = 40) -> None:
    """Write tensors as TensorFlow's BundleWriter does, without the check sums, which nobody reads."""
    entries, data = [(b"", field(1, 1))], b""
    for name in sorted(tensors):
        array = tensors[name]
        shape = b"".join(field(2, field(1, size)) for size in array.shape)
        raw = array.astype("<f4").tobytes()
        crc = varint(6 << 3 | 5) + b"\0\0\0\0"
        entries.append((name.encode(), field(1, 1) + field(2, shape) + field(4, len(data)) + field(5, len(raw)) + crc))
        data += raw
    table, handles = b"", []
    for k in range(0, len(entries), per_block):
        part = entries[k : k + per_block]
        written = block(part)
        handles.append((part[-1][0], varint(len(table)) + varint(len(written))))
        table += written + bytes(5)
    places = []
    for written in (block([]), block(handles)):
        places.append(varint(len(table)) + varint(len(written)))
        table += written + bytes(5)
    footer = b"".join(places)
    index.write_bytes(table + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db"))
    index.with_name(f"{index.stem}.data-00000-of-00001").write_bytes(data)


def published(network: PositionNetwork) -> dict[str, np.ndarray]:
    """The variables of a network as its authors' checkpoint has them, an optimiser's beside them."""
    variables = {"beta1_power": np.float32(0.9) * np.ones(())}
    for name, tensor in network.state_dict().items():
        if tensor.ndim:
            array = tensor.permute(2, 3, 1, 0).numpy() if tensor.ndim == 4 else tensor.numpy()
            variables[published_name(name)] = array
    variables["resfcn256/Conv/weights/Adam"] = variables["resfcn256/Conv/weights"] * 0
    return variables


@pytest.fixture(scope="module")
def network() -> PositionNetwork:
    """The published network with random values everywhere, statistics too."""
    network, generator = PositionNetwork(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.ndim:
                low = 0.5 if name.endswith("var") else -0.05
                tensor.copy_(low + 0.1 * torch.rand(tensor.shape, generator=generator))
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(network: PositionNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("prnet") / "256_256_resfcn256_weight.index"
    write_checkpoint(index, published(network))
    return index


@pytest.fixture
def uv_data(tmp_path: Path) -> Path:
    """A layout in the form of the published one: a disc of texels."""
    folder = tmp_path / "uv-data"
    folder.mkdir()
    y, x = np.mgrid[:256, :256]
    inside = np.flatnonzero((x - 128) ** 2 + (y - 128) ** 2 < 110**2)
    np.savetxt(folder / "face_ind.txt", inside, fmt="%.18e")
    angle = np.linspace(0, 6, 68)
    np.savetxt(folder / "uv_kpt_ind.txt", [(128 + 60 * np.cos(angle)).round(), (128 + 40 * np.sin(angle)).round()])
    return folder


def test_tensors_come_back_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {f"net/layer_{k}/weights": rng.normal(size=(k + 1, 3)).astype(np.float32) for k in range(130)}
    tensors["scalar"] = np.float32(7) * np.ones(())
    write_checkpoint(tmp_path / "model.index", tensors, per_block=25)
    found = read_checkpoint(tmp_path / "model.index")
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array)


def test_the_published_index_names_the_networks_tensors(shared: Path) -> None:
    """545 entries with those of Adam; each tensor of the network under its name, and of its shape."""
    variables = read_index(shared / "data/prnet_uv/checkpoint_variables.index")
    assert len(variables) == 545
    assert max(variable.offset + variable.size for variable in variables.values()) == 160_290_984
    with torch.device("meta"):
        wanted = {name: tensor for name, tensor in PositionNetwork().state_dict().items() if tensor.ndim}
    assert {name for name in variables if "Adam" not in name and "power" not in name} == set(
        map(published_name, wanted)
    )
    for name, tensor in wanted.items():
        shape = tuple(tensor.shape)
        expected = (*shape[2:], shape[1], shape[0]) if len(shape) == 4 else shape
        assert variables[published_name(name)].shape == expected, name


def test_the_published_layout_is_read(shared: Path) -> None:
    layout = published_layout(shared / "data/prnet_uv")
    assert int(layout.valid.sum()) == 43_867
    mouth, eyes = layout.part("mouth"), layout.part("eyes")
    rows = torch.arange(256.0)
    assert 120 < float((mouth.sum(1) * rows).sum() / mouth.sum()) < 180
    assert 60 < float((eyes.sum(1) * rows).sum() / eyes.sum()) < 130


def test_a_converted_checkpoint_gives_the_same_maps(
    network: PositionNetwork, checkpoint: Path, uv_data: Path, tmp_path: Path, context: Context
) -> None:
    out = tmp_path / "prnet.safetensors"
    convert(checkpoint, uv_data, out)
    refiner = PositionRefiner(parts="mouth", mask="visible", context=context)
    refiner.load(out)
    assert refiner.network is not None
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(refiner.network(image).position, network(image).position)
    assert refiner.layout is not None
    assert refiner.layout.side == 256
    assert refiner.expressions is None


def test_damaged_and_foreign_files_are_told_in_a_sentence(checkpoint: Path, uv_data: Path, tmp_path: Path) -> None:
    content = checkpoint.read_bytes()
    for k, wrong in enumerate(
        (b"", b"text", content[:-1], content[: len(content) // 2], content[:200] + content[-48:])
    ):
        path = tmp_path / f"{k}.index"
        path.write_bytes(wrong)
        with pytest.raises(CheckpointError, match="index of a TensorFlow checkpoint"):
            read_index(path)
    alone = tmp_path / "alone.index"
    alone.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"there is no alone\.data"):
        convert(alone, uv_data, tmp_path / "out")
    alone.with_name("alone.data-00000-of-00001").write_bytes(b"\0" * 1000)
    with pytest.raises(CheckpointError, match="does not hold resfcn256"):
        convert(alone, uv_data, tmp_path / "out")
    other = tmp_path / "other.index"
    write_checkpoint(other, {"resfcn256/Conv/weights": np.zeros((4, 4, 3, 8), np.float32)})
    with pytest.raises(CheckpointError, match=r"is \(8, 3, 4, 4\), not \(16, 3, 4, 4\)"):
        convert(other, uv_data, tmp_path / "out")
    with pytest.raises(CheckpointError, match="uv-data"):
        convert(checkpoint, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_how_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["convert"])
    with pytest.raises(SystemExit, match=r"reference_models\.prnet\.convert"):
        main()
