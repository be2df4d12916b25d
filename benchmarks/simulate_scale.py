"""The numbers of docs/scale.md: what is kept of an image, what merges exactly, and how far off sketches are.

    uv run python benchmarks/simulate_scale.py

Prints the tables of the page, by fsbench's own code on made-up features: nothing here depends on the machine. Figures
for many images are those of few, multiplied; where a figure is not linear, its law is simulated at several sizes.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from fsbench.extraction.blocks import BLOCK
from fsbench.extraction.features import TOP_K
from fsbench.feature_store import MERGED, FeatureStore
from fsbench.interfaces import PairedFeatures
from fsbench.observers.face_mesh import SHAPES
from fsbench.stats.calibration import calibrate
from fsbench.stats.frechet import FrechetOfFeatures, LinearFrechet, Moments
from fsbench.stats.kernels import PairedMmd, polynomial
from fsbench.stats.resampling import MOST_CLUSTERS, Draws, Mean

MANY = 10**8
"""Images that the page is about."""

Rows = Sequence[Sequence[str]]

KEPT = {
    "detector": {"landmarks": (5, 2)},
    "dlib_resnet": {"vectors": (128,)},
    "facenet_vggface2": {"vectors": (512,), "top": (2 * TOP_K,), "scores": (TOP_K,)},  # classes are int64
    "inception": {"features": (2048,), "logits": (1008,)},
    "face_mesh": SHAPES,
}
"""Arrays that are kept of an image, with their shapes, in numbers of four bytes."""


def sizes() -> Rows:
    """Bytes in the store, read off a file of 1,024 images."""
    n, rows = 1024, []
    hashes = np.random.default_rng(0).integers(0, 256, (n, 32), np.uint8)
    for network, arrays in KEPT.items():
        with tempfile.TemporaryDirectory() as folder:
            store = FeatureStore(Path(folder), lambda topic, sentence: None)
            store.put("key", hashes, {name: np.zeros((n, *shape), np.float32) for name, shape in arrays.items()})
            (file,) = Path(folder).rglob("*.safetensors")
            each = file.stat().st_size / n
        rows.append([f"`{network}`", f"{each:,.0f}", _bytes(each * 10**6), _bytes(each * MANY)])
    return rows


def shards() -> Rows:
    """Shards of a key, and how often a row is written, when images come in blocks and small shards are merged."""
    rows = []
    for n in (10**4, 10**6, MANY):
        written, left = merged(n)
        rows.append([f"{n:,}", f"{len(left)}", f"{written / n:.1f}"])
    return rows


def merged(n: int) -> tuple[int, list[int]]:
    """Rows that are written in all, and sizes of the shards, as `FeatureStore` merges blocks of BLOCK images."""
    levels: dict[int, list[int]] = defaultdict(list)
    written = 0
    full, rest = divmod(n, BLOCK)
    for size in [BLOCK] * full + [rest] * (rest > 0):
        while size:
            written += size
            alike = levels[level_of(size)]
            alike.append(size)
            size = 0
            if len(alike) == MERGED:
                size = sum(alike)
                alike.clear()
    return written, [size for alike in levels.values() for size in alike]


def level_of(size: int) -> int:
    """Shards of one level are merged."""
    return (size.bit_length() - 1) // 4


def moments() -> Rows:
    """Fréchet distances from means and covariances of shards, merged in any order, beside those of all rows."""
    rows = []
    whole, other = _features(6000, 1), _features(6000, 2)
    exact = FrechetOfFeatures(whole, other)(np.ones(6000), np.ones(6000))
    for n_shards in (2, 60, 600):
        order = np.random.default_rng(n_shards).permutation(n_shards)
        parts = np.array_split(np.arange(6000), n_shards)
        merged = [_merge([side[parts[k]] for k in order]) for side in (whole, other)]
        error = abs(_distance(*merged) - exact) / exact
        rows.append([f"{n_shards}", "below 1e-10" if error < 1e-10 else f"{error:.0e}"])
    return rows


def _merge(shards: Sequence[np.ndarray]) -> Moments:
    total = Moments(shards[0].shape[1])
    for shard in shards:
        own = Moments(shard.shape[1])
        own.add(shard)
        total.merge(own)
    return total


def _distance(first: Moments, second: Moments) -> float:
    from fsbench.stats.frechet import frechet_distance

    return frechet_distance(first.mean, first.cov, second.mean, second.cov)


def resamples() -> Rows:
    """Standard error of a Fréchet distance to first order, beside that of distances computed anew."""
    rows = []
    for n in (500, 2000, 8000):
        first, second = _features(n, 3), _features(n, 4) * 1.1
        counts = [np.bincount(np.random.default_rng(k).integers(0, n, n), minlength=n) for k in range(200)]
        linear, anew = LinearFrechet(first, second, np.arange(n)), FrechetOfFeatures(first, second)
        spreads = [np.std([of(c) for c in counts]) for of in (linear, lambda c: anew(c, c))]  # noqa: B023
        rows.append([f"{n:,}", f"{spreads[0] / spreads[1]:.2f}"])
    return rows


def subsets() -> Rows:
    """Spread of a kernel distance over subsets that stand for all, as a share of its value."""
    n, rows = 8000, []
    first, second = _features(n, 5), _features(n, 6) * 1.1
    random = np.random.default_rng(7)
    for m in (500, 1000, 2000):
        drawn = [random.choice(n, m, replace=False) for _ in range(40)]
        values = [PairedMmd(first[some], second[some], polynomial).value for some in drawn]
        share = np.std(values) / np.mean(values) / np.sqrt(1 - m / n)  # as of infinitely many
        rows.append([f"{m:,}", f"{100 * share:.0f} %", f"{100 * share * np.sqrt(m / 50_000):.1f} %"])
    return rows


def drawn() -> Rows:
    """Whether the subset of shards' subsets is that of all."""
    features = PairedFeatures.of(_features(4000, 8), _features(4000, 9))
    whole = set(np.flatnonzero(features.drawn(500)).tolist())
    rows = []
    for n_shards in (4, 40):
        candidates = np.concatenate(
            [part[features.take(part).drawn(500)] for part in np.array_split(np.arange(4000), n_shards)]
        )
        again = candidates[features.take(candidates).drawn(500)]
        rows.append([f"{n_shards}", f"{len(candidates):,}", f"{len(whole & set(again.tolist()))} of 500"])
    return rows


