"""Embedders and observers under the name, specification and key that a run uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Generic, TypeVar

from fsbench.errors import UsageError
from fsbench.extraction.codehash import plugin_key
from fsbench.interfaces import Context, Embedder, Observer
from fsbench.registry import Registry, Spec, embedders, observers, parse_spec
from fsbench.specs import result_name
from fsbench.store import fingerprint

Network = TypeVar("Network", bound=Embedder | Observer)


@dataclass(frozen=True)
class Extractor(Generic[Network]):
    """A network, the name that results use for it, and what decides its features."""

    name: str
    network: Network
    key: str | None  # hash of everything that decides its features, but the images; None where that is not known
    begun: Event = field(default_factory=Event, compare=False)  # set by the first call: what that makes is there

    @classmethod
    def build(
        cls, kind: Registry[Network], text: str, context: Context, path: str = "", name: str = ""
    ) -> Extractor[Network]:
        """Make a network from its specification, of its own files or of the one at `path`.

        Its name is the specification without folders, or `name`. Raises FsbenchError where files or packages are
        missing.
        """
        spec = parse_spec(text)
        spec = replace(spec, path=path) if path else spec
        entry = kind.get(spec.name)
        network = entry.build(spec, context)
        own = plugin_key(entry, spec, network)
        info = network.info
        recipe = {
            "plugin": own,
            "version": [info.version, info.description],
            "weights": {file.name: file.sha256 for file in info.weights},
            **({"precision": info.precision} if info.precision != "float32" else {}),
        }
        return cls(name or _short(spec), network, None if own is None else fingerprint(recipe))

    @property
    def files(self) -> frozenset[str]:
        """Hashes of the files that it was made from."""
        return frozenset(file.sha256 for file in self.network.info.weights)


Judge = Extractor[Embedder]
"""The embedder that scores are computed with."""


def build_judges(texts: Sequence[str], context: Context) -> list[Judge]:
    """Make judges from their specifications; raises UsageError where there is none, and where one would count twice."""
    if not texts:
        raise UsageError("no judge to ask", "name one with --judges; see: fsbench list embedders")
    judges = [Extractor.build(embedders, text, context) for text in texts]
    for i, judge in enumerate(judges):
        for other in judges[:i]:
            if other.name == judge.name:
                raise UsageError(
                    f"two judges are called {judge.name}", "name each judge once; files of one name have to be renamed"
                )
            if judge.files and judge.files == other.files:
                raise UsageError(
                    f"{other.name} and {judge.name} are one network, made from the same file",
                    "name one of them: a judge that is asked twice counts twice",
                )
    return judges


def observer_files(texts: Sequence[str]) -> dict[str, str]:
    """Return the path that each NAME@PATH of `--observers` gives an observer, by the observer's full name.

    Raises UsageError for one without a path, UnknownName for one that does not exist.
    """
    paths = {observers.get(spec.name).full_name: spec.path for spec in map(parse_spec, texts)}
    for name, path in paths.items():
        if not path:
            name = result_name(name)
            raise UsageError(f"--observers {name} names no file", f"write {name}@PATH; without it {name} has its own")
    return paths


def _short(spec: Spec) -> str:
    """A specification without folders: paths are private, and left out of results."""
    params = {
        key: Path(value).name if Path(value).expanduser().exists() else value for key, value in spec.params.items()
    }
    return str(Spec(spec.name, params, Path(spec.path).name))
