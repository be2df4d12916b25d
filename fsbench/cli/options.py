"""Options that commands share: one type, one name on the command line and one help each.

None stands for an option that was not typed; `plan` then gives the default, which the help names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsbench.choices import LogFormat as LogFormatName
from fsbench.choices import Precision as PrecisionName
from fsbench.choices import Preset as PresetName
from fsbench.choices import Stages
from fsbench.cli import terminal

if TYPE_CHECKING:
    from fsbench.config import Plan

Models = Annotated[
    str | None,
    typer.Option(
        "--models", "-m",
        help="Comma-separated: NAME, NAME(parameter=value), NAME@WEIGHTS, SWAPPER+PART; or "
        "mine=MODEL, which tables call mine. See: fsbench list models. Default: gan_mask,cyclegan.",
    ),
]  # fmt: skip
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset", "-d",
        help="NAME, NAME(parameter=value) or folder:PATH. See: fsbench list datasets. Default: synthetic.",
    ),
]  # fmt: skip
DatasetName = Annotated[
    str, typer.Argument(metavar="NAME", help="NAME, NAME(parameter=value) or folder:PATH. See: fsbench data list.")
]
DataRoot = Annotated[
    Path | None, typer.Option(help="Where named data sets lie. Default: FSBENCH_DATA, or the user data folder.")
]
METRICS = "Comma-separated. See: fsbench list metrics. Default: all."
Metrics = Annotated[str | None, typer.Option(help=METRICS)]
Judges = Annotated[
    str | None,
    typer.Option(
        "--judges", "-j",
        help="Comma-separated recognisers that judge identity: NAME, NAME@WEIGHTS, onnx(FILE). Two or more that no "
        "model was trained against make a headline. See: fsbench list embedders. Default: dlib_resnet.",
    ),
]  # fmt: skip
Observers = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated NAME@PATH: files of your own for the networks behind metrics such as fid (inception). "
        "See: fsbench list observers. Default: the catalogue's."
    ),
]
Stage = Annotated[
    Stages | None,
    typer.Option(
        help="Where metrics look: at crops, at outputs in their frames (data sets that know these: video, folder), or "
        "at both. Default: crop."
    ),
]
Preset = Annotated[
    PresetName | None,
    typer.Option(help="How outputs are put back into frames, as a known tool does: see --stage. Default: fsbench."),
]
Gallery = Annotated[
    str | None,
    typer.Option(help="A folder of other people (PERSON/*.jpg): more faces that an output could be taken for."),
]
WantedPairs = Annotated[
    str | None,
    typer.Option(
        "--pairs",
        metavar="CSV",
        help="Swap the pairs of a table with the columns source (a person of the data set) and target (the id of a "
        "held-out image); that of fsbench data export will do. Default: by the rule that the result states.",
    ),
]
MaxPairs = Annotated[
    int | None,
    typer.Option(
        help="Of a data set at most so many pairs of stills, and so many of a source and a clip, evenly chosen over "
        "sources and sessions. Default: all."
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget", "-b",
        help="How long to train each model: smoke (seconds, tests the plumbing), short (about three minutes on "
        "two cores), full (what the authors did; wants a GPU), 2000 (steps) or 180s (seconds). "
        "Default: short on a CPU, full on a GPU.",
    ),
]  # fmt: skip
Size = Annotated[int, typer.Option(min=32, max=1024, help="Pixels, side of the crops that are cut from photographs.")]
Seed = Annotated[int | None, typer.Option(help="Seed of training, of intervals and of maps. Default: 0.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default: auto.")]
Devices = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="auto, cpu, cuda or cuda:N; several, such as cuda:0,cuda:1, share the work, a process each. "
        "Default: auto.",
    ),
]
Precision = Annotated[
    PrecisionName | None,
    typer.Option(
        help="What judges, Inception and DINO compute in, where speed matters more than the last digits: bfloat16, or "
        "float16 on a GPU. The detector, landmarks, LPIPS and networks of other makers compute in float32 all the "
        "same. Default: float32."
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        help="Who does the work: serial (this process), processes (several on this machine), ray (a cluster, "
        "pip install 'fsbench\\[ray]'), ranks (those that torchrun or srun starts). The result is the same. "
        "Default: serial."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes that share the work. Default: one for each device of --device; with ray, one for each GPU or "
        "CPU of the cluster; else one for two cores."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(help="Address of a running Ray cluster, such as auto. Default: Ray is started on this machine."),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out", "-o", metavar="DIR",
        help="New directory for results. Default: reports/NAME-DATE-TIME, by the data set or the command. "
        "run and score also take URLs (s3://bucket/prefix): see docs/storage.md.",
    ),
]  # fmt: skip
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on in --out with an interrupted run of the same plan and files.")
]
Baselines = Annotated[
    bool | None,
    typer.Option(
        "--baselines/--no-baselines",
        help="Add the baselines to the table: copy_target and copy_source, and to that of a run alpha_paste and exact. "
        "Default: add them. Where a model fails the first two are measured all the same: they say what a failure "
        "counts as.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print every value at the end, as fsbench show does, and every warning.")
]
LogFormat = Annotated[
    LogFormatName,
    typer.Option(
        callback=terminal.choose_format,
        is_eager=True,  # what is wrong with other options is told in that format already
        help="What standard error holds: text, or json: an object a line with time, event (stage, progress, message, "
        "warning, model_finished, model_failed, result, error) and its fields; of a stage at most one a second.",
    ),
]
"""Chosen before the command begins, which need not know of it."""


def run_folder(place: str) -> Path:
    """Where the numbers of a run lie that a directory or a URL names; raises FsbenchError for a URL without one."""
    return _fetched(place, pictures=False)


def run_with_pictures(place: str) -> Path:
    """The same with all files of the run."""
    return _fetched(place, pictures=True)


def _fetched(place: str, *, pictures: bool) -> Path:
    from fsbench.environment import cache_root
    from fsbench.harness.run_urls import fetched

    return fetched(place, cache_root(), pictures=pictures)


RunFolder = Annotated[
    Path, typer.Argument(metavar="DIR", parser=run_folder, help="The --out directory of a run, or its URL.")
]
JsonObject = Annotated[bool, typer.Option("--json", help="One object.")]
JsonList = Annotated[bool, typer.Option("--json", help="A list of objects.")]


def plan(base: Plan | None = None, /, **typed: object) -> Plan:
    """A plan of the options that were typed, with the other fields of `base`; raises UsageError."""
    from fsbench.config import plan_of

    return plan_of(base, "--", **typed)
