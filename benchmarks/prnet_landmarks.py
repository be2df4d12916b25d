"""How exact prnet's landmarks are, beside MediaPipe's, and whether the mouth follows the target better after it.

    uv run python benchmarks/prnet_landmarks.py [--prnet prnet@FILE] [--photos folder:PATH] [--mouth gan_mask] ...

Errors are mean distances of the points that both networks have, in percent of the distance between the eyes. On
synthetic people the truth is exact; on photographs MediaPipe stands in for it. With `--mouth MODEL` the model's outputs
are compared with the exact swaps before and after the refiner: where MediaPipe sees the mouth, minus where it lies.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fsbench import registry
from fsbench.environment import build_dataset, make_context
from fsbench.interfaces import Context, Faces, Source, Swapped, Targets
from reference_models.prnet.model import PositionRefiner

POINTS = {  # of the iBUG scheme -> of MediaPipe's mesh
    **{36: 33, 39: 133, 42: 362, 45: 263},  # corners of the eyes
    **{37: 160, 38: 158, 40: 153, 41: 144, 43: 385, 44: 387, 46: 373, 47: 380},  # lids
    **{30: 1, 33: 2},  # nose
    **{48: 61, 54: 291, 51: 0, 57: 17, 62: 13, 66: 14, 60: 78, 64: 308},  # mouth
}
IBUG, MESH = list(POINTS), list(POINTS.values())
PARTS = {"all": IBUG, "eyes": [k for k in IBUG if 36 <= k < 48], "mouth": [k for k in IBUG if k >= 48]}
HELD_OUT = "synthetic(people=40,sessions=2,images=16,gallery=0,clips=0,seed=1900,size={size})"
DRAWS = 2000


def main() -> None:
    """Measure and print what the options ask for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--prnet", default="prnet")
    options.add_argument("--photos", help="a data set of photographs")
    options.add_argument("--mouth", help="a model, trained or with a file: gan_mask@FILE")
    options.add_argument("--size", type=int, default=128)
    options.add_argument("--images", type=int, default=160)
    given = options.parse_args()
    context = make_context("cpu")
    refiner = registry.refiners.build(given.prnet, context)
    assert isinstance(refiner, PositionRefiner)
    if "@" in given.prnet:
        refiner.load(Path(given.prnet.partition("@")[2]))
    mesh = registry.observers.build("face_mesh", context)
    synthetic = build_dataset(HELD_OUT.format(size=given.size), context)
    faces = spread(synthetic.faces("test"), given.images)
    rows = [str(row) for row in synthetic.faces("test").rows["id"]]
    index = [rows.index(str(row)) for row in faces.rows["id"]]
    truth = torch.from_numpy(synthetic.landmarks68("test")[index])  # type: ignore[attr-defined]
    print(f"{len(faces)} images of synthetic people whom no network saw, {given.size} pixels")
    told = landmarks(refiner, faces)
    seen = observed(mesh, faces)
    show("prnet", told, truth[:, IBUG])
    show("MediaPipe", seen, truth[:, IBUG])
    show("the mean of all", truth[:, IBUG].mean(0).expand(len(truth), -1, -1), truth[:, IBUG])
    if given.photos:
        faces = spread(build_dataset(given.photos, context).faces("test"), given.images)
        print(f"{len(faces)} photographs of {given.photos}, against MediaPipe")
        show("prnet", landmarks(refiner, faces), observed(mesh, faces))
    if given.mouth:
        ask_about_the_mouth(given.mouth, refiner, mesh, given.images, context)


def spread(faces: Faces, n: int) -> Faces:
    """At most n of some faces, from all of them."""
    return faces.select(np.unique(np.linspace(0, len(faces) - 1, n).round().astype(int)))


@torch.inference_mode()
def landmarks(refiner: PositionRefiner, faces: Faces) -> Tensor:
    """(N, K, 2) points of prnet."""
    targets = Targets.of(faces)
    assert refiner.layout is not None
    parts = [refiner.maps(targets.images[k : k + 16], targets.landmarks[k : k + 16]) for k in range(0, len(faces), 16)]
    return torch.cat([refiner.layout.at_landmarks(maps.position) for maps in parts])[:, IBUG, :2]


def observed(mesh: object, faces: Faces) -> Tensor:
    """(N, K, 2) points of MediaPipe; NaN where it sees no face."""
    return mesh.observe(faces.crops[:], torch.from_numpy(faces.landmarks))["landmarks"][:, MESH, :2]  # type: ignore[attr-defined]


def errors(points: Tensor, goal: Tensor, part: str) -> Tensor:
    """(N,) percent of the distance between the outer corners of the eyes."""
    eyes = (goal[:, IBUG.index(36)] - goal[:, IBUG.index(45)]).norm(dim=-1)
    chosen = [IBUG.index(k) for k in PARTS[part]]
    return 100 * (points[:, chosen] - goal[:, chosen]).norm(dim=-1).mean(1) / eyes


def show(name: str, points: Tensor, goal: Tensor) -> None:
    """Print the mean and the median error of each part."""
    columns = []
    for part in PARTS:
        found = errors(points, goal, part)
        known = found[found.isfinite()]
        columns.append(f"{part} {known.mean():5.2f} (median {known.median():5.2f})")
    n_missing = int((~errors(points, goal, "all").isfinite()).sum())
    print(f"  {name:16} {'  '.join(columns)}{f'  {n_missing} without a face' if n_missing else ''}")


@torch.inference_mode()
def ask_about_the_mouth(model: str, refiner: PositionRefiner, mesh: object, n: int, context: Context) -> None:
    """Compare the mouths of a model's outputs with those of the exact swaps, before and after the refiner."""
    from fsbench.config import parse_pipeline
    from fsbench.harness.models import build, prepare_model
    from fsbench.harness.parts import swap

    data = build_dataset("synthetic(gallery=0,clips=0)", context)
    ready = prepare_model(build(parse_pipeline(model), context), lambda: data.faces("train"), "auto", 0, context)
    before, after = [], []
    test = data.faces("test")
    for source in test.identities:
        others = spread(test.select((test.rows["identity"] != source).to_numpy()), n // 2)
        images = Source(source, data.faces("train").of(source).crops[:32])
        targets = Targets.of(others)
        output = swap(ready.parts, images, targets)
        exact = torch.stack(
            [data.describe(str(row), source).drawing.landmarks for row in others.rows["id"]]  # type: ignore[attr-defined]
        )[:, IBUG]
        for pictures, found in ((output, before), (refiner.refine(output, targets, images), after)):
            shown = Swapped.of(pictures).images
            points = mesh.observe(shown, targets.landmarks)["landmarks"][:, MESH, :2]  # type: ignore[attr-defined]
            found.append(errors(points, exact, "mouth"))
    pairs = torch.stack([torch.cat(before), torch.cat(after)])
    known = pairs[:, pairs.isfinite().all(0)].numpy()
    change = known[1] - known[0]
    draws = np.random.default_rng(0).choice(change, (DRAWS, len(change))).mean(1)
    low, high = np.quantile(draws, (0.025, 0.975))
    print(f"{len(change)} outputs of {model}: distance of the mouth to the exact swap's, % of the eye distance")
    means = f"before {known[0].mean():.2f}, after {known[1].mean():.2f}, change {change.mean():+.2f}"
    print(f"  {means} [{low:+.2f}, {high:+.2f}]")
    print(f"  nearer in {100 * (change < 0).mean():.0f} % of the pairs; {pairs.shape[1] - len(change)} without a face")


if __name__ == "__main__":
    main()
