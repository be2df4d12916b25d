"""What a run leaves behind, and its file format.

    DIR/result.json          RunResult: every value with interval, counts and provenance; written last, so a run without
                             it is not finished
    DIR/samples.parquet      one row per output: model, source, the target's columns of `Faces.rows`, `output` (path
                             below DIR) and one column per metric (`metric`, `metric@judge`), null where not scorable;
                             `failure` ("" or one of `Failure`)
    DIR/scores.csv           the same for spreadsheets: UTF-8 with a byte-order mark, decimal points
    DIR/references.parquet   one row per reference image: the columns of `Faces.rows`, and `split`
    DIR/features/JUDGE.safetensors   unit vectors: `references` (R, D), and per model (N, D) in the order of its
                             samples; a row of NaN is an image in which no face was found
    DIR/lookalikes.parquet   the people that judges take faces for: `judge`, `model` ("" for a reference image), `row`
                             (of the model's samples, or of references.parquet), `rank` (1 is the most similar), `name`,
                             `score` (probability, or cosine without a classifier)
    DIR/umap.parquet         a map of each judge's vectors: `judge`, `model` ("" for a reference image), `row`, the
                             coordinates `x2`, `y2` of the one in the plane and `x3`, `y3`, `z3` of the one in space
    DIR/recursion.parquet    outputs that were fed back as targets, where any were: `model`, `row` (of the model's
                             samples), `n` (passes; 1 is the output), `colour` (CIEDE2000 between the mean skin colours
                             of this image and of the output), `sharpness` (variance of the Laplacian inside the face,
                             divided by the target's) and one column `id_similarity@JUDGE` per judge
    DIR/recursion/MODEL/ROW/N.png    these images
    DIR/outputs/MODEL/SOURCE/ID.png, DIR/inputs/{target,exact/SOURCE}/ID.png, DIR/inputs/source/IDENTITY.png
    DIR/models/MODEL.safetensors     trained weights

Names that are not plain stand in paths as `slug` writes them.

The number SCHEMA grows with every change of shape; `UPGRADES[n]` turns a file of schema n into one of schema n + 1.
Files of a newer schema are refused. Null plus counts for what could not be scored: never NaN, never a sentinel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fsbench.errors import ResultError
from fsbench.files import printable, read
from fsbench.store import fingerprint, write_text

SCHEMA = 4


def _since_1(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 added the ranks over judges; what else is new has a default."""
    return {**raw, "ranking": {"metric": "id_similarity", "judges": (), "left_out": {}, "ranks": (), "advice": ""}}


