"""Photographs of any people: a folder for each identity, with a sub-folder for each session."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fsbench.datasets import _twins, balance
from fsbench.datasets._clips import CLIP_VERSION, SPLIT_HINT, ClipFrames
from fsbench.datasets._photos import (
    NO_FACE,
    REVISION,
    UNREADABLE,
    USED,
    Cuts,
    cut_faces,
    hash_photos,
    left_out,
    list_identities,
    tell_left_out,
    tell_several,
)
from fsbench.errors import BadParameter, DataError, UsageError
from fsbench.files import Unused, home_of, printable, some
from fsbench.hashes import hex_digits, keys
from fsbench.images import read_image
from fsbench.interfaces import Context, DatasetInfo, Faces, Split, Truth
from fsbench.registry import datasets
from fsbench.store import fingerprint

BLOCKS = 24
"""Pseudo-sessions of an identity without sessions, at most; each has two images or more."""

NEEDED = {"train": 4, "test": 2}
"""Images with a face that each split of an identity needs, at least."""

SPLIT_VERSION = "last sessions 2"
"""Raised whenever an image could move between splits; part of the revision."""

TWIN = "twin"
"""State of an image that is not trained on because the same bytes are held out too."""

NEAR_TWIN = "near twin"
"""State of an image that is not trained on, with `dedup`, because the same photograph is held out in another file."""

REPEATED = "repeated"
"""State of a file that has the number of another file of its clip."""

_REASONS = {
    REPEATED: "another file is the same frame of its clip",
    NO_FACE: "no face found",
    UNREADABLE: "unreadable",
    TWIN: "the same bytes are held out",
    NEAR_TWIN: "the same photograph is held out, saved otherwise",
}
_LEAK = (
    "{n} training images show what a held-out image shows: the same photograph saved otherwise, or a neighbouring "
    "frame, which flatters every model: {pairs}; dedup=true leaves them out of training"
)
_ACROSS = (
    "{n} pairs of images of one split show the same photograph, saved otherwise, or a neighbouring frame, in "
    "two sessions or of two people: {pairs}"
)
_SPLITTING = "held out are the last sessions of each identity, by name, until they hold {test:.0%} of its images"
_WHOLE = (
    "every image is held out, and no model can be trained; what a model is shown of a source is among the references "
    "that its outputs are compared with, which is the same for all models"
)
_BLOCKING = (
    "{names}: no sessions are known, so the images, by file name, were cut into up to {blocks} consecutive "
    "blocks that stand for sessions; images of one shoot may be in both splits, which flatters every model"
)
_ONE_SESSION = (
    "{names}: only one session is held out, so id_leakage and id_nearer_source cannot be scored for "
    "targets of that person: they compare with held-out images from outside the target's own session"
)


@dataclass(frozen=True)
class Label:
    """Names of a set of photographs."""

    name: str
    description: str
    licence: str


class PhotoFolder:
    """Aligned faces out of folders, for `folder` and named sets of the same form."""

    def __init__(
        self,
        root: Path,
        label: Label,
        context: Context,
        size: int,
        test: float,
        dedup: bool = False,
        clips: bool = False,
    ) -> None:
        if not 32 <= size <= 1024:
            raise BadParameter(f"{label.name}(size={size}): a crop has 32 to 1024 pixels", "the default is 128")
        if not (0.05 <= test <= 0.75 or test == 1):
            raise BadParameter(
                f"{label.name}(test={test}): the held-out share is 0.05 to 0.75, or 1 where no model is trained",
                "the default is 0.25",
            )
        self._root, self._label, self._context = root, label, context
        self._size, self._test, self._dedup = size, test, dedup
        people = list_identities(root)
        self._images = people.photos
        self.left_beside = people.unused  # files and folders that are no photographs of anybody
        self._clips = clips
        files = [photo.file for photo in self._images]
        self._frames = ClipFrames.find(files) if clips else ClipFrames.none(len(files))

    @functools.cached_property
    def info(self) -> DatasetInfo:
        """Facts about the data set, with notes on the split and warnings about images that were left out."""
        files = [photo.file for photo in self._images]
        used = self.files[self.files["state"] == USED]
        blocked = [str(name) for name in used.loc[used["blocked"], "identity"].unique()]
        notes = [_WHOLE if self._test == 1 else _SPLITTING.format(test=self._test)]
        if blocked:
            notes.append(_BLOCKING.format(names=some(blocked), blocks=BLOCKS))
        return DatasetInfo(
            name=self._label.name,
            revision=fingerprint(
                [
                    files,
                    list(map(hex_digits, self._hashes)),
                    self._size,
                    self._test,
                    REVISION,
                    SPLIT_VERSION,
                    *(["dedup", _twins.NEAR] if self._dedup else []),
                    *(["clips", CLIP_VERSION] if self._clips else []),
                ]
            ),
            size=self._size,
            description=self._label.description,
            licence=self._label.licence,
            splits=("test",) if self._test == 1 else ("train", "test"),
            notes=tuple(notes),
            warnings=(
                *tell_left_out(self._lost, len(files)),
                *(lost.sentence for lost in self.left_beside),
                *tell_several(files, self._cuts.n_faces),
                *self._tell_near(),
                *self._tell_clips(),
                *_one_session(used),
                *balance.warnings(used),
            ),
            unused=(*self._lost, *self.left_beside),
        )

    def faces(self, split: Split) -> Faces:
        """Return `train` or `test`; raises DataError for the splits that photographs do not have."""
        if split == "train" and self._test == 1:
            raise DataError(
                f"{self._label.name}(test=1) holds every image out: there is nothing to train on",
                "leave test=1 out, or name models that are trained already",
            )
        if split not in self.info.splits:
            raise DataError(f"{self._label.name} has no split {split!r}", f"it has {' and '.join(self.info.splits)}")
        kept = self.files[self.files["split"] == split]
        rows = kept[["id", "identity", "session", "clip", "frame", "yaw", "pitch", "faces"]]
        image = kept["image"].to_numpy()
        return Faces(self._cuts.crops.select(image), rows.reset_index(drop=True), self._cuts.landmarks[image])

    def truth(self, source: str, targets: Faces) -> Truth | None:
        """Return None: exact swaps of photographs are not known."""
        return None

    def frames(self, targets: Faces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read the photographs of some entries; raises DataError for others."""
        for name in targets.rows["id"]:
            if name not in self._places:
                raise DataError(f"{name} is not an image of {self._label.name}", "ids look like PERSON/SESSION/NAME")
            i = self._places[name]
            yield read_image(self._images[i].path), self._cuts.points(i)

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        """The place of each used photograph."""
        used = self.files[self.files["split"] != ""]
        return dict(zip(used["id"], used["image"].tolist(), strict=True))

    @functools.cached_property
    def files(self) -> pd.DataFrame:
        """Every image file and what became of it; `state` is "used", "no face", "unreadable", or one of `_REASONS`.

        Columns `file`, `identity`, `session`, `clip`, `frame`, `state`, `height`, `width`, `yaw` and `pitch` (NaN
        without a face), `faces` (their number), `why` (it is unreadable), `split` ("" where not used), `id`, `blocked`
        (its session is made up) and `image` (its place in the cache).
        """
        files = pd.DataFrame(
            {
                "file": [photo.file for photo in self._images],
                "identity": [photo.identity for photo in self._images],
                "session": [photo.session for photo in self._images],
                "clip": self._frames.clip,
                "frame": self._frames.frame,
                "state": self._cuts.state,
                "why": self._cuts.why,
                "height": self._cuts.shape[:, 0],
                "width": self._cuts.shape[:, 1],
                **self._cuts.facts(),
                "split": "",
                "id": "",
                "blocked": False,
                "image": np.arange(len(self._images)),
            }
        )
        files.loc[self._frames.repeated & (files["state"] == USED), "state"] = REPEATED
        if not (files["state"] == USED).any():
            raise DataError(
                f"no face was found in any of the {len(files)} images in {self._root}",
                "use photographs in which a face is upright and at least 20 pixels wide",
            )
        files = pd.concat([_split(own, self._test) for _, own in files.groupby("identity", sort=False)])
        content = keys(self._hashes)[files["image"]]
        twins = (files["split"] == "train") & np.isin(content, content[files["split"] == "test"])
        files.loc[twins, ["state", "split"]] = TWIN, ""
        if self._dedup:
            files.loc[self._leaks(files), ["state", "split"]] = NEAR_TWIN, ""
        _check_enough(files, ["test"] if self._test == 1 else list(NEEDED), self._label.name)
        return files

    @functools.cached_property
    def near_twins(self) -> pd.DataFrame:
        """Pairs of used images that show one photograph (`_twins`), the nearest first.

        Columns `one`, `other` (files), `one_split`, `other_split`. They are of two sessions, of which those that are
        made up count only across splits, or of two identities; with `dedup`, none crosses the split.
        """
        return self._find_near(self.files)

    def _find_near(self, files: pd.DataFrame) -> pd.DataFrame:
        used = files[files["split"] != ""]
        split, identity, session = (used[name].to_numpy(str) for name in ("split", "identity", "session"))
        blocked = used["blocked"].to_numpy(bool)

        def crosses(i: np.ndarray, j: np.ndarray) -> np.ndarray:
            apart: np.ndarray = (
                (split[i] != split[j]) | (identity[i] != identity[j]) | (session[i] != session[j]) & ~blocked[i]
            )
            return apart

        i, j = _twins.near(self._bits[used["image"]], crosses).T
        names = used["file"].to_numpy()
        return pd.DataFrame({"one": names[i], "other": names[j], "one_split": split[i], "other_split": split[j]})

    def _leaks(self, files: pd.DataFrame) -> np.ndarray:
        """Which of the files are training images of which a near twin is held out, bool."""
        pairs = self._find_near(files)
        crossing = pairs[pairs["one_split"] != pairs["other_split"]]
        leaked = {*crossing["one"], *crossing["other"]}
        found: np.ndarray = (files["file"].isin(leaked) & (files["split"] == "train")).to_numpy()
        return found

    def _tell_clips(self) -> list[str]:
        names, used = [photo.file for photo in self._images], np.zeros(len(self._images), bool)
        used[self.files.loc[self.files["state"] == USED, "image"]] = True
        content = keys(self._hashes).tolist()
        return self._frames.warnings(names, content, self._cuts.shape, used) if self._clips else []

    def _tell_near(self) -> list[str]:
        pairs, said = self.near_twins, []
        crossing = pairs["one_split"] != pairs["other_split"]
        for text, group in ((_LEAK, pairs[crossing]), (_ACROSS, pairs[~crossing])):
            if len(group):
                training = {
                    file
                    for row in group.itertuples()
                    for file, split in ((row.one, row.one_split), (row.other, row.other_split))
                    if split == "train"
                }
                n = len(training) if text is _LEAK else len(group)
                shown = [f"{row.one} and {row.other}" for row in group.itertuples()]
                said.append(text.format(n=n, pairs=some(shown)))
        return said

    @functools.cached_property
    def _lost(self) -> tuple[Unused, ...]:
        files = self.files
        return left_out(
            self._root.name, files["file"].tolist(), files["state"].tolist(), files["why"].tolist(), _REASONS
        )

    @functools.cached_property
    def _bits(self) -> np.ndarray:
        return _twins.hashes(self._cuts.crops)

    @functools.cached_property
    def _hashes(self) -> np.ndarray:
        return hash_photos(self._images)

    @functools.cached_property
    def _cuts(self) -> Cuts:
        return cut_faces(self._images, self._hashes, self._size, f"finding faces: {self._root.name}", self._context)


