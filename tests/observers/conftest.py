from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torchvision.models.inception import Inception3

from fsbench.contracts import toy_weights
from fsbench.images import read_image, to_float

State = dict[str, torch.Tensor]


def layout() -> State:
    """Names and shapes of pytorch-fid's file."""
    with torch.device("meta"):
        return Inception3(1008, aux_logits=False, init_weights=False).state_dict()


@pytest.fixture(scope="session")
def made_up() -> State:
    """Random weights; such that features stay in range and are not all alike."""
    return toy_weights(layout())


@pytest.fixture(scope="session")
def made_up_file(made_up: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like the published one."""
    path = tmp_path_factory.mktemp("inception") / "made_up.pth"
    torch.save(made_up, path)
    return path


@pytest.fixture(scope="session")
def script(weights_folder: Path) -> torch.jit.ScriptModule:
    """The real network as TorchScript: (N, 3, 299, 299) in [-1, 1] -> (N, 2048)."""
    path = weights_folder / "fid_inception_2015-12-05.torchscript.pt"
    if not path.is_file():
        pytest.skip(f"needs {path.name} among the real weights")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch wishes for another format
        return torch.jit.load(str(path), map_location="cpu").eval()


@pytest.fixture(scope="session")
def real(script: torch.jit.ScriptModule) -> State:
    """The script's weights under the names of pytorch-fid's file; it has no classifier and no gammas, which are 1."""
    given = iter(script.state_dict().values())  # weight, beta, mean, variance of one convolution after another
    state: State = {}
    for name in layout():
        layer = name.removesuffix(".conv.weight")
        if layer != name:
            weight, beta, mean, variance = (next(given) for _ in range(4))
            state |= {
                name: weight,
                f"{layer}.bn.weight": torch.ones_like(beta),
                f"{layer}.bn.bias": beta,
                f"{layer}.bn.running_mean": mean,
                f"{layer}.bn.running_var": variance,
            }
    assert next(given, None) is None
    return state


@pytest.fixture(scope="session")
def real_file(real: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "real.pth"
    torch.save(real, path)
    return path


@pytest.fixture(scope="session")
def photographs(shared: Path) -> torch.Tensor:
    """(2, 3, 128, 128) cuts out of LFW, 8-bit levels."""
    paths = sorted((shared / "data/lfw").glob("*/*.jpg"))[::50][:2]
    return torch.stack([to_float(read_image(path)[60:188, 61:189]) for path in paths])