def _since_2(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 sorted metrics into groups and named the networks that look at images; what else is new has a default.

    Until then all but the comparisons with the exact swap were about identity.
    """
    grouped = [{**one, "group": "truth" if one["name"].startswith("gt_") else "identity"} for one in raw["metrics"]]
    return {**raw, "metrics": grouped, "observers": ()}


def _since_3(raw: dict[str, Any]) -> dict[str, Any]:
    """Schema 4 counts failures of models and names files that were not used; what is new has a default."""
    return raw


UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _since_1, 2: _since_2, 3: _since_3}
FILE_NAME = "result.json"

LARGEST_FILE = 64 * 2**20
"""Bytes of a result.json that is read: one of a hundred models under ten judges has five million."""

DEEPEST = 20
"""Mappings and lists within each other in what a plug-in or machine says of itself."""

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]
"""A finite number of a size that can be printed and drawn."""

Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, Field(min_length=1)]


def _shallow(value: Any) -> Any:
    """Refuse what is nested too deeply to be shown."""
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels are nested")
        inner = [list(item.values()) if isinstance(item, dict) else item for item in level
                 if isinstance(item, (dict, list, tuple))]
        level, depth = [part for items in inner for part in items], depth + 1
    return value


Facts = Annotated[dict[str, Any], AfterValidator(_shallow)]
"""JSON values by name, of any kind."""

Failure = Literal["missing", "unreadable", "no_face", "unchanged"]
"""How a model can fail on a pair: no output, one that is no image, one without a face, one that is its target."""


class Record(BaseModel):
    """A part of a result; unknown fields are an error, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(Record):
    """One metric of one model. `value` is null where too little could be scored; `reason` then says why.

    Pairs on which a contestant failed are in `value`: each counts as the worst value of the baselines at that pair, or
    as its own where that is worse. `value_of_scored` leaves them out, and is null where none was counted so.
    """

    model: str
    metric: str
    judge: str | None = None
    value: Number | None
    low: Number | None = None  # of the interval; null where there are too few clusters
    high: Number | None = None
    n_scored: Count  # pairs with a row of the metric's own
    n_total: Count
    n_clusters: Count
    n_failed: Count = 0  # pairs that count as the baselines' worst
    value_of_scored: Number | None = None
    resampled: Literal["sessions", "people"] = "sessions"  # of the targets: what the interval draws again
    reason: str = ""
    caution: str = ""  # what limits a value that is there: too few images for it to be near the truth


class MetricRecord(Record):
    """Facts about a metric, copied from its MetricInfo and docstring, so that a report needs no plug-in."""

    name: Name
    summary: str
    unit: str
    direction: Literal["higher", "lower"]
    digits: Annotated[int, Field(ge=0, le=15)]  # no more than its estimator's error leaves
    no_face: str
    reference: str
    group: Literal["identity", "realism", "attributes", "truth"]
    observer: str = ""  # the network whose answers it compares, "" for none
    weights: dict[str, str] = Field(default_factory=dict)  # of a network that it runs itself: name -> sha256
    licences: tuple[str, ...] = ()  # of these weights
    notes: tuple[str, ...] = ()
    interval: str = "percentile"  # how the bootstrap's values become an interval: percentile, centred, none
    checked_by: str = ""  # the metric whose value for unchanged targets is the next field
    estimator_error: Number | None = None  # in `unit`, on this data set's targets; null where nobody knows
    version: Count = 1  # of its definition: values of two versions are not compared


class ObserverRecord(Record):
    """A network that tells facts about images; metrics compare what it tells of outputs and targets."""

    name: Name
    description: str
    version: Count
    weights: dict[str, str]  # catalogue name -> sha256
    licences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class TrainingRecord(Record):
    """How a model came to be."""

    budget: str
    steps: Count
    seconds: Number
    device: str
    settings: Facts = Field(default_factory=dict)
    coaches: tuple[str, ...] = ()
    inputs: dict[str, str] = Field(default_factory=dict)  # SHA-256 of other files that it learnt from, by name


class PartRecord(Record):
    """A refiner or wrapper of a pipeline that was trained, or loaded from a file."""

    spec: str  # as typed
    training: TrainingRecord | None = None
    weights_sha256: str = ""


class ModelRecord(Record):
    """One row of the table."""

    name: Name  # as the table shows it and `--model` takes it
    spec: str  # as typed
    summary: str
    # ready: needs no training; precomputed: images that another tool made
    kind: Literal["baseline", "ceiling", "ready", "trained", "loaded", "precomputed"]
    training: TrainingRecord | None = None  # of its swapper
    parts: tuple[PartRecord, ...] = ()  # what follows its swapper, as far as it was trained or loaded
    coaches: tuple[str, ...] = ()  # families of recognisers that it was trained against, as far as is known
    content: str = ""  # SHA-256 of its outputs as they were measured
    weights_sha256: str = ""  # of the trained or loaded file
    swap_seconds: Number | None = None  # per image, model only, when the outputs were made (they are cached)
    n_no_face: Count = 0  # outputs in which the detector found no face
    failures: dict[Failure, Count] = Field(default_factory=dict)  # pairs by what went wrong, each counted once
    error: str = ""  # why there is nothing of it: the run went on without it
    notes: tuple[str, ...] = ()


class OperatingPoint(Record):
    """A threshold of a judge, and how many it lets in. Null, with the reason, where there are too few pairs to say."""

    far: Number  # false-accept rate asked for: share of impostor pairs at or above the threshold
    threshold: Number | None  # cosine
    tar: Number | None  # true-accept rate: share of genuine pairs at or above the threshold
    reason: str = ""


class CalibrationRecord(Record):
    """How well a judge tells the people of this data set apart: real images, pairs of different sessions."""

    n_identities: Count
    n_images: Count
    n_genuine: Count  # pairs of images of one person
    n_impostor: Count  # pairs of images of two people
    genuine_mean: Number  # cosine
    impostor_mean: Number
    d_prime: Number | None
    d_prime_low: Number | None = None  # of its interval over people
    d_prime_high: Number | None = None
    eer: Number | None  # equal error rate, a share
    eer_threshold: Number | None  # cosine
    points: tuple[OperatingPoint, ...]
    warnings: tuple[str, ...] = ()


class JudgeRecord(Record):
    """A recogniser that scores were computed with."""

    name: Name
    family: str
    description: str
    dim: Count
    version: Count
    weights: dict[str, str]  # catalogue name -> sha256
    licences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # about its files: pinned at first use, not for commercial use, ...
    lookalikes: str = ""  # whom it can name, "" where it can name nobody
    unfit: str = ""  # why it does not count in ranks and headlines: it cannot tell the real images of this run apart
    calibration: CalibrationRecord | None = None  # null without a genuine or without an impostor pair


class Rank(Record):
    """Where a contestant stands among the contestants, 1 is the best; ties share the mean of their places."""

    model: str
    mean: Number | None  # over the ranking's judges; null where one of them could not score it
    by_judge: dict[str, Number | None]  # of all judges, also of those that are left out
    reason: str = ""  # why it has no place


class RankingRecord(Record):
    """The headline: mean rank over the judges that no contestant was trained against."""

    metric: str
    judges: tuple[str, ...]  # that count
    left_out: dict[str, str]  # judge -> why it does not count
    ranks: tuple[Rank, ...]  # contestants, the best first
    advice: str = ""  # what would make the ranking mean more, with the command


class IdentityRecord(Record):
    """Counts of one identity in one split."""

    split: str
    identity: str
    n_sessions: Count
    n_images: Count
    sessions: dict[str, Count] = Field(default_factory=dict)  # images by session
    poses: dict[str, Count] = Field(default_factory=dict)  # images by bin of yaw, where yaw is known


class DatasetRecord(Record):
    """The data that was used, by content."""

    spec: str
    name: Name
    description: str
    revision: str
    licence: str
    size: Count
    synthetic: bool
    content: dict[str, str]  # split -> SHA-256 of its pixels
    identities: tuple[IdentityRecord, ...]
    notes: tuple[str, ...] = ()


class UnusedRecord(Record):
    """Files and folders that were there and were not used, for one reason."""

    where: str  # name of the folder, or of the model whose outputs they are
    reason: str
    files: tuple[str, ...]  # below that folder, all of them


class ProtocolRecord(Record):
    """Every choice that another harness could make differently."""

    stage: str
    pairing: str
    n_pairs: Count
    references: str
    targets: str = ""  # SHA-256 of the target images in the order of the pairs: what distributions are compared with
    gallery_identities: Count
    gallery_images: Count
    detector: str
    interval: str
    failures: str = ""  # what a pair counts as on which a model failed
    resamples: Count
    confidence: Number


class RunResult(Record):
    """All that one `fsbench run` found."""

    schema_number: int = Field(SCHEMA, alias="schema")
    created: str  # ISO 8601, UTC
    command: str
    seed: int
    seconds: Number
    environment: Facts
    dataset: DatasetRecord
    protocol: ProtocolRecord
    judges: tuple[JudgeRecord, ...]
    observers: tuple[ObserverRecord, ...]
    metrics: tuple[MetricRecord, ...]
    models: tuple[ModelRecord, ...]
    values: tuple[Value, ...]
    ranking: RankingRecord
    unused: tuple[UnusedRecord, ...] = ()
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> RunResult:
        """Refuse records that contradict each other."""
        if problem := next(_contradictions(self), ""):
            raise ValueError(problem)
        return self

    @property
    def unfit(self) -> set[str]:
        """Judges that cannot tell the real people of this run apart: they stand in tables and in no sentence."""
        return {judge.name for judge in self.judges if judge.unfit}

    def find(self, model: str | None = None, metric: str | None = None) -> list[Value]:
        """Return the values of a model, of a metric, of both, or all."""
        return [v for v in self.values if model in (None, v.model) and metric in (None, v.metric)]


def _contradictions(result: RunResult) -> Iterator[str]:
    """What does not fit together in a result, in words without a subject of their own."""
    names: dict[str, set[str]] = {}
    for kind, records in (("model", result.models), ("metric", result.metrics), ("judge", result.judges)):
        listed = [record.name for record in records]
        names[kind] = set(listed)
        yield from (f"{kind} {name!r} is recorded twice" for name in sorted(names[kind]) if listed.count(name) > 1)
    seen = set()
    for value in result.values:
        where = f"the value of {value.metric} of {value.model}" + (f" under {value.judge}" if value.judge else "")
        for kind, name in (("model", value.model), ("metric", value.metric), ("judge", value.judge)):
            if name is not None and name not in names[kind]:
                yield f"{where} is of a {kind} without a record"
        if (key := (value.model, value.metric, value.judge)) in seen:
            yield f"{where} stands twice"
        seen.add(key)
        if value.n_scored + value.n_failed > value.n_total:
            yield f"{where} counts more pairs than there are"
        if (value.low is None) != (value.high is None):
            yield f"{where} has half an interval"
        if value.low is not None and value.high is not None and value.low > value.high:
            yield f"{where} has an interval that ends before it begins"
        if value.value is None and not value.reason:
            yield f"{where} is null without a reason"
    for model in result.models:
        if sum(model.failures.values()) > result.protocol.n_pairs:
            yield f"{model.name} failed on more pairs than there are"
    ranked = [rank.model for rank in result.ranking.ranks]
    if len(set(ranked)) < len(ranked) or not names["model"].issuperset(ranked):
        yield "the ranks are of models that stand twice, or without a record"
    judged = [*result.ranking.judges, *result.ranking.left_out]
    judged += [name for rank in result.ranking.ranks for name in rank.by_judge]
    if not names["judge"].issuperset(judged):
        yield "the ranks are by judges without a record"


def column(metric: str, judge: str | None) -> str:
    """Return the name of a metric's column in samples.parquet."""
    return f"{metric}@{judge}" if judge else metric


def slug(label: str) -> str:
    """A label as a file name of at most 100 bytes; different labels get different names.

    >>> slug("gan_mask"), slug("gan_mask(size=lite)")[:18]
    ('gan_mask', 'gan_mask_size_lite')
    """
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in label).strip("_.")
    short = plain.encode()[:80].decode("utf-8", "ignore")
    if short == label:
        return label
    return f"{short}-{fingerprint(label)[: 6 if short == plain else 12]}"  # many long labels may begin alike


