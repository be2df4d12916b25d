"""What a run leaves behind, and its file format.

    DIR/result.json          RunResult: every value with interval, counts and provenance; written last, so a run without
                             it is not finished
    DIR/samples.parquet      one row per output: model, source, the target's columns of `Faces.rows`, `output` (path
                             below DIR) and one column per metric (`metric`, `metric@judge`; of the
                             stage "frame" `metric/frame`, `metric@judge/frame`), null where not scorable;
                             `failure` ("" or one of `Failure`); `target_sha256`, `source_sha256` (16 hex digits): by
                             these two runs know that they were shown the same images
    DIR/clips.parquet        where metrics of clips were computed: one row per model, source and clip: `model`,
                             `source`, `identity`, `session`, `clip`, `rate` (frames a second, where the data set tells
                             it), `frames` (their number), `failure`, `outputs` and `targets` (lists of paths below DIR,
                             frame by frame), one column per such metric, and the two digests, that of the target over
                             its frames
    DIR/frames.parquet       beside it, one row per frame of these in their order: `model`, `source`, `id`, `identity`,
                             `session`, `clip`, `frame`, and one column per metric that tells which frames its value
                             comes from (`Curved`), null for a frame without a number; where clips are so few that
                             blocks of frames are drawn again, also what these are made of (`Framewise`), as `of_frames`
                             calls it: two runs are compared with it
    DIR/scores.csv           samples.parquet for spreadsheets: UTF-8 with a byte-order mark, decimal points
    DIR/references.parquet   one row per reference image: the columns of `Faces.rows`, and `split`
    DIR/features/JUDGE.safetensors   unit vectors: `references` (R, D), and per model (N, D) in the order of its
                             samples; a row of NaN is an image in which no face was found
    DIR/features/OBSERVER.safetensors   the same of a network whose features distributions are made of (inception), as
                             float32: `targets` (N, D), those of the target of each sample, and per model (N, D); a row
                             of NaN is an output that is not there. Two runs are compared by FID and KID with these
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
    DIR/frames/MODEL/SOURCE/ID.png, DIR/inputs/frame/ID.png    with --stage frame or both: what metrics look at of the
                             frames, pasted and as they were
    DIR/models/MODEL.safetensors     trained weights

Names that are not plain stand in paths as `slug` writes them.

The number SCHEMA grows with every change of shape, and `fsbench.upgrades` turns older files into the present shape. It
does not grow for a field that may be missing: the facts about metrics that place them in a report (`headline`,
`summary_rank`, `verification_rank`, `verdict`) are such fields, and files without them are completed; so are
`differences`, which are not known where they are missing. Files of a newer schema are refused. Null plus counts for
what could not be scored: never NaN, never a sentinel.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from fsbench.consistency import contradictions
from fsbench.errors import ResultError
from fsbench.files import first_problem, printable, read, some
from fsbench.metric_groups import MetricGroup
from fsbench.record_types import Count, Facts, Name, Number, Record, Sample, SetName, Stage, Unit
from fsbench.store import fingerprint, write_text
from fsbench.upgrades import UPGRADES, completed

SCHEMA = 5


FILE_NAME = "result.json"
PLAN_FILE = "plan.json"
SUITE_FILE = "suite.json"
"""Of a folder of runs, the experiments of a suite; `fsbench.suites` says what stands in it."""

LARGEST_FILE = 64 * 2**20
"""Bytes of a result.json that is read: one of a hundred models under ten judges has five million."""

Failure = Literal["missing", "unreadable", "no_face", "unchanged"]
"""How a model can fail on a pair: no output, one that is no image, one without a face, one that is its target."""


FAULT = "the metric failed"
"""How the reason of a value begins whose metric, or what that needs, raised an error of its own."""


class Key(NamedTuple):
    """What is measured: a metric, the judge that it asks, if any, and where it looks."""

    metric: str
    judge: str | None = None
    stage: Stage = "crop"


class Value(Record):
    """One metric of one model. `value` is null where too little could be scored; `reason` then says why.

    Pairs on which a contestant failed are in `value`: each counts as the worst value of the baselines at that pair, or
    as its own where that is worse. `value_of_scored` leaves them out, and is null where none was counted so.
    """

    model: str
    metric: str
    judge: str | None = None
    value: Number | None
    low: Number | None = None  # of the interval; null where there is none
    high: Number | None = None
    stage: Stage = "crop"
    set: SetName = "stills"  # of which it is the value
    n_scored: Count  # samples (pairs, or pairs of source and clip) with a row of the metric's own
    n_total: Count
    n_clusters: Count
    n_failed: Count = 0  # pairs that count as the baselines' worst
    value_of_scored: Number | None = None
    resampled: Unit = "sessions"
    reason: str = ""
    no_interval: str = ""  # why a value that is there has no interval
    caution: str = ""  # what limits a value that is there: too few images for it to be near the truth

    @property
    def key(self) -> Key:
        """What it is a value of."""
        return Key(self.metric, self.judge, self.stage)

    @property
    def is_fault(self) -> bool:
        """Whether it is null because its metric, or what that needs, raised an error of its own."""
        return self.reason.startswith(FAULT)


class DifferenceRecord(Record):
    """A value of one model less that of another, on the samples that both have: a paired difference.

    Two contestants are compared once. `effect` is null where nothing can be said of it; `reason` then says why. The
    p-value is of this comparison alone: a table or a sentence of several corrects for their number.
    """

    model: str  # a contestant
    other: str
    metric: str
    judge: str | None = None
    stage: Stage = "crop"
    set: SetName = "stills"
    effect: Number | None  # of `model` less that of `other`, in the metric's unit: positive may be better or worse
    low: Number | None = None  # of the interval
    high: Number | None = None
    p: Annotated[float, Field(ge=0, le=1)] | None = None  # two-sided, of no difference
    # smallest true difference that this run sees in four cases of five, at the 5 % level; null where nothing varies
    detectable: Annotated[float, Field(ge=0, le=1e15)] | None = None
    # of the standard error; null where nothing varies, and in older results
    degrees_of_freedom: Annotated[float, Field(gt=0, le=1e15)] | None = None
    n: Count  # samples that both models have
    reason: str = ""

    @property
    def key(self) -> Key:
        """What is compared."""
        return Key(self.metric, self.judge, self.stage)

    def of(self, model: str) -> DifferenceRecord:
        """Return the difference as of one of its two models less the other."""
        if model == self.model or self.effect is None or self.low is None or self.high is None:
            return self if model == self.model else self.model_copy(update={"model": model, "other": self.model})
        turned = {"effect": -self.effect, "low": -self.high, "high": -self.low}
        return self.model_copy(update={**turned, "model": model, "other": self.model})


class MetricRecord(Record):
    """Facts about a metric, copied from its MetricInfo and docstring, so that a report needs no plug-in."""

    name: Name
    summary: str
    unit: str
    direction: Literal["higher", "lower"]
    digits: Annotated[int, Field(ge=0, le=15)]  # no more than its estimator's error leaves
    no_face: str
    reference: str
    group: MetricGroup
    sample: Sample = "output"  # what a row of it stands for, and what its values count
    stages: tuple[Stage, ...] = ("crop",)
    observer: str = ""  # the network whose answers it compares, "" for none
    weights: dict[str, str] = Field(default_factory=dict)  # of a network that it runs itself: name -> sha256
    licences: tuple[str, ...] = ()  # of these weights
    notes: tuple[str, ...] = ()
    interval: str = "bootstrap"  # or centred, none, as in MetricInfo; percentile in older files
    checked_by: str = ""  # the metric whose value for unchanged targets is the next field
    estimator_error: Number | None = None  # in `unit`, on this data set's targets; null where nobody knows
    version: Count = 1  # of its definition: values of two versions are not compared
    headline: bool = False  # may rank the models
    summary_rank: Count = 0  # place in the summary, the smallest first; 0 for none
    verification_rank: Count = 0  # the same for the table of metrics that say whether an output passes as a person
    verdict: str = ""  # a sentence of the report's verdict, with {value}

    @property
    def place(self) -> tuple[bool, bool, int]:
        """Place among metrics where few are shown: headline metrics first, then those of the summary, then the rest."""
        return not self.headline, self.summary_rank == 0, self.summary_rank

    @property
    def in_summary(self) -> bool:
        """Whether tables show it where the user names no metric."""
        return self.headline or self.summary_rank > 0


def headlines(metrics: Iterable[MetricRecord]) -> list[MetricRecord]:
    """Return the metrics that may rank the models; the first does. Those with a summary rank come first, by that rank.

    It does not matter in which order a run names its metrics: two runs with the same ones have the same headline.
    """
    return sorted((metric for metric in metrics if metric.headline), key=lambda metric: (*metric.place, metric.name))


def scored_keys(values: Iterable[Value], metrics: Mapping[str, MetricRecord], ranking: str = "") -> list[Key]:
    """Return what there is a value of, in the order of tables: metric `ranking`, then by place; crops before frames."""
    scored = dict.fromkeys(value.key for value in values if value.value is not None)
    return sorted(scored, key=lambda key: (key.metric != ranking, *metrics[key.metric].place, key.stage != "crop"))


class ObserverRecord(Record):
    """A network that tells facts about images; metrics compare what it tells of outputs and targets."""

    name: Name
    description: str
    version: Count
    precision: str = "float32"  # that it computed in
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
    # ready: needs no training; precomputed: images that another tool made; floor: crops that are pasted back unchanged
    kind: Literal["baseline", "ceiling", "floor", "ready", "trained", "loaded", "precomputed"]
    training: TrainingRecord | None = None  # of its swapper
    parts: tuple[PartRecord, ...] = ()  # what follows its swapper, as far as it was trained or loaded
    coaches: tuple[str, ...] = ()  # families of recognisers that it was trained against, as far as is known
    content: str = ""  # SHA-256 of its outputs as they were measured
    weights_sha256: str = ""  # of the trained or loaded file
    weights: dict[str, str] = Field(default_factory=dict)  # of pretrained files of its parts: catalogue name -> sha256
    licences: tuple[str, ...] = ()  # of these files
    swap_seconds: Number | None = None  # per image, model only, when the outputs were made (they are cached)
    n_no_face: Count = 0  # outputs in which the detector found no face
    failures: dict[Failure, Count] = Field(default_factory=dict)  # pairs by what went wrong, each counted once
    frame_failures: dict[Failure, Count] = Field(default_factory=dict)  # the same of frames, where clips are apart
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
    precision: str = "float32"  # that it computed in
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

    metric: str  # that ranks; "" where the run has no headline metric: there are no ranks then
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


class SetRecord(Record):
    """An evaluation set: which source goes into which targets."""

    name: SetName
    pairing: str
    n_pairs: Count
    n_clips: Count = 0  # pairs of source and clip
    targets: str = ""  # SHA-256 of the target images in the order of the pairs: what distributions are compared with


class FramesRecord(Record):
    """How outputs were put back into their frames, and what metrics of the stage "frame" were shown of these."""

    preset: Name
    paste: str  # its mask, colour match and blending
    region: str  # what of a frame metrics look at
    # by preset: mean absolute difference, in levels of 255, that the unchanged crop makes in its square of the frame
    floors: dict[str, Number]
    n_floors: Count  # frames that these are the mean of


class ProtocolRecord(Record):
    """Every choice that another harness could make differently."""

    stage: Stage  # where the metric that ranks looks
    frames: FramesRecord | None = None  # where outputs were pasted
    outputs: str  # where outputs come from, and how they are cut
    sets: Annotated[tuple[SetRecord, ...], Field(min_length=1)]  # the first is that of samples.parquet
    references: str
    gallery_identities: Count
    gallery_images: Count
    detector: str
    interval: str
    failures: str = ""  # what a pair counts as on which a model failed
    subsets: str = ""  # of how many outputs a distance of distributions is computed where there are more
    resamples: Count
    confidence: Number

    @property
    def n_pairs(self) -> int:
        """Pairs of the first set."""
        return self.sets[0].n_pairs

    @property
    def pairing(self) -> str:
        """How the first set was paired."""
        return self.sets[0].pairing


class RunResult(Record):
    """The result of one `fsbench run`."""

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
    differences: tuple[DifferenceRecord, ...] = ()  # none in files of older versions: they are not known then
    unused: tuple[UnusedRecord, ...] = ()
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> RunResult:
        """Refuse records that contradict each other."""
        if problem := next(contradictions(self), ""):
            raise ValueError(problem)
        return self

    @property
    def unfit(self) -> set[str]:
        """Judges that cannot tell the real people of this run apart: tables show them, sentences do not."""
        return {judge.name for judge in self.judges if judge.unfit}

    def find(self, model: str | None = None, metric: str | None = None) -> list[Value]:
        """Return the values of a model, of a metric, of both, or all."""
        return [v for v in self.values if model in (None, v.model) and metric in (None, v.metric)]


def column(metric: str, judge: str | None, stage: Stage = "crop") -> str:
    """Return the name of a metric's column in samples.parquet and clips.parquet.

    >>> column("id_similarity", "sface"), column("kid", None, "frame")
    ('id_similarity@sface', 'kid/frame')
    """
    return (f"{metric}@{judge}" if judge else metric) + (f"/{stage}" if stage != "crop" else "")


def of_frames(key: Key, k: int) -> str:
    """Return the name of the column of frames.parquet with the k-th number that each frame adds to a value of clips.

    >>> of_frames(Key("jitter", None, "frame"), 1)
    'jitter/frame:1'
    """
    return f"{column(*key)}:{k}"


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


def holds_suite(folder: Path) -> bool:
    """Whether a folder is that of a suite of experiments (`fsbench.suites`)."""
    return os.path.isfile(folder / SUITE_FILE)  # False also for a name that no file can have


def load(folder: Path) -> RunResult:
    """Read DIR/result.json, upgraded where it is old; raises ResultError."""
    path = folder
    try:
        path = folder / FILE_NAME if folder.is_dir() else folder
        raw = json.loads(read(path, LARGEST_FILE), parse_constant=refuse_constant)
        json.dumps(raw, ensure_ascii=False).encode("utf-8")  # half a pair of surrogates is no text that can be written
    except (FileNotFoundError, NotADirectoryError):
        if holds_suite(folder):
            finished = sorted(path.parent.name for path in folder.glob(f"*/{FILE_NAME}"))
            raise ResultError(
                f"{printable(str(folder))} holds a suite of experiments, each a run of its own",
                f"name the folder of one: {some(finished) or 'none is finished'}",
            ) from None
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


def refuse_constant(constant: str) -> None:
    """Refuse NaN and infinities, which Python's json reads although they are no JSON."""
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
        return RunResult.model_validate(completed(raw))
    except ValidationError as error:
        raise ResultError(f"{origin} is not a valid result: {first_problem(error)}", edited) from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:  # of an upgrade
        raise ResultError(f"{origin} is not a valid result of schema {number}", edited) from error
