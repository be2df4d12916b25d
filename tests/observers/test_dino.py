"""The observer dino, against DINO's own layers written out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from reduced import assert_reduced
from torch import Tensor

from fsbench import contracts
from fsbench.errors import WeightsError
from fsbench.interfaces import Context
from fsbench.observers.dino import SIDE, Dino, prepare
from fsbench.weights import lookup
from fsbench.weights.network import check_network

DIM, HEADS, DEPTH, PATCH = 768, 12, 12, 16
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """Random weights under the names and in the shapes of the authors' file."""
    shapes = {"cls_token": (1, 1, DIM), "pos_embed": (1, 1 + (SIDE // PATCH) ** 2, DIM), "norm": (DIM,),
              "patch_embed.proj": (DIM, 3, PATCH, PATCH)}  # fmt: skip
    for i in range(DEPTH):
        of = {"norm1": (DIM,), "norm2": (DIM,), "attn.qkv": (3 * DIM, DIM), "attn.proj": (DIM, DIM),
              "mlp.fc1": (4 * DIM, DIM), "mlp.fc2": (DIM, 4 * DIM)}  # fmt: skip
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in of.items()}
    random, tensors = torch.Generator().manual_seed(0), {}
    for name, shape in shapes.items():
        drawn = torch.randn(shape, generator=random) / max(1, shape[-1]) ** 0.5
        if name in ("cls_token", "pos_embed"):
            tensors[name] = drawn
            continue
        tensors[f"{name}.weight"] = drawn + 1 if "norm" in name else drawn
        tensors[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=random)
    return tensors


@pytest.fixture(scope="module")
def path(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("dino") / "dino.pth"
    torch.save(state, file)
    return file


def by_hand(state: State, images: Tensor) -> Tensor:
    """A vision transformer as in the paper: tokens, blocks with norms before, the normed class token."""
    n = len(images)
    patches = F.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], PATCH)
    x = torch.cat([state["cls_token"].expand(n, 1, DIM), patches.flatten(2).transpose(1, 2)], 1) + state["pos_embed"]

    def linear(name: str, of: Tensor) -> Tensor:
        return F.linear(of, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name: str, of: Tensor) -> Tensor:
        return F.layer_norm(of, (DIM,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    for i in range(DEPTH):
        at = f"blocks.{i}"
        query, key, own = linear(f"{at}.attn.qkv", norm(f"{at}.norm1", x)).view(n, -1, 3, HEADS, DIM // HEADS).unbind(2)
        looked = torch.einsum("nqhd,nkhd->nhqk", query, key) / (DIM // HEADS) ** 0.5
        mixed = torch.einsum("nhqk,nkhd->nqhd", looked.softmax(-1), own).reshape(n, -1, DIM)
        x = x + linear(f"{at}.attn.proj", mixed)
        x = x + linear(f"{at}.mlp.fc2", F.gelu(linear(f"{at}.mlp.fc1", norm(f"{at}.norm2", x))))
    return norm("norm", x)[:, 0]


def test_the_class_token_is_dinos(state: State, path: Path, context: Context) -> None:
    crops = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    found = Dino(context=replace(context, path=str(path))).observe(crops, torch.zeros(2, 5, 2))["class_token"]
    expected = by_hand(state, prepare(crops))
    assert found.shape == (2, DIM)
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()
    assert (found[0] - found[1]).abs().max() > 0.01


def test_images_become_levels_of_224_pixels() -> None:
    grey = prepare(torch.full((1, 3, 32, 32), 100.4 / 255))
    assert grey.shape == (1, 3, SIDE, SIDE)
    assert grey[0, 0, 0, 0].item() == pytest.approx((100 / 255 - 0.485) / 0.229, abs=1e-5)
    steps = prepare(torch.rand(1, 3, 50, 50))[0, 1] * 0.224 + 0.456
    assert torch.allclose(255 * steps, (255 * steps).round(), atol=1e-3)


def test_it_keeps_the_contract(path: Path, context: Context) -> None:
    contracts.check_observer(Dino(context=replace(context, path=str(path))))


def test_other_files_are_refused(state: State, path: Path, tmp_path: Path, fresh_context: Context) -> None:
    with pytest.raises(WeightsError, match="the weights dino_vitb16"):
        Dino(context=fresh_context)
    check_network(path, lookup("dino_vitb16"))
    for damage in ({"norm.bias": torch.zeros(3)}, {"head.weight": torch.zeros(2, DIM)},
                   {"norm.bias": torch.full((DIM,), torch.nan)}):  # fmt: skip
        torch.save(state | damage, tmp_path / "bad.pth")
        with pytest.raises(WeightsError, match="DINO"):
            Dino(context=replace(fresh_context, path=str(tmp_path / "bad.pth")))


def test_in_less_precision_only_the_network_computes(path: Path, context: Context) -> None:
    assert_reduced(lambda context: Dino(context=replace(context, path=str(path))), context)
