"""The keras-vggface package itself: the reference with which the torch networks are compared."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from fsbench.embedders._batches import in_batches
from fsbench.embedders._vggface2 import choose, cut, describe
from fsbench.embedders._vggface2_h5 import has_classifier, is_h5
from fsbench.embedders._vggface2_network import CHIP
from fsbench.errors import FsbenchError, WeightsError
from fsbench.interfaces import Context
from fsbench.registry import embedders

_ALIASES = {
    "keras": "tf_keras",
    "keras.backend": "tf_keras.backend",
    "keras.layers": "tf_keras.layers",
    "keras.models": "tf_keras.models",
    "keras.utils": "tf_keras.src.utils",
    "keras.utils.data_utils": "tf_keras.src.utils.data_utils",
    "keras.utils.layer_utils": "tf_keras.src.utils.layer_utils",
    "keras.engine.topology": "tf_keras.src.utils.layer_utils",  # for get_source_inputs
}
"""Where keras-vggface, written for Keras 2.1, looks for things, and where tf-keras, the last of Keras 2, has them."""


@embedders.register("keras_vggface")
class KerasVggface:
    """VGGFace2's ResNet-50 or SE-ResNet-50 by the keras-vggface package, slow and on the CPU: a reference.

    `model` selects the network. `keras_vggface@PATH` reads an h5 file. Without a path the weights are those of
    vggface2_resnet50 and vggface2_senet50. The chips are the same as theirs. Needs `pip install 'fsbench[keras]'`.
    """

    def __init__(self, *, model: Literal["resnet50", "senet50"] = "resnet50", context: Context) -> None:
        _require_packages()
        self._model, self._context = model, context
        file = choose(model, ("keras", "keras_notop"), context)
        if not is_h5(file.path):
            raise WeightsError(
                f"{file.path} is no h5 file, which is all that keras_vggface reads",
                f"read it with vggface2_{model}@{file.path}",
            )
        self.info = describe(model, file, f"keras-vggface's {model}, 5-point alignment to VGGFace2's loose face box")

    @functools.cached_property
    def keras_model(self) -> Any:
        """The package's model: pixels to probabilities, or to pooled maps where the file has no classifier."""
        path = self.info.weights[0].path
        top = has_classifier(path)
        model = _package().build(model=self._model, include_top=top, weights=None, input_shape=(CHIP, CHIP, 3))
        try:
            model.load_weights(str(path))
        except (OSError, ValueError, KeyError) as error:
            raise WeightsError(
                f"{path} is damaged, or does not hold the {self._model} of keras-vggface",
                "`fsbench weights list` names the files that fit",
            ) from error
        return model

    @functools.cached_property
    def _pooled(self) -> Any:
        """(N, 224, 224, 3) preprocessed pixels -> (N, 1, 1, 2048)."""
        model = self.keras_model
        return type(model)(model.input, model.get_layer("avg_pool").output)

    @torch.inference_mode()
    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        """(N, 3, S, S) crops and (N, 5, 2) landmarks in their pixels -> (N, 2048) features, not normalised."""
        return in_batches(
            lambda *faces: preprocess(cut(*faces)), self._features, crops, landmarks, self.info.dim, self._context
        )

    def _features(self, pixels: np.ndarray) -> Tensor:
        return torch.from_numpy(self._pooled.predict_on_batch(pixels)).flatten(1)

    @torch.inference_mode()
    def classify(self, features: Tensor) -> Tensor:
        """(N, 2048) as `embed` gave them -> (N, 8631) logits; raises WeightsError where the file has no classifier."""
        if not self.info.classes:
            raise WeightsError(
                f"{self.info.weights[0].path} was saved without its classifier",
                f"fsbench weights fetch vggface2_{self._model}_keras",
            )
        kernel, bias = map(torch.from_numpy, self.keras_model.get_layer("classifier").get_weights())
        return features @ kernel.to(features) + bias.to(features)


def preprocess(chips: Tensor) -> np.ndarray:
    """(N, 3, 224, 224) RGB in [0, 1] -> (N, 224, 224, 3) the input of keras-vggface's version 2."""
    pixels = np.moveaxis(chips.cpu().numpy(), 1, -1) * np.float32(255)
    return np.asarray(_package().preprocess_input(pixels, version=2))


@dataclass(frozen=True)
class _Package:
    """The parts of keras-vggface that are used, bound to tf-keras."""

    build: Callable[..., Any]
    preprocess_input: Callable[..., np.ndarray]


@functools.cache
def _package() -> _Package:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that are as old as Keras 2
        importlib.import_module("tf_keras")
        with _old_keras():
            return _Package(
                importlib.import_module("keras_vggface.vggface").VGGFace,
                importlib.import_module("keras_vggface.utils").preprocess_input,
            )


@contextmanager
def _old_keras() -> Iterator[None]:
    """Let `keras` mean tf-keras; afterwards the imported modules are as they were, for users of the real one."""
    before = dict(sys.modules)
    ours = ("keras", "keras_vggface")
    for name in before:
        if name.partition(".")[0] in ours:
            del sys.modules[name]
    sys.modules.update({name: importlib.import_module(place) for name, place in _ALIASES.items()})
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
            del sys.modules[name]
        sys.modules.update({name: module for name, module in before.items() if name.partition(".")[0] in ours})


def _require_packages() -> None:
    missing = [
        name
        for name in ("keras_vggface", "keras_applications", "tf_keras", "tensorflow")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise FsbenchError(
            f"embedder keras_vggface needs packages that are not installed: {', '.join(missing)}",
            "pip install 'fsbench[keras]'",
        )
