"""The service `score`: outputs that any tool made, measured like those of a run."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from fsbench import results
from fsbench.config import Plan
from fsbench.datasets._photos import Photo, hash_photos
from fsbench.datasets.people import Album, open_album
from fsbench.errors import DataError, UsageError
from fsbench.events import FolderChosen, ModelsPlanned
from fsbench.extraction.extractor import Judge
from fsbench.extraction.features import embed, find_landmarks
from fsbench.files import home_of, printable
from fsbench.harness import records, warn
from fsbench.harness.evaluation import PreparedSet
from fsbench.harness.evaluator import CHEAPEST_BASELINES, baseline
from fsbench.harness.external import limits
from fsbench.harness.external.asked import Asked, AskedPairs, Missing, ask, by_model
from fsbench.harness.external.face_choice import RULES, FaceRule, choose
from fsbench.harness.external.files import LIKE_TARGET, RESIZED, Cut, ToolOutputs
from fsbench.harness.external.people import PeopleOfAlbums, make_pairs, put_together
from fsbench.harness.external.table import Table, read_table
from fsbench.harness.instruments import Instruments
from fsbench.harness.run_folder import RunFolder
from fsbench.harness.splits import Splits
from fsbench.harness.strangers import gather
from fsbench.harness.unwritten import Unwritten
from fsbench.harness.writer import RunWriter
from fsbench.hashes import hex_digits
from fsbench.images import ImageSet, list_images
from fsbench.interfaces import Context
from fsbench.pairs import Pairs
from fsbench.store import fingerprint

TAKEN = {
    **dict.fromkeys(CHEAPEST_BASELINES, "a baseline"),
    **dict.fromkeys(("references", "targets"), "real images, in the files of a run"),
}
OUTPUTS = "files of another tool, aligned crops cut out of them"


def score(
    outputs: Sequence[ToolOutputs],
    source: Path,
    target: Path,
    plan: Plan,
    out: Path,
    context: Context,
    *,
    coaches: Mapping[str, Sequence[str]] | None = None,
    table: Path | None = None,
    columns: Mapping[str, str] | None = None,
    missing: Missing = "failure",
    face: FaceRule = "changed",
    size: int = 128,
    command: str = "",
    resume: bool = False,
    members: AbstractContextManager[object] | None = None,
    leads: bool = True,
) -> results.RunResult:
    """Measure outputs that exist already and leave the files of `fsbench.results` in `out`; raises FsbenchError.

    `source` and `target` are folders of people (`fsbench.datasets.people`). Names of the outputs, or the CSV file
    `table`, say which is which (`fsbench.harness.external.asked`). A tool fails on a pair that it has no output of, or
    one that cannot be read; with `missing` "drop", pairs without an output of every tool are left out for all. Of a
    tool whose outputs show none of the pairs the reason is kept, and the others are measured. `face` says which face of
    a target with several is measured (`fsbench.harness.external.face_choice`). `coaches` names the families of
    recognisers that each tool was trained against, `limits.NO_COACH` where there was none. Without `plan.baselines` the
    two cheapest baselines are measured only where a tool fails, to say what that counts as. `members` and `leads` as in
    `fsbench.harness.run.run`.
    """
    started = time.monotonic()
    trained = coaches or {}
    listed = read_table(table, columns) if table is not None else None
    outputs, of_models = by_model(outputs, listed)
    _check([tool.name for tool in outputs], trained)
    instruments = Instruments.of(plan, context)
    folder = RunFolder(out)
    folder.check(plan, resume)
    context.tell(FolderChosen(out))
    source_album = open_album(source, size, context)
    target_album = source_album if source.resolve() == target.resolve() else open_album(target, size, context)
    asked = ask(outputs, source_album, target_album, listed, missing)
    inputs = _inputs(outputs, {"source": source_album, "target": target_album}, listed, plan.gallery, trained)
    folder.check(plan, resume, inputs)
    tools = [tool for tool in outputs if tool.name not in asked.failed]
    baselines = CHEAPEST_BASELINES if plan.baselines else ()
    context.tell(ModelsPlanned((*baselines, *(tool.name for tool in outputs))))
    with members or nullcontext():
        measured = _measured(asked, tools, source_album, target_album, face, instruments.judges[0], context)
        del listed, asked  # hundreds of bytes an output, and the crops are cut
        splits = Splits(measured.people)
        test = splits["test"]
        gallery = splits.add_gallery(gather(measured.people, test, plan.gallery, context))
        evaluation = PreparedSet.prepare(instruments, measured.pairs, test, gallery, context, named=bool(plan.metrics))
        writer = (RunWriter if leads else Unwritten)(
            plan, instruments, {"stills": evaluation}, folder, command, started, OUTPUTS
        )
        writer.begin(inputs)
        for name in baselines:
            model, swapped = baseline(name, measured.pairs, context)
            features = evaluation.extract(name, swapped.images, seconds=swapped.seconds)
            writer.add(records.model_record(model, swapped.seconds), {"stills": features})
        for tool in tools:
            cut = measured.cuts[tool.name]
            record = _record(tool, trained.get(tool.name, ()), notes=(_note(cut),))
            features = evaluation.extract(tool.name, cut.images)
            record = writer.add(record, {"stills": features}, absent={"stills": cut.lost}, facts=cut.facts)
            if record.failures:
                writer.warnings.append(f"{tool.name} {results.failure_rate(record.failures, len(measured.pairs))}")
        writer.failed += [
            _record(tool, trained.get(tool.name, ()), error=measured.failed[tool.name].sentence)
            for tool in outputs
            if tool.name in measured.failed
        ]
        writer.warnings += [
            *warn.of_metrics(instruments.left_out),
            *of_models,
            *measured.warnings,
            *limits.of_people(splits.read),
            *limits.of_coaches(tools, trained, instruments.judges),
        ]
        return writer.finish(
            records.dataset_record(plan.dataset, measured.people.info, splits.by_kind()), measured.unused
        )


@dataclass(frozen=True)
class _Measured:
    """The pairs that are measured, the people that they show, and the crops of each tool's outputs."""

    pairs: Pairs
    people: PeopleOfAlbums
    cuts: Mapping[str, Cut]  # by tool
    failed: Mapping[str, DataError]  # as in `Asked`
    unused: Sequence[results.UnusedRecord]
    warnings: Sequence[str]


