"""What no run could use is not imported: the network is built first, and held against what the catalogue promises."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from fsbench import registry, weights
from fsbench.embedders._facenet_network import FacenetNetwork
from fsbench.embedders._vggface2_h5 import _BRANCHES, _ENDS
from fsbench.embedders._vggface2_network import KERAS, Architecture, VggfaceNetwork
from fsbench.errors import WeightsError
from fsbench.interfaces import Context
from fsbench.weights.network import use

Adapt = Callable[..., weights.Weights]
N_VGGFACE2 = 8_631


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def refusal(source: Path, folder: Path, name: str) -> WeightsError:
    """The error that keeps a file out; nothing is left behind."""
    with pytest.raises(WeightsError) as caught:
        weights.import_file(source, folder, name)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert not folder.exists()
    return caught.value


def loading(source: Path, name: str, context: Context) -> WeightsError:
    """The error of a run with this file."""
    with pytest.raises(WeightsError) as caught:
        registry.embedders.build(use(weights.CATALOGUE[name], source), context)
    return caught.value


# -------------------------------------------------------------------------------------------------------------- FaceNet


def facenet(path: Path, n_classes: int = N_VGGFACE2, **changed: torch.Tensor | None) -> Path:
    """A file with FaceNet's tensors, each of them one number that is repeated; None leaves a tensor out."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in FacenetNetwork(n_classes).state_dict().items()}
    state = {name: torch.full((1,) * len(shape), 0.01).expand(shape) for name, shape in shapes.items()}
    torch.save({name: value for name, value in (state | changed).items() if value is not None}, path)
    return path


NOT_A_NUMBER = torch.full((1, 1), torch.nan).expand(512, 1792)
NO_CLASSIFIER = {"logits.weight": None, "logits.bias": None}


def test_a_facenet_is_imported(tmp_path: Path, folder: Path, context: Context) -> None:
    found = weights.import_file(facenet(tmp_path / "mine.pt"), folder, "facenet_vggface2")
    assert found.path.parent == folder
    assert len(registry.embedders.build(f"facenet_vggface2@{found.path}", context).info.classes) == N_VGGFACE2


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"n_classes": 10_575}, "logits.weight is 10575x512 instead of 8631x512"),
        ({"last_linear.weight": torch.zeros(128, 1792)}, "last_linear.weight is 128x1792 instead of 512x1792"),
        ({"block8.conv2d.bias": None}, "block8.conv2d.bias is not there"),
        ({"more": torch.zeros(3)}, "more is 3 instead of not there"),
    ],
)
def test_another_network_is_refused_with_the_sentence_of_a_run(
    changed: dict, sentence: str, tmp_path: Path, folder: Path, context: Context
) -> None:
    path = facenet(tmp_path / "mine.pt", **changed)
    error = refusal(path, folder, "facenet_vggface2")
    assert sentence in error.message
    assert error.sentence == loading(path, "facenet_vggface2", context).sentence


def test_what_a_run_would_take_by_its_path_is_not_always_what_a_name_promises(tmp_path: Path, folder: Path) -> None:
    error = refusal(facenet(tmp_path / "mine.pt", **NO_CLASSIFIER), folder, "facenet_vggface2")
    assert "without its classifier: facenet_vggface2 knows 8,631 people" in error.message
    assert f"facenet_vggface2@{tmp_path}/mine.pt" in error.hint
    error = refusal(facenet(tmp_path / "mine.pt", **{"last_linear.weight": NOT_A_NUMBER}), folder, "facenet_vggface2")
    assert "gives no numbers" in error.message


