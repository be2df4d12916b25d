"""How time and memory of `run` and `score` grow with images, models, judges and people: a table, exponents and a plot.

    uv run python benchmarks/growth.py                                            # all axes, images up to 100,000
    uv run python benchmarks/growth.py --axes images --sizes 1000000 --results growth.jsonl
    uv run python benchmarks/growth.py --services run score --metrics id_similarity --judge grid --limit 1024
    uv run python benchmarks/growth.py --measured --results growth.jsonl --plot growth.png      # of what is known

People, photographs, outputs and networks are made up (`made_up.py`): pictures of 32 pixels, features that are random
projections. FID, KID, identity, calibration, intervals, cache and files are fsbench's own. Targets and the outputs of
one model count as images: a million is half a million of each. With `score` all of them are files of another tool.

Each case is a process of its own, of which time and the peak of the resident memory are read. Seconds are of the
processor, which hold on a busy machine. With --results each case is kept in a file, and not measured again. The
exponent is that of the last two sizes: 1 is linear. It may be above 1 where all pairs are compared, which ends at a
stated number of images: calibration and KID. Exits with 1 where it is above STEEPEST elsewhere, and where memory grows
by more bytes an image than --limit.

The processes give freed memory back at once (MALLOC_TRIM_THRESHOLD_ and ARROW_DEFAULT_MEMORY_POOL in the environment
win): what glibc keeps of large tensors, and Arrow of its columns, for the next ones is up to a hundred MiB, and differs
from run to run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from made_up import PEOPLE, SESSIONS, prepare, save

STEEPEST = 1.15
"""Exponent of time above which growth is no more linear; the rest is noise of caches and merges."""

SIZES = {"images": (1000, 10_000, 100_000), "models": (1, 2, 4, 8), "judges": (1, 2, 4, 8), "people": (10, 40, 160)}
FEW = 4000
"""Images where something else grows."""

SOURCES = 4
"""People whose photographs `score` is given as sources."""

PAIRWISE = ("calibration", "projected_kid")
"""Parts that compare all pairs of images, up to a stated number of these."""


@dataclass(frozen=True)
class Case:
    """What one process does."""

    service: str
    images: int = FEW
    models: int = 1
    judges: int = 1
    people: int = PEOPLE
    side: int = 32
    dim: int = 256
    judge: str = "projected"
    metrics: tuple[str, ...] = ("projected_fid", "projected_kid", "id_similarity")


@dataclass(frozen=True)
class Measured:
    """What it took."""

    wall: float  # seconds
    peak: int  # bytes of resident memory
    own: int  # of these, what is no page of a file: the most that was seen, five times a second
    seconds: dict[str, float]  # of the processor: "all", and by part


def main() -> None:
    """Measure what is not known, print tables, and exit."""
    given = _options()
    if given.child:
        print(json.dumps(asdict(measure(_case(json.loads(given.child))))))
        return
    known = dict(read(given.results)) if given.results and given.results.exists() else {}
    faults = []
    for service in given.services:
        for axis in given.axes:
            base = Case(service, side=given.side, dim=given.dim, judge=given.judge, metrics=tuple(given.metrics))
            for size in () if given.measured else given.sizes or SIZES[axis]:
                case = replace(base, **{axis: size})
                if case not in known:
                    known[case] = _measure_apart(case)
                    _keep(given.results, case, known[case])
            rows = rows_of(axis, known, base)
            print(f"\n{service}\n{table(axis, rows)}", flush=True)
            faults += exceeded(axis, rows, given.limit)
    if given.plot:
        plot(known, given.plot)
    print("\n".join(faults))
    sys.exit(bool(faults))


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--axes", nargs="+", default=list(SIZES), choices=list(SIZES))
    options.add_argument("--sizes", type=int, nargs="+", help="of the axes; their own, by default")
    options.add_argument("--services", nargs="+", default=["run"], choices=["run", "score"])
    options.add_argument("--side", type=int, default=Case.side, help="pixels")
    options.add_argument("--dim", type=int, default=Case.dim, help="numbers in the observer's features")
    options.add_argument("--judge", default=Case.judge, choices=["projected", "grid"], help="128 or 4 numbers")
    options.add_argument("--metrics", nargs="+", default=Case.metrics)
    options.add_argument("--limit", type=int, help="bytes by which the peak may grow with an image")
    options.add_argument("--results", type=Path, help="a file of what was measured, a line each")
    options.add_argument("--measured", action="store_true", help="measure nothing: tell what --results holds")
    options.add_argument("--plot", type=Path, help="a picture of all that is known")
    options.add_argument("--child", help=argparse.SUPPRESS)
    return options.parse_args()


# ---- measuring -------------------------------------------------------------------------------------------------------


def _measure_apart(case: Case) -> Measured:
    environment = {"MALLOC_TRIM_THRESHOLD_": str(2**17), "ARROW_DEFAULT_MEMORY_POOL": "system", **os.environ}
    command = [sys.executable, __file__, "--child", json.dumps(asdict(case))]
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if child.returncode:
        sys.exit(child.stderr)
    return Measured(**json.loads(child.stdout.splitlines()[-1]))


def measure(case: Case) -> Measured:
    """Run a service in this process."""
    with tempfile.TemporaryDirectory() as name, _own_memory() as own:
        folder = Path(name)
        os.environ["FSBENCH_CACHE"] = f"{folder}/cache"
        context = prepare(case.dim)
        service = {"run": run, "score": score}[case.service](case, folder, context)
        seconds = _timed_parts()
        wall, processor = time.monotonic(), time.process_time()
        service()
        wall, seconds["all"] = time.monotonic() - wall, time.process_time() - processor
        return Measured(wall, _status("VmHWM"), max(own), dict(seconds))


def _plan(case: Case, **fields: Any) -> Any:
    from fsbench.config import Plan

    judges = tuple(f"{case.judge}(seed={k})" if case.judge == "projected" else case.judge for k in range(case.judges))
    return Plan(baselines=False, metrics=case.metrics, judges=judges, resamples=100, **fields)


def run(case: Case, folder: Path, context: Any) -> Callable[[], object]:
    """Let models darken targets."""
    from fsbench.harness.run import run as service

    plan = _plan(
        case,
        dataset=f"made(n={case.images // 2},side={case.side},people={case.people})",
        models=tuple(f"darker(amount={0.1 + 0.02 * k:.2f})" for k in range(case.models)),
    )
    return lambda: service(plan, folder / "out", context)


def score(case: Case, folder: Path, context: Any) -> Callable[[], object]:
    """Measure outputs of other tools."""
    from fsbench.harness.external.files import ToolOutputs
    from fsbench.harness.score import score as service

    n = case.images // 2
    for k in range(n):
        name = f"p{k % case.people:04d}/s{k // case.people % SESSIONS}/{k:07d}.png"
        save(folder / "targets" / name, k, case.side)
        for tool in range(case.models):
            save(folder / f"tool{tool}" / f"q{k % SOURCES}" / name, (tool + 1) * n + k, case.side)
    for k in range(SOURCES * SESSIONS):
        save(folder / f"sources/q{k % SOURCES}/s{k // SOURCES}/0.png", 10**7 + k, case.side)
    tools = [ToolOutputs.find(f"tool{tool}", folder / f"tool{tool}") for tool in range(case.models)]
    return lambda: service(tools, folder / "sources", folder / "targets", _plan(case), folder / "out", context)


def _timed_parts() -> dict[str, float]:
    """Seconds of the processor that parts of a service take, counted from now on."""
    from fsbench.evidence import references
    from fsbench.extraction import features
    from fsbench.harness import generate, run_folder, summarise

    seconds: dict[str, float] = defaultdict(float)

    def time_calls(owner: Any, name: str, part: Callable[..., str]) -> None:
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part(*args)] += time.process_time() - began

        setattr(owner, name, timed)

    time_calls(features, "by_item", lambda *given: "features")
    time_calls(generate, "in_blocks", lambda *given: "swapping")
    time_calls(run_folder, "write_pngs", lambda *given: "images")
    time_calls(references, "calibrate", lambda *given: "calibration")
    time_calls(summarise, "value", lambda metric, name, *given: name)
    return seconds


def _status(name: str) -> int:
    """Bytes, as the kernel counts this process's memory."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024


