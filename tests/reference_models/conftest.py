"""Files of style-transfer networks with random weights, in the form of the real ones."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fsbench import weights
from fsbench.environment import make_context
from fsbench.interfaces import Context
from fsbench.store import file_sha256
from reference_models.style.microast import MicroAstNetwork
from reference_models.style.vgg import VggDecoder, VggEncoder


def random_state(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Weights that keep the size of activations (He et al. 2015), small biases."""
    random = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(tensor.shape, generator=random)
        * (math.sqrt(2 / tensor[0].numel()) if tensor.ndim == 4 else 0.05)
        for name, tensor in network.state_dict().items()
    }


@pytest.fixture(scope="session")
def style_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file for each of the entries of style transfer."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.device("meta"):
        micro, vgg, decoder = MicroAstNetwork(), VggEncoder(), VggDecoder()
    networks = {"vgg19_normalised": vgg, "adain_decoder": decoder}
    networks |= {f"microast_{name}": network for name, network in micro.named_children()}
    paths = {name: folder / weights.CATALOGUE[name].file for name in networks}
    for seed, (name, network) in enumerate(networks.items()):
        torch.save(random_state(network, seed), paths[name])
    return paths


@pytest.fixture
def style_context(style_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The context of a run whose empty cache has these files as those of the catalogue."""
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    context = make_context("cpu")
    folder = context.store.root / "weights"
    folder.mkdir(parents=True)
    for name, path in style_files.items():
        (folder / path.name).symlink_to(path)
        entry = replace(weights.CATALOGUE[name], sha256=file_sha256(path), size=path.stat().st_size)
        monkeypatch.setitem(weights.CATALOGUE, name, entry)
    return context
