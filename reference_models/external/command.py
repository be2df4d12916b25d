"""Any program that swaps faces, run on files."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from fsbench.errors import BadParameter, UsageError
from fsbench.images import to_bytes
from fsbench.interfaces import Context, Source, Swapped, Targets
from fsbench.registry import swappers
from reference_models.external.outputs import OutputFiles, by_stem

PLACES = ("source", "sources", "target", "targets", "out")

TRIES = 3
"""Targets without an output, and none before them, after which a program is given up."""

_TAIL = 2000  # bytes of what a program printed last that are looked at
_LINE = 200  # characters of it that are told


@swappers.register("command")
class Command:
    """Any program that swaps faces: command("CMD {source} {target} {out}"), run on files that fsbench writes.

    {target} is a PNG of a crop, and {out} the PNG that the program has to write, once for each target; or {targets} is
    a folder of crops, and {out} the folder in which it leaves an image of the same name for each, in any format, once
    for up to 64 targets of one source. {source} is the first image of the source, {sources} a folder of all. No shell
    reads the command.

    An output that is not there, cannot be read or is no square counts as a failure on that pair, and one of another
    size is resized; why is told. A call that takes longer than `timeout` seconds is ended with all that it started.
    What a program wrote counts, also where it then hung or failed. One that leaves nothing for its first 3 targets is
    given up. Outputs are kept under the command, `version`, and the files that the command names: give another
    `version` when the program changes in anything else.
    """

    def __init__(self, *, run: str, timeout: float = 600.0, version: str = "", context: Context) -> None:
        self._words, self._log = _words(run), context.log
        if timeout <= 0:
            raise BadParameter(f"command(timeout={timeout:g}) leaves no time", "give seconds, above 0")
        self._timeout = timeout
        program = shutil.which(self._words[0])
        if program is None:
            raise BadParameter(f"there is no program {self._words[0]}", "name one on the PATH, or by its whole path")
        self.inputs = {word: _sha256(Path(word)) for word in self._words[1:] if Path(word).is_file()}
        self.inputs[self._words[0]] = _sha256(Path(program))
        self._at_once = "targets" in _places(run)
        self._n_written = 0

    def swap(self, source: Source, targets: Targets) -> Swapped:
        """Return what the program makes of the targets; black, and absent, where it leaves no image."""
        outputs = OutputFiles(targets.images.shape[-1])
        with tempfile.TemporaryDirectory(prefix="fsbench-") as name:
            folder = Path(name).resolve()
            sources = _write(folder / "sources", to_bytes(source.images))
            written = _write(folder / "targets", to_bytes(targets.images))
            out = folder / "out"
            out.mkdir()
            values = {"source": sources[0], "sources": sources[0].parent, "targets": written[0].parent, "out": out}
            if self._at_once:
                fault = self._call(values)
                there = by_stem([path for path in out.iterdir() if path.is_file()])
                for target in written:
                    self._read(outputs, there.get(target.stem), fault)
                self._give_up(outputs, fault)
            else:
                for target in written:
                    path = out / target.name
                    fault = self._call({**values, "target": target, "out": path})
                    self._read(outputs, path if path.exists() else None, fault)
                    self._give_up(outputs, fault)
        if sentence := outputs.sentence(self._words[0]):
            self._log(sentence)
        return outputs.swapped()

    def _read(self, outputs: OutputFiles, path: Path | None, fault: str) -> None:
        self._n_written += path is not None
        outputs.read(path, fault if path is None else f"an image, although {fault}" if fault else "")

    def _give_up(self, outputs: OutputFiles, fault: str) -> None:
        n_missing = len(outputs.states)
        if not self._n_written and (n_missing >= TRIES or (self._at_once and fault)):
            raise UsageError(
                f"{self._words[0]} left no image for its first {n_missing} targets: {fault or 'there is no file'}",
                "run the command by hand on a crop; {out} is the file, or with {targets} the folder, that it writes",
            )

    def _call(self, values: Mapping[str, Path]) -> str:
        """Run the program once; "", or what went wrong."""
        words = [re.sub(r"\{(\w+)\}", lambda place: str(values[place[1]]), word) for word in self._words]
        with tempfile.TemporaryFile() as said:  # no pipe: what a program leaves running could hold it open
            try:
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
                )
            except OSError as error:
                return f"it cannot be started: {error.strerror}"
            try:
                code: int | None = process.wait(self._timeout)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end(process)
            if code is None:
                return f"it took longer than {self._timeout:g} s"
            return f"it ended with exit code {code}{_last_line(said.fileno())}" if code else ""


def _places(command: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", command)


def _words(command: str) -> list[str]:
    """The words of a command; raises BadParameter for one that cannot be run on files."""
    hint = 'write command("CMD {source} {target} {out}"), or {sources} and {targets} for folders'
    places = _places(command)
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BadParameter(f"command({command}) cannot be read: {error}", hint) from error
    if strange := [place for place in places if place not in PLACES]:
        raise BadParameter(f"command({command}) has a place for {strange[0]}", hint)
    if "out" not in places or ("target" in places) == ("targets" in places):
        raise BadParameter(f"command({command}) needs {{out}}, and {{target}} or {{targets}}", hint)
    if not {"source", "sources"} & set(places):
        raise BadParameter(f"command({command}) shows no source: it needs {{source}} or {{sources}}", hint)
    return words


def _write(folder: Path, images: np.ndarray) -> list[Path]:
    """Write (N, S, S, 3) levels as 0000.png and so on."""
    folder.mkdir()
    paths = [folder / f"{i:04d}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, compress_level=1)
    return paths


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started, whether it is done, hangs, or the user pressed Ctrl-C."""
    with suppress(ProcessLookupError, PermissionError):  # all of them are gone
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(said: int) -> str:
    size = os.lseek(said, 0, os.SEEK_END)
    os.lseek(said, max(0, size - _TAIL), os.SEEK_SET)
    lines = os.read(said, _TAIL).decode("utf-8", "replace").split("\n")
    last = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")
    shown = "".join(letter for letter in last if letter.isprintable())[:_LINE]
    return f": {shown}" if shown else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
