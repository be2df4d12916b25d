"""The wrong person swapped in k of n frames; and what is no wrong face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.config import Plan
from fsbench.evidence import references
from fsbench.faces.align import TEMPLATE, align
from fsbench.faces.frames import REGION
from fsbench.harness import evaluation, frames, illustrations, sets
from fsbench.harness.run import run
from fsbench.images import ImageSet
from fsbench.interfaces import Batch, Context, DatasetInfo, EmbedderInfo, Faces, FacesInFrame, Source, Targets
from fsbench.metrics.wrong_face_rate import WrongFaceRate
from fsbench.registry import datasets, embedders, swappers

N = 20


def clip(wrong: int = 0, alone: int = 0, still: int = 0, people: int = 2, noise: float = 0.2) -> Batch:
    """Frames with `people`, of whom the first is swapped; in `wrong` of them the second; `alone` show one face."""
    draw = torch.Generator().manual_seed(0)
    centres = torch.linalg.qr(torch.randn(16, people, generator=draw)).Q.T  # (people, 16)
    features = centres + noise / 4 * torch.randn(N, people, 16, generator=draw)
    features = torch.nn.functional.normalize(features, dim=2)
    features[:wrong] = features[:wrong].flip(1)  # the one that is swapped stands first
    changes = torch.full((N, people), 0.4)
    changes[:, 0] = 25.0
    features[N - alone :], changes[N - alone :, 1:] = torch.nan, torch.nan
    changes[wrong : wrong + still] = 0.1
    batch = contracts.toy_clip(N)
    return replace(batch, evidence={"faces_in_frame": FacesInFrame(features, changes)})


def value(batch: Batch) -> float:
    (row,) = WrongFaceRate().measure(batch).tolist()
    return row


@pytest.mark.parametrize("people", [2, 3, 5])
@pytest.mark.parametrize("wrong", [0, 1, 4, 9])
def test_the_wrong_person_in_k_of_n_frames(wrong: int, people: int) -> None:
    expected = 100 * wrong / N
    assert value(clip(wrong, people=people)) == pytest.approx(expected)


def test_only_frames_with_several_people_in_which_one_was_swapped_count() -> None:
    assert value(clip(2, alone=10)) == pytest.approx(20)
    assert value(clip(2, still=8)) == pytest.approx(100 * 2 / 12)
    assert np.isnan(value(clip(alone=N)))
    assert np.isnan(value(clip(still=N)))


def test_an_overlap_with_a_neighbour_and_another_light_are_no_wrong_face() -> None:
    batch = clip()
    faces = batch["faces_in_frame"]
    touched = faces.changes.clone()
    touched[:, 1] = 10.0
    assert value(replace(batch, evidence={"faces_in_frame": FacesInFrame(faces.features, touched)})) == 0
    assert value(clip(noise=1.0)) == 0


SIZE, LOST = 32, (3, 4, 9)
FACE_A, FACE_B = (200, 60, 50), (60, 80, 200)


class Couples:
    """Two people in every frame; in the clips of one, the tracker takes the other for a few frames."""

    info = DatasetInfo("couples", "1", SIZE, "made up", "CC0-1.0", ("test",))

    def __init__(self) -> None:
        rows, crops, points = [], [], []
        for person in ("ann", "bob"):
            for number in range(12):
                place = f"{person}/c/{number}"
                image, faces = self._frame(place)
                crop, own = align(image, faces[0], SIZE)
                crops.append(crop)
                points.append(own)
                rows.append({"id": place, "identity": person, "session": "c", "clip": "c", "frame": number})
        self._faces = Faces(ImageSet(np.stack(crops)), pd.DataFrame(rows), np.stack(points))

    @staticmethod
    def _frame(place: str) -> tuple[np.ndarray, np.ndarray]:
        person, _, number = place.split("/")
        image = np.full((80, 180, 3), 120, np.uint8)
        middles = [(50, 40), (130, 40)]
        y, x = np.mgrid[:80, :180] + 0.5
        for (at, down), colour in zip(middles, (FACE_A, FACE_B), strict=True):
            image[(x - at) ** 2 + (y - down) ** 2 < 25**2] = colour
        faces = np.stack([(TEMPLATE - 0.5) * 50 + middle for middle in middles]).astype(np.float32)
        swap = (person == "bob") != (person == "ann" and int(number) in LOST)
        return image, faces[::-1].copy() if swap else faces

    def faces(self, split: str) -> Faces:
        return self._faces

    def truth(self, source: str, targets: Faces) -> None:
        return None

    def frames(self, targets: Faces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self._frame(place) for place in targets.rows["id"])


def test_a_tracker_that_jumps_to_somebody_else(
    registering: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fresh_context: Context
) -> None:
    datasets.register("couples")(Couples)

    @swappers.register("invert")
    class Invert:
        """Inverts crops."""

        def swap(self, source: Source, targets: Targets) -> Tensor:
            return 1 - targets.images

    @embedders.register("middle")
    class Middle:
        """Knows people by the colour in the middle."""

        info = EmbedderInfo("middle", 3, (), "-")

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            middle = crops.shape[-1] // 2
            return crops[:, :, middle, middle]

    def everywhere(images: ImageSet, title: str, context: Context) -> np.ndarray:
        points = TEMPLATE if images.shape[1] == SIZE else REGION
        return np.repeat((points * images.shape[1])[None], len(images), 0).astype(np.float32)

    monkeypatch.setattr(illustrations, "TABLES", {})
    monkeypatch.setattr(frames, "RECOGNISER", "middle")
    for module in (evaluation, references, sets, frames):
        monkeypatch.setattr(module, "find_landmarks", everywhere)
    plan = Plan(
        dataset="couples", models=("invert",), metrics=("wrong_face_rate",), judges=("middle",), stage="frame",
        device="cpu", resamples=100, baselines=False,
    )  # fmt: skip
    result = run(plan, tmp_path / "out", fresh_context)
    clips = pd.read_parquet(tmp_path / "out" / "clips.parquet").set_index(["model", "identity"])[
        "wrong_face_rate/frame"
    ]
    assert clips["invert", "ann"] == pytest.approx(100 * len(LOST) / 12)
    assert clips["invert", "bob"] == 0
    assert np.isnan(clips["identity_swap", "ann"]), "which swaps nobody"
    (found,) = result.find("invert", "wrong_face_rate")
    assert found.value == pytest.approx(100 * len(LOST) / 24)
