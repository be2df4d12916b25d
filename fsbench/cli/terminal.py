"""The one place through which text reaches the terminal.

Names of files, people, models and plug-ins come from outside and may hold anything: control characters and escape
sequences, characters that the terminal's encoding lacks, bytes that were no UTF-8, rich's markup. They are shown, and
never obeyed:

    line, print_json, cell, console   what commands print with: one line stays one line, whatever is in it
    print_event, print_error        what a job tells while it is at work, and why it ended
    streams                         what stands below all text, also that of typer, of libraries and of plug-ins
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, cast

from fsbench.errors import FsbenchError, OutputError
from fsbench.events import Event, JobFailed, Message

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PLAIN = {
    "↑": "^", "↓": "v", "→": "->", "−": "-", "–": "-", "—": "-", "…": "...", "·": ".", "•": "*", "×": "x",
    "│": "|", "─": "-", "━": "-", "╸": "-", "╺": "-", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "✓": "+", "✗": "x",
    "‘": "'", "’": "'", "“": '"', "”": '"', "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ",
}  # fmt: skip
"""What stands for a character that the terminal cannot show; all others are escaped as in Python's strings."""

JOINERS = "\u200c\u200d"  # shape letters of Persian and Hindi, and emoji; harmless
STYLES = re.compile(r"(\x1b\[[\d;]*m)")
CONTROLS = re.compile(r"(\x1b\[\??[\d;]*[A-Za-z]|\r)")  # styles, and the cursor of progress bars
CURSOR, LINE_ENDS = re.compile(r"\x1b\[\??[\d;]*[A-Za-z]"), re.compile(r"[\r\n]")


def clean(text: str) -> str:
    r"""Escape what a terminal would obey or a reader would be deceived by; the result is one line.

    >>> clean("plain, Füße, 人"), clean("a\x1b[31mb\nc\x07"), clean("x\u202etxt.exe"), clean("\udcff")
    ('plain, Füße, 人', 'a\\x1b[31mb\\nc\\x07', 'x\\u202etxt.exe', '\\xff')
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def fit(text: str, encoding: str | None) -> str:
    r"""Replace what an encoding cannot express.

    >>> fit("gt_psnr ↑ 人 ü", "ascii"), fit("gt_psnr ↑ 人 ü", "cp1252"), fit("↑ 人", "utf-8")
    ('gt_psnr ^ \\u4eba \\xfc', 'gt_psnr ^ \\u4eba ü', '↑ 人')
    """
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(character if _has(encoding, character) else _plain(character) for character in text)
    return text


def line(text: str, *, error: bool = False) -> None:
    """Print one line, on standard output or standard error."""
    print(clean(text), file=sys.stderr if error else sys.stdout, flush=True)


def print_json(value: Any) -> None:
    """Print a value as JSON that is ASCII throughout, and so valid in every encoding."""
    text = json.dumps(value, indent=1).replace("\x7f", "\\u007f")  # DEL is the one control that json leaves as it is
    print(text, flush=True)  # noqa: T201


def print_event(event: Event) -> None:
    """Print an event as JSON on one line of standard error: the time and its name, then its fields."""
    if isinstance(sys.stderr, _Stream):
        sys.stderr.write_rest()
        sys.stderr.write_whole(_object(event))
    else:
        sys.stderr.write(_object(event))


def _object(event: Event) -> str:
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": moment, "event": event.name, **event.facts()}, allow_nan=False) + "\n"


def print_error(error: FsbenchError) -> None:
    """Print why a command ends, and the remedy."""
    if is_json():
        print_event(JobFailed(error.message, error.hint))
        return
    line(f"fsbench: {error.message}", error=True)
    if error.hint:
        line(f"  {error.hint}", error=True)


def choose_format(name: str) -> str:
    """Have standard error hold `text` or `json` until the process ends: an object for each line, whoever prints it."""
    if isinstance(sys.stderr, _Stream):
        sys.stderr.as_json = name == "json"
    return name


def is_json() -> bool:
    """Whether standard error holds JSON."""
    return isinstance(sys.stderr, _Stream) and sys.stderr.as_json


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows of equal columns as a table, or as JSON."""
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in rows[0] if rows else ("nothing",):
        table.add_column(heading, no_wrap=heading == "name", overflow="fold")
    for row in rows:
        table.add_row(*(cell(*_lines(value)) for value in row.values()))
    console().print(table)


def _lines(value: object) -> list[object]:
    """Write parameters as `name=default | choice | choice`, one a line."""
    if isinstance(value, dict):
        return [f"{name}={' | '.join(choices)}" for name, choices in value.items()]
    return [value]


def cell(*lines: object, style: str = "") -> Text:
    """Lines of text for a table, as they will be shown: columns stay aligned."""
    from rich.text import Text

    return Text("\n".join(fit(clean(str(one)), sys.stdout.encoding) for one in lines), style=style)


def warn(target: Console, text: str) -> None:
    """Print a sentence that limits what a result says."""
    from rich.text import Text

    target.print(Text.assemble(("!", "yellow"), " ", cell(text)))


