"""Ratios of two things that are measured in turns in one process, each with its bound; exits with 1 where one is below.

    uv run python benchmarks/check_ratios.py [NAME ...]

Bounds leave room for the noise of a machine with two busy cores: what they guard against is a step that is done twice,
or image by image where it was done for many. A ratio below its bound is measured again, with three times the rounds,
and that counts. What is not on a machine (weights, the prototype) is left out, and said.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from comparisons import Comparison, Measured, Missing, arithmetic, networks, rendering, training, video

COMPARISONS = (
    *networks.COMPARISONS,
    *training.COMPARISONS,
    *video.COMPARISONS,
    *arithmetic.COMPARISONS,
    *rendering.COMPARISONS,
)


def main() -> None:
    """Measure, print a line each, and exit."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", metavar="NAME", help="a comparison; all, by default")
    names = options.parse_args().names
    if unknown := set(names) - {comparison.name for comparison in COMPARISONS}:
        options.error(f"there is no {', '.join(sorted(unknown))}")
    began, slow = time.monotonic(), []
    print(f"{'fsbench':42}{'beside':26}{'ms':>9}{'ms':>9}{'times as fast':>15}{'bound':>8}")
    for comparison in COMPARISONS:
        if names and comparison.name not in names:
            continue
        try:
            measured = measure(comparison)
        except Missing as why:
            print(f"{comparison.name:42}left out: {why}")
            continue
        print(line(comparison, measured), flush=True)
        if measured.ratio < comparison.least:
            slow.append(f"{comparison.name} beside {comparison.other}")
    print(f"{time.monotonic() - began:.0f} s; below their bounds: {', '.join(slow) or 'none'}")
    sys.exit(bool(slow))


def measure(comparison: Comparison) -> Measured:
    """Measure, and once more where the ratio is below its bound; raises Missing."""
    for rounds in (comparison.rounds, 3 * comparison.rounds):
        with tempfile.TemporaryDirectory() as folder:
            measured = comparison.measure(Path(folder), rounds)
        if measured.ratio >= comparison.least:
            break
    return measured


def line(comparison: Comparison, measured: Measured) -> str:
    """One line of the table."""
    spent = "".join(f"{1000 * seconds:9.0f}" for seconds in (measured.ours, measured.theirs))
    return f"{comparison.name:42}{comparison.other:26}{spent}{measured.ratio:15.2f}{comparison.least:8.2f}"


if __name__ == "__main__":
    main()
