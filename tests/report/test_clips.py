"""Clips on a page: their curves, what is played, film strips, and what is left out where there is no room."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from clip_runs import JITTER, STEP, add_clips, colour
from PIL import Image

from fsbench import report
from fsbench.report import clips, curves, sprites
from fsbench.report.clips import SHORTEST, Answer, SourceClip
from fsbench.report.curves import RATE, FrameCurve
from fsbench.report.run import Column, RunContents, read
from fsbench.report.sections import clips as section
from fsbench.report.sprites import Sprites, TileFormat

MakeRun = Callable[..., Path]
COLUMN = Column(JITTER, None)
ROOM = 8_000_000


def curve(values: Any, direction: str = "lower") -> FrameCurve:
    return FrameCurve(
        replace(COLUMN, metric=JITTER.model_copy(update={"direction": direction})), np.array(values, float)
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunContents:
    from report_runs import write_run

    return read(add_clips(write_run(tmp_path_factory.mktemp("clips") / "run", per_session=1)))


def frame(player: dict[str, Any], track: int, k: int) -> np.ndarray:
    """The pixels that a page has of a frame."""
    at = player["tracks"][track]["tiles"][k]
    per_sheet = player["columns"] * player["rows"]
    uri = player["tracks"][track]["sheets"][at // per_sheet]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
    row, column = divmod(at % per_sheet, player["columns"])
    y, x, edge = row * player["stride"], column * player["stride"], player["edge"]
    return picture[y : y + edge, x : x + edge].astype(int)


@pytest.mark.parametrize(("direction", "sign"), [("lower", 1), ("higher", -1)])
def test_the_worst_seconds_do_not_overlap_and_come_in_order(direction: str, sign: int) -> None:
    values = np.ones(400)
    values[100:110], values[300:320], values[390:] = 3, 9, 5
    values[50] = np.nan
    found = curve(sign * values, direction).worst
    assert [second.stop - second.start for second in found] == [RATE] * 3
    assert found[0].start <= 300 < 320 <= found[0].stop
    assert found[1].stop == 400
    assert found[2].start <= 100 < 110 <= found[2].stop
    assert found[0].value == pytest.approx(sign * (20 * 9 + 5) / RATE)


def test_a_second_has_as_many_frames_as_the_clip_says() -> None:
    values = np.where(np.arange(400) < 380, 1.0, 2.0)
    assert {len(range(second.start, second.stop)) for second in replace(curve(values), rate=59.94).worst} == {60}
    assert {len(range(second.start, second.stop)) for second in replace(curve(values), rate=0.2).worst} == {1}


@pytest.mark.parametrize(
    ("told", "played"),
    [
        ((50.0, 12.5), [50.0, 12.5]),
        ((29.97, np.nan), [29.97, RATE]),
        ((0.0, -3.0), [RATE, RATE]),
        ((np.inf, 50.0), [RATE, 50.0]),
        (("fast", "12"), [RATE, 12.0]),
        ((None, None), [RATE, RATE]),
        ((), [RATE, RATE]),
    ],
)
def test_clips_play_at_their_own_rate(run: RunContents, told: tuple[object, ...], played: list[float]) -> None:
    column = run.clips["clip"].map(dict(zip(("c0", "c1"), told, strict=False))).astype(object)
    content = section.build(replace(run, clips=run.clips.assign(rate=column) if told else run.clips), ROOM)
    assert content is not None
    assert sorted(clip["rate"] for clip in content["player"]["clips"]) == sorted(played)


def test_the_rate_of_a_clip_is_read(tmp_path: Path) -> None:
    from report_runs import write_run

    folder = add_clips(write_run(tmp_path / "run", per_session=1), rates=(50.0, 12.5))
    assert sorted(clip.rate for clip in clips.of_run(read(folder))) == [12.5, 50.0]


@pytest.mark.parametrize("values", [[2.0] * 40, [np.nan] * 40, [1.0], [np.nan], [0.0] * 3])
def test_what_is_the_same_everywhere_has_no_worst_second(values: list[float]) -> None:
    assert curve(values).worst == ()


@pytest.mark.parametrize("n", [2, 3, 5, 24, 99])
def test_seconds_of_short_clips_are_quarters(n: int) -> None:
    found = curve(np.arange(n)).worst
    assert {second.stop - second.start for second in found} == {max(1, n // 4)}
    assert found[0].stop == n


def test_clips_come_with_all_models_and_the_worst_first(run: RunContents) -> None:
    worst, best = clips.of_run(run)
    assert (worst.title, best.title) == ("Bo into Ada, v1, c1", "Ada into Bo, v0, c0")
    assert [answer.model for answer in worst.answers][-2:] == ["exact", "copy_target"]
    assert len(worst.answers) == len(run.result.models)
    assert worst.exact[3] == "inputs/exact/Bo/Ada/v1/0003.png"
    assert worst.numbers == tuple(range(30))
    assert all(len(answer.curves) == 1 for answer in worst.answers)


def test_frames_of_another_clip_are_not_believed(run: RunContents) -> None:
    shorter = replace(run, frames=run.frames.iloc[:-1])
    assert [len(clip.answers[0].curves) for clip in clips.of_run(shorter)] == [1, 1]
    last = run.result.models[-1].name
    assert [answer.curves for answer in clips.of_run(shorter)[0].answers if answer.model == last] == [()]
    assert clips.of_run(replace(run, frames=pd.DataFrame()))[0].answers[0].curves == ()
    assert clips.of_run(replace(run, clips=pd.DataFrame())) == []


def test_a_page_has_every_frame_of_every_model(run: RunContents) -> None:
    content = section.build(run, ROOM)
    assert content is not None
    assert content["counts"] == {"clips": (2, 2), "frames": (42, 42), "models": (4, 4), "film strips": (14, 14)}
    player = content["player"]
    for clip in player["clips"]:
        tracks = {model["name"]: model["output"] for model in clip["models"]}
        assert tracks["copy_target"] == clip["input"]
        assert tracks["exact"] == clip["exact"]
        for k in range(len(clip["numbers"])):
            for track, role in ((clip["input"], "target"), (clip["exact"], "exact"), (tracks["gan_mask"], "output")):
                assert np.abs(frame(player, track, k) - colour(k, role, player["edge"])).max() < STEP / 2
    assert len(player["tracks"]) == 6  # of each clip: input, exact, and what two models made alike
    (jitter,) = player["clips"][0]["models"][0]["curves"]
    assert (jitter["values"][0], jitter["values"][-1]) == (2, 10)
    assert jitter["worst"][0][:2] == [23, 30] or jitter["worst"][0][:2] == (23, 30)


@pytest.mark.parametrize("size", [1, 8, 13, 50, 128, 300])
def test_tiles_do_not_touch_each_other(size: int, tmp_path: Path) -> None:
    random = np.random.default_rng(size)
    shades = random.integers(0, 256, (70, 3)).astype(np.uint8)
    for k, shade in enumerate(shades):
        Image.fromarray(np.broadcast_to(shade, (size, size, 3)).copy()).save(tmp_path / f"{k}.png")
    pictures = Sprites(tmp_path, TileFormat(min(size, 128), 75))
    track = pictures.tracks[pictures.add([f"{k}.png" for k in range(70)])]
    assert len(track.sheets) == 2
    player = {"tracks": [vars(track)], "columns": sprites.COLUMNS, "rows": sprites.ROWS,
              "stride": sprites.stride(min(size, 128)), "edge": min(size, 128)}  # fmt: skip
    for k in (0, 7, 8, 63, 64, 69):
        assert np.abs(frame(player, 0, k) - shades[k]).max() <= 4


def test_equal_frames_are_kept_once_and_missing_ones_are_told(tmp_path: Path) -> None:
    for name, level in (("a", 10), ("b", 200)):
        Image.new("RGB", (16, 16), (level,) * 3).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"no picture")
    pictures = Sprites(tmp_path, TileFormat(16, 75))
    paths = ["a.png", "b.png", "a.png", "gone.png", "c.png", "../a.png", "", "b.png"]
    assert pictures.tracks[pictures.add(paths)].tiles == (0, 1, 0, -1, -1, -1, -1, 1)
    assert pictures.add(list(paths)) == 0
    assert pictures.tracks[pictures.add(["gone.png"])].sheets == ()


def test_blocks_that_are_equal_stay_equal(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    output = target.copy()
    output[16:40, 24:48] = random.integers(0, 256, (24, 24, 3))
    for name, pixels in (("target", target), ("output", output)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    pictures = Sprites(tmp_path, TileFormat(64, 50))
    layout = {"columns": 8, "rows": 8, "stride": 64, "edge": 64}
    for name in ("target", "output"):
        pictures.add([f"{name}.png"])
    player = layout | {"tracks": [vars(track) for track in pictures.tracks]}
    difference = np.abs(frame(player, 0, 0) - frame(player, 1, 0)).max(axis=-1)
    assert difference[16:40, 24:48].mean() > 30
    difference[16:40, 24:48] = 0
    assert difference.max() == 0


def made_up(length: int, n_models: int) -> SourceClip:
    values = np.ones(length)
    values[int(0.7 * length) : int(0.75 * length)] = 5
    paths = tuple(f"{k}.png" for k in range(length))
    answers = tuple(Answer(f"m{i}", paths, 1.0, (curve(values),)) for i in range(n_models))
    return SourceClip("clip", paths, paths, tuple(range(length)), answers, length)


COSTS = {TileFormat(128, 75): 4000.0, TileFormat(96, 50): 1000.0}


@pytest.mark.parametrize(
    ("lengths", "n_models", "room", "form", "frames", "models"),
    [
        ((48, 48), 4, 2_400_000, 128, (48, 48), 4),  # 2 x 6 x 48 x 4 kB
        ((48, 48), 4, 2_300_000, 96, (48, 48), 4),
        ((48, 1000), 4, 1_500_000, 96, (48, 202), 4),
        ((1000, 1000, 60), 4, 900_000, 96, (50, 50, 50), 4),
        ((1000, 1000, 60), 4, 899_000, 96, (50, 50), 4),
        ((1000, 60), 48, 2_000_000, 96, (50,), 38),
        ((20,), 48, 100_000, 96, (20,), 3),
        ((20,), 48, 60_000, 96, (20,), 1),
        ((20,), 48, 59_000, 96, (), 0),
    ],
)
def test_what_fits_is_shown_by_rule(
    lengths: tuple[int, ...], n_models: int, room: int, form: int, frames: tuple[int, ...], models: int
) -> None:
    known = [made_up(length, n_models) for length in lengths]
    chosen, shown = clips.fit(known, [n_models + 2] * len(known), room, COSTS, known[0].answers[0].curves[0].column)
    assert chosen.edge == form
    assert tuple(map(len, shown)) == frames
    assert [len(clip.answers) for clip in shown] == [models] * len(frames)
    assert SHORTEST == 50
    for clip in shown:
        assert clip.first <= 0.7 * clip.whole < clip.first + len(clip)  # the worst second is in it
        assert clip.numbers == tuple(range(clip.first, clip.first + len(clip)))
        assert len(clip.answers[0].curves[0].values) == len(clip.answers[0].outputs) == len(clip)


def test_a_stretch_of_a_clip_says_where_it_lies(run: RunContents) -> None:
    clip = clips.of_run(run)[0].around_worst(10, COLUMN)
    (told,) = section.player(run, TileFormat(16, 75), [clip])["clips"]
    assert told["title"] == "Bo into Ada, v1, c1 (frames 21 to 30 of 30)"
    assert (told["first"], told["whole"], told["numbers"]) == (20, 30, tuple(range(20, 30)))
    player = section.player(run, TileFormat(16, 75), [clip])
    assert np.abs(frame(player, told["input"], 4) - colour(24, "target", 16)).max() < STEP / 2
    assert len(told["models"][0]["curves"][0]["values"]) == 10


def test_film_strips_show_evenly_chosen_frames_and_the_worst_second(run: RunContents) -> None:
    worst, best = section.build(run, ROOM)["films"]
    assert [strip.label for strip in worst.strips][:2] == ["target", "exact"]
    assert [strip.label for strip in worst.strips].count("exact") == 1  # the ceiling's outputs are these
    for strip in worst.strips:
        assert strip.heads == ("1", "5", "9", "13", "18", "22", "26", "30")
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(strip.uri.partition(",")[2]))))
        assert picture.shape == (32, 8 * 32, 3)
    assert {strip.label for strip in worst.worst} == {model.name for model in run.contestants}
    for strip in worst.worst:
        assert strip.heads == tuple(str(k) for k in range(24, 31))
        assert "frames 24, 25" in strip.alt
    assert len(best.strips) == 5
    assert "jitter over the frames of Bo into Ada, v1, c1" in worst.figure


def test_strips_stop_where_there_is_no_room_and_the_page_says_so(run: RunContents) -> None:
    content = section.build(run, 20_000)
    n_shown, n = content["counts"]["film strips"]
    assert 0 < n_shown < n == 14
    assert sum(len(film.strips) + len(film.worst) for film in content["films"]) == n_shown
    html = report.html(run)
    assert (
        "2 of 2 clips, 42 of 42 frames, 4 of 4 models, 14 of 14 film strips have room on this page of at most 15 MB."
        in html
    )


def test_a_page_without_curves_or_exact_swaps(make_run: MakeRun) -> None:
    folder = add_clips(make_run(per_session=1), (5, 1), exact=False, jitter=False)
    (folder / "frames.parquet").unlink()
    content = section.build(read(folder), ROOM)
    assert {clip["exact"] for clip in content["player"]["clips"]} == {None}
    assert all(model["curves"] == [] for clip in content["player"]["clips"] for model in clip["models"])
    assert [film.figure for film in content["films"]] == [None, None]
    assert "Clips are played by a script" in report.write(folder).read_text(encoding="utf-8")


def test_what_is_played_stands_in_the_page_as_data(run: RunContents) -> None:
    html = report.html(run)
    (text,) = re.findall(r'<div class="player">.*?<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert json.loads(text) == json.loads(json.dumps(section.build(run, ROOM)["player"]))
    assert "class Player" in html
    assert "class Player" not in report.html(run, brief=True)
    assert html == report.html(run)


def test_numbers_of_curves_are_found_by_clip(run: RunContents) -> None:
    known = curves.of_run(run)
    assert len(known) == 2 * len(run.result.models)
    assert {len(own.numbers) for own in known.values()} == {12, 30}
