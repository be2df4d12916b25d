"""What `--precision bfloat16` changes in each metric: the same outputs measured twice, as a Markdown table.

    uv run python benchmarks/precision.py [--precision bfloat16] [--models alpha_paste] [--dataset synthetic]
        [--judges dlib_resnet] [--observers inception@PATH]

For each metric: the largest change over all judges and all models of the run, baselines among them; the judge; and the
change as a share of half the width of that value's interval. Values that do not change are counted below.
`throughput.py --precision` tells what is won.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import fsbench

KEY = ["model", "metric", "judge"]
ROUNDING = 1e-12
"""Change below which a value is the same: a distance of images to themselves is 0 but for rounding."""


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--precision", choices=("bfloat16", "float16"), default="bfloat16")
    for name, default in (
        ("models", "alpha_paste"), ("dataset", "synthetic"), ("judges", "dlib_resnet"), ("observers", None)
    ):  # fmt: skip
        options.add_argument(f"--{name}", default=default)
    given = options.parse_args()
    precision, asked = given.precision, {name: value for name, value in vars(given).items() if name != "precision"}
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            fsbench.run(**asked, precision=name, out=Path(folder, name), quiet=False) for name in ("float32", precision)
        ]
        changes, n_equal = changed(*runs)
    print(f"| metric | judge | change, {precision} | of half the interval |\n| --- | --- | ---: | ---: |")
    for change in changes.itertuples():
        of_interval = "" if np.isnan(change.of_interval) else f"{100 * change.of_interval:.0f} %"
        value = f"{change.change:.2g} {change.unit}".strip()
        print(f"| `{change.metric}` | {change.judge} | {value} | {of_interval} |")
    print(f"\n{n_equal} of {len(runs[0].values)} values are the same.")


def changed(first: fsbench.Run, second: fsbench.Run) -> tuple[pd.DataFrame, int]:
    """The value of each metric that changes most from one run to the other, and the number of values that do not."""
    both = first.values.merge(second.values, on=KEY, suffixes=("", "_of_second"))
    assert len(both) == len(first.values) == len(second.values)
    both["change"] = (both["value"] - both["value_of_second"]).abs()
    half = (both["high"] - both["low"]) / 2
    both["of_interval"] = both["change"] / half.where(half > 0)
    changing = both[both["change"] > ROUNDING]
    most = changing.loc[changing.groupby("metric")["change"].idxmax()]
    return most, int((both["change"] <= ROUNDING).sum())


if __name__ == "__main__":
    main()