@contextmanager
def _own_memory() -> Iterator[list[int]]:
    """Watch the memory that is no page of a file, five times a second."""
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen[0] = max(seen[0], _status("RssAnon"))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


# ---- telling ---------------------------------------------------------------------------------------------------------

Rows = Sequence[tuple[Case, Measured]]


def rows_of(axis: str, known: Mapping[Case, Measured], base: Case) -> Rows:
    """The cases that differ from `base` along one axis alone, in their order."""
    cases = [case for case in known if replace(case, **{axis: getattr(base, axis)}) == base]
    return [(case, known[case]) for case in sorted(cases, key=lambda case: getattr(case, axis))]


def table(axis: str, rows: Rows) -> str:
    """Markdown: a row for each size, and the exponents of the last two."""
    if not rows:
        return f"nothing is known of {axis}"
    parts = ["all", *sorted({part for _, measured in rows for part in measured.seconds} - {"all"})]
    head = [axis, "MiB", "its own", *(f"{part}, s" for part in parts), "clock, s"]
    lines = [f"| {' | '.join(head)} |", f"|{' ---: |' * len(head)}"]
    for case, measured in rows:
        memory = [f"{size / 2**20:,.0f}" for size in (measured.peak, measured.own)]
        spent = [f"{measured.seconds.get(part, 0):,.1f}" for part in parts]
        lines.append(f"| {' | '.join([f'{getattr(case, axis):,}', *memory, *spent, f'{measured.wall:,.0f}'])} |")
    if len(rows) > 1:
        steep = [f"{exponent(axis, rows, part):.2f}" for part in parts]
        lines.append(f"| exponent | {bytes_each(axis, rows):,.0f} bytes each | | {' | '.join(steep)} | |")
    return "\n".join(lines)


