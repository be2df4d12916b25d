"""Judges look once at each image, say whom they see, and are calibrated on the real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.errors import NotScorable, UsageError
from fsbench.evidence.references import EnrolledJudge, enrol, find_faces
from fsbench.extraction.extractor import Extractor, build_judges
from fsbench.extraction.features import embed, find_landmarks
from fsbench.faces import detect
from fsbench.harness import records
from fsbench.images import ImageSet
from fsbench.interfaces import Context, EmbedderInfo, Faces, WeightsFile
from fsbench.pairs import Outputs
from fsbench.registry import embedders


class Colour:
    """Takes the mean colour of a crop for a face."""

    looks = 0

    def __init__(self, *, context: Context) -> None:
        self.info = EmbedderInfo("toy", 3, (), "mean colour")

    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        type(self).looks += len(crops)
        return crops.mean((2, 3)) - 0.4


class Named(Colour):
    """Knows three people by their colours."""

    def __init__(self, *, context: Context) -> None:
        self.info = EmbedderInfo("toy", 3, (), "mean colour", classes=("red", "green", "blue"))

    def classify(self, features: Tensor) -> Tensor:
        return 10 * features


@pytest.fixture(autouse=True)
def _judges(monkeypatch: pytest.MonkeyPatch, registering: None) -> None:
    for kind in (Colour, Named):
        kind.looks = 0
        embedders.register(kind.__name__.lower())(kind)
    monkeypatch.setattr(detect, "Detector", Everywhere)


class Everywhere:
    """Finds a face in every crop that is not black."""

    def __init__(self, device: torch.device) -> None:
        pass

    def detect_crops(self, crops: Tensor) -> np.ndarray:
        found = np.ones((len(crops), 5, 2), np.float32)
        found[crops.amax((1, 2, 3)).numpy() == 0] = np.nan
        return found


def paint(faces: Faces, colours: np.ndarray) -> Faces:
    """The same faces as patches of one colour each."""
    pixels = np.broadcast_to(colours[:, None, None, :], faces.crops.shape)
    return replace(faces, crops=ImageSet(pixels.astype(np.uint8)))


@pytest.fixture
def test() -> Faces:
    faces = contracts.toy_faces(2, sessions=2, images=3, size=16)
    shades = np.where(faces.rows["identity"].to_numpy()[:, None] == "toy0", [200, 60, 60], [60, 200, 60])
    return paint(faces, shades + np.arange(len(faces))[:, None])


@pytest.fixture
def strangers() -> Faces:
    faces = contracts.toy_faces(3, sessions=1, images=2, size=16)
    faces.rows["identity"] = faces.rows["identity"].str.replace("toy", "stranger")
    return paint(faces, np.repeat([[220, 50, 50], [50, 50, 220], [50, 220, 50]], 2, 0))


def enrolled_judge(name: str, test: Faces, gallery: Faces | None, context: Context) -> EnrolledJudge:
    return enrol(Extractor.build(embedders, name, context), find_faces(test, gallery, context), context)


def test_a_classifier_names_its_own_classes(test: Faces, fresh_context: Context) -> None:
    enrolled = enrolled_judge("named", test, None, fresh_context)
    assert enrolled.people == ("red", "green", "blue")
    first = [enrolled.people[i] for i in enrolled.references.top[:, 0]]
    assert first == ["red"] * 6 + ["green"] * 6
    assert torch.all(enrolled.references.scores.diff(dim=1) <= 0)
    assert torch.allclose(enrolled.references.scores.sum(1), torch.ones(12))


def test_without_a_classifier_it_names_the_people_of_the_gallery(
    test: Faces, strangers: Faces, fresh_context: Context
) -> None:
    enrolled = enrolled_judge("colour", test, strangers, fresh_context)
    assert enrolled.people == ("stranger0", "stranger1", "stranger2")
    assert enrolled.references.top[:, 0].tolist() == [0] * 6 + [2] * 6 + [0, 0, 1, 1, 2, 2]
    images = test.crops.select(np.arange(6, 12))
    outputs = Outputs("", images, find_landmarks(images, "", fresh_context), NotScorable("-"))
    assert enrolled.extract(outputs, fresh_context).top[:, 0].tolist() == [2] * 6


def test_without_either_it_names_nobody(test: Faces, fresh_context: Context) -> None:
    enrolled = enrolled_judge("colour", test, None, fresh_context)
    assert enrolled.people == ()
    assert records.judge_record(enrolled).lookalikes == ""


def test_an_image_without_a_face_is_named_nobody(test: Faces, strangers: Faces, fresh_context: Context) -> None:
    pixels = test.crops.levels()
    pixels[3] = 0
    test = replace(test, crops=ImageSet(pixels))
    for name in ("colour", "named"):
        seen = enrolled_judge(name, test, strangers, fresh_context).references
        assert seen.vectors[3].isnan().all()
        assert (seen.top[3] == -1).all()
        assert seen.scores[3].isnan().all()
        assert (seen.top[:3] >= 0).all()


def test_the_calibration_is_of_the_real_images(test: Faces, strangers: Faces, fresh_context: Context) -> None:
    record = records.judge_record(enrolled_judge("colour", test, strangers, fresh_context)).calibration
    assert record is not None
    assert (record.n_identities, record.n_images) == (5, 18)
    assert record.n_genuine == 2 * 3 * 3  # two people with two sessions of three images
    assert record.n_impostor == 18 * 17 / 2 - 2 * 15 - 3  # all pairs but those of one person
    assert record.points[0].threshold is None  # too few pairs to say
    assert "impostor" in record.points[0].reason


def test_an_image_is_looked_at_once(test: Faces, fresh_context: Context) -> None:
    judge = Extractor.build(embedders, "colour", fresh_context)
    landmarks = find_landmarks(test.crops, "", fresh_context)
    first = embed(judge, test.crops, landmarks, "", fresh_context)
    again = embed(judge, test.crops, landmarks, "", fresh_context)
    assert Colour.looks == len(test)
    assert torch.equal(first.vectors, again.vectors)
    embed(judge, test.crops, landmarks + 1, "", fresh_context)
    assert Colour.looks == 2 * len(test)  # other landmarks cut other chips


def test_blocks_do_not_show(test: Faces, fresh_context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsbench.extraction import blocks

    whole = enrolled_judge("named", test, None, fresh_context).references
    monkeypatch.setattr(blocks, "BLOCK", 5)
    parts = enrolled_judge("named", test, None, fresh_context).references
    assert torch.allclose(whole.vectors, parts.vectors)
    assert torch.equal(whole.top, parts.top)


def test_a_path_does_not_get_into_results(context: Context, tmp_path: Path) -> None:
    class Filed(Colour):
        """Has a file."""

        def __init__(self, *, file: str, context: Context) -> None:
            super().__init__(context=context)

    embedders.register("filed")(Filed)
    (tmp_path / "net.onnx").touch()
    assert Extractor.build(embedders, f"filed({tmp_path}/net.onnx)", context).name == "filed(net.onnx)"
    assert Extractor.build(embedders, "filed(123.7/116.3/103.5)", context).name == "filed(123.7/116.3/103.5)"


def test_nobody_is_asked_twice(context: Context) -> None:
    class Filed(Colour):
        """Has a file."""

        def __init__(self, *, size: int = 1, context: Context) -> None:
            self.info = EmbedderInfo("toy", 3, (WeightsFile("net", Path("net"), "ab" * 32, ""),), "mean colour")

    embedders.register("filed")(Filed)
    assert [judge.name for judge in build_judges(["colour", "named"], context)] == ["colour", "named"]
    with pytest.raises(UsageError, match="no judge"):
        build_judges([], context)
    with pytest.raises(UsageError, match="two judges are called colour"):
        build_judges(["colour", "colour"], context)
    with pytest.raises(UsageError, match="one network"):
        build_judges(["filed", "filed(2)"], context)


def test_a_judge_may_find_no_face_where_the_detector_did(test: Faces, fresh_context: Context) -> None:
    class Blind(Named):
        """Sees no red."""

        def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
            features = super().embed(crops, landmarks)
            return torch.where(features[:, :1] > features[:, 1:2], torch.nan, features)

    embedders.register("blind")(Blind)
    seen = enrolled_judge("blind", test, None, fresh_context).references
    assert seen.vectors[:6].isnan().all()
    assert (seen.top[:6] == -1).all()
    assert (seen.top[6:, 0] == 1).all()


def test_rows_of_real_images_say_their_split(test: Faces, strangers: Faces, fresh_context: Context) -> None:
    real = find_faces(test, strangers, fresh_context)
    assert real.rows["split"].tolist() == ["test"] * 12 + ["gallery"] * 6
    assert [len(landmarks) for _, _, landmarks in real.parts] == [12, 6]
