"""`fsbench swap`: a model's faces in a video or in images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fsbench.choices import Preset
from fsbench.cli import job, options, terminal

if TYPE_CHECKING:
    from fsbench.faces.paste import PasteBack
    from fsbench.faces.track import Smoothing
    from fsbench.harness.swap import SwapReport

_LISTED = 10
"""Runs of frames that are named."""


Shape = Literal["alpha", "oval", "hull", "box"]
Colour = Literal["none", "rgb", "lab", "xyz", "histogram"]
Blend = Literal["linear", "poisson"]
Missing = Literal["keep", "blank", "stop"]
"""Names of `fsbench.faces.paste` and `fsbench.harness.swap`, which bring torch."""

Model = Annotated[
    str, typer.Option("--model", "-m", help="A model without training, or NAME@WEIGHTS; refiners may follow: +PART.")
]
Source = Annotated[Path, typer.Option(help="A folder with photographs of the person who is put in.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="A video (mp4, mov, mkv, webm, gif), an image, or a folder.")]
Identity = Annotated[
    str, typer.Option(help="What a model that knows its people calls the source. Default: the name of the folder.")
]
Smooth = Annotated[
    str,
    typer.Option(
        help="Of landmarks over time: off, mean(share=0.65), kalman(process=0.003,measurement=1) or "
        "one_euro(cutoff=1,beta=0.05)."
    ),
]
Face = Annotated[
    str, typer.Option(help="Of several faces: largest, a number (0 is the largest), or a picture of the person.")
]
OnMissing = Annotated[Missing, typer.Option(help="A frame that was not swapped: keep it as it is, blank it, or stop.")]
Lossless = Annotated[
    bool, typer.Option("--lossless", help="RGB, which not every player shows. Without: H.264 crf 18, or VP9 crf 24.")
]


def swap(
    given: Annotated[Path, typer.Argument(metavar="INPUT", help="A video, an image, or a folder of images.")],
    model: Model,
    source: Source,
    out: Out,
    identity: Identity = "",
    preset: Annotated[Preset, typer.Option(help="Mask, colour and blending as a known tool has them.")] = "fsbench",
    mask: Annotated[Shape | None, typer.Option(help="Default: the preset's. alpha is the model's own mask.")] = None,
    colour: Annotated[Colour | None, typer.Option(help="Match inside the mask. Default: the preset's.")] = None,
    blend: Annotated[Blend | None, typer.Option(help="Default: the preset's.")] = None,
    smooth: Smooth = "off",
    face: Face = "largest",
    fill: Annotated[int, typer.Option(min=0, help="Frames in a row without the face that are filled.")] = 0,
    on_missing: OnMissing = "keep",
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels, side of what the model is shown.")] = 256,
    lossless: Lossless = False,
    side_by_side: Annotated[bool, typer.Option("--side-by-side", help="The input left, the output right.")] = False,
    label: Annotated[bool, typer.Option("--label", help="Burn a visible label into what was swapped.")] = False,
    device: options.Device = None,
    quiet: options.Quiet = False,
    log_format: options.LogFormat = "text",
) -> None:
    """Swap a face into a video or images; time stamps, sound and colours stay, and the file says that it is synthetic.

    For example:

      fsbench swap clip.mp4 --model gan_mask@DIR/models/gan_mask.safetensors --source photos/ann --out swapped.mp4

      fsbench swap clip.mp4 --model gan_mask@FILE+adain --source photos/ann --out o.mp4 --smooth kalman --side-by-side

    Frames that could not be swapped are counted and listed. Until a video is whole it is called NAME.partial.mp4, and
    stays so where the work is interrupted; it plays up to there.
    """
    from fsbench.config import parse_device

    command = job.command_line()
    plan = options.plan(device=device)
    parse_device(plan.device)
    how, smoothing = _paste(preset, mask, colour, blend), _smoothing(smooth)
    kept = f"what was written so far, {out.stem}.partial{out.suffix},"
    with job.running(command, quiet=quiet, kept=kept) as events:
        import fsbench.harness.swap as service  # brings torch: not before it is needed

        settings = service.SwapOptions(how, smoothing, face, fill, on_missing, size, lossless, side_by_side, label)
        report = service.swap(given, model, source, out, settings, events.context(plan.device), identity=identity)
    _print(report)


def _paste(preset: Preset, mask: Shape | None, colour: Colour | None, blend: Blend | None) -> PasteBack:
    from dataclasses import replace

    from fsbench.faces.paste import PRESETS

    how = PRESETS[preset]
    shape = how.mask if mask is None else replace(how.mask, shape=mask)
    return replace(how, mask=shape, colour=colour or how.colour, blend=blend or how.blend)


def _smoothing(text: str) -> Smoothing:
    """Read NAME or NAME(parameter=value,...)."""
    from dataclasses import fields
    from typing import get_args, get_type_hints

    from fsbench.errors import UnknownName, UsageError
    from fsbench.faces.track import Smoothing
    from fsbench.specs import parse_spec

    spec = parse_spec(text)
    known = get_args(get_type_hints(Smoothing)["how"])
    if spec.name not in known or spec.path:
        raise UnknownName("smoothing", text, known)
    numbers = [field.name for field in fields(Smoothing) if field.name != "how"]
    values: dict[str, Any] = {"how": spec.name}
    for name, value in spec.params.items():
        if name not in numbers:
            raise UnknownName("parameter of --smooth", name, numbers)
        try:
            values[name] = float(value)
        except ValueError:
            raise UsageError(f"--smooth {spec.name}({name}={value}) is no number", f"write {name}=0.5") from None
    return Smoothing(**values)


def _print(report: SwapReport) -> None:
    for note in report.notes:
        terminal.line(note)
    if report.missing:
        reasons = dict.fromkeys(report.missing.values())
        for reason in reasons:
            numbers = [number for number, why in report.missing.items() if why == reason]
            terminal.line(f"{len(numbers)} of {report.n_frames} were not swapped, {reason}: {_runs(sorted(numbers))}")
    if report.floor is not None:
        floor = f"{report.floor:.2f} of 255 levels on average"
        terminal.line(f"a crop that is pasted back unchanged differs from its frame by {floor}")
    terminal.line(f"{report.n_swapped} of {report.n_frames} swapped: {report.out}")


def _runs(numbers: list[int]) -> str:
    """Name numbers in order, those that follow each other together.

    >>> _runs([3, 4, 5, 9])
    '3-5, 9'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    shown = ", ".join("-".join(map(str, run)) for run in runs[:_LISTED])
    return shown + (f" and {len(runs) - _LISTED} more" if len(runs) > _LISTED else "")
