"""Outputs that any tool made, measured like those of a run."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cosine_similarity

from fsbench import results
from fsbench.config import Plan, parse_pipeline
from fsbench.datasets._photos import Photo
from fsbench.datasets.people import Album, open_album
from fsbench.errors import DataError, UsageError
from fsbench.faces.align import align
from fsbench.faces.pose import pose
from fsbench.files import home_of, printable, some
from fsbench.harness import records
from fsbench.harness.asked import Asked, Missing, Pair, ask, by_model
from fsbench.harness.bench import Panel, assess, conclude, prepare
from fsbench.harness.face_choice import RULES, FaceRule, choose
from fsbench.harness.folder import RunFolder
from fsbench.harness.gallery import gather, join
from fsbench.harness.generate import swap_all
from fsbench.harness.judging import Judge, embed, find_landmarks
from fsbench.harness.models import build, prepare_model
from fsbench.harness.outputs import LIKE_TARGET, RESIZED, SEVERAL, Cut, Outputs
from fsbench.harness.pairs import N_REFERENCES, Group, Pairs
from fsbench.harness.table import Table, read_table
from fsbench.images import ImageSet, list_images, read_image
from fsbench.interfaces import Context, DatasetInfo, Faces, Source, Split, Truth
from fsbench.store import fingerprint

BASELINES = ("copy_target", "copy_source")
TAKEN = {**dict.fromkeys(BASELINES, "a baseline"), "references": "the real images, in the files of a run"}
NO_COACH = "none"
STAGE = "files of another tool, aligned crops cut out of them"

NOTES = (
    "outputs are files of another tool: one that shows the frame of its target's photograph was cut exactly as that "
    "photograph was, any other by the face that was found in it",
    "the references of a source are all of its images, also those that the tool was shown",
)


@dataclass(frozen=True)
class People:
    """The data set that outputs are measured on: the images of sources and targets, all in the test split."""

    info: DatasetInfo
    test: Faces
    sources: Mapping[str, np.ndarray]                    # identity -> rows of the test split
    targets: Mapping[tuple[int, int], int]               # image of the album of targets, face -> row of the test split

    def faces(self, split: Split) -> Faces:
        """Return the test split; raises DataError for the others."""
        if split != "test":
            raise DataError(f"{self.info.name} has no split {split!r}", "it has test")
        return self.test

    def truth(self, source: str, targets: Faces) -> Truth | None:
        """Return None: nobody knows the exact answer for photographs."""
        return None


def score(outputs: Sequence[Outputs], source: Path, target: Path, plan: Plan, out: Path, context: Context, *,
          coaches: Mapping[str, Sequence[str]] | None = None, table: Path | None = None,
          columns: Mapping[str, str] | None = None, missing: Missing = "failure", face: FaceRule = "changed",
          size: int = 128, command: str = "", resume: bool = False) -> results.RunResult:
    """Measure outputs that exist already and leave the files of `fsbench.results` in `out`; raises FsbenchError.

    Of a tool whose outputs show none of the pairs the reason is kept, and the others are measured.
    `source` and `target` are folders of people (`fsbench.datasets.people`); names of the outputs, or the CSV file
    `table`, say which is which (`fsbench.harness.asked`). A tool fails on a pair that it has no output of, or one that
    cannot be read; with `missing` "drop", pairs without an output of every tool are left out for all. `face` says which
    face of a target with several is measured (`fsbench.harness.face_choice`).
    `coaches` names the families of recognisers that each tool was trained against, NO_COACH where there was none.
    """
    started = time.monotonic()
    trained = coaches or {}
    listed = read_table(table, columns) if table is not None else None
    outputs, split = by_model(outputs, listed)
    _check([one.name for one in outputs], trained)
    panel = Panel.of(plan, context)
    families = sorted({judge.embedder.info.family for judge in panel.judges})
    folder = RunFolder(out)
    folder.check(plan, resume)
    givers = open_album(source, size, context)
    scenes = givers if source.resolve() == target.resolve() else open_album(target, size, context)
    asked = ask(outputs, givers, scenes, listed, missing)
    inputs = _inputs(outputs, {"source": givers, "target": scenes}, listed, plan.gallery, trained)
    folder.check(plan, resume, inputs)
    measured = [one for one in outputs if one.name not in asked.failed]
    kept = _scorable(asked.pairs, scenes)
    choice = choose(kept, measured, asked.outputs, scenes, face,
                    functools.partial(_likeness, panel.judges[0], givers, context), context)
    for said in choice.warnings[:1]:
        context.log(said)
    faced = [(target, int(of)) for (_, target), of in zip(kept, choice.face, strict=True)]
    people = _people(givers, scenes, sorted({place for place in faced if place[1]}))
    rule = asked.rule + (f"; of a target with several faces, {RULES[face]}" if choice.warnings else "")
    pairs = _pairs([(source, place) for (source, _), place in zip(kept, faced, strict=True)], people, rule)

    used: dict[Split, Faces] = {"test": people.test}
    if (strangers := gather(people, people.test, plan.gallery, context)) is not None:
        used["gallery"] = strangers
    cuts = {one.name: one.cut([(asked.outputs[one.name].get(pair), *place) for pair, place
                               in zip(kept, faced, strict=True)], scenes, context) for one in measured}
    warnings = [*split, *choice.warnings, *_lost(asked, kept, cuts), *asked.warnings, *_warnings(givers, scenes, used)]
    warnings += [said for one in measured for said in _coach_warnings(one.name, trained.get(one.name, ()), families)]
    bench = prepare(plan, panel, pairs, people.test, used.get("gallery"), context)
    folder.begin(plan, inputs)
    context.log(f"results go to {out}")
    folder.write_inputs(pairs)
    done = [assess(bench, *_baseline(name, plan, people, pairs, context), folder) for name in BASELINES]
    rates = []
    for one in measured:
        cut = cuts[one.name]
        record = _record(one, trained.get(one.name, ()), notes=(_note(cut),))
        done.append(assess(bench, record, cut.images, folder, lost=cut.lost, facts=cut.facts))
        if failures := done[-1].record.failures:
            rates.append(f"{one.name} {results.failure_rate(failures, len(kept))}")
    failed = [_record(one, trained.get(one.name, ()), error=asked.failed[one.name].sentence)
              for one in outputs if one.name in asked.failed]
    albums = [givers] if givers is scenes else [givers, scenes]
    unused = [*asked.unused, *(record for album in albums for record in album.unused)]
    return conclude(bench, done, folder, records.dataset_record(plan.dataset, people.info, used), used,
                    command=command, started=started, warnings=[*rates, *warnings], stage=STAGE, failed=failed,
                    unused=[results.UnusedRecord(**vars(record)) for record in unused])


def _inputs(outputs: Sequence[Outputs], albums: Mapping[str, Album], table: Table | None, gallery: str,
            coaches: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Hashes of all that was read, by what a sentence calls it: an interrupted score goes on with the same only."""
    found = {f"the outputs of {printable(one.name)}": _hash([Photo(one.path(k), file, "", "")
                                                            for k, file in enumerate(one.files)]) for one in outputs}
    found |= {f"the folder of --{role}": _hash(album.photos) for role, album in albums.items()}
    if gallery:
        listing = list_images(home_of(gallery), "--gallery names a folder of people")
        found["the folder of --gallery"] = _hash([Photo(file.path, file.name, "", "") for file in listing.files])
    if table is not None:
        found[f"the table {table.name}"] = fingerprint([astuple(row) for row in table.rows])
    return found | {f"--coach of {printable(name)}": ",".join(families) for name, families in coaches.items()}


