"""Images a second of each judge and observer through fsbench, and of its network alone, as a Markdown table.

    uv run python benchmarks/throughput.py [NAME ...] [--images 64] [--rounds 5] [--precision float32]

fsbench's side is all that a run does with crops that it has not seen: hashes, chips, network, checks, and features
written to an empty store. The network alone is shown chips that are cut already, in batches of 32, with all cores.
Both are measured in turns by the clock: nothing else may run meanwhile. On a GPU, where there is one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import get_args

from comparisons import DEVICE, Missing, in_turns
from comparisons.networks import NETWORKS

from fsbench.choices import Precision
from fsbench.environment import describe


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", metavar="NAME", help="a network; all, by default")
    options.add_argument("--images", type=int, default=64)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--precision", choices=get_args(Precision), default="float32")
    given = options.parse_args()
    if unknown := set(given.names) - {network.name for network in NETWORKS}:
        options.error(f"there is no {', '.join(sorted(unknown))}")
    facts = describe(DEVICE)
    where = facts["device"] if DEVICE.type == "cuda" else f"{facts['cores']} cores, {facts['processor']}"
    print(f"| {where} | fsbench, images/s | network alone, images/s | ratio |\n| --- | ---: | ---: | ---: |")
    missing = []
    for network in NETWORKS:
        if given.names and network.name not in given.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                sides = network.sides(given.images, Path(folder), given.precision)
            except Missing as why:
                missing.append(f"{network.name} is left out: {why}")
                continue
            measured = in_turns(*sides, given.rounds, time.perf_counter)
        rates = [given.images / seconds for seconds in (measured.ours, measured.theirs)]
        print(f"| {network.name} | {rates[0]:.1f} | {rates[1]:.1f} | {measured.ratio:.2f} |", flush=True)
    print("".join(f"\n{line}" for line in missing))


if __name__ == "__main__":
    main()
