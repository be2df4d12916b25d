"""What to run: a typed plan, from the command line or from a suite file.

A suite is a TOML file with the fields of `Plan`:

    dataset = "synthetic"
    models = ["gan_mask", "gan_mask(size=lite)", "cyclegan"]
    budget = "short"

or a file of experiments, each a plan of its own with a title, a question and a baseline; what stands above them is the
default of each:

    budget = "short"

    [[experiment]]
    title = "mask"
    question = "Does a mask help CycleGAN?"
    models = ["cyclegan", "cyclegan(mask=true)"]
    baseline = "cyclegan"
    metrics = ["id_similarity", "gt_lpips"]
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fsbench import files
from fsbench.choices import Precision, Preset, Stages
from fsbench.errors import UnknownName, UsageError
from fsbench.files import printable
from fsbench.specs import Spec, before, parse_spec, parts, quoted, split_list, unquoted

BASELINES = ("copy_target", "copy_source", "alpha_paste", "exact")
RESERVED = (*BASELINES, "references", "targets")
"""Names that no model of the user's may have: of baselines, and of real images in the files of a run."""

_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*\""""
_PLAIN = r"[^\W_][\w .-]*?"
_NAME = re.compile(rf"\s*({_PLAIN}|{_QUOTED})\s*=(?=.)", re.DOTALL)
"""A name of the user's own before a pipeline; no plug-in's name is followed by an equals sign."""

_PARTS = re.compile(rf"""(?:\+[a-z]\w*(?:/[a-z]\w*)?(?:\((?:[^()'"]|{_QUOTED})*\))?)+\Z""")
"""What may follow a path that is not in quotes."""

MOST_STEPS = 10**9
NAMED_BUDGETS = ("smoke", "short", "full")
DEVICES = ("auto", "cpu", "cuda")
MOST_SUITE_BYTES = 2**20
EXPERIMENT = "experiment"
"""Name of the tables of a suite of experiments."""

T = TypeVar("T", bound=BaseModel)


class Plan(BaseModel):
    """Everything that decides a run's numbers, except the code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = "synthetic"
    models: tuple[str, ...] = ("gan_mask", "cyclegan")
    baselines: bool = True  # add copy_target, copy_source, alpha_paste and exact
    metrics: tuple[str, ...] = ()  # empty: all
    judges: tuple[str, ...] = ("dlib_resnet",)
    observers: tuple[str, ...] = ()  # NAME@PATH: the file that an observer is to be made from, instead of its own
    stage: Stages = "crop"  # where metrics look; frame: at outputs in their frames
    preset: Preset = "fsbench"  # how these are put back there
    gallery: str = ""  # a folder of people whose images are added to the data set's gallery
    pairs: str = ""  # a CSV file of the pairs to swap, with columns source and target; by default the data set's rule
    max_pairs: int | None = Field(None, ge=1)  # of stills, and of clips: of more so many are taken, evenly
    budget: str = "auto"  # auto is short on a CPU, full on a GPU
    seed: int = Field(0, ge=0, lt=2**32)
    device: str = "auto"
    precision: Precision = "float32"  # that judges and observers compute in, where they can
    resamples: int = Field(1000, ge=100)

    def pipelines(self) -> tuple[Pipeline, ...]:
        """Models to run, the baselines first, each once; labels that would be the same show more of their paths."""
        texts = [*(BASELINES if self.baselines else ()), *self.models]
        found = list({str(pipeline): pipeline for pipeline in map(parse_pipeline, texts)}.values())
        labels = [pipeline.label for pipeline in found]
        for name in (pipeline.name for pipeline in found if pipeline.name):
            if labels.count(name) > 1 or name in RESERVED:
                raise UsageError(f"{_cut(name)!r} is the name of another model", "give each its own: NAME=MODEL")
        for depth in range(2, 20):
            labels = [pipeline.label for pipeline in found]
            found = [
                pipeline.model_copy(update={"depth": depth}) if labels.count(pipeline.label) > 1 else pipeline
                for pipeline in found
            ]
        return tuple(found)


class Pipeline(BaseModel):
    """A swapper and the refiners and wrappers that follow it: `swapper+part+...`, or `name=swapper+part+...`."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    parts: tuple[Spec, ...]  # the swapper first
    name: str = ""  # in tables, where the user gave one
    depth: int = 1  # parts of a path that the label shows

    def __str__(self) -> str:
        special = "" if re.fullmatch(_PLAIN, self.name) else self.name
        return f"{quoted(self.name, special)}=" * bool(self.name) + "+".join(map(str, self.parts))

    @property
    def swapper(self) -> Spec:
        """The first part."""
        return self.parts[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each part in tables: parameters as typed, of a path its last parts."""
        shown = (replace(spec, path="/".join(Path(spec.path).parts[-self.depth :])) for spec in self.parts)
        return tuple(map(str, shown))

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.name or "+".join(self.labels)


def parse_pipeline(text: str) -> Pipeline:
    """Read `swapper(parameter=value)@PATH+part(parameter=value)`, maybe `name=` before it; raises UsageError.

    A path goes on to the end of the text, or to parts without a path of their own; in quotes, to the closing one.
    """
    own = _NAME.match(text)
    specs = _stages(text[own.end() :] if own else text)
    if "" in specs:
        raise UsageError(f"a part is missing in {text.strip()!r}", "write SWAPPER+PART, or the swapper alone")
    return Pipeline(parts=tuple(map(parse_spec, specs)), name=unquoted(own[1], text) if own else "")


def _stages(text: str) -> list[str]:
    """The specifications of a pipeline, as typed."""
    head = before(text, "@")
    tail = text[len(head) + 1 :]
    if not tail or tail.lstrip()[:1] in ("'", '"'):
        return parts(text, "+")
    path = tail if (match := _PARTS.search(tail)) is None else tail[: match.start()]
    *first, swapper = parts(head, "+")
    return [*first, f"{swapper}@{path}", *parts(tail[len(path) :], "+")[1:]]


class Experiment(BaseModel):
    """A question about models, and the plan that answers it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    question: str = ""
    baseline: str = ""  # the model that the others are compared with, as typed; the first one by default
    plan: Plan

    @property
    def folder(self) -> str:
        """Name of its run folder: letters and digits of the title, at most 80 bytes; "" where there are none."""
        words = "".join(c if c.isalnum() else " " for c in self.title.lower()).split()
        return "-".join(words).encode()[:80].decode("utf-8", "ignore").rstrip("-")

    @property
    def baseline_label(self) -> str:
        """Name of the baseline in tables; raises UsageError where the plan does not hold it."""
        text = self.baseline or next(iter(self.plan.models), "")
        wanted, pipelines = str(parse_pipeline(text)) if text else "", self.plan.pipelines()
        for pipeline in pipelines:
            if wanted and wanted in (str(pipeline), pipeline.name):
                return pipeline.label
        raise UsageError(
            f"baseline {_cut(text)!r} is none of its models",
            f"name one of: {', '.join(p.label for p in pipelines)}"[:500],
        )

    def with_plan(self, plan: Plan) -> Experiment:
        """The same with another plan, which must hold the baseline and a model beside it; raises UsageError."""
        changed = self.model_copy(update={"plan": plan})
        with changed.named_in_errors():
            label = changed.baseline_label
            if all(parse_pipeline(model).label in (label, *BASELINES) for model in plan.models):
                raise UsageError("it compares nothing: it has no model beside its baseline", "name two models or more")
        return changed

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Say of a UsageError that it is of this experiment."""
        try:
            yield
        except UsageError as error:
            raise UsageError(f"experiment {_cut(self.title)!r}: {error.message}", error.hint) from error


class Suite(BaseModel):
    """Experiments that are run one after the other and answered on one page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    experiments: tuple[Experiment, ...]


def load_suite(path: Path) -> Plan | Suite:
    """Read a suite file, UTF-8 with or without BOM; raises UsageError with the field that is wrong."""
    shown, raw = printable(str(path)), _read_toml(path)
    tables = raw.pop(EXPERIMENT, None)
    _refuse_unknown(raw, [*Plan.model_fields, EXPERIMENT], path)
    if tables is None:
        return make_plan(raw, f"{shown}: ")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{shown}: {EXPERIMENT} is no list of tables", f"write [[{EXPERIMENT}]] above each of them")
    if not tables:
        raise UsageError(
            f"{shown} holds no experiment", f"write [[{EXPERIMENT}]], and below it title, question, models"
        )
    experiments = tuple(_experiment(raw, table, number, path) for number, table in enumerate(tables, 1))
    first: dict[str, Experiment] = {}
    for experiment in experiments:
        if (same := first.setdefault(experiment.folder, experiment)) is not experiment:
            raise UsageError(
                f"{shown}: two experiments have the title {_cut(experiment.title)!r}"
                + (f", as far as folders tell it from {_cut(same.title)!r}" if same.title != experiment.title else ""),
                "give each a title of its own: their folders are named after them",
            )
    return Suite(name=path.stem, experiments=experiments)


def _experiment(defaults: Mapping[str, Any], table: Mapping[str, Any], number: int, path: Path) -> Experiment:
    """Make one experiment of a suite; raises UsageError."""
    own = [name for name in Experiment.model_fields if name != "plan"]
    _refuse_unknown(table, [*own, *Plan.model_fields], path, f"experiment {number} of ")
    origin = f"{printable(str(path))}: experiment {number}: "
    plan = make_plan({**defaults, **{key: value for key, value in table.items() if key not in own}}, origin)
    fields = {name: table[name] for name in own if name in table}
    experiment = _validated(Experiment, {**fields, "plan": plan}, origin)
    if not experiment.folder:
        raise UsageError(
            f"{origin}the title {_cut(experiment.title)!r} has no letter or digit", "its folder is named after it"
        )
    return experiment.with_plan(plan)


def _refuse_unknown(fields: Mapping[str, Any], known: Iterable[str], path: Path, where: str = "") -> None:
    known = list(known)
    for key in fields:
        if key not in known:
            raise UnknownName(f"field in {where}{printable(path.name)}:", _cut(key), known)


def _read_toml(path: Path) -> dict[str, Any]:
    shown, lines = printable(str(path)), 'write lines such as: models = ["gan_mask", "cyclegan"]'
    try:
        return tomllib.loads(files.read(path, MOST_SUITE_BYTES).decode("utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"no suite file {shown}", "suites that come with fsbench are in benchmarks/") from None
    except files.Unopened as error:
        raise UsageError(f"{shown} {error}", "name a TOML file with the fields of a run") from error
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror or error}", "name another file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown} is not UTF-8 (byte {error.start + 1})", "save it as UTF-8") from error
    except RecursionError as error:
        raise UsageError(f"{shown} is not a TOML file: it is nested too deep", lines) from error
    except ValueError as error:  # TOMLDecodeError; numbers of more digits than Python converts; NUL in the path
        raise UsageError(f"{shown} is not a TOML file: {printable(_cut(str(error)))}", lines) from error


LISTS = ("models", "metrics", "judges", "observers")
"""Fields of a plan that may be one text, with commas between the entries."""


def plan_of(base: Plan | None = None, /, origin: str = "", **given: object) -> Plan:
    """Make a plan of the options that were given, with the other fields of `base`; raises UsageError.

    None stands for an option that was not given. Errors call an option by `origin` and its name.
    """
    fields = (base or Plan()).model_dump()
    for name, value in given.items():
        if name in LISTS and isinstance(value, str):
            fields[name] = tuple(split_list(value))
        elif value is not None:
            fields[name] = os.fspath(value) if isinstance(value, os.PathLike) else value
    return make_plan(fields, origin)


def make_plan(fields: Mapping[str, object], origin: str) -> Plan:
    """Make a plan from fields by name; raises UsageError with the field that is wrong."""
    return _validated(Plan, fields, origin)


def _validated(kind: type[T], fields: Mapping[str, object], origin: str) -> T:
    """Make a model of pydantic; raises UsageError with the field that is wrong."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where, reason = ".".join(map(str, first["loc"])), first["msg"]
        missing = first["type"] == "missing"
        hint = f"write a line: {where} = ..." if missing else f"it is {_cut(repr(first['input']))} there"
        said = f"{origin}{printable(_cut(where))}: {reason[0].lower()}{reason[1:]}"
        raise UsageError(said, printable(hint)) from error


def refuse_repeated(kind: str, texts: Iterable[str]) -> None:
    """Raise UsageError where a list names the same twice: what is counted twice, or dropped, is not decided here."""
    seen: dict[str, str] = {}
    for text in texts:
        try:
            same = str(parse_pipeline(text))
        except UsageError:  # told where it is read
            same = text
        if same in seen:
            twice = text if text == seen[same] else f"{seen[same]} and {text}"
            raise UsageError(f"{kind} {_cut(twice)} is named twice", "name each once")
        seen[same] = text


def parse_device(text: str) -> tuple[str, int]:
    """Read `auto`, `cpu`, `cuda` or `cuda:N`: kind and number. Raises UsageError; whether it is there is not asked."""
    match = re.fullmatch(r"(auto|cpu|cuda)|cpu:0|cuda:(\d{1,9})", text, re.ASCII)
    if match is None:
        near = difflib.get_close_matches(text.partition(":")[0].lower(), DEVICES, n=1)
        hint = "use auto, cpu, cuda or cuda:N"
        raise UsageError(f"unknown device {_cut(text)!r}", f"did you mean {near[0]}?  ({hint})" if near else hint)
    return text.partition(":")[0], int(match[2] or 0)


def _cut(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:80]}... ({len(text):,} characters)"


def parse_budget(text: str) -> str | int | float:
    """`smoke`, `short`, `full`; steps (int); or seconds (float), written `90s`, `3m`, `1.5h`. Raises UsageError."""
    if text in NAMED_BUDGETS:
        return text
    match = re.fullmatch(r"(\d{1,12})|(\d{1,9}(?:\.\d{1,9})?)([smh])", text, re.ASCII)
    if match is None or not 0 < float(match[1] or match[2]) <= MOST_STEPS:
        shown = text if len(text) < 40 else f"{text[:30]}... ({len(text)} characters)"
        raise UsageError(
            f"cannot read --budget {shown!r}", "use smoke, short, full, a number of steps (2000), or a time (180s, 3m)"
        )
    return int(match[1]) if match[1] else float(match[2]) * {"s": 1, "m": 60, "h": 3600}[match[3]]
