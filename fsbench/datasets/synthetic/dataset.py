"""The data set that fsbench carries with it: people drawn by seed, with the exact answer to every swap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import pandas as pd

from fsbench import registry
from fsbench.datasets.synthetic.asset import asset_sha256, load_asset
from fsbench.datasets.synthetic.layout import FaceLayout, load_layout
from fsbench.datasets.synthetic.people import SEEDS
from fsbench.datasets.synthetic.plan import OCCLUDED, YAW, Chunk, Item, SyntheticPlan
from fsbench.datasets.synthetic.render import VERSION
from fsbench.datasets.synthetic.scenes import EXACT, Change, true_gaze
from fsbench.datasets.synthetic.shapes import HeadModel, make_head_model
from fsbench.datasets.synthetic.truth import GroundTruth
from fsbench.datasets.synthetic.work import KIND, TAGS, describe_item, draw_chunk, draw_missing
from fsbench.errors import BadParameter, DataError
from fsbench.faces.align import TEMPLATE
from fsbench.images import ImageSet
from fsbench.interfaces import SPLITS, Context, DatasetInfo, Faces, Split, Truth
from fsbench.store import fingerprint
from fsbench.stored import StoredArrays

ROWS = 2
"""Raised whenever rows tell something else of the same images; 2 corrected the gaze, which was said too large."""

_RANGES = {
    "people": (2, 500),
    "sessions": (2, 99),
    "images": (1, 1000),
    "gallery": (0, 500),
    "clips": (0, 20),
    "frames": (2, 10_000),
    "size": (32, 1024),
    "seed": (0, 2000),
    "sources": (0, 500),
    "unseen": (0, 498),
}


@registry.datasets.register("synthetic")
class Synthetic:
    """Parametric people drawn by seed, with the exact swap, face mask and landmarks of every image.

    `people` identities to swap among, each with `sessions` sessions, of which 10 in 22 are held out for the test split;
    `images` stills in a training session and a quarter of that in a test session; `gallery` further people for
    retrieval; `size` pixels a side. The test split also has `clips` clips of each person, in sessions of their own, of
    `frames` consecutive frames each (25 a second). `dominant` is the share of each person's training images that are of
    one session; with 0 all sessions have as many. The first `sources` people are put into the others; with 0 everybody
    is. The last `unseen` people have no training images: targets that no model was shown. With a `light_gap` the light
    on every second person is warmer and brighter by that share, on the others colder and darker, in all their images.
    `swap` says what an exact swap replaces: the face alone, or the whole head with its hair. `jitter` is the alignment
    error of an imagined detector, as a share of the crop. `yaw` is the largest turn of a still in degrees; pitch is in
    proportion. `occluded` is the share of stills with a microphone or a hand before the face.

    The frame of an image (`--stage frame`) has the image in its middle, half as much around it on every side, and on
    its right another person of the data set in a frame of their own, so that it shows two faces.

    Drawn once and kept in the store. Raises BadParameter.
    """

    def __init__(
        self,
        *,
        people: int = 2,
        sessions: int = 22,
        images: int = 20,
        gallery: int = 50,
        clips: int = 2,
        frames: int = 48,
        size: int = 128,
        seed: int = 0,
        jitter: float = 0.01,
        dominant: float = 0.0,
        sources: int = 0,
        unseen: int = 0,
        light_gap: float = 0.0,
        swap: Literal["face", "head"] = "face",
        yaw: float = YAW,
        occluded: float = OCCLUDED,
        context: Context,
    ) -> None:
        given = {
            "people": people,
            "sessions": sessions,
            "images": images,
            "gallery": gallery,
            "clips": clips,
            "frames": frames,
            "size": size,
            "seed": seed,
            "sources": sources,
            "unseen": unseen,
        }
        for name, (low, high) in _RANGES.items():
            if not low <= given[name] <= high:
                raise BadParameter(f"synthetic({name}={given[name]}) is out of range", f"{name} is {low} to {high}")
        if not 0 <= light_gap <= 0.5:
            raise BadParameter(f"synthetic(light_gap={light_gap}) is out of range", "light_gap is 0 to 0.5, a share")
        if people - unseen < 2 or sources > people - unseen:
            raise BadParameter(
                f"synthetic(people={people},sources={sources},unseen={unseen}) leaves too few with training images",
                "two people, and all sources, need some",
            )
        if not 0 <= jitter <= 0.1:
            raise BadParameter(f"synthetic(jitter={jitter}) is out of range", "jitter is 0 to 0.1, a share of the crop")
        if not 0 <= dominant <= 0.95:
            raise BadParameter(f"synthetic(dominant={dominant}) is out of range", "dominant is 0 to 0.95, a share")
        if not 0 <= yaw <= 90:
            raise BadParameter(f"synthetic(yaw={yaw}) is out of range", "yaw is 0 to 90 degrees")
        if not 0 <= occluded <= 1:
            raise BadParameter(f"synthetic(occluded={occluded}) is out of range", "occluded is 0 to 1, a share")
        if swap not in ("face", "head"):
            raise BadParameter(f"synthetic(swap={swap}) is unknown", "swap is face or head")
        self._plan = SyntheticPlan(
            people,
            sessions,
            images,
            gallery,
            size,
            seed,
            jitter,
            swap,
            clips,
            frames,
            dominant,
            sources,
            unseen,
            light_gap,
            yaw,
            occluded,
        )
        self._context = context
        self._splits: dict[Split, Faces] = {}

    @property
    def info(self) -> DatasetInfo:
        """Facts about the data set; the revision covers head model, renderer, parameters and what rows tell."""
        recipe = {"plan": self._plan.facts, "people": SEEDS, "asset": asset_sha256(), "renderer": VERSION, "rows": ROWS}
        return DatasetInfo(
            name="synthetic",
            revision=fingerprint(recipe),
            size=self._plan.size,
            description=f"{self._plan.people} parametric people to swap among and {self._plan.gallery} others",
            licence="no real person is shown; head model CC0-1.0 (MakeHuman, MPFB2, Face Units)",
            splits=SPLITS if self._plan.gallery else ("train", "test"),
            synthetic=True,
            sources=self._plan.named_sources,
            notes=(f"exact swaps replace the {self._plan.swap}; light, background, clothes stay the target's",),
        )

    def faces(self, split: Split) -> Faces:
        """Return one split, drawing what the store does not have."""
        if split not in self.info.splits:
            raise DataError(f"synthetic has no split {split!r}", f"its splits are {', '.join(self.info.splits)}")
        if split not in self._splits:
            chunks = self._plan.chunks(split)
            faces = _assemble(chunks, self._entries(chunks, f"drawing synthetic people ({split})"))
            if self._plan.unseen and split == "test":
                seen = set(self.outline("train")["identity"])
                faces.rows["unseen"] = 1.0 - faces.rows["identity"].isin(seen)
            self._splits[split] = faces
        return self._splits[split]

    def outline(self, split: Split) -> pd.DataFrame:
        """Return what rows tell without drawing anything: `id`, `identity`, `session`, `clip` and `frame`."""
        return _outline(self._plan.chunks(split))

    def landmarks68(self, split: Split) -> np.ndarray:
        """Return the 68 landmarks of a split in crop pixels, (N, 68, 2) float32, those turned away included."""
        drawn = self._entries(self._plan.chunks(split), f"drawing synthetic people ({split})")
        return np.concatenate([entry["landmarks"] for entry in drawn])

    def face_points(self, split: Split) -> tuple[Faces, np.ndarray, np.ndarray]:
        """Return a split, where the points of its faces lie, (N, P, 3) float32, and which are seen, (N, P) uint8.

        They are x, y, z in pixels of the crop, z towards the camera (`truth.face_points`); 255 is seen.
        """
        chunks = [replace(chunk, points=True) for chunk in self._plan.chunks(split)]
        entries = self._entries(chunks, f"drawing synthetic people ({split})")
        points, seen = (np.concatenate([entry[name] for entry in entries]) for name in ("points", "seen"))
        return _assemble(chunks, entries), points, seen

    def layout(self, side: int) -> FaceLayout:
        """Return the layout of position maps of `side` texels a side, which makes maps of the points of a face."""
        return load_layout(self._context.device, side)

    def head_model(self, side: int, n_people: int, n_expressions: int) -> HeadModel:
        """Return maps of other people at rest, and of how expressions move them."""
        return make_head_model(load_asset(self._context.device), self.layout(side), n_people, n_expressions)

    def truth(self, source: str, targets: Faces) -> Truth:
        """Return the exact swaps of identity `source` into entries of this data set; raises DataError for others."""
        places = [self._place(str(row)) for row in targets.rows["id"]]
        drawn = self._swaps(source, places, EXACT, f"drawing exact swaps of {source}")
        own = dict(zip(drawn, self._entries(list(drawn), "drawing synthetic people"), strict=True))
        here, there = (_images(of, places, "mask") for of in (drawn, own))
        masks = ImageSet.made(here.shape, lambda rows: np.maximum(here.levels(rows), there.levels(rows)))
        return Truth(_images(drawn, places), masks)

    def frames(self, targets: Faces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The frame of each of some entries, and its faces as the imagined detector finds them; drawn when first asked.

        Raises DataError for entries that this data set does not have.
        """
        places = [self._place(str(row)) for row in targets.rows["id"]]
        shown = [[place, *self._beside(place)] for place in places]
        plain = list(dict.fromkeys(chunk for row in shown for chunk, _ in row))
        margin = self._plan.size // 2
        around = [replace(chunk, margin=margin) for chunk in plain]
        crops = dict(zip(plain, self._entries(plain, "drawing synthetic people"), strict=True))
        wholes = dict(zip(plain, self._entries(around, "drawing frames of synthetic people"), strict=True))
        inside = slice(margin, margin + self._plan.size)
        for row in shown:
            pictures = [wholes[chunk].rows("image", np.array([k]))[0].copy() for chunk, k in row]
            for picture, (chunk, k) in zip(pictures, row, strict=True):
                picture[inside, inside] = crops[chunk].rows("image", np.array([k]))[0]  # with the grain that it has
            corners = [(margin + n * pictures[0].shape[1], margin) for n in range(len(row))]
            faces = TEMPLATE * self._plan.size + np.array(corners, np.float32)[:, None]
            yield np.concatenate(pictures, 1), faces

    def _beside(self, place: tuple[Chunk, int]) -> list[tuple[Chunk, int]]:
        """The same image of the next person, nobody where there is none."""
        item = place[0].items[place[1]]
        other = replace(item, person=(item.person + 1) % self._plan.people)
        return [self._places[other.id]] if other.id in self._places and item.person < self._plan.people else []

    def variants(self, source: str, targets: Faces, change: Change) -> ImageSet:
        """Return the same swaps with a change, (N, 3, S, S), in the targets' crops; drawn, so that it is true to scale.

        Raises DataError for entries and identities that this data set does not have.
        """
        places = [self._place(str(row)) for row in targets.rows["id"]]
        return _images(self._swaps(source, places, change, f"drawing changed swaps of {source}"), places)

    def draw_variants(self, source: str, targets: Faces, changes: Iterable[Change]) -> None:
        """Draw what the store does not have of several `variants`, all at once, so that every core has work."""
        person, plain = self._person(source), {self._place(str(row))[0]: None for row in targets.rows["id"]}
        chunks = [replace(self._plan.exact(chunk, person), change=change) for change in changes for chunk in plain]
        self._entries(chunks, f"drawing changed swaps of {source}")

    def describe(self, row: str, source: str | None = None, change: Change = EXACT) -> GroundTruth:
        """Draw one image again, by its row id, with all that is known about it; with a source, its swap with a change.

        Raises DataError for an id or an identity that this data set does not have.
        """
        chunk, k = self._place(row)
        if source is not None:
            chunk = replace(self._plan.exact(chunk, self._person(source)), change=change)
        return describe_item(chunk, k, self._context.device)

    def _swaps(
        self, source: str, places: list[tuple[Chunk, int]], change: Change, title: str
    ) -> dict[Chunk, StoredArrays]:
        """What is drawn of swaps, by the chunk of their targets."""
        person, plain = self._person(source), list(dict.fromkeys(chunk for chunk, _ in places))
        swapped = [replace(self._plan.exact(chunk, person), change=change) for chunk in plain]
        return dict(zip(plain, self._entries(swapped, title), strict=True))

    def _person(self, identity: str) -> int:
        people = {Item(k, 0, 0).identity: k for k in range(self._plan.people + self._plan.gallery)}
        if identity not in people:
            raise DataError(f"synthetic has no identity {identity!r}", f"it has {min(people)} to {max(people)}")
        return people[identity]

    @cached_property
    def _places(self) -> dict[str, tuple[Chunk, int]]:
        return {
            item.id: (chunk, k)
            for split in self.info.splits
            for chunk in self._plan.chunks(split)
            for k, item in enumerate(chunk.items)
        }

    def _place(self, row: str) -> tuple[Chunk, int]:
        if row not in self._places:
            raise DataError(f"{row} is not an image of this data set", "ids look like p000/s12/0003: see its rows")
        return self._places[row]

    def _entries(self, chunks: list[Chunk], title: str) -> list[StoredArrays]:
        """What the store has of chunks, those that are missing being drawn."""
        store, device, total = self._context.store, self._context.device, sum(len(chunk.items) for chunk in chunks)
        entries = [store.entry(KIND, chunk.recipe, partial(draw_chunk, chunk, device)) for chunk in chunks]
        missing = [chunk for chunk, entry in zip(chunks, entries, strict=True) if not entry.find()]
        if missing:
            progress = self._context.stage(title)
            drawn = total - sum(len(chunk.items) for chunk in missing)

            def done(n: int) -> None:
                nonlocal drawn
                drawn += n
                progress(drawn, total, {})

            progress(drawn, total, {})
            writable = store.can_write(store.root / KIND)
            draw_missing(missing, store if writable else store.passing, device, done)
        return entries


