"""Which images there are: splits, sessions and chunks, and what a renderer is to draw for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from fsbench.datasets.synthetic.asset import asset_sha256
from fsbench.datasets.synthetic.people import Person, person_seed
from fsbench.datasets.synthetic.render import VERSION, Drawing, Renderer
from fsbench.datasets.synthetic.scenes import EXACT, Change, Session, Shot, sample_clip, sample_session, sample_shot
from fsbench.interfaces import Split

CHUNK = 20
_GALLERY_SESSIONS, _GALLERY_IMAGES = 2, 2
_LATER = ("dominant", "sources", "unseen", "light_gap")


@dataclass(frozen=True)
class Item:
    """One image by its place in the data set."""

    person: int
    session: int
    frame: int
    clip: int = -1  # number of the clip, -1 for a still

    @property
    def identity(self) -> str:
        return f"p{self.person:03d}"

    @property
    def id(self) -> str:
        return f"{self.identity}/s{self.session:02d}/{self.frame:04d}"


@dataclass(frozen=True)
class Chunk:
    """Images that are drawn and stored together; everything that decides their pixels, as JSON values."""

    items: tuple[Item, ...]
    seed: int
    size: int
    jitter: float
    source: int = -1  # the person swapped in, -1 for the plain images
    swap: Literal["face", "head"] = "face"
    change: Change = EXACT  # of a swap
    tint: float = 0.0  # of the light, see `Session.tinted`

    @property
    def recipe(self) -> dict[str, Any]:
        """What the cache key is made of; without change or tint it is the key that it had before there were any."""
        people = {item.person for item in self.items} | ({self.source} if self.source >= 0 else set())
        seeds = {person: person_seed(person, self.seed) for person in sorted(people)}
        chunk = asdict(self)
        if self.change == EXACT:
            del chunk["change"]
        if self.tint == 0:
            del chunk["tint"]
        return {"chunk": chunk, "people": seeds, "asset": asset_sha256(), "renderer": VERSION}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Chunk:
        return cls(
            **{**data, "items": tuple(Item(**item) for item in data["items"]), "change": Change(**data["change"])}
        )


@dataclass(frozen=True)
class SyntheticPlan:
    """The parameters of a data set."""

    people: int
    sessions: int
    images: int  # stills in a training session; a quarter in a test session
    gallery: int  # further people
    size: int
    seed: int
    jitter: float
    swap: Literal["face", "head"]
    clips: int = 0  # of each person, in the test split
    frames: int = 48  # of each clip
    dominant: float = 0.0  # share of a person's training images that are of the first session; 0: all alike
    sources: int = 0  # the first people, who are put into all others; 0: everybody
    unseen: int = 0  # the last people, who have no training images
    light_gap: float = 0.0  # how much warmer and brighter the light on every second person is, and colder on the others

    @property
    def facts(self) -> dict[str, Any]:
        """Its parameters, as JSON values; without those that are off and that earlier versions did not have."""
        return {name: value for name, value in vars(self).items() if value or name not in _LATER}

    @property
    def named_sources(self) -> tuple[str, ...]:
        """Identities that are put into others, where that is not everybody."""
        n = min(self.sources or self.people, self.people - self.unseen)
        return tuple(Item(person, 0, 0).identity for person in range(n)) if n < self.people else ()

    @property
    def n_test(self) -> int:
        """Held-out sessions of each person."""
        return max(1, round(self.sessions * 10 / 22))

    def chunks(self, split: Split) -> list[Chunk]:
        """Return the chunks of a split, in order."""
        groups = {"train": self._train, "test": self._test, "gallery": self._gallery}[split]()
        return [
            Chunk(tuple(group[k : k + CHUNK]), self.seed, self.size, self.jitter, tint=self._tint(group[0].person))
            for group in groups
            for k in range(0, len(group), CHUNK)
        ]

    def _tint(self, person: int) -> float:
        """Of the light on a person: warm for every second, cold for the others, none for the gallery."""
        return 0.0 if person >= self.people else self.light_gap if person % 2 else -self.light_gap

    def exact(self, chunk: Chunk, source: int) -> Chunk:
        """Return the chunk of exact swaps of a person into the images of `chunk`."""
        return replace(chunk, source=source, swap=self.swap)

    def _stills(self, person: int, sessions: range, images: int) -> Iterator[list[Item]]:
        for session in sessions:
            yield [Item(person, session, frame) for frame in range(images)]

    def _train(self) -> list[list[Item]]:
        return [
            [Item(person, session, frame) for frame in range(images)]
            for person in range(self.people - self.unseen)
            for session, images in enumerate(self._training_images())
        ]

    def _training_images(self) -> list[int]:
        """Images in each training session; a dominant one takes from the others, so that the total stays."""
        n, total = self.sessions - self.n_test, (self.sessions - self.n_test) * self.images
        if not self.dominant or n < 2:
            return [self.images] * n
        rest, more = divmod(total - round(self.dominant * total), n - 1)
        return [round(self.dominant * total), *(max(1, rest + (k < more)) for k in range(n - 1))]

    def _test(self) -> list[list[Item]]:
        sessions, images = range(self.sessions - self.n_test, self.sessions), max(1, self.images // 4)
        stills = [group for person in range(self.people) for group in self._stills(person, sessions, images)]
        return stills + [
            [Item(person, self.sessions + clip, frame, clip) for frame in range(self.frames)]
            for person in range(self.people)
            for clip in range(self.clips)
        ]

    def _gallery(self) -> list[list[Item]]:
        items = [
            item
            for person in range(self.people, self.people + self.gallery)
            for group in self._stills(person, range(_GALLERY_SESSIONS), _GALLERY_IMAGES)
            for item in group
        ]
        return [items] if items else []


@lru_cache(maxsize=8)
def _clip(seed: int, session: int, n_frames: int) -> list[Shot]:
    return sample_clip(seed, (session,), n_frames)


def scene(renderer: Renderer, item: Item, seed: int) -> tuple[Person, Session, Shot]:
    """Return the person, session and shot that an item names."""
    number = person_seed(item.person, seed)
    person = renderer.person(number)
    session = sample_session(person, 1000 * seed + item.session)
    if item.clip < 0:
        return person, session, sample_shot(number, (session.seed, item.frame))
    n_frames = CHUNK * (1 + item.frame // CHUNK)  # what a frame shows does not depend on how many follow
    return person, session, _clip(number, session.seed, n_frames)[item.frame]


def draw(renderer: Renderer, item: Item, chunk: Chunk) -> tuple[Drawing, Session, Shot]:
    """Draw one item of a chunk; the shot is the one that the drawing shows."""
    person, session, shot = scene(renderer, item, chunk.seed)
    face = renderer.person(person_seed(chunk.source, chunk.seed)) if chunk.source >= 0 else None
    session = session.tinted(chunk.tint) if chunk.tint else session
    drawing = renderer.draw(session, shot, person, face, swap=chunk.swap, change=chunk.change)
    return drawing, session, chunk.change.of(shot)
