"""Each network looks at each image once, whatever stands before, behind and between the images, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.extraction import blocks
from fsbench.extraction.extractor import Extractor
from fsbench.extraction.features import embed, find_landmarks, observe
from fsbench.faces import detect
from fsbench.images import ImageSet
from fsbench.interfaces import Context, EmbedderInfo, ObserverInfo
from fsbench.registry import embedders, observers

SHOWN: list[int] = []  # frames of each clip that an observer was shown
LOOKS = {"detector": 0, "judge": 0, "observer": 0}
CROPS = contracts.toy_faces(2, sessions=20, images=8, size=16).crops  # 320


class Detector:
    """Finds a face in every crop, at a place that depends on the crop."""

    def __init__(self, device: torch.device) -> None:
        pass

    def detect_crops(self, crops: Tensor) -> np.ndarray:
        LOOKS["detector"] += len(crops)
        return np.ones((len(crops), 5, 2), np.float32) * crops.mean((1, 2, 3)).numpy()[:, None, None]


@pytest.fixture(autouse=True)
def _networks(monkeypatch: pytest.MonkeyPatch, registering: None) -> None:
    LOOKS.update(dict.fromkeys(LOOKS, 0))
    monkeypatch.setattr(detect, "Detector", Detector)

    @embedders.register("counted_judge")
    class Judge:
        """Takes a column of pixels for a face, and names one of four people."""

        info = EmbedderInfo("toy", 4, (), "a column", classes=("a", "b", "c", "d"))

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            LOOKS["judge"] += len(crops)
            return crops[:, 0, 4:8, 5] + landmarks[:, :1, 0]

        def classify(self, features: Tensor) -> Tensor:
            return 9 * features

    @observers.register("counted_observer")
    class Look:
        """Tells the mean of each colour and where the face is."""

        info = ObserverInfo(weights=(), description="means")

        def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
            LOOKS["observer"] += len(crops)
            return {"means": crops.mean((2, 3)), "place": landmarks[:, 0]}


def look(crops: ImageSet, context: Context) -> tuple[int, dict[str, np.ndarray]]:
    """Images that each of the networks had to look at, and what is known of all."""
    before = dict(LOOKS)
    landmarks = find_landmarks(crops, "", context)
    judged = embed(Extractor.build(embedders, "counted_judge", context), crops, landmarks, "", context)
    observed = observe(Extractor.build(observers, "counted_observer", context), crops, landmarks, "", context)
    looks = {LOOKS[name] - before[name] for name in LOOKS}
    assert len(looks) == 1, "the detector, the judge and the observer look at the same images"
    features = {"vectors": judged.vectors, "top": judged.top, "scores": judged.scores, **observed}
    return looks.pop(), {"landmarks": landmarks, **{name: array.numpy() for name, array in features.items()}}


ALL = np.arange(256)
CHANGES: dict[str, tuple[np.ndarray, int]] = {
    "the same": (ALL, 0),
    "one in front": (np.r_[300, ALL], 1),
    "one behind": (np.r_[ALL, 300], 1),
    "one in the middle": (np.insert(ALL, 77, 300), 1),
    "seventy between": (np.insert(ALL, 200, np.arange(250, 320)), 64),
    "turned": (ALL[::-1], 0),
    "shuffled": (np.random.default_rng(0).permutation(ALL), 0),
    "a part": (ALL[10:20], 0),
    "every third": (ALL[::3], 0),
    "one": (ALL[5:6], 0),
    "all twice": (np.tile(ALL, 2), 0),
    "a new one thrice": (np.r_[300, ALL, 300, 300], 1),
    "only new ones": (np.arange(256, 320), 64),
    "new ones twice": (np.repeat(np.arange(256, 320), 2), 64),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_new_images_are_looked_at(change: str, fresh_context: Context) -> None:
    index, n_new = CHANGES[change]
    looks, whole = look(CROPS.select(np.arange(320)), fresh_context)
    assert looks == 320
    fresh_context.store.features.root.rename(fresh_context.store.root / "away")
    assert look(CROPS.select(ALL), fresh_context)[0] == 256
    for expected in (n_new, 0):
        looks, features = look(CROPS.select(index), fresh_context)
        assert looks == expected
        for name, array in features.items():
            assert np.array_equal(array, whole[name][index])


def test_an_image_that_changes_is_looked_at_again(fresh_context: Context) -> None:
    look(CROPS, fresh_context)
    changed = CROPS[:]
    changed[7, 0, 0, 0] = 1 - changed[7, 0, 0, 0].round()
    assert look(ImageSet.of(changed), fresh_context)[0] == 1


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_the_size_of_blocks_does_not_show(block: int, fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    looks, features = look(CROPS, fresh_context)
    monkeypatch.setattr(blocks, "BLOCK", 64)
    again = look(CROPS, fresh_context)
    assert (looks, again[0]) == (320, 0)
    assert all(np.array_equal(array, again[1][name]) for name, array in features.items())


def test_an_interrupted_look_goes_on(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept before Ctrl-C is not looked at again."""
    see = Detector.detect_crops

    def interrupted(self: Detector, crops: Tensor) -> np.ndarray:
        if LOOKS["detector"] == 128:
            raise KeyboardInterrupt
        return see(self, crops)

    with monkeypatch.context() as patch:
        patch.setattr(Detector, "detect_crops", interrupted)
        with pytest.raises(KeyboardInterrupt):
            find_landmarks(CROPS, "", fresh_context)
    find_landmarks(CROPS, "", fresh_context)
    assert LOOKS["detector"] == 320


