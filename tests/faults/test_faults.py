"""The ladder: each fault grows with its strength, is what it says, and depends on nothing but fault and image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fsbench.datasets.synthetic import Synthetic
from fsbench.errors import BadParameter, DataError
from fsbench.faults import FAULTS, Fault, Scene, draw_ahead, drawn
from fsbench.faults.fault import chance
from fsbench.faults.paste import inside
from fsbench.faults.sequence import earlier
from fsbench.hashes import keys
from fsbench.images import ImageSet
from fsbench.interfaces import Context

SMALL: dict[str, Any] = {"people": 2, "sessions": 2, "images": 4, "gallery": 0, "size": 64, "clips": 0}
ALL = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


@pytest.fixture
def scene(context: Context) -> Scene:
    """Four pairs, called the frames of a clip."""
    dataset = Synthetic(**SMALL, context=context)
    return as_clip(Scene.of(dataset, "p001", dataset.faces("train").of("p000")))


@pytest.fixture
def blinking(context: Context) -> Scene:
    """Two images, called the frames of a clip: the one of many in which somebody blinks most, and one beside it."""
    dataset = Synthetic(people=2, sessions=2, images=60, gallery=0, size=32, context=context)
    targets = dataset.faces("train")
    targets = targets.of(str(targets.rows["identity"][targets.rows["blink"].idxmax()]))
    k = int(targets.rows["blink"].argmax())
    assert targets.rows["blink"][k] > 0.3
    source = "p001" if targets.identities == ["p000"] else "p000"
    return as_clip(Scene.of(dataset, source, targets.select([k, k - 1])))


def as_clip(scene: Scene) -> Scene:
    rows = scene.targets.rows.assign(clip="c00", frame=range(len(scene.targets)))
    return replace(scene, targets=replace(scene.targets, rows=rows))


def pick(scene: Scene, index: list[int]) -> Scene:
    chosen = np.array(index)
    return replace(
        scene,
        targets=scene.targets.select(chosen),
        exact=scene.exact.select(chosen),
        mask=scene.mask.select(chosen),
        sources=scene.sources.select(chosen),
    )


def flat(level: int, n: int, size: int = 64) -> ImageSet:
    return ImageSet(np.full((n, size, size, 3), level, np.uint8))


def named(scene: Scene, n: int, size: int = 64) -> Scene:
    """A scene of n grey images with names; there is nothing to draw in it."""
    targets = scene.targets.select([0] * n)
    targets = replace(
        targets, rows=targets.rows.assign(id=[f"image{k}" for k in range(n)], frame=range(n)), crops=flat(200, n, size)
    )
    mask = ImageSet(np.full((n, size, size, 1), 255, np.uint8))
    return replace(scene, targets=targets, exact=flat(100, n, size), mask=mask, sources=flat(50, n, size))


def damage(scene: Scene, outputs: ImageSet) -> float:
    return float(np.abs(outputs.levels().astype(float) - scene.exact.levels()).mean())


# ------------------------------------------------------------------------------------------------------- all of them


@ALL
def test_a_fault_says_what_it_is(fault: Fault) -> None:
    assert FAULTS[fault.name] is fault
    assert fault.description.endswith(".")
    assert fault.unit
    assert fault.aspect not in fault.also


def test_every_aspect_has_a_fault() -> None:
    from typing import get_args

    from fsbench.interfaces import Aspect

    assert {fault.aspect for fault in FAULTS.values()} == set(get_args(Aspect))


@ALL
def test_strength_zero_is_the_exact_swap(fault: Fault, scene: Scene) -> None:
    np.testing.assert_array_equal(fault.apply(scene, 0.0).levels(), scene.exact.levels())


@ALL
def test_damage_grows_with_strength(fault: Fault, scene: Scene, request: pytest.FixtureRequest) -> None:
    scene = request.getfixturevalue("blinking") if fault.name == "blink_lost" else scene
    ladder = [fault.apply(scene, strength) for strength in (0.0, *fault.strengths)]
    assert all(outputs.shape == scene.exact.shape for outputs in ladder)
    grown = np.diff([damage(scene, outputs) for outputs in ladder])
    if fault.unit == "share" and not fault.drawn:  # of so few outputs, some steps hit none
        assert (grown >= 0).all()
        assert grown.sum() > 0
    elif fault.name == "lag":  # frames that stand for a clip
        assert grown[0] > 0
    else:
        assert (grown > 0).all()


@ALL
def test_outputs_depend_on_nothing_else(fault: Fault, scene: Scene) -> None:
    strength = fault.strengths[2]
    once = fault.apply(scene, strength).levels()
    np.testing.assert_array_equal(fault.apply(scene, strength).levels(), once)
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(fault.apply(pick(scene, order), strength).levels(), once[order])
    if fault.name not in ("lag", "repeated", "frozen"):  # which show other outputs of the scene
        np.testing.assert_array_equal(fault.apply(pick(scene, [1]), strength).levels(), once[[1]])


@pytest.mark.parametrize(
    "name", ["blur", "colour_cast", "alpha_seam", "scale", "identity_mix", "pose_offset", "copy_target"]
)
def test_faults_of_a_head_swap(name: str, context: Context) -> None:
    dataset = Synthetic(**SMALL, swap="head", context=context)
    scene, fault = Scene.of(dataset, "p001", dataset.faces("train").of("p000")), FAULTS[name]
    weak, strong = (damage(scene, fault.apply(scene, fault.strengths[k])) for k in (0, -1))
    assert 0 <= weak < strong
    if name in ("identity_mix", "copy_target"):
        np.testing.assert_array_equal(fault.apply(scene, 1.0).levels(), scene.targets.crops.levels())


def test_a_scene_has_an_image_of_the_source_for_each_target(scene: Scene) -> None:
    own = scene.dataset.faces("train").of("p001").crops.hashes()
    assert np.isin(keys(scene.sources.hashes()), keys(own)).all()
    reverse = Scene.of(scene.dataset, "p001", scene.targets.select([3, 2, 1, 0]))
    np.testing.assert_array_equal(reverse.sources.levels(), scene.sources.levels()[::-1])
    np.testing.assert_array_equal(reverse.exact.levels(), scene.exact.levels()[::-1])


def test_what_is_no_ladder_or_beyond_it_is_refused(scene: Scene) -> None:
    for strengths in ((1.0, 2.0, 3.0, 4.0), (0.0, 1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 3.0, 4.0)):
        with pytest.raises(BadParameter, match="no ladder"):
            replace(FAULTS["blur"], strengths=strengths)
    for strength in (-1.0, 6.1, float("nan")):
        with pytest.raises(BadParameter, match="blur has no strength"):
            FAULTS["blur"].apply(scene, strength)


@pytest.mark.parametrize("name", ["lag", "blink_lost"])
def test_what_needs_clips_is_refused_on_stills(name: str, scene: Scene) -> None:
    stills = replace(scene, targets=replace(scene.targets, rows=scene.targets.rows.assign(clip="")))
    with pytest.raises(DataError, match=f"{name} needs clips"):
        FAULTS[name].apply(stills, 1.0)
    assert damage(stills, FAULTS["jitter"].apply(stills, 1.0)) > 0


# ----------------------------------------------------------------------------------------------- what strengths mean


def test_blur_has_the_standard_deviation_it_says(scene: Scene) -> None:
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    pixels[0, 32, 32] = 255
    point = replace(named(scene, 1), exact=ImageSet(pixels))
    spread = FAULTS["blur"].apply(point, 3.0).levels()[0, :, :, 0].astype(float)  # 1.5 pixels of 64
    across = spread.sum(0) / spread.sum()
    middle = (across * np.arange(64)).sum()
    assert middle == pytest.approx(32, abs=0.05)
    assert ((across * (np.arange(64) - middle) ** 2).sum()) ** 0.5 == pytest.approx(1.5, rel=0.1)  # cut by rounding


def test_noise_has_the_levels_it_says(scene: Scene) -> None:
    noisy = FAULTS["noise"].apply(named(scene, 4), 8.0).levels().astype(float)
    assert noisy.std() == pytest.approx((64 + 1 / 12) ** 0.5, rel=0.02)
    assert noisy.mean() == pytest.approx(100, abs=0.2)
    assert abs(np.corrcoef(noisy.reshape(4, -1))[0, 1]) < 0.03  # another grain in each image


def test_jpeg_is_the_codec(scene: Scene) -> None:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(scene.exact.levels()[1]).save(file, format="JPEG", quality=60)
    np.testing.assert_array_equal(FAULTS["jpeg"].apply(scene, 40.0).levels()[1], np.asarray(Image.open(file)))


def test_shift_moves_by_whole_pixels_without_blurring(scene: Scene) -> None:
    moved = FAULTS["shift"].apply(scene, 6.0).levels()  # 3 of 64
    np.testing.assert_array_equal(moved[:, :, 3:], scene.exact.levels()[:, :, :-3])
    np.testing.assert_array_equal(moved[:, :, :3], np.repeat(scene.exact.levels()[:, :, :1], 3, 2))


def test_scale_enlarges_about_the_middle(scene: Scene) -> None:
    levels = np.broadcast_to((2 * np.arange(64) + 64)[None, None, :, None], (1, 64, 64, 3))
    ramp = replace(named(scene, 1), exact=ImageSet(levels.astype(np.uint8)))
    enlarged = FAULTS["scale"].apply(ramp, 14.0).levels()[0, 20, :, 0].astype(float)
    np.testing.assert_allclose(enlarged, 2 * ((np.arange(64) - 31.5) / 1.14 + 31.5) + 64, atol=0.6)


@pytest.mark.parametrize("strength", [1.0, 4.0])
def test_colour_cast_is_as_far_as_it_says(scene: Scene, strength: float) -> None:
    from skimage.color import deltaE_cie76, rgb2lab

    cast = FAULTS["colour_cast"].apply(named(scene, 1), strength).levels()
    before, after = (rgb2lab(pixels[0, 32, 32]) for pixels in (named(scene, 1).exact.levels(), cast))
    assert deltaE_cie76(before, after) == pytest.approx(strength, abs=0.35)  # 8 bits
    assert after[0] == pytest.approx(before[0], abs=0.3)
    assert after[1] > before[1]
    assert after[2] > before[2]


def test_a_seam_is_a_step_at_the_edge_of_a_patch_and_nothing_in_its_middle(scene: Scene) -> None:
    mask = np.zeros((1, 64, 64, 1), np.uint8)
    mask[:, 8:56, 8:56] = 255
    masked = replace(named(scene, 1), mask=ImageSet(mask))
    line = FAULTS["alpha_seam"].apply(masked, 32.0).levels()[0, 32, :, 0].astype(int) - 100
    assert (line[:10] == 0).all()  # 4 px of 128 within the face
    assert 24 < line[10] <= 32
    assert (np.diff(line[10:32]) <= 0).all()
    assert (line[17:47] == 0).all()


@pytest.mark.parametrize("name", ["colour_cast", "alpha_seam", "flicker"])
def test_faults_of_the_face_leave_the_background_alone(name: str, scene: Scene) -> None:
    fault = FAULTS[name]
    change = np.abs(fault.apply(scene, fault.strengths[-1]).levels().astype(int) - scene.exact.levels()).max(-1)
    outside = scene.mask.levels()[..., 0] == 0
    assert 0.2 < outside.mean() < 0.9
    assert change[outside].max() == 0
    assert change[~outside].mean() > 5


def test_the_inside_of_a_face_has_a_soft_rim(scene: Scene) -> None:
    mask = np.full((1, 64, 64, 1), 255, np.uint8)
    mask[:, :, :32] = 0
    masked = replace(named(scene, 1), mask=ImageSet(mask))
    line = inside(masked)[0, 0, 32]
    assert (line[:32] == 0).all()
    assert 0 < line[32] < 0.5
    assert (line[32:].diff() >= 0).all()
    assert (line[38:] > 0.99).all()  # the image's border is no rim


def test_jitter_moves_by_what_it_says_on_average(scene: Scene) -> None:
    from skimage.registration import phase_cross_correlation

    n, strength = 300, 5.0  # 2.5 pixels of 64
    y, x = np.mgrid[:64, :64]
    blob = 100 + 100 * np.exp(-((x - 32) ** 2 + (y - 30) ** 2) / 50)
    picture = np.broadcast_to(blob[None, :, :, None].round(), (n, 64, 64, 3)).astype(np.uint8)
    many = replace(named(scene, n), exact=ImageSet(picture))
    moved = FAULTS["jitter"].apply(many, strength).levels()[..., 0].astype(float)
    found = np.array(
        [phase_cross_correlation(image, blob, upsample_factor=10, normalization=None)[0] for image in moved]
    )
    lengths = np.linalg.norm(found, axis=1)
    assert lengths.mean() == pytest.approx(2.5, rel=3 * 0.523 / n**0.5)  # three standard errors of a Rayleigh mean
    assert np.abs(found.mean(0)).max() < 3 * 2 / n**0.5
    twice = FAULTS["jitter"].apply(pick(many, [7]), strength / 2).levels()[..., 0].astype(float)
    half = phase_cross_correlation(twice[0], blob, upsample_factor=20, normalization=None)[0]
    np.testing.assert_allclose(half, found[7] / 2, atol=0.15)  # the same direction at another strength


def test_wobble_moves_the_face_by_what_it_says_and_not_as_a_whole(scene: Scene) -> None:
    """A ramp of brightness to the right shows how far each pixel is moved."""
    n, size, strength = 300, 64, 4.0  # 2 pixels of 64
    ramp = np.broadcast_to((20 + 3 * np.arange(size))[None, None, :, None], (n, size, size, 3)).astype(np.uint8)
    many = replace(named(scene, n), exact=ImageSet(ramp))
    moved = (FAULTS["wobble"].apply(many, strength).levels()[..., 0].astype(float) - ramp[..., 0]) / 3
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    disc = (x**2 + y**2) ** 0.5 < 0.3 * size
    assert np.sqrt(2 * (moved[:, disc] ** 2).mean()) == pytest.approx(2.0, rel=0.1)
    assert np.abs(moved[:, disc].mean(1)).max() < 0.2, "pixels that the whole face is shifted by"
    scaling, turn = ((moved * by)[:, disc].mean(1) / (by**2)[disc].mean() for by in (x, y))
    assert np.corrcoef(scaling, turn)[0, 1] == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_repeated_frames_hold_what_was_shown_before(order: list[int], scene: Scene) -> None:
    scene = pick(scene, order)
    numbers = scene.targets.rows["frame"].to_numpy()
    whole = FAULTS["repeated"]
    held = np.array([chance("repeated", row).random() for row in scene.ids])
    strength = 0.7
    shown = whole.apply(scene, strength).levels()
    wanted = {0: 0}
    for frame in range(1, 4):
        wanted[frame] = wanted[frame - 1] if held[numbers == frame][0] < strength else frame
    first = scene.exact.levels()
    for k, frame in enumerate(numbers):
        np.testing.assert_array_equal(shown[k], first[np.flatnonzero(numbers == wanted[frame])[0]])


def test_flicker_has_the_spread_it_says(scene: Scene) -> None:
    means = FAULTS["flicker"].apply(named(scene, 400, 32), 8.0).levels()[:, 16, 16, 0] / 100
    assert means.std() == pytest.approx(0.08, rel=0.12)
    assert means.mean() == pytest.approx(1, abs=0.015)


def test_lag_shows_earlier_frames_of_the_same_clip(scene: Scene) -> None:
    clips = named(scene, 7)
    rows = clips.targets.rows.assign(clip=["a", "b", "a", "b", "a", "a", "b"], frame=[0, 0, 1, 2, 4, 5, 3])
    clips = replace(clips, targets=replace(clips.targets, rows=rows))
    np.testing.assert_array_equal(earlier(clips, 1), [0, 1, 0, 1, 2, 4, 3])  # frame 4 is the first after frame 1
    np.testing.assert_array_equal(earlier(clips, 3), [0, 1, 0, 1, 2, 2, 1])
    np.testing.assert_array_equal(earlier(clips, 9), [0, 1, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(FAULTS["lag"].apply(scene, 2.0).levels(), scene.exact.levels()[[0, 0, 0, 1]])


@pytest.mark.parametrize(("name", "level"), [("copy_target", 200), ("copy_source", 50), ("frozen", 7)])
def test_shares_are_of_outputs_and_nested(name: str, level: int, scene: Scene) -> None:
    n, before = 1000, np.zeros(1000, bool)
    still = min(range(n), key=lambda k: chance("still", f"image{k}").random())
    pixels = np.full((n, 32, 32, 3), 100, np.uint8)
    pixels[still] = 7
    many = replace(named(scene, n, 32), exact=ImageSet(pixels))
    for share in FAULTS[name].strengths:
        outputs = FAULTS[name].apply(many, share).levels()
        hit = (outputs == level).all((1, 2, 3))
        assert hit.mean() == pytest.approx(share, abs=3 * (share * (1 - share) / n) ** 0.5 + 0.001)
        assert (hit | (outputs == many.exact.levels()).all((1, 2, 3))).all()
        assert (hit >= before).all()
        before = hit
    assert before.all()


def test_a_whole_loss_of_identity_is_the_target(scene: Scene) -> None:
    for name in ("identity_mix", "copy_target"):
        np.testing.assert_array_equal(FAULTS[name].apply(scene, 1.0).levels(), scene.targets.crops.levels())


def test_a_lost_blink_touches_blinks_only(blinking: Scene) -> None:
    change = np.abs(FAULTS["blink_lost"].apply(blinking, 1.0).levels().astype(int) - blinking.exact.levels())
    assert blinking.targets.rows["blink"][1] == 0
    assert change[0].max() > 20
    assert change[1].max() == 0


def test_strengths_of_drawn_faults_reach_the_renderer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(Synthetic, "variants", lambda self, source, targets, change: asked.append(change))
    for fault in (
        drawn.IDENTITY_SHAPE,
        drawn.IDENTITY_TEXTURE,
        drawn.IDENTITY_MIX,
        drawn.EXPRESSION_DAMPED,
        drawn.BLINK_LOST,
    ):
        fault.apply(scene, 0.35)
    for fault in (drawn.POSE_OFFSET, drawn.GAZE_OFFSET):
        fault.apply(scene, 8.0)
    given = [{name: value for name, value in vars(change).items() if value not in (0.0, 1.0)} for change in asked]
    assert given == [
        {"shape": 0.65},
        {"texture": 0.65},
        {"shape": 0.65, "texture": 0.65},
        {"expression": 0.65},
        {"blink": 0.65},
        {"yaw": 8.0},
        {"gaze": 8.0},
    ]


def test_all_is_drawn_ahead(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [FAULTS[name] for name in ("identity_shape", "noise", "gaze_offset")]
    assert [fault.drawn for fault in faults] == [True, False, True]
    draw_ahead(scene, faults)
    monkeypatch.setattr("fsbench.datasets.synthetic.dataset.draw_missing", None)
    for fault in faults:
        for strength in fault.strengths:
            assert len(fault.apply(scene, strength)) == len(scene.targets)


def test_chance_belongs_to_fault_and_image() -> None:
    values = {(what, row): chance(what, row).random() for what in ("noise", "jitter") for row in ("a", "b")}
    assert len(set(values.values())) == 4
    assert chance("noise", "a").random() == values["noise", "a"]
