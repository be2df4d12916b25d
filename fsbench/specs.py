"""What people type to name a plug-in: specifications, lists of them, and paths in them.

A value or path with `,`, `(`, `)`, `=`, `+`, `@` or spaces at its ends stands in quotes, single or double; a quote of
the same kind inside is doubled. Quotes mean this only where a value begins: `folder:O'Brien` needs none.

A name is `name` or `package/name`, the plug-in of that name which a package has registered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fsbench.errors import UsageError

_QUOTES = "'\""
_BEFORE_VALUES = "(,=@:+"
OWN_PACKAGES = ("fsbench", "reference_models")
"""Packages of the built-in plug-ins, in the order in which they are asked for a bare name."""

_NAME = re.compile(r"\w+(?:/\w+)?")
LONGEST = 10_000
"""Characters of a specification: a longer text is a mistake, and costs time to read."""

_HINT = "write name, name(parameter=value,...) or name@path; put a value with , ( ) or = into quotes"


@dataclass(frozen=True)
class Spec:
    """A plug-in as typed: `name`, `name(parameter=value)`, `name(value)`, `name@path`, `name:path`.

    As text it has the name that stands in results, see `result_name`.
    """

    name: str  # or package/name
    params: Mapping[str, str] = field(default_factory=dict)  # the one without a name is the plug-in's first parameter
    path: str = ""

    def __str__(self) -> str:
        params = ",".join(
            f"{key}={quoted(value, ',()')}" if key else quoted(value, ",()=")
            for key, value in sorted(self.params.items())
        )
        name = result_name(self.name)
        return name + (f"({params})" if params else "") + (f"@{quoted(self.path, ',()+')}" if self.path else "")


def parse_spec(text: str) -> Spec:
    """Read one specification; raises UsageError.

    >>> parse_spec("gan_mask(size=lite, norm=group)@model.safetensors").params["norm"]
    'group'
    >>> parse_spec("my_package/blobs:pictures/2024")
    Spec(name='my_package/blobs', params={}, path='pictures/2024')
    >>> str(parse_spec("onnx(sface)")), parse_spec("onnx('a, b (1).onnx')").params
    ('onnx(sface)', {'': 'a, b (1).onnx'})
    """
    whole = text.strip()
    if len(whole) > LONGEST:
        raise UsageError(f"{whole[:40]!r}... has {len(whole):,} characters", f"{LONGEST:,} are read at most")
    if "\0" in whole:
        raise UsageError(f"there is a NUL character in {whole!r}", "no name and no path can have one")
    match = _NAME.match(whole)
    if match is None:
        raise UsageError(f"cannot read {whole!r}", _HINT)
    name, rest = match[0], whole[match.end() :].lstrip()
    params: dict[str, str] = {}
    if rest.startswith("("):
        end = _closing(rest, whole)
        params, rest = _params(rest[1:end], whole), rest[end + 1 :].lstrip()
    if not rest:
        return Spec(name, params)
    if rest[0] not in "@:":
        raise UsageError(f"cannot read {rest!r} in {whole!r}", _HINT)
    path = unquoted(rest[1:].strip(), whole)
    if not path.strip():
        raise UsageError(f"no path follows in {whole!r}", f"write {whole[: len(whole) - len(rest) + 1]}PATH")
    return Spec(name, params, path)


def result_name(text: str) -> str:
    """Return what a specification is called in results: as typed, without the package where that is fsbench's own.

    The bare name of a built-in plug-in means that plug-in always; another package's name means it only in full.

    >>> result_name("fsbench/lpips(vgg)"), result_name("my_package/lpips")
    ('lpips(vgg)', 'my_package/lpips')
    """
    package, slash, name = text.lstrip().partition("/")
    return name if slash and package in OWN_PACKAGES else text


def split_list(text: str, separator: str = ",") -> list[str]:
    """Split at separators outside parentheses and quotes; empty parts are left out.

    >>> split_list("a(x=1,y=2),b"), split_list("a@'b,c.pt',d")
    (['a(x=1,y=2)', 'b'], ["a@'b,c.pt'", 'd'])
    """
    return [part for part in parts(text, separator) if part]


def parts(text: str, separator: str) -> list[str]:
    """Split at separators outside parentheses and quotes; raises UsageError where these do not match."""
    depth, found = 0, [""]
    for character, quoted in _characters(text):
        if not quoted:
            depth += (character == "(") - (character == ")")
            if depth < 0:
                break
        if character == separator and depth == 0 and not quoted:
            found.append("")
        else:
            found[-1] += character
    if depth:
        raise UsageError(f"cannot read {text.strip()!r}: the parentheses do not match", _HINT)
    return [part.strip() for part in found]


def before(text: str, mark: str) -> str:
    """Return what stands before the first `mark` outside parentheses and quotes; all of it where there is none."""
    depth, found = 0, ""
    for character, quoted in _characters(text):
        depth += 0 if quoted else (character == "(") - (character == ")")
        if character == mark and depth == 0 and not quoted:
            break
        found += character
    return found


def local_path(text: str, what: str = "the path") -> Path:
    """Return a path as this machine knows it, `~` expanded; raises UsageError for one that can be no path here.

    Whether something is there is not asked.
    """
    try:
        path = Path(text).expanduser()
        os.stat(path)
    except RuntimeError as error:
        raise UsageError(f"{what} {text!r} names a user that is not known here", "write it without ~") from error
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        shown = text if len(text) < 100 else f"{text[:60]}...{text[-20:]}"
        raise UsageError(f"{what} {shown!r} cannot be a path: {reason}", "name another file or folder") from error
    return path


def _characters(text: str) -> Iterator[tuple[str, bool]]:
    """Characters, and whether each stands in quotes (these included); raises UsageError for one that is not closed."""
    if len(text) > LONGEST:
        raise UsageError(f"{text[:40]!r}... has {len(text):,} characters", f"{LONGEST:,} are read at most")
    quote, last, i = "", _BEFORE_VALUES[0], 0
    while i < len(text):
        character = text[i]
        if quote:
            yield character, True
            if character == quote and text[i + 1 : i + 2] == quote:
                yield quote, True
                i += 1
            elif character == quote:
                quote = ""
        else:
            opens = character in _QUOTES and last in _BEFORE_VALUES
            quote = character if opens else ""
            yield character, opens
        last = last if character.isspace() else character
        i += 1
    if quote:
        raise UsageError(f"a quote is not closed in {text.strip()!r}", f"add {quote} where the value ends")


def _closing(text: str, whole: str) -> int:
    """Where the parenthesis with which a text begins is closed."""
    for i, (character, quoted) in enumerate(_characters_up_to_close(text)):
        if character == ")" and not quoted:
            return i
        if character == "(" and not quoted and i:
            break
    raise UsageError(f"cannot read {whole!r}: the parentheses do not match", _HINT)


def _characters_up_to_close(text: str) -> Iterator[tuple[str, bool]]:
    """As `_characters`, without what follows the closing parenthesis, such as a path with an odd quote."""
    for character, quoted in _characters(text):
        yield character, quoted
        if character == ")" and not quoted:
            return


def _params(text: str, whole: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for i, item in enumerate(parts(text, ",") if text.strip() else ()):
        key, equals, value = _key_and_value(item)
        if not item:
            raise UsageError(f"nothing stands between the commas in {whole!r}", "write name(parameter=value,...)")
        if not equals and i == 0:
            key, value = "", item
        elif not (key.isidentifier() and equals and value):
            raise UsageError(f"cannot read parameter {item!r} in {whole!r}", "write parameter=value")
        if key in found:
            raise UsageError(f"parameter {key!r} is given twice in {whole!r}")
        found[key] = unquoted(value, whole)
    return found


def _key_and_value(item: str) -> tuple[str, str, str]:
    if item[:1] in _QUOTES:
        return "", "", item
    key, equals, value = item.partition("=")
    return key.strip(), equals, value.strip()


def unquoted(text: str, whole: str) -> str:
    """The value that is meant by one in quotes, or by one without."""
    quote = text[:1]
    if not quote or quote not in _QUOTES:
        return text
    inside = text[1:-1].replace(quote * 2, "")
    if len(text) < 2 or text[-1] != quote or quote in inside:
        raise UsageError(f"the quotes about {text} in {whole!r} do not match", f"a {quote} inside is written twice")
    return text[1:-1].replace(quote * 2, quote)


def quoted(value: str, special: str) -> str:
    """A value as it has to be typed, where the characters of `special` mean something."""
    if value and value == value.strip() and not any(c in special or c in _QUOTES for c in value):
        return value
    quote = "'" if "'" not in value else '"'
    return quote + value.replace(quote, quote * 2) + quote