def _split(own: pd.DataFrame, test: float) -> pd.DataFrame:
    """Give the images of one identity session, split and id."""
    own = own.copy()
    used = (own["state"] == USED).to_numpy()
    if own.loc[used, "session"].nunique() < 2:
        shared = own.loc[used & (own["clip"] != ""), "clip"].unique().tolist()
        if shared and test < 1:
            raise DataError(
                f"{own['identity'].iloc[0]} has one session, whose clips would be split over train and test: "
                f"{some(shared)}",
                SPLIT_HINT,
            )
        if not shared:
            n = int(used.sum())
            n_blocks = max(1, min(BLOCKS, n // 2))
            own["blocked"] = True
            own.loc[used, "session"] = [f"block_{i * n_blocks // n + 1:02d}" for i in range(n)]
    own.loc[own["session"] == "", "session"] = "unsorted"
    held_out = _held_out(own.loc[used, "session"], test)
    own.loc[used, "split"] = np.where(own.loc[used, "session"].isin(held_out), "test", "train")
    stems = own["identity"] + "/" + own["session"] + "/" + own["file"].map(lambda file: Path(file).stem)
    stems = stems.where(own["clip"] == "", own["file"].map(lambda file: Path(file).with_suffix("").as_posix()))
    again = stems.groupby(stems).cumcount()  # a.jpg and a.png of one session
    own["id"] = stems.where(again == 0, stems + "~" + (again + 1).astype(str))
    return own


def _held_out(sessions: pd.Series[str], test: float) -> list[str]:
    """Return the last sessions that together hold the share `test`; all of them for 1.

    There are two at least, so that each held-out image has references outside its own session. There is one where two
    would leave too little to train on.
    """
    counts = sessions.value_counts().sort_index()
    names = list(counts.index)
    if test == 1:
        return names
    least = 2 if counts.iloc[:-2].sum() >= NEEDED["train"] else 1
    enough = (n for n in range(least, len(names)) if counts.iloc[-n:].sum() >= test * len(sessions))
    return names[-next(enough, len(names) - 1) :]


def _one_session(used: pd.DataFrame) -> list[str]:
    counts = used[used["split"] == "test"].groupby("identity", sort=False)["session"].nunique()
    alone = counts.index[counts == 1].tolist()
    return [_ONE_SESSION.format(names=some(alone))] if alone else []


def _check_enough(files: pd.DataFrame, splits: Sequence[str], name: str) -> None:
    needed = pd.Series({split: NEEDED[split] for split in splits})
    counts = pd.crosstab(files["identity"], files["split"]).reindex(columns=list(NEEDED), fill_value=0)
    short = counts[(counts[list(splits)] < needed).any(axis=1)]
    if not len(short):
        return
    said = some(
        [
            f"{identity} has {row.sum()} ({row['train']} for training, {row['test']} held out)"
            for identity, row in short.iterrows()
        ]
    )
    twins = [int((files["state"] == state).sum()) for state in (TWIN, NEAR_TWIN)]
    copies = f"; {twins[0]} more have the same bytes as a held-out image" if twins[0] else ""
    copies += f"; {twins[1]} more show the same photograph as a held-out image" if twins[1] else ""
    wanted = [f"{NEEDED['train']} images in its training sessions and "] * ("train" in splits)
    whole = f"; where no model is trained, {name}(test=1) holds all of them out" * ("train" in splits)
    raise DataError(
        f"too few images with a face for the split: {said}{copies}",
        f"each identity needs {''.join(wanted)}{NEEDED['test']} in its held-out sessions: add images, or remove the "
        f"folder{whole}",
    )


@datasets.register("folder")
class Folder(PhotoFolder):
    """Photographs of any people, `folder:PATH`: a folder for each identity, with a sub-folder for each session.

    Faces are detected by MTCNN and aligned by five landmarks. `test` is the share of each identity that is held out; 1
    holds everything out, for models that are not trained here. A warning names training images that show a held-out
    photograph in another file; `dedup` leaves them out. With `clips`, a sub-folder of consecutively numbered images
    (IDENTITY/SESSION/0001.png, ...) is a clip, and metrics of clips have a value.
    """

    def __init__(
        self, *, context: Context, size: int = 128, test: float = 0.25, dedup: bool = False, clips: bool = False
    ) -> None:
        if not context.path:
            raise UsageError("the data set `folder` needs a path", "write --dataset folder:PATH")
        root = home_of(context.path).absolute()
        label = Label("folder", f"photographs of {printable(root.name)}", "unknown: the user's own files")
        super().__init__(root, label, context, size, test, dedup, clips)
