"""The page of the command line: every command with its help, its arguments and its options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from docs.generate.markdown import Index, code_cell, escape, fence, heading, prose, table
from fsbench.cli import app

PAGE = "commands.md"


def commands() -> Iterator[tuple[str, Any, Any]]:
    """Yield path, command and context of every command that can be typed, such as `fsbench weights fetch`."""
    root = get_command(app)
    yield from _below("fsbench", root, root.make_context("fsbench", [], resilient_parsing=True))


def _below(path: str, command: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    yield path, command, context
    for name, sub in getattr(command, "commands", {}).items():
        inner = sub.make_context(name, [], parent=context, resilient_parsing=True)
        yield from _below(f"{path} {name}", sub, inner)


def anchor(path: str) -> str:
    """Return where a command is explained.

    >>> anchor("fsbench weights fetch")
    'fsbench-weights-fetch'
    """
    return path.replace(" ", "-")


def note_places(index: Index) -> None:
    """Note where each command is explained."""
    for path, _, _ in commands():
        index.add(path, PAGE, anchor(path))


def page(index: Index) -> str:
    """Return the text of the page."""
    parts = [heading(1, "Command line")]
    for path, command, context in commands():
        parts.append(heading(2 if path.count(" ") < 2 else 3, path, anchor(path)))
        parts += list(help_text(command.help or "", index))
        if not getattr(command, "commands", None):
            parts.append(fence(context.get_usage().removeprefix("Usage: "), "text"))
            rows = [record for one in command.params if (record := one.get_help_record(context))]
            parts.append(table(["option", "what"], [[_option(name), escape(what)] for name, what in rows]))
        if command.epilog:
            parts.append(prose(_plain(command.epilog), index, PAGE))
    return "\n\n".join(parts) + "\n"


def _option(text: str) -> str:
    return code_cell(text) if "|" in text else f"`{text}`"


def help_text(text: str, index: Index) -> Iterator[str]:
    """Return a help in paragraphs; what is indented in it is typed."""
    for block in re.split(r"\n\s*\n", _plain(text.replace("\f", ""))):
        if block.startswith("  "):
            yield fence("\n".join(line.removeprefix("  ") for line in block.splitlines()), "sh")
        else:
            yield prose(" ".join(block.split()), index, PAGE)


def _plain(text: str) -> str:
    """Take out marks that only a terminal shows."""
    return re.sub(r"\[/?(?:bold|dim|italic)\]", "", text)
