"""What became of outputs that were fed back: curves, filmstrips, and runs that have none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fsbench import report
from fsbench.report.run import read
from fsbench.report.sections import recursion
from fsbench.results import slug

MakeRun = Callable[..., Path]
PASSES, ROWS = (1, 2, 10, 50), (3, 9, 20)
IDENTITY = "id_similarity@toy_judge"
ROOM = 8_000_000  # bytes


@pytest.fixture
def fed_back(make_run: MakeRun) -> Path:
    """A run in which three outputs of each model but the ceiling were fed back."""
    folder = make_run()
    models = [model.name for model in read(folder).result.models if model.kind != "ceiling"]
    table = pd.DataFrame(
        [(model, row, n) for model in models for n in PASSES for row in ROWS], columns=["model", "row", "n"]
    )
    table["colour"], table["sharpness"] = np.log(table["n"]), 1 / table["n"]
    table[IDENTITY] = 0.9
    table.to_parquet(folder / "recursion.parquet")
    for one in table.itertuples():
        path = folder / "recursion" / slug(one.model) / str(one.row) / f"{one.n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (5 * one.n, 9, 9)).save(path)
    return folder


def seen(folder: Path) -> recursion.Recursion | None:
    return recursion.view(read(folder), ROOM)


def test_contestants_have_curves_and_strips(fed_back: Path) -> None:
    found = seen(fed_back)
    assert found is not None
    assert len(found.curves) == 3
    assert {film.model.name for film in found.films} == {model.name for model in read(fed_back).contestants}
    assert found.n_outputs == len(ROWS)
    for film in found.films:
        assert len(film.strips) == recursion.SHOWN
        for strip in film.strips:
            assert [shown.role for shown in strip] == ["target", "1 pass", "2 passes", "10 passes", "50 passes"]
            assert len({shown.uri for shown in strip}) == 5
            assert all(shown.uri for shown in strip)


def test_the_page_shows_it_and_escapes_names(fed_back: Path) -> None:
    page = report.write(fed_back).read_text(encoding="utf-8")
    assert "Fed back to itself" in page
    assert "<b>cycle</b>" not in page


def test_a_judge_that_saw_no_face_has_no_curve(fed_back: Path) -> None:
    table = pd.read_parquet(fed_back / "recursion.parquet")
    table.assign(**{IDENTITY: np.nan}).to_parquet(fed_back / "recursion.parquet")
    found = seen(fed_back)
    assert found is not None
    assert len(found.curves) == 2


def test_a_missing_picture_is_said_to_be_missing(fed_back: Path) -> None:
    (fed_back / "recursion" / "gan_mask" / "3" / "50.png").unlink()
    found = seen(fed_back)
    assert found is not None
    film = next(film for film in found.films if film.model.name == "gan_mask")
    assert film.strips[0][-1].uri == ""


def test_old_runs_and_runs_of_baselines_show_nothing(make_run: MakeRun, fed_back: Path) -> None:
    table = pd.read_parquet(fed_back / "recursion.parquet")
    table[table["model"] == "copy_target"].to_parquet(fed_back / "recursion.parquet")
    assert seen(fed_back) is None
    (fed_back / "recursion.parquet").unlink()
    assert seen(fed_back) is None
    assert not [gap for gap in read(fed_back).gaps if "recursion" in gap]
    assert "Fed back to itself" not in report.write(fed_back).read_text(encoding="utf-8")


def test_a_damaged_table_becomes_a_sentence(fed_back: Path) -> None:
    (fed_back / "recursion.parquet").write_bytes(b"PAR1")
    assert seen(fed_back) is None
    assert [gap for gap in read(fed_back).gaps if gap.startswith("recursion.parquet cannot be read")]


def test_any_metric_of_a_judge_of_the_run_has_a_curve(fed_back: Path) -> None:
    table = pd.read_parquet(fed_back / "recursion.parquet")
    others = {"distance@toy_judge": 0.1, "distance@stranger": 0.2, "words@toy_judge": "high", "distance": 0.3}
    table.assign(**others).to_parquet(fed_back / "recursion.parquet")
    found = seen(fed_back)
    assert found is not None
    labels = [label for label in ("id_similarity, toy_judge", "distance, toy_judge", "words", "stranger")
              if any(label in curve for curve in found.curves)]  # fmt: skip
    assert labels == ["id_similarity, toy_judge", "distance, toy_judge"]
    assert len(found.curves) == 4
