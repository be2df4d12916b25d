from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from sklearn.metrics import roc_curve

from fsbench.stats.calibration import STEPS, WORKS, Calibration, PairCosines, calibrate, fault


def tally(cosines: np.ndarray, times: int = 1) -> PairCosines:
    """Pairs of given cosines, each so many times."""
    half = 0.5 / STEPS
    counts = np.histogram(cosines, 2 * STEPS + 1, range=(-1 - half, 1 + half))[0]
    return PairCosines(times * np.append(counts, 0), float(np.mean(cosines)), float(np.var(cosines)))


def of(genuine: np.ndarray | list[float], impostor: np.ndarray | list[float], times: int = 1) -> Calibration:
    return Calibration(99, 99, 99.0, tally(np.asarray(genuine), times), tally(np.asarray(impostor), times))


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def crowd(seed: int = 0, people: int = 12, sessions: int = 3, images: int = 2, dim: int = 8) -> tuple[np.ndarray, ...]:
    """Unit vectors that scatter around people and sessions, with labels; one in ten has no face."""
    random = np.random.default_rng(seed)
    person, session = (index.ravel() for index in np.indices((people, sessions, images))[:2])
    vectors = (
        random.normal(size=(people, dim))[person]
        + random.normal(size=(people * sessions, dim))[person * sessions + session]
        + random.normal(size=(len(person), dim))
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[random.random(len(vectors)) < 0.1] = np.nan
    return vectors, np.array([f"p{i}" for i in person]), np.array([f"s{i}" for i in session])


def brute(vectors: np.ndarray, identity: np.ndarray, session: np.ndarray) -> tuple[list[float], list[float]]:
    """Cosines of genuine and of impostor pairs, one after the other."""
    genuine, impostor = [], []
    for i in range(len(vectors)):
        for j in range(i):
            cosine = float(vectors[i] @ vectors[j])
            if np.isnan(cosine):
                continue
            if identity[i] != identity[j]:
                impostor.append(cosine)
            elif session[i] != session[j]:
                genuine.append(cosine)
    return genuine, impostor


def calibrated(*data: np.ndarray, block: int = 1024) -> Calibration:
    found = calibrate(*data, block=block)
    assert found is not None
    return found


def same(one: Calibration, other: Calibration) -> bool:
    return all(
        np.array_equal(a.counts, b.counts)
        and a.mean == pytest.approx(b.mean, abs=1e-12)
        and a.variance == pytest.approx(b.variance, abs=1e-12)
        for a, b in ((one.genuine, other.genuine), (one.impostor, other.impostor))
    )


def test_a_set_by_hand() -> None:
    vectors = at(0, 60, 60, 90, 180)
    found = calibrated(vectors, np.array(list("aaabb")), np.array(["1", "2", "2", "1", "2"]))
    assert (found.n_identities, found.n_images, found.n_genuine, found.n_impostor) == (2, 5, 3, 6)
    # genuine: 60, 60, 90 degrees; impostor: 90, 180, 30, 120, 30, 120
    assert found.genuine.mean == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert found.impostor.variance == pytest.approx(np.var([0, -1, np.sqrt(0.75), -0.5, np.sqrt(0.75), -0.5]))
    assert found.tar(np.array([0.5, 0.5001, 0.0, -1.0])).tolist() == pytest.approx([2 / 3, 0, 1, 1])
    assert found.far(np.array([[0.86, 0.0], [0.87, -1.0]])) == pytest.approx(np.array([[2 / 6, 3 / 6], [0, 1]]))


@pytest.mark.parametrize("block", [1, 2, 7, 64, 1024])
def test_blocks_of_any_size_give_what_counting_gives(block: int) -> None:
    genuine, impostor = brute(*crowd())
    assert same(calibrated(*crowd(), block=block), of(genuine, impostor))


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), block=st.integers(1, 80))
def test_the_order_of_images_does_not_matter(seed: int, block: int) -> None:
    data = crowd(seed, people=4)
    order = np.random.default_rng(seed).permutation(len(data[0]))
    assert same(calibrated(*data), calibrated(*(part[order] for part in data), block=block))


def test_single_precision_is_as_good() -> None:
    vectors, identity, session = crowd()
    narrow = calibrated(vectors.astype(np.float32), identity, session)
    assert narrow.d_prime == pytest.approx(calibrated(vectors, identity, session).d_prime, rel=1e-5)