def _hash(photos: Sequence[Photo]) -> str:
    return fingerprint([(photo.file, photo.sha256()) for photo in photos])


def _record(one: Outputs, coaches: Sequence[str], notes: tuple[str, ...] = (), error: str = "") -> results.ModelRecord:
    return results.ModelRecord(
        name=one.name, spec=printable(str(one.folder)), kind="precomputed", summary="images that another tool made",
        coaches=tuple(family for family in coaches if family != NO_COACH), notes=notes, error=error)


def _note(cut: Cut) -> str:
    how = cut.facts["cut"]
    n_own, n_there = int((~how.isin(["", LIKE_TARGET, RESIZED])).sum()), int((cut.lost == "").sum())
    return f"{n_own} of {n_there} outputs were cut by their own face, the others like their target"


def _likeness(judge: Judge, givers: Album, context: Context, crops: ImageSet, sources: Sequence[str]) -> np.ndarray:
    """Cosine of each crop to the mean of its source's photographs under a judge, (N,); NaN without a face."""
    given = givers.faces
    own = embed(judge, given.crops, find_landmarks(given.crops, "sources", context), "sources", context).vectors
    seen = embed(judge, crops, find_landmarks(crops, "faces of targets", context), "faces of targets", context).vectors
    owner = given.rows["identity"].to_numpy()
    centres = {name: own[np.flatnonzero(owner == name)].nanmean(0) for name in dict.fromkeys(sources)}
    cosines: np.ndarray = cosine_similarity(seen, torch.stack([centres[name] for name in sources])).numpy()
    return cosines


