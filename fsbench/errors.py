"""Every error that fsbench raises on purpose.

FsbenchError                    one sentence, a hint that names the remedy, exit code 2
├── UsageError                  what was typed cannot be understood
│   ├── UnknownName             no plug-in, metric or data set of that name (carries the nearest names)
│   └── BadParameter            a plug-in does not take that parameter or that value
├── DataError                   a data set cannot be used as it is
│   ├── MissingData             the files are not where they should be
│   └── BadImage                a file is not an image that can be read
├── WeightsError                a pretrained file is missing, damaged or of another network
├── CheckpointError             a saved model is damaged or of another architecture
├── ResultError                 a result file cannot be read
├── OutputError                 the output directory cannot be used, or the disk is full
│   └── RemoteError             what lies at a URL cannot be reached or used
├── DeviceError                 the device asked for is not there
├── PluginError                 a plug-in broke its contract
├── ModelError                  a model failed where a metric had its outputs fed back
├── Interrupted                 the user pressed Ctrl-C; exit code 130
└── NotScorable                 a metric means nothing on this data; stored as null with the reason
"""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable, Mapping


class FsbenchError(Exception):
    """An error with one sentence for the reader and a hint that names the remedy."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    @property
    def sentence(self) -> str:
        """Message and hint on one line."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(FsbenchError):
    """What was typed cannot be understood."""


class UnknownName(UsageError):
    """No such name; the hint suggests the nearest of those that are known, of which `texts` may tell more."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], listing: str = "", texts: Mapping[str, str] | None = None
    ) -> None:
        self.listing, known = listing, sorted(known)
        near = nearest(name, known, texts)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}", hint + (f"  ({listing})" if listing else ""))


class BadParameter(UsageError):
    """A plug-in does not take that parameter or that value."""


class DataError(FsbenchError):
    """A data set cannot be used as it is."""


class MissingData(DataError):
    """The files are not where they should be."""


class BadImage(DataError):
    """A file is not an image that can be read; `reason` says it without the file's name ("is empty (0 bytes)")."""

    def __init__(self, path: object, reason: str, hint: str) -> None:
        super().__init__(f"{path} {reason}", hint)
        self.reason = reason


class WeightsError(FsbenchError):
    """A pretrained file is missing, damaged or of another network."""


class CheckpointError(FsbenchError):
    """A saved model is damaged or of another architecture."""


class ResultError(FsbenchError):
    """A result file cannot be read."""


class OutputError(FsbenchError):
    """The output directory cannot be used, or the disk is full."""


class RemoteError(OutputError):
    """What lies at a URL cannot be reached or used."""


class DeviceError(FsbenchError):
    """The device asked for is not there."""


class PluginError(FsbenchError):
    """A plug-in broke its contract."""


class ModelError(FsbenchError):
    """A model failed where something else asked it: what asked is not to blame."""


class NotScorable(FsbenchError):
    """A metric means nothing on this data; the run goes on, and the result holds null with this reason."""


class Interrupted(FsbenchError):
    """The user pressed Ctrl-C; the hint is the command that goes on."""

    exit_code = 130


def one_line(error: BaseException) -> str:
    """What an error says, on one line; of one that fsbench did not raise, with its type.

    >>> one_line(ZeroDivisionError("division by zero")), one_line(DataError("no image", "add one"))
    ('ZeroDivisionError: division by zero', 'no image (add one)')
    """
    if isinstance(error, FsbenchError):
        return error.sentence
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def traceback_of(error: BaseException) -> str:
    """The traceback of an error and of its causes, as Python prints it."""
    return "".join(traceback.format_exception(error))


_MOST, _ALIKE = 3, 0.75
_TELLING = 4
"""Characters from which on a word is looked for in texts."""


def nearest(name: str, known: Iterable[str], texts: Mapping[str, str] | None = None) -> list[str]:
    """Return what may be meant by a name, the likeliest first; `texts` are about some of those that are known.

    Those with a word that begins as the name does; else those whose text has one; else those that are spelled nearly
    so, in whole or in a word. Neither case nor underscores count.

    >>> nearest("ArcFace", ["keras_vggface", "onnx(arcface_mbf)"]), nearest("kidd", ["kid", "fid", "density"])
    (['onnx(arcface_mbf)'], ['kid'])
    """
    letters, known = [letter for letter in name.lower() if letter.isalnum()], sorted(known)
    start = re.compile(r"(?<![^\W_])" + r"[\W_]*".join(map(re.escape, letters)))
    places = {label: float(match.start()) for label in known if letters and (match := start.search(label.lower()))}
    if not places and texts and len(letters) >= _TELLING:
        places = {label: 0.0 for label in known if start.search(texts.get(label, "").lower())}
    if not places:
        places = {label: -alike for label in known if (alike := _alikeness(name.lower(), label)) >= _ALIKE}
    return sorted(places, key=lambda label: places[label])[:_MOST]


def _alikeness(name: str, label: str) -> float:
    """From 0 to 1, the best of the whole label and its words."""
    words = {label, *re.findall(r"\w+", label), *re.findall(r"[^\W_]+", label)}
    return max(difflib.SequenceMatcher(None, word, name).ratio() for word in words)