def exponent(axis: str, rows: Rows, part: str) -> float:
    """Power of the size with which a part's time grew at last; NaN where it takes no time."""
    (few, first), (many, last) = rows[-2:]
    before, now = (measured.seconds.get(part, 0.0) for measured in (first, last))
    if not before or not now:
        return math.nan
    return math.log(now / before) / math.log(getattr(many, axis) / getattr(few, axis))


def bytes_each(axis: str, rows: Rows) -> float:
    """Bytes by which the peak grew with each of what grew at last."""
    (few, first), (many, last) = rows[-2:]
    return (last.peak - first.peak) / (getattr(many, axis) - getattr(few, axis))


def exceeded(axis: str, rows: Rows, limit: int | None) -> list[str]:
    """A sentence for each bound that is exceeded."""
    if len(rows) < 2:
        return []
    parts = {part for _, measured in rows for part in measured.seconds} - {*PAIRWISE, "all"}
    faults = [
        f"{part} grows with the power {power:.2f} of {axis}: {STEEPEST} is allowed"
        for part in sorted(parts)
        if (power := exponent(axis, rows, part)) > STEEPEST and rows[-1][1].seconds[part] > 1
    ]
    if limit is not None and axis == "images" and bytes_each(axis, rows) > limit:
        faults.append(f"memory grows by {bytes_each(axis, rows):.0f} bytes an image: {limit} are allowed")
    return faults


def plot(known: Mapping[Case, Measured], path: Path) -> None:
    """Draw time and memory against each axis, of the cases that differ in it alone."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panes = pyplot.subplots(2, len(SIZES), figsize=(12, 5.5), sharex="col", sharey="row", layout="constrained")
    for axis, (above, below) in zip(SIZES, panes.T, strict=True):
        for service in sorted({case.service for case in known}):
            rows = rows_of(axis, known, Case(service))
            sizes = [getattr(case, axis) for case, _ in rows]
            above.plot(sizes, [measured.seconds["all"] for _, measured in rows], "o-", label=service)
            below.plot(sizes, [measured.peak / 2**20 for _, measured in rows], "o-")
        above.set(xscale="log", yscale="log")
        below.set(yscale="log", xlabel=axis)
        places = sorted({getattr(case, axis) for case, _ in rows_of(axis, known, Case("run"))} - {FEW})
        below.set_xticks(places, [f"{place:,}" for place in places])
        below.minorticks_off()
    panes[1, 0].set_yticks((1000, 2000, 4000), ("1,000", "2,000", "4,000"))
    panes[0, 0].set_ylabel("seconds of the processor")
    panes[1, 0].set_ylabel("peak of memory, MiB")
    panes[0, 0].legend()
    figure.savefig(path, dpi=110)


def _case(fields: dict[str, Any]) -> Case:
    return Case(**{**fields, "metrics": tuple(fields["metrics"])})


def read(path: Path) -> Iterator[tuple[Case, Measured]]:
    """What a file of --results holds."""
    for line in path.read_text().splitlines():
        fields = json.loads(line)
        yield _case(fields["case"]), Measured(**fields["measured"])


def _keep(path: Path | None, case: Case, measured: Measured) -> None:
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps({"case": asdict(case), "measured": asdict(measured)}) + "\n")


if __name__ == "__main__":
    main()