def _lost(asked: Asked, kept: Sequence[Pair], cuts: Mapping[str, Cut]) -> list[str]:
    """Say which pairs are not measured, which outputs cannot be read, and of which nobody knows what they show."""
    n = len(asked.pairs)
    said = [f"{n - len(kept)} of {n} pairs left out, no face was found in their targets"] if len(kept) < n else []
    for name, cut in cuts.items():
        for why, rows in cut.facts[cut.lost == "unreadable"].groupby("why"):
            said.append(f"{name}: {len(rows)} of {len(kept)} outputs cannot be read "
                        f"({why.removeprefix('cannot be read: ')}): {some(rows['file'].tolist())}")
        if len(unclear := cut.facts[cut.facts["cut"].str.startswith(SEVERAL)]):
            said.append(f"{name}: {len(unclear)} of {len(kept)} outputs show several faces, and another frame than "
                        f"their target; of each the largest was cut: {some(unclear['file'].tolist())}")
    return said


def _check(names: Sequence[str], coaches: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError for what does not exist or cannot be read, before any work."""
    for name in names:
        if not name:
            raise UsageError("a folder of outputs has an empty name", "name the model: --outputs NAME=DIR")
        if names.count(name) > 1 or name in TAKEN:
            whose = TAKEN.get(name, "two folders of outputs")
            raise UsageError(f"{name} is the name of {whose}", "give each its own name: --outputs NAME=DIR")
    if strangers := [name for name in coaches if name not in names]:
        raise UsageError(f"--coach names {strangers[0]}, of which there are no outputs", f"it knows {', '.join(names)}")


def _coach_warnings(name: str, coaches: Sequence[str], families: Sequence[str]) -> list[str]:
    """Say where it is open whether a judge is partial to a model."""
    if not coaches:
        return [f"what {name} was trained against is not known: a judge may have been its coach "
                f"(--coach {name}=FAMILY, or {name}={NO_COACH})"]
    return [f"{name} was trained against {family}, and no judge is of a family of that name: they are of "
            f"{', '.join(families)}" for family in coaches if family not in (NO_COACH, *families)]


def _people(givers: Album, scenes: Album, others: Sequence[tuple[int, int]]) -> People:
    """Put sources and targets together; an image that is in both folders stands once.

    `others` are faces of targets that are not the first of their photographs: each is a person of its own.
    """
    first = [(int(image), 0) for image in np.flatnonzero(scenes.seen)]
    faces, own = (replace(album.faces, rows=album.faces.rows.assign(face=1)) for album in (scenes, givers))
    for image, face in others:
        faces = join([faces, _face(scenes, faces.rows.iloc[[first.index((image, 0))]], image, face)])
    if givers is not scenes:
        known = set(_content(faces))
        new = [content not in known for content in _content(own)]
        faces = _join(faces, own.select(np.array(new, bool)))
    names = givers.faces.identities
    owner = faces.rows["identity"].to_numpy()
    content = fingerprint([faces.crops.content_hash(), faces.rows["id"].tolist()])
    info = DatasetInfo(
        name="score", revision=content, size=faces.crops.pixels.shape[1],
        description=f"people of {givers.root.name} in photographs of {scenes.root.name}",
        licence="unknown: the user's own files", splits=("test",), notes=NOTES,
    )
    return People(info, faces, {name: np.flatnonzero(owner == name) for name in names},
                  {place: row for row, place in enumerate([*first, *others])})


def _face(scenes: Album, row: pd.DataFrame, image: int, face: int) -> Faces:
    """Another face of a photograph whose first one has the facts `row`."""
    photo, points = read_image(scenes.photos[image].path), scenes.cuts.points(image)[face]
    crop, landmarks = align(photo, points, scenes.cuts.crops.shape[1])
    yaw, pitch, _ = pose(landmarks[None]).round(2).T
    name = f"{row['id'].item()}~face{face + 1}"
    return Faces(ImageSet(crop[None]), row.assign(id=name, identity=name, yaw=yaw, pitch=pitch, face=face + 1),
                 landmarks[None])


def _content(faces: Faces) -> list[tuple[str, bytes]]:
    """Who each image shows, and a hash of its pixels."""
    return list(zip(map(str, faces.rows["identity"]), faces.crops.hashes(), strict=True))


def _join(targets: Faces, sources: Faces) -> Faces:
    """Targets, then sources; ids that both have get a mark."""
    rows = sources.rows.copy()
    taken = rows["id"].isin(targets.rows["id"])
    rows["id"] = rows["id"].where(~taken, rows["id"] + "~source")
    return join([targets, replace(sources, rows=rows)])


def _scorable(pairs: Sequence[Pair], scenes: Album) -> list[Pair]:
    """Those whose target shows a face; raises DataError for none."""
    kept = [pair for pair in pairs if scenes.seen[pair[1]]]
    if not kept:
        raise DataError("no face was found in any of the targets", "are these the photographs that were swapped into?")
    return kept


def _pairs(asked: Sequence[tuple[str, tuple[int, int]]], people: People, rule: str) -> Pairs:
    groups = []
    for name in dict.fromkeys(source for source, _ in asked):
        own = people.sources.get(name, np.empty(0, np.int64))
        if len(own) == 0:
            raise DataError(f"no face was found in any image of the source {name}",
                            "add a photograph in which the face is upright and at least 20 pixels wide")
        shown = own[np.unique(np.linspace(0, len(own) - 1, N_REFERENCES).round().astype(int))]
        index = np.array([people.targets[target] for source, target in asked if source == name])
        groups.append(Group(Source(name, people.test.crops[shown]), index, people.test.select(index), None))
    return Pairs(tuple(groups), rule)


def _warnings(givers: Album, scenes: Album, used: Mapping[Split, Faces]) -> list[str]:
    """Say what in the data limits what the numbers mean."""
    albums = {"source": givers} | ({} if scenes is givers else {"target": scenes})
    said = [f"{role}: {warning}" for role, album in albums.items() for warning in (*album.warnings, *album.uneven)]
    said += [f"source: {warning}" for warning in givers.several]
    strangers = used["gallery"].identities if "gallery" in used else []
    if (n := len(used["test"].identities) + len(strangers)) < records.FEW_STRANGERS:
        said.append(f"outputs can be taken for {n} people only, so retrieval says little: --gallery adds others")
    return said + records.few_sessions(used["test"])


def _baseline(name: str, plan: Plan, people: People, pairs: Pairs,
              context: Context) -> tuple[results.ModelRecord, ImageSet]:
    model = prepare_model(build(parse_pipeline(name), context), lambda: people.test, plan.budget, plan.seed, context)
    outputs, seconds = swap_all(model, pairs, context)
    return records.model_record(model, seconds), outputs