def thresholds() -> Rows:
    """Threshold at a false-accept rate of 1e-3 and true-accept rate of a judge, by the number of images."""
    rows = []
    for n in (500, 1000, 2000, 4000):
        points = []
        for seed in range(8):
            vectors, person, session = _people(n, seed)
            calibration = calibrate(vectors, person, session)
            assert calibration is not None
            points.append(calibration.point(1e-3))
        cosines, accepted = (np.array([getattr(point, name) for point in points]) for name in ("threshold", "tar"))
        rows.append([f"{n:,}", f"{n * (n - 1) // 2:,}", f"{cosines.std(ddof=1):.4f}", f"{accepted.std(ddof=1):.3f}"])
    return rows


def _people(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (n, 64) of people with ten images each in two sessions."""
    random, person = np.random.default_rng(seed), np.arange(n) // 10
    vectors = random.normal(size=(n // 10, 64))[person] + 0.9 * random.normal(size=(n, 64))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), person, np.arange(n) % 2


def clusters() -> Rows:
    """Standard error of a mean, of which clusters were merged, beside the true one."""
    rows = []
    for n_clusters in (MOST_CLUSTERS, 10 * MOST_CLUSTERS, 100 * MOST_CLUSTERS):
        random, cluster = np.random.default_rng(n_clusters), np.repeat(np.arange(n_clusters), 4)
        values = (random.normal(size=n_clusters)[cluster] + random.normal(size=len(cluster))).astype(np.float64)
        draws = Draws.of(cluster, np.zeros(len(cluster), int), resamples=1000, seed=(0,))
        error = np.sqrt(draws.variance(draws.resample(Mean(values))))
        true = np.sqrt((1 + 1 / 4) / n_clusters)
        rows.append([f"{n_clusters:,}", f"{len(draws.stratum):,}", f"{error / true:.2f}"])
    return rows


def work() -> Rows:
    """Device hours for a network, and operations of what follows, at MANY images."""
    hours = [[f"a network at {rate:,} images/s", f"{MANY / rate / 3600:,.0f} hours"] for rate in (100, 1000, 5000)]
    dim = 2048
    return [
        *hours,
        ["covariances of Inception's features", f"{2 * MANY * dim**2:.1e} operations, {8 * dim**2 / 1e6:.0f} MB"],
        ["kernel distance, of 50,000", f"{2 * 4 * 50_000**2 / 2 * dim:.1e} operations"],
        ["kernel distance, of all", f"{2 * 4 * MANY**2 / 2 * dim:.1e} operations"],
        ["cosines of all pairs of real images, 512 numbers each", f"{2 * MANY**2 / 2 * 512:.1e} operations"],
    ]


def _features(n: int, seed: int, dim: int = 64) -> np.ndarray:
    """Made-up features with a falling spectrum, (n, dim) float32."""
    rows = np.random.default_rng(seed).standard_normal((n, dim), np.float32)
    return np.asarray(rows * np.geomspace(1, 0.05, dim, dtype=np.float32) + 0.5)


def _bytes(n: float) -> str:
    """With a unit: decimal, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


TABLES: dict[str, tuple[Sequence[str], Callable[[], Rows]]] = {
    "sizes": (("network", "bytes an image", "10^6 images", "10^8 images"), sizes),
    "shards": (("images", "shards", "times that a row is written"), shards),
    "moments": (("shards, in any order", "relative error of the distance"), moments),
    "resamples": (("images", "standard error: first order / computed anew"), resamples),
    "subsets": (("of many, drawn", "spread of the kernel distance", "of 50,000, from it"), subsets),
    "drawn": (("shards", "candidates", "the same images"), drawn),
    "thresholds": (
        ("images", "pairs", "spread of the threshold at 1e-3", "spread of the true-accept rate"),
        thresholds,
    ),
    "clusters": (("clusters", "drawn again", "standard error / the true one"), clusters),
    "work": (("10^8 images", "takes"), work),
}
"""Head and rows of each table of the page."""


def lines(name: str) -> Iterator[str]:
    """A table as Markdown."""
    head, rows = TABLES[name]
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in rows())


def main() -> None:
    """Print all tables."""
    for name in TABLES:
        print("\n".join(["", name, *lines(name)]), flush=True)


if __name__ == "__main__":
    main()
