"""The torch networks are held against the keras-vggface package itself, with random weights in its own files.

It needs TensorFlow, in an environment of its own:

    uv run --isolated --extra keras pytest tests/embedders/test_keras_vggface.py
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.data import astronaut

from fsbench import contracts
from fsbench.embedders import keras_vggface
from fsbench.embedders._vggface2 import Vggface2, cut
from fsbench.embedders.keras_vggface import KerasVggface, preprocess
from fsbench.embedders.vggface2_resnet50 import Vggface2Resnet50
from fsbench.embedders.vggface2_senet50 import Vggface2Senet50
from fsbench.errors import FsbenchError, WeightsError
from fsbench.faces.align import TEMPLATE
from fsbench.images import to_float
from fsbench.interfaces import Context

INSTALLED = all(importlib.util.find_spec(name) for name in ("keras_vggface", "tf_keras", "tensorflow"))
needs_keras = pytest.mark.skipif(
    not INSTALLED,
    reason="needs keras-vggface: uv run --isolated --extra keras pytest tests/embedders/test_keras_vggface.py",
)
TORCH: dict[str, type[Vggface2]] = {"resnet50": Vggface2Resnet50, "senet50": Vggface2Senet50}


def at(path: Path, context: Context) -> Context:
    return replace(context, path=str(path))


@pytest.mark.skipif(INSTALLED, reason="keras-vggface is installed")
def test_without_the_extra_the_error_names_it(context: Context) -> None:
    with pytest.raises(FsbenchError) as caught:
        KerasVggface(context=context)
    assert "keras_vggface" in caught.value.message
    assert caught.value.hint == "pip install 'fsbench[keras]'"


@pytest.fixture(scope="module", params=["resnet50", "senet50"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    """The package's own random network, saved with its classifier and without."""
    folder = tmp_path_factory.mktemp(request.param)
    top, notop = folder / "top.h5", folder / "notop.h5"
    build = keras_vggface._package().build
    network = build(model=request.param, weights=None)
    randomise(network)
    network.save_weights(str(top))
    headless = build(model=request.param, include_top=False, weights=None, input_shape=(224, 224, 3))
    headless.set_weights(network.get_weights()[:-2])  # all but the classifier's
    headless.save_weights(str(notop))
    yield request.param, top, notop
    top.unlink()  # pytest keeps the folders of three runs
    notop.unlink()


def randomise(network: object) -> None:
    """Give every tensor values that matter: the defaults of statistics, 0 and 1, would hide what is missing."""
    draw = np.random.default_rng(1)
    ranges = {
        "gamma": (0.2, 0.6),
        "beta": (-0.2, 0.2),
        "moving_mean": (-0.3, 0.3),
        "moving_variance": (0.1, 2),
        "bias": (-0.3, 0.3),
    }
    for variable in network.weights:
        kind = variable.name.rpartition("/")[2].partition(":")[0]
        shape = tuple(variable.shape)
        contrast = {"conv1": 1 / 60, "classifier": 4}.get(variable.name.partition("/")[0], 1)  # pixels are large
        variable.assign(
            draw.uniform(*ranges[kind], shape)
            if kind in ranges
            else draw.standard_normal(shape) * contrast * np.sqrt(2 / np.prod(shape[:-1]))
        )


@pytest.fixture
def faces() -> tuple[torch.Tensor, torch.Tensor]:
    """A photograph, its mirror image, and noise."""
    photo = to_float(np.ascontiguousarray(astronaut()[40:200, 144:304]))
    noise = torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
    landmarks = torch.from_numpy(TEMPLATE * 160).expand(3, -1, -1).clone()
    return torch.stack([photo, photo.flip(2), noise]), landmarks


@needs_keras
def test_torch_gives_the_same_features_and_probabilities(
    files: tuple[str, Path, Path], faces: tuple[torch.Tensor, torch.Tensor], context: Context
) -> None:
    model, top, notop = files
    theirs = KerasVggface(model=model, context=at(top, context))
    probabilities = theirs.keras_model.predict(preprocess(cut(*faces)), verbose=0)
    assert 10 / 8631 < probabilities.max() < 0.9, "nearly the same for everybody, or for nobody but one, proves nothing"

    for path in (top, notop):
        ours = TORCH[model](context=at(path, context))
        assert len(ours.info.classes) == (8631 if path == top else 0)
        features = ours.embed(*faces)
        assert features.std() > 0.05
        torch.testing.assert_close(features, theirs.embed(*faces), rtol=1e-4, atol=1e-4)
        if path == top:
            np.testing.assert_allclose(ours.classify(features).softmax(1), probabilities, rtol=1e-3, atol=1e-6)
            np.testing.assert_allclose(theirs.classify(features).softmax(1), probabilities, rtol=1e-3, atol=1e-6)


@needs_keras
def test_without_a_classifier(files: tuple[str, Path, Path], context: Context) -> None:
    model, _, notop = files
    headless = KerasVggface(model=model, context=at(notop, context))
    contracts.check_embedder(headless)
    assert (headless.info.classes, headless.info.family) == ((), f"vggface2_{model}")
    with pytest.raises(WeightsError, match="without its classifier"):
        headless.classify(torch.zeros(1, 2048))


@needs_keras
def test_perceptual_features_are_those_of_the_named_layers(
    files: tuple[str, Path, Path], faces: tuple[torch.Tensor, torch.Tensor], context: Context
) -> None:
    """faceswap-GAN takes layers 1, 36, 78 and the last but one of the ResNet without its classifier."""
    model, _, notop = files
    if model != "resnet50":
        pytest.skip("the perceptual loss is of ResNet-50")
    images = faces[0]
    theirs = KerasVggface(context=at(notop, context)).keras_model
    layers = [theirs.layers[i].output for i in (1, 36, 78, -2)]
    wanted = type(theirs)(theirs.input, layers).predict(
        preprocess(F.interpolate(images, (224, 224), mode="bilinear")), verbose=0
    )
    for ours, maps in zip(Vggface2Resnet50(context=at(notop, context)).features(images), wanted, strict=True):
        torch.testing.assert_close(ours, torch.from_numpy(maps).permute(0, 3, 1, 2), rtol=1e-4, atol=1e-3)


@needs_keras
def test_a_file_of_the_other_network_is_refused(
    files: tuple[str, Path, Path], faces: tuple[torch.Tensor, torch.Tensor], context: Context
) -> None:
    model, top, _ = files
    other = "senet50" if model == "resnet50" else "resnet50"
    with pytest.raises(WeightsError, match=f"does not hold the {other}"):
        KerasVggface(model=other, context=at(top, context)).embed(*faces)


@needs_keras
def test_only_h5_files_are_read(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"\x80\x02}.")
    with pytest.raises(WeightsError, match="no h5 file"):
        KerasVggface(context=at(path, context))


@needs_keras
def test_the_real_keras_is_left_alone() -> None:
    import keras

    keras_vggface._package.cache_clear()
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "keras"}
    keras_vggface._package()
    after = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "keras"}
    assert after == before
    assert sys.modules["keras"] is keras
    assert keras.__version__ >= "3"
    assert "keras_vggface" not in sys.modules