def _outline(chunks: list[Chunk]) -> pd.DataFrame:
    items = [item for chunk in chunks for item in chunk.items]
    return pd.DataFrame(
        {
            "id": [item.id for item in items],
            "identity": [item.identity for item in items],
            "session": [f"s{item.session:02d}" for item in items],
            "clip": ["" if item.clip < 0 else f"c{item.clip:02d}" for item in items],
            "frame": [item.frame for item in items],
        }
    )


def _assemble(chunks: list[Chunk], entries: list[StoredArrays]) -> Faces:
    rows = _outline(chunks)
    tags, five = (np.concatenate([entry[name] for entry in entries]) for name in ("tags", "five"))
    facts = pd.DataFrame(tags.astype(np.float64), columns=list(TAGS))
    facts[["gaze_x", "gaze_y"]] = true_gaze(facts[["gaze_x", "gaze_y"]].to_numpy())
    crops, masks = ImageSet.stored(entries, "image"), ImageSet.stored(entries, "mask")
    return Faces(crops, pd.concat([rows, facts], axis=1), five, masks)


def _images(drawn: dict[Chunk, StoredArrays], places: list[tuple[Chunk, int]], name: str = "image") -> ImageSet:
    ends = np.cumsum([len(chunk.items) for chunk in drawn])
    first = {chunk: end - len(chunk.items) for chunk, end in zip(drawn, ends, strict=True)}
    return ImageSet.stored(list(drawn.values()), name).select([first[chunk] + k for chunk, k in places])
