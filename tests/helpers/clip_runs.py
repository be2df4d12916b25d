"""Clips for a run directory made by code: frames whose colour is their place, and a curve of jitter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fsbench import results
from fsbench.results import MetricRecord, RunResult, SetRecord, Value, slug

JITTER = MetricRecord(
    name="jitter",
    summary="Summary of jitter.",
    unit="%",
    direction="lower",
    digits=2,
    no_face="-",
    reference="-",
    group="temporal",
    sample="clip",
)
STEP = 8  # levels from a frame to the next


def colour(place: int, role: str, size: int) -> np.ndarray:
    """A frame (size, size, 3): its red and green tell its place in the clip, its blue whether it is an output."""
    blue = {"target": 40, "exact": 120, "output": 200}[role]
    return np.broadcast_to(np.uint8([STEP * (place % 30), STEP * (place // 30), blue]), (size, size, 3))


def add_clips(
    folder: Path,
    lengths: Sequence[int] = (12, 30),
    size: int = 32,
    *,
    exact: bool = True,
    jitter: bool = True,
    rates: Sequence[object] = (),
) -> Path:
    """Give each model of a run clips of some lengths, two in turn of each of two sources; copy_target keeps targets.

    The jitter of a frame is 1 but for 9 in the last fifth; the later a clip, the more of it.
    """
    result = results.load(folder)
    rows, frames = [], []
    people = [("Ada", "Bo"), ("Bo", "Ada")]
    for model, (i, length) in product(result.models, enumerate(lengths)):
        source, identity = people[i % 2]
        ids = [f"{identity}/v{i}/{k:04d}" for k in range(length)]
        names = {"model": model.name, "source": source, "identity": identity, "session": f"v{i}", "clip": f"c{i}"}
        outputs = [f"outputs/{slug(model.name)}/{source}/{name}.png" for name in ids]
        targets = [f"inputs/target/{name}.png" for name in ids]
        rows.append(
            {**names, "frames": length, "failure": "", "outputs": outputs, "targets": targets, "jitter": 1.0 + i}
            | ({"rate": rates[i]} if rates else {})
        )
        values = np.where(np.arange(length) >= 0.8 * length, 9.0, 1.0) + i
        frames.append(
            pd.DataFrame({**names, "id": ids, "frame": range(length), "jitter": values if jitter else np.nan})
        )
        role = {"copy_target": "target", "exact": "exact"}.get(model.name, "output")
        for k, name in enumerate(ids):
            _write(folder / outputs[k], colour(k, role, size))
            _write(folder / targets[k], colour(k, "target", size))
            if exact:
                _write(folder / f"inputs/exact/{source}/{name}.png", colour(k, "exact", size))
    pd.DataFrame(rows).to_parquet(folder / "clips.parquet")
    pd.concat(frames, ignore_index=True).to_parquet(folder / "frames.parquet")
    results.save(_with_clips(result, len(lengths), size), folder)
    return folder


def _with_clips(result: RunResult, n_clips: int, size: int) -> RunResult:
    clips = SetRecord(name="clips", pairing="all", n_pairs=n_clips, n_clips=n_clips)
    values = [
        Value(
            model=model.name, metric="jitter", value=1.5, n_scored=n_clips, n_total=n_clips, n_clusters=2, set="clips"
        )
        for model in result.models
    ]
    return result.model_copy(
        update={
            "metrics": (*result.metrics, JITTER),
            "values": (*result.values, *values),
            "protocol": result.protocol.model_copy(update={"sets": (*result.protocol.sets, clips)}),
            "dataset": result.dataset.model_copy(update={"size": size}),
        }
    )


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)
