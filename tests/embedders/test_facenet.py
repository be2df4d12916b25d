"""FaceNet with random weights, held against facenet-pytorch's own forward pass; what is no FaceNet is refused."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from reduced import assert_reduced

from fsbench import contracts
from fsbench.embedders._facenet import CHIP, TEMPLATE_ON_CHIP
from fsbench.embedders._facenet_network import FacenetNetwork
from fsbench.embedders.facenet_casia import FacenetCasia
from fsbench.embedders.facenet_vggface2 import FacenetVggface2
from fsbench.errors import WeightsError
from fsbench.faces.align import TEMPLATE
from fsbench.faces.chips import cut_chips
from fsbench.interfaces import Context
from fsbench.registry import embedders

N_VGGFACE2 = 8_631


@pytest.fixture(scope="module")
def network() -> InceptionResnetV1:
    """Random weights; statistics of its batch norms such that features are not all alike."""
    torch.manual_seed(0)
    network = InceptionResnetV1(pretrained=None, classify=True, num_classes=N_VGGFACE2).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_var.uniform_(0.1, 0.3)
    return network


@pytest.fixture(scope="module")
def release(network: InceptionResnetV1, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like the published one."""
    path = tmp_path_factory.mktemp("facenet") / "release.pt"
    torch.save(network.state_dict(), path)
    return path


def without_logits(network: InceptionResnetV1) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("logits")}


def with_path(context: Context, path: Path) -> Context:
    return Context(context.device, context.store, context.data_root, path=str(path))


def faces(n: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    crops = torch.rand(n, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    crops = torch.nn.functional.interpolate(crops, 128, mode="bilinear")
    return crops, torch.from_numpy(TEMPLATE * 128).expand(n, 5, 2).contiguous()


def test_features_and_logits_are_those_of_facenet_pytorch(
    network: InceptionResnetV1, release: Path, context: Context
) -> None:
    embedder = FacenetVggface2(context=with_path(context, release))
    crops, landmarks = faces()
    features = embedder.embed(crops, landmarks)
    chips = (cut_chips(crops, landmarks, TEMPLATE_ON_CHIP, CHIP) * 255 - 127.5) / 128
    with torch.inference_mode():
        network.classify = True
        logits = network(chips)
        network.classify = False
        unit = network(chips)
    assert (features.norm(dim=1) - 1).abs().min() > 0.01  # they are not normalised
    assert torch.allclose(torch.nn.functional.normalize(features), unit, atol=1e-5)
    layers = FacenetNetwork(N_VGGFACE2).state_dict()
    assert {name: tensor.shape for name, tensor in layers.items()} == {
        name: tensor.shape for name, tensor in network.state_dict().items()
    }
    assert torch.allclose(embedder.classify(features), logits, rtol=1e-4, atol=1e-4)
    assert (logits[0] - logits[1]).abs().max() > 1e-3


def test_it_keeps_the_contract(release: Path, context: Context) -> None:
    embedder = embedders.build(f"facenet_vggface2@{release}", context)
    contracts.check_embedder(embedder)
    assert (embedder.info.family, embedder.info.dim) == ("facenet", 512)
    assert embedder.info.weights[0].licence == "MIT, if it is the authors' file"
    assert len(embedder.info.classes) == N_VGGFACE2
    assert embedder.info.classes[:2] == ("A Fine Frenzy", "A. A. Gill")  # n000002 and n000003; n000001 is for testing


def test_a_file_without_a_classifier_knows_nobody(network: InceptionResnetV1, tmp_path: Path, context: Context) -> None:
    torch.save(without_logits(network), tmp_path / "features.pt")
    for kind in (FacenetVggface2, FacenetCasia):  # the layers before the classifier are the same
        embedder = kind(context=with_path(context, tmp_path / "features.pt"))
        assert embedder.info.classes == ()
        with pytest.raises(WeightsError, match="without its classifier"):
            embedder.classify(torch.zeros(1, 512))


def test_the_old_format_of_torch_is_read(
    network: InceptionResnetV1, release: Path, context: Context, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    crops, landmarks = faces(1)
    found = [
        FacenetVggface2(context=with_path(context, path)).embed(crops, landmarks)
        for path in (release, tmp_path / "old.pt")
    ]
    assert torch.equal(*found)


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_does_not_run(
    zipped: bool, network: InceptionResnetV1, tmp_path: Path, context: Context
) -> None:
    sprung = tmp_path / "sprung"
    content = {**without_logits(network), "trap": Trap(sprung)}
    torch.save(content, tmp_path / "trap.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="damaged"):
        FacenetVggface2(context=with_path(context, tmp_path / "trap.pt"))
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))  # the trap works
    assert sprung.exists()


def damaged(kind: str, release: Path, network: InceptionResnetV1, path: Path) -> None:
    data = release.read_bytes()
    match kind:
        case "empty" | "truncated" | "text":
            path.write_bytes({"empty": b"", "truncated": data[:1_000_000], "text": b"<html>404</html>\n"}[kind])
        case "a list":
            torch.save([torch.zeros(3)], path)
        case "a module":
            torch.save(torch.nn.Linear(2, 2), path)
        case "other architecture":
            torch.save({"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}, path)
        case "one layer missing":
            torch.save({n: t for n, t in network.state_dict().items() if n != "block8.conv2d.bias"}, path)
        case "no tensor":
            torch.save({**network.state_dict(), "block8.conv2d.bias": 3}, path)
        case "other classes":
            torch.save({**network.state_dict(), "logits.weight": torch.zeros(10, 512)}, path)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("empty", "damaged"),
        ("truncated", "damaged"),
        ("text", "damaged"),
        ("a list", "no table"),
        ("a module", "damaged"),
        ("other architecture", "does not hold FaceNet"),
        ("one layer missing", r"block8\.conv2d\.bias is not there"),
        ("no tensor", r"block8\.conv2d\.bias"),
        ("other classes", r"logits\.weight is 10x512 instead of 8631x512"),
    ],
)
def test_what_is_no_facenet_is_refused_in_one_sentence(
    kind: str, match: str, release: Path, network: InceptionResnetV1, tmp_path: Path, context: Context
) -> None:
    damaged(kind, release, network, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match=match) as caught:
        FacenetVggface2(context=with_path(context, tmp_path / "bad.pt"))
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["facenet_vggface2", "facenet_casia"])
def test_a_missing_file_names_the_command(name: str, fresh_context: Context) -> None:
    with pytest.raises(WeightsError, match=name) as caught:
        embedders.build(name, fresh_context)
    assert f"fsbench weights fetch {name}" in caught.value.hint


def test_its_maps_are_differentiable_and_end_in_its_features(release: Path, context: Context) -> None:
    embedder = FacenetVggface2(context=with_path(context, release))
    embedder.embed(*faces(1))  # what is made at the first call has gradients afterwards
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    maps = embedder.features(images)
    assert [tuple(part.shape[1:]) for part in maps] == [(64, 77, 77), (256, 17, 17), (896, 8, 8), (1792, 3, 3)]
    sum(part.square().mean() for part in maps).backward()
    assert images.grad.abs().min() > 0
    network, chips = embedder._networks[0], torch.nn.functional.interpolate(images, (CHIP, CHIP), mode="bilinear")
    features = network.last_bn(network.last_linear(maps[-1].mean((2, 3))))
    torch.testing.assert_close(features, network((chips * 255 - 127.5) / 128))


def test_in_less_precision_only_the_network_computes(release: Path, context: Context) -> None:
    assert_reduced(lambda context: FacenetVggface2(context=replace(context, path=str(release))), context)
