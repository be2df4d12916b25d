"""The service `export`: the crops of a data set as files, for tools that fsbench does not run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from fsbench import __version__
from fsbench.errors import OutputError
from fsbench.harness.external.exported import names_of
from fsbench.harness.pairing import make_pairs
from fsbench.harness.sets import by_set
from fsbench.images import ImageSet
from fsbench.interfaces import Context, Dataset, Faces
from fsbench.pairs import Pairs
from fsbench.png import write_pngs
from fsbench.store import write_text

PAIRS, IMAGES, FACTS = "pairs.csv", "images.csv", "dataset.json"
"""Files beside the images. `FACTS` is written first, so that an export that was interrupted goes on."""

_READ_ME = """{name}: {description}
Written by fsbench {version}; licence: {licence}

sources/PERSON/*.png   what a model is shown of the person whose face it puts in
targets/*/*.png        the images that the face is put into: held out, no model may be trained on them
train/*/*.png          images to train on, where a tool is trained
pairs.csv              a row for each output that is asked: source (a folder), target, and the name of the output
images.csv             of each target and training image: identity, session, clip, frame, and five landmarks in pixels
                       (eyes, nose tip, mouth corners, image-left first), as models of a run are given them

Write each output as a PNG of the target's size into a folder of your own, under the name in the column output.
A pair without an output counts as a failure. Then, with fsbench:

    fsbench score --dataset {spec} --outputs NAME=FOLDER
"""


def export(dataset: Dataset, spec: str, out: Path, context: Context) -> dict[str, int]:
    """Write sources, targets, training images and the table of pairs of a data set; returns how many there are.

    `spec` is what the user calls the data set. `out` is a new folder, or one of the same data set, whose images are
    compared and those that differ written again. Raises OutputError for any other, DataError for a data set without
    pairs.
    """
    facts = _facts(dataset, spec)
    _check(out, facts)
    write_text(out / FACTS, json.dumps(facts, indent=1) + "\n")
    splits = {"targets": dataset.faces("test")}
    if "train" in dataset.info.splits:
        splits["train"] = dataset.faces("train")
    sets = {name: make_pairs(dataset, faces) for name, faces in by_set(splits["targets"]).items()}
    progress, written = context.stage(f"writing images of {dataset.info.name}"), 0
    sources = {group.identity: group.references for pairs in sets.values() for group in pairs.groups}
    folders = [*_folders(splits), *((f"sources/{name}", _numbers(images), images) for name, images in sources.items())]
    total = sum(len(images) for _, _, images in folders)
    for folder, names, images in folders:
        for start in range(0, len(images), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            part = images.select(rows)
            write_pngs((out / folder / f"{name}.png" for name in names[rows]), part)
            written += len(part)
            progress(written, total, {})
    tables = {
        PAIRS: pd.concat([_pairs(name, pairs) for name, pairs in sets.items()]),
        IMAGES: pd.concat([_rows(folder, faces) for folder, faces in splits.items()]),
    }
    for name, table in tables.items():
        write_text(out / name, table.to_csv(index=False))
    write_text(out / "README.txt", _READ_ME.format(**facts))
    return {"sources": len(sources), "pairs": len(tables[PAIRS]), "images": total}


_AT_ONCE = 256
"""Images after which progress is told."""


def _facts(dataset: Dataset, spec: str) -> dict[str, Any]:
    """What tells this data set from others."""
    about = dataset.info
    return {
        "name": about.name,
        "spec": spec,
        "revision": about.revision,
        "description": about.description,
        "licence": about.licence,
        "crop_size": about.size,
        "version": __version__,
    }


def _check(out: Path, facts: dict[str, Any]) -> None:
    """Raise OutputError for a folder that holds anything but this data set."""
    if not out.is_dir() or not any(out.iterdir()):
        return
    try:
        there = json.loads((out / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        there = None
    if not isinstance(there, dict) or any(there.get(key) != facts[key] for key in ("name", "revision", "crop_size")):
        raise OutputError(f"{out} is not empty, and holds another data set or none", "name a new folder")


def _folders(splits: dict[str, Faces]) -> Iterator[tuple[str, list[str], ImageSet]]:
    for folder, faces in splits.items():
        yield folder, faces.rows["id"].astype(str).tolist(), faces.crops


def _numbers(images: ImageSet) -> list[str]:
    return [f"{number:04d}" for number in range(len(images))]


def _pairs(name: str, pairs: Pairs) -> pd.DataFrame:
    """The rows of the table of pairs: paths below the folder, and of outputs below the tool's."""
    rows = pairs.rows
    return pd.DataFrame(
        {
            "output": [f"{output}.png" for output in names_of(pairs)],
            "source": "sources/" + rows["source"].astype(str),
            "target": "targets/" + rows["id"].astype(str) + ".png",
            "set": name,
        }
    )


def _rows(folder: str, faces: Faces) -> pd.DataFrame:
    """What models are told of images: whose they are, the clip and frame, and the landmarks."""
    facts = faces.rows[["identity", "session", "clip", "frame"]].reset_index(drop=True)
    facts.insert(0, "file", [f"{folder}/{name}.png" for name in faces.rows["id"]])
    points = pd.DataFrame(
        faces.landmarks.reshape(len(faces), -1).round(3),
        columns=[f"{axis}{number}" for number in range(faces.landmarks.shape[1]) for axis in "xy"],
    )
    return pd.concat([facts, points], axis=1)