@pytest.mark.parametrize("d_prime", [0.5, 1.0, 2.0, 4.0])
def test_gaussians_have_the_equal_error_rate_of_the_textbook(d_prime: float) -> None:
    """Quantiles of two normal distributions d' apart: EER = Phi(-d'/2), half-way between the means."""
    spread = 0.05
    normal = spread * ndtri((np.arange(200_000) + 0.5) / 200_000)
    found = of(0.1 + d_prime * spread + normal, 0.1 + normal)
    assert found.d_prime == pytest.approx(d_prime, rel=1e-4)
    assert found.eer == pytest.approx(ndtr(-d_prime / 2), abs=2e-5)
    assert found.eer_threshold == pytest.approx(0.1 + d_prime * spread / 2, abs=1e-4)
    for far in (1e-2, 1e-3):
        point = found.point(far)
        assert point.threshold == pytest.approx(0.1 - spread * ndtri(far), abs=2e-4)
        assert point.tar == pytest.approx(ndtr(ndtri(far) + d_prime), abs=2e-3)


def test_rates_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    genuine, impostor = random.normal(0.4, 0.15, 700), random.normal(0.1, 0.1, 5000)
    found = of(genuine, impostor)
    far, tar, thresholds = roc_curve(
        np.r_[np.ones(700), np.zeros(5000)], np.round(np.r_[genuine, impostor], 4), drop_intermediate=False
    )
    assert found.far(thresholds[1:]) == pytest.approx(far[1:])
    assert found.tar(thresholds[1:]) == pytest.approx(tar[1:])
    crossing = int(np.flatnonzero(far >= 1 - tar)[0])
    assert far[crossing - 1] <= found.eer <= far[crossing]
    assert thresholds[crossing] - 1 / STEPS <= found.eer_threshold <= thresholds[crossing - 1]
    allowed = int(np.flatnonzero(far <= 1e-2)[-1])
    assert found.point(1e-2).tar == pytest.approx(tar[allowed])


def test_nobody_confused_has_its_threshold_in_the_middle() -> None:
    found = of([0.6, 0.7, 0.9], [0.1, 0.2, 0.3])
    assert found.eer == 0
    assert found.eer_threshold == pytest.approx(0.45, abs=1e-4)


def test_everybody_confused_is_a_coin() -> None:
    assert of([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]).eer == pytest.approx(0.5)
    assert of([0.0, 0.0], [1.0, 1.0]).eer == 1


@settings(max_examples=50)
@given(
    genuine=st.lists(st.floats(-1, 1), min_size=1, max_size=20),
    impostor=st.lists(st.floats(-1, 1), min_size=1, max_size=20),
    far=st.sampled_from([0.5, 0.1, 1e-2]),
)
def test_a_threshold_keeps_its_promise_and_no_lower_one_does(
    genuine: list[float], impostor: list[float], far: float
) -> None:
    found = of(genuine, impostor, times=3000)
    point = found.point(far)
    if point.threshold is None:
        assert found.far(np.array(1.0)) > far
        assert "same vector" in point.reason
        return
    assert found.far(np.array(point.threshold)) <= far
    assert point.tar == found.tar(np.array(point.threshold))
    assert point.threshold == -1 or found.far(np.array(point.threshold - 1 / STEPS)) > far
    assert 0 <= found.eer <= 1


def test_rates_fall_with_the_threshold() -> None:
    found, thresholds = calibrated(*crowd()), np.linspace(-1, 1, 501)
    assert (np.diff(found.far(thresholds)) <= 0).all()
    assert found.far(thresholds)[[0, -1]].tolist() == [1, 0]
    assert found.tar(thresholds)[0] == 1


@pytest.mark.parametrize(("far", "needed"), [(1e-2, 3_000), (1e-3, 30_000)])
def test_the_rule_of_30(far: float, needed: int) -> None:
    impostor = np.linspace(-0.5, 0.5, needed)
    assert of([0.9], impostor).point(far).tar == 1
    refused = of([0.9], impostor[1:]).point(far)
    assert (refused.threshold, refused.tar) == (None, None)
    assert f"{needed - 1} impostor pairs are too few" in refused.reason
    assert f"{needed} needed" in refused.reason


def test_without_genuine_or_impostor_pairs_there_is_no_calibration() -> None:
    vectors = at(0, 10, 20, 30)
    assert calibrate(vectors, np.array(list("aaaa")), np.array(list("1234"))) is None
    assert calibrate(vectors, np.array(list("aabb")), np.array(list("1122"))) is None  # one session each
    assert calibrate(vectors, np.array(list("abcd")), np.array(list("1234"))) is None
    assert calibrate(vectors[:0], np.array([]), np.array([])) is None
    assert calibrate(np.full((4, 2), np.nan), np.array(list("aabb")), np.array(list("1212"))) is None