def console(*, error: bool = False, quiet: bool = False, soft_wrap: bool = False) -> Console:
    """A console on which no text is markup; names go to it by `cell`."""
    from rich.console import Console

    return Console(stderr=error, quiet=quiet, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False)


@contextmanager
def streams() -> Iterator[None]:
    """Let all text pass, for the length of a `with` block, whoever prints it; what libraries warn of is gathered."""
    before = sys.stdout, sys.stderr
    _occupy_closed()
    output = _Stream(sys.stdout, "standard output", fatal=True)
    errors = _Stream(sys.stderr, "standard error", fatal=False)
    sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, errors)
    try:
        with _gathered_warnings():
            yield
    finally:
        with suppress(OutputError):
            errors.write_rest()
            output.flush()
        sys.stdout, sys.stderr = before


class _Stream:
    """A text stream that shows every character, and says what is wrong where it cannot be written.

    A reader that has gone away (`fsbench show DIR | head`) ends nothing: what follows is dropped. A standard error that
    cannot be written is no reason to lose a run.
    """

    def __init__(self, stream: TextIO | None, name: str, *, fatal: bool) -> None:
        self._stream, self._name, self._fatal = stream, name, fatal
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.as_json = False
        self._begun = ""  # the line that is not whole yet, where lines become JSON

    def write(self, text: str) -> int:
        if self.as_json:
            *whole, self._begun = LINE_ENDS.split(self._begun + CURSOR.sub("", text))
            for message in filter(str.strip, whole):
                self.write_whole(_object(Message(message)))
        else:
            self.write_whole(self._escaped(text))
        return len(text)

    def write_whole(self, text: str) -> None:
        """Write text as it is, but for what the encoding cannot express."""
        self._attempt(lambda stream: stream.write(fit(text, self.encoding)))

    def write_rest(self) -> None:
        """Write the line that was begun, as if it ended here."""
        if self._begun:
            self.write("\n")

    def writelines(self, lines: Any) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        if self._stream is not None:
            self._attempt(lambda stream: stream.flush())

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError(f"{self._name} is closed")
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_stream"], name)

    def _attempt(self, do: Any) -> None:
        try:
            if self._stream is None:
                raise OSError("it is closed")
            do(self._stream)
        except (OSError, ValueError) as error:  # ValueError: closed by somebody else
            fatal, self._fatal = self._fatal and not isinstance(error, BrokenPipeError), False
            self._drop()
            if fatal:
                reason = getattr(error, "strerror", None) or str(error)
                raise OutputError(
                    f"{self._name} cannot be written: {reason}",
                    "what a command saves is in its files; send the text elsewhere",
                ) from error

    def _drop(self) -> None:
        """Send the rest nowhere, also what is still in buffers when the process ends."""
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
        self._stream = self._stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the process's life

    def _escaped(self, text: str) -> str:
        """Escape what is neither text nor a style nor the cursor of a progress bar of our own."""
        if text.isascii() and text.replace("\n", "").isprintable():
            return text
        known = CONTROLS if self.isatty() else STYLES if "\x1b" in text and _coloured(self) else None
        parts = known.split(text) if known is not None else [text]
        return "".join(part if i % 2 else "".join(c if c in "\n\t" else _shown(c) for c in part)
                       for i, part in enumerate(parts))  # fmt: skip


def _coloured(stream: _Stream) -> bool:
    """Whether the user asked for colours in what is no terminal, as CI systems do."""
    from rich.console import Console
    from typer.rich_utils import FORCE_TERMINAL

    return bool(FORCE_TERMINAL) or Console(file=cast(TextIO, stream)).is_terminal


def _shown(character: str) -> str:
    if character.isprintable() or character in JOINERS or unicodedata.category(character) in ("Zs", "Co", "Cn"):
        return character
    return _escape(character)


def _escape(character: str) -> str:
    """As in Python's strings; a byte that was no UTF-8 as that byte."""
    byte = ord(character) - 0xDC00
    if 0x80 <= byte <= 0xFF:
        return f"\\x{byte:02x}"
    return character.encode("unicode_escape" if character < "\x80" else "ascii", "backslashreplace").decode()


def _plain(character: str) -> str:
    return PLAIN.get(character) or _escape(character)


def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _occupy_closed() -> None:
    """Open standard streams that the caller closed: else the next file would take their number, and get their text."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


@contextmanager
def _gathered_warnings() -> Iterator[None]:
    """Tell what libraries warned of in one line each, at the end; it concerns who wrote them."""
    gathered: dict[str, list[str]] = {}

    def keep(message: Warning | str, category: type[Warning], filename: str, *_: Any) -> None:
        parts = filename.replace("\\", "/").rpartition("site-packages/")[2].split("/")
        gathered.setdefault(parts[0] if parts[0] and "site-packages" in filename else filename, []).append(
            " ".join(str(message).split()))  # fmt: skip

    with warnings.catch_warnings():
        warnings.showwarning = keep  # type: ignore[assignment]
        try:
            yield
        finally:
            for where, messages in gathered.items():
                count = f" {len(messages)} times, first" if len(messages) > 1 else ""
                line(f"{where} warns{count}: {messages[0][:200]}", error=True)
