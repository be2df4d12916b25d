"""The player of clips in a real browser: it shows exactly frame k, and the difference of what it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clip_runs import STEP, add_clips, colour
from PIL import Image
from report_runs import write_run

from fsbench import report

OpenPage = Callable[..., object]
PIXELS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, ...data];
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a clip of 30 frames and one of 100, whose colours are their places."""
    folder = add_clips(write_run(tmp_path_factory.mktemp("player") / "run", per_session=1), (30, 100))
    gone = sorted((folder / "outputs/gan_mask/Bo/Ada").rglob("0005.png"))
    assert len(gone) == 1
    gone[0].unlink()
    return report.write(folder)


class Player:
    """What a user sees and does."""

    def __init__(self, shown: object) -> None:
        self.page, self.errors = shown.page, shown.errors
        self.place = self.page.locator(".player")
        self.stage = self.place.get_by_role("group")
        self.range = self.place.get_by_role("slider", name="Frame")

    def chooser(self, label: str) -> object:
        """A field that offers names."""
        return self.place.get_by_role("combobox", name=label, include_hidden=True)

    def pixels(self, role: str) -> np.ndarray:
        """(S, S, 3) of a panel."""
        at = ["input", "output", "exact", "difference"].index(role)
        size, *levels = self.place.locator("canvas").nth(at).evaluate(PIXELS)
        levels = np.array(levels).reshape(size, size, 4)
        assert (levels[..., 3] == 255).all()
        return levels[..., :3]

    def place_of(self, role: str) -> int:
        """The place of the frame that a panel shows, by its colour."""
        red, green, _ = np.round(self.pixels(role).reshape(-1, 3).mean(0) / STEP).astype(int)
        return 30 * green + red

    def shows(self, frame: int, *roles: str) -> bool:
        """Whether panels, slider and text are at one frame."""
        assert {self.place_of(role) for role in roles or ("input", "output", "exact")} == {frame}
        assert self.range.input_value() == str(frame)
        assert self.place.locator(".status").inner_text().startswith(f"frame {frame + 1} of ")
        return True


@pytest.fixture
def player(opened: OpenPage, page: Path) -> Player:
    shown = Player(opened(page))
    shown.chooser("Clip").wait_for()
    shown.page.wait_for_function("document.querySelector('.player .status')?.textContent.includes('of 100')")
    return shown


def test_keys_step_to_exactly_one_frame(player: Player) -> None:
    assert player.shows(0)
    frame = 0
    for key, by in [("ArrowRight", 1)] * 3 + [("Shift+ArrowRight", 10)] * 7 + [("ArrowLeft", -1), ("ArrowRight", 1)]:
        player.stage.press(key)
        frame += by
        assert player.shows(frame)
    for key, frame in (("End", 99), ("ArrowRight", 99), ("Shift+ArrowLeft", 89), ("Home", 0), ("ArrowLeft", 0)):
        player.stage.press(key)
        assert player.shows(frame)
    player.range.press("ArrowRight")
    player.place.get_by_role("button", name="Next").press("ArrowRight")
    assert player.shows(2)
    player.place.get_by_role("button", name="Next").click()
    player.place.get_by_role("button", name="Previous").click()
    player.range.fill("64")  # the first of the second sheet
    assert player.shows(64)
    assert player.errors == []


def test_every_model_and_clip_is_shown_and_a_choice_keeps_the_frame(player: Player) -> None:
    models = player.chooser("Model")
    player.range.fill("7")
    for name, role in (("copy_target", "target"), ("exact", "exact"), ("gan_mask", "output")):
        models.select_option(label=name)
        player.page.wait_for_timeout(50)
        assert player.shows(7)
        assert np.abs(player.pixels("output") - colour(7, role, 32)).max() < STEP / 2
    player.chooser("Clip").select_option(label="Ada into Bo, v0, c0")
    player.page.wait_for_function("document.querySelector('.player .status').textContent.includes('of 30')")
    assert player.shows(0)
    assert models.locator("option:checked").inner_text() == "gan_mask"
    player.stage.press("End")
    assert player.shows(29)


def test_the_difference_is_what_lies_between_the_pictures(player: Player) -> None:
    def difference(other: str, factor: int) -> np.ndarray:
        return np.minimum(255, factor * np.abs(player.pixels("output") - player.pixels(other)))

    player.range.fill("40")
    assert player.pixels("difference")[..., 2].min() > 200
    for factor in (1, 2, 8):
        player.chooser("amplified").select_option(label=f"× {factor}")
        np.testing.assert_array_equal(player.pixels("difference"), difference("input", factor))
        assert player.place.get_by_text(f"|output − input| × {factor}", exact=True).is_visible()
    player.chooser("Difference").select_option(label="|output − exact|")
    np.testing.assert_array_equal(player.pixels("difference"), difference("exact", 8))
    assert player.pixels("difference").max() == 255
    player.chooser("Model").select_option(label="exact")
    player.page.wait_for_timeout(50)
    assert player.pixels("difference").max() == 0
    player.chooser("Difference").select_option(label="|output − input|")
    player.chooser("Model").select_option(label="copy_target")
    player.page.wait_for_timeout(50)
    player.chooser("amplified").select_option(label="× 32")
    for key in ("End", "Home"):
        player.stage.press(key)
        assert player.pixels("difference").max() == 0