def test_a_session_name_that_two_people_share_is_not_one_session() -> None:
    found = calibrated(at(0, 10, 20, 30), np.array(list("aabb")), np.array(list("1212")))
    assert (found.n_genuine, found.n_impostor) == (2, 4)


def test_what_does_not_vary_has_no_d_prime() -> None:
    assert of([0.7], [0.3]).d_prime is None
    found = calibrated(at(0, 40, 80), np.array(list("aab")), np.array(list("121")))
    assert found.d_prime == pytest.approx(
        (np.cos(np.radians(40)) - np.mean(np.cos(np.radians([40, 80]))))
        / np.sqrt(np.var(np.cos(np.radians([40, 80]))) / 2)
    )


def test_few_people_and_few_pairs_are_told() -> None:
    two = calibrated(at(0, 10, 20, 30), np.array(list("aabb")), np.array(list("1212")))
    assert [text.partition(":")[0] for text in two.warnings] == [
        "the impostor pairs are worth one pair of people, 30 are wanted",
        "there are 2 genuine pairs only",
        "it is not shown to tell people apart",
    ]
    assert calibrated(*crowd()).warnings == ()  # 66 pairs of people


def test_a_crowd_of_strangers_does_not_hide_two_people_with_most_of_the_images() -> None:
    images = np.r_[300, 300, np.full(20, 3)]
    identity = np.repeat(np.arange(len(images)), images)
    vectors = np.random.default_rng(0).normal(size=(len(identity), 4))
    found = calibrated(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), identity, np.arange(len(identity)))
    shares = np.array([a * b for i, a in enumerate(images) for b in images[:i]]) / found.n_impostor
    assert shares.sum() == pytest.approx(1)
    assert found.people_pairs == pytest.approx(1 / (shares**2).sum())
    assert "worth 2 pairs of people" in found.warnings[0]


def test_equal_shares_weigh_as_many_pairs_as_there_are() -> None:
    vectors = at(*range(24))
    assert calibrated(vectors, np.arange(24) % 8, np.arange(24)).people_pairs == pytest.approx(8 * 7 / 2)


def test_of_too_many_images_some_stand_for_all() -> None:
    whole, some = calibrated(*crowd(people=60, images=6)), calibrate(*crowd(people=60, images=6), most=500)
    assert some is not None
    assert (some.n_identities, some.drawn_of) == (60, whole.n_images)
    assert 400 < some.n_images <= 500
    assert some.warnings[0] == f"{some.n_images} of {whole.n_images} images were compared, drawn by their content"
    assert some.d_prime == pytest.approx(whole.d_prime, rel=0.05)
    assert some.eer == pytest.approx(whole.eer, abs=0.02)
    assert not whole.drawn_of


@pytest.mark.parametrize(("people", "images"), [(60, 6), (300, 1)])
def test_which_images_are_drawn_does_not_depend_on_their_order(people: int, images: int) -> None:
    vectors, identity, session = crowd(people=people, images=images)
    order = np.random.default_rng(1).permutation(len(vectors))
    one = calibrate(vectors, identity, session, most=200)
    other = calibrate(vectors[order], identity[order], session[order], most=200)
    assert one is not None
    assert other is not None
    assert (one.genuine.counts == other.genuine.counts).all()
    assert (one.impostor.counts == other.impostor.counts).all()
    assert one.d_prime == other.d_prime


def test_of_too_many_people_some_are_drawn_with_their_images() -> None:
    found = calibrate(*crowd(people=300, images=1), most=200)
    assert found is not None
    assert found.n_images <= 200
    assert found.n_genuine > found.n_images / 2  # one image of each would give none
    assert 60 < found.n_identities < 90


def test_few_images_of_strangers_are_all_drawn_beside_two_people_with_most() -> None:
    images = np.r_[3000, 3000, np.full(20, 3)]
    identity = np.repeat(np.arange(len(images)), images)
    vectors = np.random.default_rng(0).normal(size=(len(identity), 4))
    found = calibrate(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True), identity, np.arange(len(identity)), most=500
    )
    assert found is not None
    assert (found.n_identities, found.n_images) == (22, 500)