@pytest.mark.parametrize("damage", ["truncated", "flipped", "a module", "another table", "a program", "a list"])
def test_a_file_that_is_no_table_of_facenet_is_refused_with_the_sentence_of_a_run(
    damage: str, tmp_path: Path, folder: Path, context: Context
) -> None:
    path = facenet(tmp_path / "mine.pt")
    whole = path.read_bytes()
    match damage:
        case "truncated":
            path.write_bytes(whole[: -len(whole) // 3])
        case "flipped":
            path.write_bytes(whole[:200] + bytes(byte ^ 255 for byte in whole[200:400]) + whole[400:])
        case "a module":
            torch.save(torch.nn.Linear(2, 2), path)
        case "another table":
            torch.save(torch.nn.Linear(2, 2).state_dict(), path)
        case "a program":
            with zipfile.ZipFile(path, "w") as archive:
                for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
                    archive.writestr(f"archive/{name}", b"")
        case "a list":
            torch.save([torch.zeros(3)], path)
    error = refusal(path, folder, "facenet_vggface2")
    assert error.sentence == loading(path, "facenet_vggface2", context).sentence


# ------------------------------------------------------------------------------------------------------------- VGGFace2


def keras_file(path: Path, architecture: Architecture, classifier: bool) -> Path:
    """A file that has all shapes of keras-vggface's network and, as nothing is stored, zeros."""
    with torch.device("meta"):
        state = VggfaceNetwork(architecture, KERAS[architecture], classifier).state_dict()
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    branches, ends = ({torch_name: name for name, torch_name in names.items()} for names in (_BRANCHES, _ENDS))
    for name, tensor in state.items():
        module, _, value = name.rpartition(".")
        if value == "num_batches_tracked":
            continue
        if module in ends:
            layer = ends[module]
        else:
            stage, block, branch = module.removeprefix("layer").split(".", 2)
            layer = f"conv{int(stage) + 1}_{int(block) + 1}_{branches[branch]}"
        normalises = layer.endswith("/bn")
        keras = {
            "weight": "gamma" if normalises else "kernel",
            "bias": "beta" if normalises else "bias",
            "running_mean": "moving_mean",
            "running_var": "moving_variance",
        }[value]
        shape = tuple(tensor.shape)
        layers.setdefault(layer, {})[keras] = (*shape[2:], *shape[1::-1])
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, shapes in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{value}:0".encode() for value in shapes]
            for value, size in shapes.items():
                group.create_dataset(f"{layer}/{value}:0", size, np.float32)
    return path


@pytest.mark.parametrize(
    ("architecture", "classifier", "name"),
    [("resnet50", True, "vggface2_resnet50_keras"), ("senet50", False, "vggface2_senet50_keras_notop")],
)
def test_a_file_of_keras_vggface_is_imported(
    architecture: Architecture, classifier: bool, name: str, tmp_path: Path, folder: Path
) -> None:
    path = keras_file(tmp_path / "mine.h5", architecture, classifier)
    assert weights.import_file(path, folder, name).name == name


@pytest.mark.parametrize(
    ("architecture", "classifier", "name", "sentence", "hint"),
    [
        ("senet50", True, "vggface2_resnet50_keras", "does not hold the resnet50 of VGGFace2", "weights list"),
        ("resnet50", True, "vggface2_senet50_keras", "does not hold the senet50 of VGGFace2", "weights list"),
        ("resnet50", False, "vggface2_resnet50_keras", "without its classifier", "--as vggface2_resnet50_keras_notop"),
        ("senet50", True, "vggface2_senet50_keras_notop", "classifier of 8,631 people", "--as vggface2_senet50_keras"),
        (
            "resnet50",
            True,
            "vggface2_resnet50_ft",
            "does not begin as a .pkl file does: it is an HDF5 file",
            "weights imp",
        ),
    ],
)
def test_another_file_of_keras_vggface_is_told_what_it_is(
    architecture: Architecture, classifier: bool, name: str, sentence: str, hint: str, tmp_path: Path, folder: Path
) -> None:
    error = refusal(keras_file(tmp_path / "mine.h5", architecture, classifier), folder, name)
    assert sentence in error.message
    assert hint in error.hint


def test_an_h5_of_another_network_is_refused(tmp_path: Path, folder: Path, context: Context) -> None:
    for number, layers in enumerate(({}, {"fc6": (3, 4)}, {"conv1/7x7_s2": (7, 7, 3, 64)})):
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [layer.encode() for layer in layers]
            for layer, shape in layers.items():
                file.create_group(layer).attrs["weight_names"] = [f"{layer}/kernel:0".encode()]
                file[f"{layer}/{layer}/kernel:0"] = np.zeros(shape, np.float32)
        error = refusal(path, folder, "vggface2_resnet50_keras")
        assert error.sentence == loading(path, "vggface2_resnet50_keras", context).sentence


@pytest.mark.parametrize(
    "content", [{}, [np.zeros(3)], {"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)}, {"a": 1}, {"a": Path("a")}, 3]
)
def test_a_pickle_of_something_else_is_refused(content: object, tmp_path: Path, folder: Path, context: Context) -> None:
    path = tmp_path / "mine.pkl"
    path.write_bytes(pickle.dumps(content, 2))
    error = refusal(path, folder, "vggface2_senet50_scratch")
    assert error.sentence == loading(path, "vggface2_senet50_scratch", context).sentence


# ---------------------------------------------------------------------------- kinds whose hashes happen to be published


@pytest.fixture
def unpublished(adapt: Adapt) -> Adapt:
    return lambda name: adapt(name, sha256="", size=0)


def kernels(*sizes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(0, (2 / np.prod(size[1:])) ** 0.5, size) for size in sizes]


RECOGNISER = kernels((8, 3, 7, 7), (128, 8, 3, 3))


def test_a_recogniser_saved_as_onnx(unpublished: Adapt, write_onnx: Callable, tmp_path: Path, folder: Path) -> None:
    unpublished("sface")
    path = write_onnx(tmp_path / "mine.onnx", *RECOGNISER)
    assert weights.import_file(path, folder, "sface").path.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        ("dimension", "features of 64 numbers, sface of 128"),
        ("classifier of 224 pixels", "features of 1000 numbers, sface of 128"),
        ("no numbers", "gives no numbers"),
        ("truncated", "ONNX model"),
        ("text", "damaged, or no ONNX model"),
        ("detector", "is no network from face images to features"),
    ],
)
def test_another_onnx_is_refused(
    odd: str, sentence: str, unpublished: Adapt, write_onnx: Callable, tmp_path: Path, folder: Path
) -> None:
    unpublished("sface")
    path = tmp_path / "mine.onnx"
    match odd:
        case "dimension":
            write_onnx(path, *kernels((8, 3, 7, 7), (64, 8, 3, 3)))
        case "classifier of 224 pixels":
            write_onnx(path, *kernels((8, 3, 7, 7), (1000, 8, 3, 3)), size=224, last="Softmax")
        case "no numbers":
            write_onnx(path, RECOGNISER[0], RECOGNISER[1] * np.nan)
        case "truncated":
            path.write_bytes(write_onnx(path, *RECOGNISER).read_bytes()[:-300])
        case "text":
            path.write_text("sface\n")
        case "detector":
            write_onnx(path, *kernels((8, 3, 7, 7), (1, 8, 3, 3)))  # one number an image: whether there is a face
    assert sentence in refusal(path, folder, "sface").message


def test_a_pickle_for_lpips_and_a_table_for_inception(unpublished: Adapt, tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "mine.bin"
    path.write_bytes(pickle.dumps({"AlexNet_0": {"Conv_0": {"kernel": np.zeros((3, 3, 3, 3), np.float32)}}}))
    for name in ("lpips_alex", "lpips_vgg"):
        unpublished(name)
        assert "does not hold LPIPS with" in refusal(path, folder, name).message
    unpublished("inception")
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    assert "does not hold Inception-v3" in refusal(path, folder, "inception").message


# ----------------------------------------------------------------------------------------------------------- real files


REAL = {
    "sface": "face_recognition_sface_2021dec.onnx",
    "arcface_mbf": "arcface_w600k_mbf.onnx",
    "edgeface_s": "edgeface_s_gamma_05.onnx",
    "lpips_alex": "lpips_alexnet.pickle",
    "lpips_vgg": "lpips_vgg16.pickle",
    "face_landmarker": "face_landmarker.task",
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_what_the_catalogue_promises(
    name: str, unpublished: Adapt, weights_folder: Path, folder: Path
) -> None:
    if not (weights_folder / REAL[name]).is_file():
        pytest.skip(f"needs {REAL[name]} among the real weights")
    unpublished(name)
    assert weights.import_file(weights_folder / REAL[name], folder, name).name == name


@pytest.mark.parametrize("file", sorted(set(REAL.values())))
@pytest.mark.parametrize("name", ["sface", "facenet_casia", "vggface2_resnet50_keras", "vggface2_senet50_ft"])
def test_real_files_of_other_networks_are_refused(
    name: str, file: str, weights_folder: Path, folder: Path, unpublished: Adapt
) -> None:
    if not (weights_folder / file).is_file():
        pytest.skip(f"needs {file} among the real weights")
    if file == REAL.get(name):
        return
    unpublished(name)
    refusal(weights_folder / file, folder, name)


def test_a_file_that_is_another_of_the_catalogue_is_called_by_its_name(weights_folder: Path, folder: Path) -> None:
    path = weights_folder / REAL["arcface_mbf"]
    if not path.is_file():
        pytest.skip("needs the real ArcFace")
    error = refusal(path, folder, "sface")
    assert "the file, arcface_mbf, is not sface" in error.message
    assert error.hint == "import it --as arcface_mbf"