def test_progress_counts_images(fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    look(CROPS.select(ALL[:100]), fresh_context)
    told: list[tuple[float, float]] = []

    def stage(title: str) -> Callable[..., None]:
        return lambda done, total, figures: told.append((done, total))

    object.__setattr__(fresh_context, "stage", stage)
    find_landmarks(CROPS.select(ALL[:230]), "", fresh_context)
    assert told == [(128, 230), (192, 230), (230, 230)]


def test_what_has_no_key_is_not_kept(fresh_context: Context) -> None:
    observer = Extractor.build(observers, "counted_observer", fresh_context)
    assert observer.key is not None
    unknown = Extractor(observer.name, observer.network, None)
    points = np.ones((320, 5, 2), np.float32)
    twice = CROPS.select(np.r_[ALL, ALL])
    for _ in range(2):
        observe(unknown, twice, np.r_[points[:256], points[:256]], "", fresh_context)
    assert LOOKS["observer"] == 2 * 256
    assert not fresh_context.store.features.root.exists()


def test_no_images_at_all(fresh_context: Context) -> None:
    assert look(CROPS.select(ALL[:0]), fresh_context)[1]["vectors"].shape == (0, 4)


class Motion:
    """Tells how each frame differs from the first of its clip."""

    info = ObserverInfo(weights=(), description="-", unit="clip")

    def observe(self, crops: Tensor, landmarks: Tensor) -> Mapping[str, Tensor]:
        SHOWN.append(len(crops))
        return {"change": (crops - crops[:1]).mean((1, 2, 3))}


def test_an_observer_of_clips_is_shown_whole_clips_once(fresh_context: Context) -> None:
    observers.register("counted_motion")(Motion)
    observer = Extractor.build(observers, "counted_motion", fresh_context)
    clips = (slice(0, 100), slice(100, 102), slice(102, 130))
    points = np.zeros((130, 5, 2), np.float32)

    def change(crops: ImageSet) -> tuple[int, Tensor]:
        SHOWN.clear()
        arrays = observe(observer, crops, points, "", fresh_context, clips)
        return sum(SHOWN), arrays["change"]

    crops = CROPS.select(np.arange(130))
    looks, rows = change(crops)
    assert looks == 130
    for clip in clips:
        frames = crops[np.arange(clip.start, clip.stop)]
        assert torch.equal(rows[clip], (frames - frames[:1]).mean((1, 2, 3)))
    assert change(crops)[0] == 0
    other = CROPS.select(np.r_[0:100, 200, 101, 102:130])
    looks, again = change(other)
    assert looks == 2, "the clip of which a frame is another"
    assert torch.equal(again[102:], rows[102:])
    assert not torch.equal(again[100:102], rows[100:102])