def failure_rate(failures: Mapping[Failure, int], n_total: int) -> str:
    """Say on how many pairs a model failed, and how.

    >>> failure_rate({"missing": 2, "no_face": 1}, 12)
    'failed on 3 of 12 pairs (25 %): 2 without an output, 1 without a face'
    """
    words = {
        "missing": "without an output",
        "unreadable": "with an unreadable output",
        "no_face": "without a face",
        "unchanged": "with the target unchanged",
    }
    kinds = ", ".join(f"{n} {words[kind]}" for kind, n in failures.items())
    n_failed = sum(failures.values())
    return f"failed on {n_failed} of {n_total} pairs ({100 * n_failed / max(n_total, 1):.0f} %): {kinds}"


def save(result: RunResult, folder: Path) -> None:
    """Write result.json atomically."""
    write_text(folder / FILE_NAME, result.model_dump_json(by_alias=True, indent=1) + "\n")


def load(folder: Path) -> RunResult:
    """Read DIR/result.json, upgraded where it is old; raises ResultError."""
    path = folder
    try:
        path = folder / FILE_NAME if folder.is_dir() else folder
        raw = json.loads(read(path, LARGEST_FILE), parse_constant=_refuse)
        json.dumps(raw, ensure_ascii=False).encode("utf-8")  # half a pair of surrogates is no text that can be written
    except (FileNotFoundError, NotADirectoryError):
        raise ResultError(
            f"{printable(str(folder))} holds no finished run (no {FILE_NAME})",
            "name the --out directory of a run; an interrupted one is finished by: fsbench run ... --resume",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ResultError(
            f"{printable(str(path))} cannot be read as a result: {reason[:200]}",
            "name the --out directory of a run; if this is one, the file is damaged: run again",
        ) from error
    return parse(raw, printable(str(path)))


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is no JSON")


def parse(raw: Any, origin: str) -> RunResult:
    """Turn the JSON of any schema up to SCHEMA into a RunResult; raises ResultError."""
    number = raw.get("schema") if isinstance(raw, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        raise ResultError(f"{origin} is not an fsbench result: it has no schema number")
    if number < 1:
        raise ResultError(f"{origin} is not an fsbench result: there is no schema {number}")
    if number > SCHEMA:
        raise ResultError(
            f"{origin} was written by a newer fsbench (schema {number}, this one reads up to {SCHEMA})",
            "upgrade fsbench to read it",
        )
    edited = "the file was edited or damaged; run again"
    try:
        for step in range(number, SCHEMA):
            raw = {**UPGRADES[step](raw), "schema": step + 1}
        return RunResult.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        told = f"{where}: {first['msg']}" if where else first["msg"].removeprefix("Value error, ")
        raise ResultError(f"{origin} is not a valid result: {told}", edited) from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:  # of an upgrade
        raise ResultError(f"{origin} is not a valid result of schema {number}", edited) from error