def test_a_frame_that_is_missing_looks_like_no_other(player: Player) -> None:
    player.range.fill("5")
    for role in ("output", "difference"):
        assert np.median(player.pixels(role)) == 128
    assert player.place_of("input") == 5
    player.stage.press("ArrowRight")
    assert player.shows(6)


def test_space_plays_and_pauses_and_slow_motion_is_slower(player: Player) -> None:
    def played() -> int:
        player.stage.press("Home")
        player.stage.press("Space")
        assert player.place.get_by_role("button", name="Pause").is_visible()
        player.page.wait_for_timeout(1200)
        player.stage.press("Space")
        frame = int(player.range.input_value())
        player.page.wait_for_timeout(150)
        assert player.shows(frame), "it stands still"
        return frame

    fast = played()
    player.chooser("Speed").select_option(label="1/4")
    slow = played()
    assert 12 <= fast <= 60  # 25 frames a second, on a machine that may be busy
    assert 2 <= slow <= fast / 2
    player.chooser("Speed").select_option(label="1×")
    player.stage.press("End")
    player.stage.press("Space")
    player.page.wait_for_function("Number(document.querySelector('.player input').value) < 50")  # from the beginning
    player.place.get_by_role("button", name="Pause").press("Space")
    assert player.place.get_by_role("button", name="Play").is_visible()
    assert player.errors == []


def test_the_curve_follows_and_leads(player: Player) -> None:
    cursor, curve = player.place.locator(".cursor"), player.place.locator(".curve")
    player.range.fill("42")
    assert cursor.get_attribute("transform") == "translate(42.5 0)"
    assert "frame 43 of 100 · jitter 2 %" in player.place.locator(".status").inner_text()
    box = curve.bounding_box()
    curve.click(position={"x": 0.855 * box["width"], "y": 20})
    assert player.shows(85)
    assert "jitter 10 %" in player.place.locator(".status").inner_text()
    jumps = player.place.locator(".worst").get_by_role("button")
    assert jumps.first.inner_text().startswith("frames 76 to 100: ")
    player.stage.press("Home")
    jumps.first.press("Enter")
    assert player.shows(75)
    assert player.place.locator(".mark").count() == jumps.count() == 1


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_as_wide_as_the_page_and_axe_finds_nothing_serious(
    opened: OpenPage, page: Path, width: int, dark: bool
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    shown = opened(page, width, dark=dark)
    shown.page.evaluate("document.querySelectorAll('#clips details').forEach((part) => (part.open = true))")
    assert shown.page.evaluate("document.documentElement.scrollWidth") == width
    boxes = shown.page.locator(".player canvas").evaluate_all(
        "(all) => all.map((one) => one.getBoundingClientRect().right)"
    )
    assert max(boxes) <= width
    found = Axe().run(shown.page, context="#clips").response["violations"]
    assert [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")] == []
    assert shown.errors == []


def test_paper_and_pages_without_a_script_have_film_strips(opened: OpenPage, page: Path) -> None:
    plain = opened(page, script=False)
    assert plain.page.get_by_text("which did not run here").is_visible()
    assert plain.page.locator("#clips .film img:visible").count() > 5
    paper = opened(page, 702)
    paper.page.emulate_media(media="print")
    assert paper.page.locator(".player").is_hidden()
    strip = paper.page.locator("#clips .film img").first.bounding_box()
    assert strip["x"] + strip["width"] <= 703


def test_a_clip_without_an_exact_swap_has_three_panels(opened: OpenPage, tmp_path: Path) -> None:
    folder = add_clips(write_run(tmp_path / "run", per_session=1), (3,), exact=False, jitter=False)
    Image.new("RGB", (7, 9), (9, 9, 9)).save(folder / "outputs/gan_mask/Ada/Bo/v0/0000.png")  # odd
    shown = Player(opened(report.write(folder)))
    shown.page.wait_for_function("document.querySelector('.player .status')?.textContent.includes('of 3')")
    shown.stage.press("ArrowRight")
    assert shown.shows(1, "input", "output")
    assert shown.place.locator("canvas:visible").count() == 3
    assert shown.chooser("Difference").is_disabled()
    assert shown.chooser("Curve").is_hidden()
    assert shown.errors == []