def test_densities_are_shares() -> None:
    edges, genuine, impostor = of([0.999, 1.0, 0.5], [-1.0, 0.0]).densities(bins=20)
    assert (len(edges), genuine.sum(), impostor.sum()) == (21, pytest.approx(1), pytest.approx(1))
    assert genuine[[19, 15]] == pytest.approx([2 / 3, 1 / 3])
    assert impostor[[0, 10]] == pytest.approx([0.5, 0.5])


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read with the resource module")
def test_ten_thousand_images_fit_in_500_mb() -> None:
    """The whole process, Python and its libraries included; the matrix of cosines alone would be 800 MB."""
    code = """if True:
        import resource, sys
        import numpy as np
        from fsbench.stats.calibration import calibrate
        vectors = np.random.default_rng(0).normal(size=(10_000, 128)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        index = np.arange(10_000)
        found = calibrate(vectors, index % 50, index // 50 % 20)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
        print(found.n_genuine + found.n_impostor, peak / 1024)
    """
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(said[0]) == 10_000 * 9_999 // 2 - 50 * 20 * (10 * 9 // 2)  # but for the pairs within a session
    assert float(said[1]) < 500


def judged(scatter: float, people: int = 40, sessions: int = 4, dim: int = 32) -> tuple[np.ndarray, ...]:
    """Unit vectors that scatter so much about their person, and labels; infinity is noise."""
    random = np.random.default_rng(0)
    person, session = (index.ravel() for index in np.indices((people, sessions)))
    centre = random.normal(size=(people, dim)) * np.isfinite(scatter)
    vectors = centre[person] + min(scatter, 1) * random.normal(size=(len(person), dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), person.astype(str), session.astype(str)


@pytest.mark.parametrize(
    ("scatter", "people", "fit"),
    [(0.5, 40, True), (0.5, 300, True), (0.5, 2, True), (np.inf, 40, False), (np.inf, 300, False)],
)
def test_a_judge_that_cannot_tell_people_apart_has_a_fault(scatter: float, people: int, fit: bool) -> None:
    vectors, person, session = judged(scatter, people, sessions=4 if people > 2 else 30)
    found = calibrated(vectors, person, session)
    assert found.d_prime is not None
    assert found.d_prime_low is not None
    assert found.d_prime_high is not None
    assert found.d_prime_low < found.d_prime < found.d_prime_high
    assert (fault(vectors, len(vectors), found) == "") is fit
    assert (found.d_prime_low >= WORKS) is fit


def test_few_pairs_take_no_judge_away() -> None:
    vectors, person, session = judged(np.inf, people=2, sessions=4)
    found = calibrated(vectors, person, session)
    assert found.fault == ""
    assert "not shown" in found.doubt


@pytest.mark.parametrize(("n_lost", "match"), [(160, "160 of 160"), (150, "150 of 160"), (90, "90 of 160"), (8, "")])
def test_a_judge_that_gives_nan_is_told_as_such(n_lost: int, match: str) -> None:
    vectors, person, session = judged(0.5)
    vectors[:n_lost] = np.nan
    said = fault(vectors, len(vectors), calibrate(vectors, person, session))
    assert match in said
    assert bool(said) is bool(match)
    assert ("NaN" in said) is bool(match)


@pytest.mark.parametrize("sessions", [1, 4], ids=["no genuine pair", "pairs"])
def test_a_judge_that_gives_one_vector_has_a_fault(sessions: int) -> None:
    vectors, person, session = judged(0.5, sessions=sessions)
    vectors[:] = vectors[0]
    assert "same vector" in fault(vectors, len(vectors), calibrate(vectors, person, session))


def test_the_interval_is_that_of_people_drawn_again() -> None:
    """Against the bootstrap done literally: pairs listed for each resample, copies of one unit not paired."""
    vectors, person, session = judged(0.7, people=12, sessions=2)
    found, random, values = calibrated(vectors, person, session), np.random.default_rng(1), []
    cosine, same = vectors @ vectors.T, person[:, None] == person
    for _ in range(300):
        times = np.bincount(random.integers(12, size=12), minlength=12)[person.astype(int)]
        weight = np.triu(np.where(same, times[:, None], np.outer(times, times)), 1)
        genuine, impostor = weight * same, weight * ~same
        means = [np.average(cosine, weights=kind) for kind in (genuine, impostor)]
        spreads = [
            np.average((cosine - mean) ** 2, weights=kind)
            for mean, kind in zip(means, (genuine, impostor), strict=True)
        ]
        values.append((means[0] - means[1]) / np.sqrt(np.mean(spreads)))
    assert np.quantile(values, (0.025, 0.975)) == pytest.approx((found.d_prime_low, found.d_prime_high), rel=0.12)
