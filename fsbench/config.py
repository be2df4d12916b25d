"""What to run: a typed plan, from the command line or from a suite file.

A suite is a TOML file with the fields of `Plan`:

    dataset = "synthetic"
    models = ["gan_mask", "gan_mask(size=lite)", "cyclegan"]
    budget = "short"
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fsbench.errors import UnknownName, UsageError
from fsbench.registry import Spec, parse_spec, split_list

BASELINES = ("copy_target", "copy_source", "alpha_paste", "exact")
NAMED_BUDGETS = ("smoke", "short", "full")


class Plan(BaseModel):
    """Everything that decides a run's numbers, except the code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = "synthetic"
    models: tuple[str, ...] = ("gan_mask", "cyclegan")
    baselines: bool = True  # add copy_target, copy_source, alpha_paste and exact
    metrics: tuple[str, ...] = ()  # empty: all
    judges: tuple[str, ...] = ("dlib_resnet",)
    budget: str = "auto"  # auto is short on a CPU, full on a GPU
    seed: int = 0
    device: str = "auto"
    resamples: int = 1000

    def pipelines(self) -> tuple[Pipeline, ...]:
        """Models to run, the baselines first, each once."""
        texts = [*(BASELINES if self.baselines else ()), *self.models]
        return tuple({pipeline.label: pipeline for pipeline in map(parse_pipeline, texts)}.values())


class Pipeline(BaseModel):
    """A swapper and the refiners that its outputs go through: `swapper+refiner+...`."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    swapper: Spec
    refiners: tuple[Spec, ...] = ()

    @property
    def label(self) -> str:
        """Name in tables: parameters as typed, of a path its last part."""
        parts = [
            Spec(spec.name, spec.params, Path(spec.path).name if spec.path else "")
            for spec in (self.swapper, *self.refiners)
        ]
        return "+".join(map(str, parts))


def parse_pipeline(text: str) -> Pipeline:
    """Read `swapper(parameter=value)@PATH+refiner`; raises UsageError."""
    head, at, path = text.partition("@")
    swapper, *refiners = split_list(head, "+") or [""]
    return Pipeline(swapper=parse_spec(swapper + at + path), refiners=tuple(parse_spec(part) for part in refiners))


def load_suite(path: Path) -> Plan:
    """Read a suite file; raises UsageError with the field that is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no suite file {path}", "suites that come with fsbench are in benchmarks/") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not a TOML file: {error}") from error
    unknown = [key for key in raw if key not in Plan.model_fields]
    if unknown:
        raise UnknownName(f"field in {path.name}:", unknown[0], Plan.model_fields)
    try:
        return Plan(**raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def parse_budget(text: str) -> str | int | float:
    """`smoke`, `short` or `full`; a number of steps (int); or seconds (float), written `90s`. Raises UsageError."""
    if text in NAMED_BUDGETS:
        return text
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)s", text)
    if match is None or float(match[1] or match[2]) <= 0:
        raise UsageError(
            f"cannot read --budget {text!r}", "use smoke, short, full, a number of steps (2000) or seconds (180s)"
        )
    return int(match[1]) if match[1] else float(match[2])