def _measured(
    asked: Asked,
    tools: Sequence[ToolOutputs],
    source_album: Album,
    target_album: Album,
    face: FaceRule,
    judge: Judge,
    context: Context,
) -> _Measured:
    """Choose the face of each target, and cut targets, sources and outputs."""
    kept = _scorable(asked.pairs, target_album)
    likeness = functools.partial(_likeness, judge, source_album, context)
    choice = choose(kept, tools, target_album, face, likeness, context)
    for warning in choice.warnings[:1]:
        context.log(warning)
    others = np.unique(np.stack([kept.target, choice.face], 1)[choice.face > 0], axis=0)
    people = put_together(source_album, target_album, list(map(tuple, others.tolist())))
    rule = asked.rule + (f"; of a target with several faces, {RULES[face]}" if choice.warnings else "")
    pairs = make_pairs(kept, choice.face, people, rule)
    cuts = {
        tool.name: tool.cut(np.stack([kept.outputs[tool.name], kept.target, choice.face], 1), target_album, context)
        for tool in tools
    }
    warnings = [
        *choice.warnings,
        *limits.of_outputs(len(asked.pairs), kept, cuts),
        *asked.warnings,
        *limits.of_albums(source_album, target_album),
    ]
    return _Measured(pairs, people, cuts, asked.failed, _unused(asked, source_album, target_album), warnings)


def _unused(asked: Asked, source_album: Album, target_album: Album) -> list[results.UnusedRecord]:
    albums = [source_album] if source_album is target_album else [source_album, target_album]
    unused = [*asked.unused, *(record for album in albums for record in album.unused)]
    return [results.UnusedRecord(**vars(record)) for record in unused]


def _inputs(
    outputs: Sequence[ToolOutputs],
    albums: Mapping[str, Album],
    table: Table | None,
    gallery: str,
    coaches: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Hashes of all that was read, by what a sentence calls it: an interrupted score goes on with the same only."""
    hashes = {f"the outputs of {printable(tool.name)}": _hash(tool.files, tool.hashes) for tool in outputs}
    for role, album in albums.items():
        hashes[f"the folder of --{role}"] = _hash([photo.file for photo in album.photos], album.hashes)
    if gallery:
        listing = list_images(home_of(gallery), "--gallery names a folder of people")
        names, photos = [file.name for file in listing.files], [Photo(file) for file in listing.files]
        hashes["the folder of --gallery"] = _hash(names, hash_photos(photos))
    if table is not None:
        hashes[f"the table {table.name}"] = fingerprint([astuple(row) for row in table.rows])
    return hashes | {f"--coach of {printable(name)}": ",".join(families) for name, families in coaches.items()}


def _hash(names: Sequence[str], hashes: np.ndarray) -> str:
    return fingerprint(list(zip(names, map(hex_digits, hashes), strict=True)))


def _record(
    tool: ToolOutputs, coaches: Sequence[str], notes: tuple[str, ...] = (), error: str = ""
) -> results.ModelRecord:
    return results.ModelRecord(
        name=tool.name,
        spec=printable(str(tool.folder)),
        kind="precomputed",
        summary="images that another tool made",
        coaches=tuple(family for family in coaches if family != limits.NO_COACH),
        notes=notes,
        error=error,
    )


def _note(cut: Cut) -> str:
    how = cut.facts["cut"]
    n_own, n_there = int((~how.isin(["", LIKE_TARGET, RESIZED])).sum()), int((cut.lost == "").sum())
    return f"{n_own} of {n_there} outputs were cut by their own face, the others like their target"


def _likeness(
    judge: Judge, source_album: Album, context: Context, crops: ImageSet, sources: Sequence[str]
) -> np.ndarray:
    """Cosine of each crop to the mean of its source's photographs under a judge, (N,); NaN without a face."""
    given = source_album.faces
    own = embed(judge, given.crops, find_landmarks(given.crops, "sources", context), "sources", context).vectors
    title = "faces of targets"
    of_crops = embed(judge, crops, find_landmarks(crops, title, context), title, context).vectors
    owner = given.rows["identity"].to_numpy()
    centres = {name: own[np.flatnonzero(owner == name)].nanmean(0) for name in dict.fromkeys(sources)}
    cosines: np.ndarray = cosine_similarity(of_crops, torch.stack([centres[name] for name in sources])).numpy()
    return cosines


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


def _scorable(pairs: AskedPairs, target_album: Album) -> AskedPairs:
    """Those whose target shows a face; raises DataError for none."""
    kept = pairs.select(target_album.seen[pairs.target])
    if not len(kept):
        raise DataError("no face was found in any of the targets", "are these the photographs that were swapped into?")
    return kept
