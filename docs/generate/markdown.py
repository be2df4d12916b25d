"""Facts as Markdown: docstrings, links between pages, tables and lists of definitions."""

from __future__ import annotations

import posixpath
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_MARKED = re.compile(r"(`[^`\n]+`|(?<!\S)\*\w[\w ]*\*(?!\w))")
_SPECIAL = re.compile(r"([\\*_\[\]{}#|])")


@dataclass(frozen=True)
class Index:
    """Where on the site a name is explained: the page, and the anchor on it."""

    places: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, name: str, page: str, anchor: str) -> None:
        """Note a place; the first one of a name stays."""
        self.places.setdefault(name, (page, anchor))

    def link(self, name: str, page: str, *, label: str = "") -> str:
        """Return a name as it stands on a page: a link where the site explains it, else code."""
        text = f"`{label or name}`"
        bare = name.partition("(")[0].partition("@")[0]
        if bare not in self.places:
            return text
        target, anchor = self.places[bare]
        return f"[{text}]({relative(target, page)}#{anchor})"


def relative(target: str, page: str) -> str:
    """Return the path from one page to another.

    >>> relative("metrics/truth.md", "metrics/identity.md"), relative("judges.md", "metrics/identity.md")
    ('truth.md', '../judges.md')
    """
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def escape(text: str) -> str:
    """Return text that Markdown prints as it is.

    >>> escape("R_output @ R.T < 1 [0, 1]")
    'R\\\\_output @ R.T &lt; 1 \\\\[0, 1\\\\]'
    """
    return _SPECIAL.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))


def prose(text: str, index: Index, page: str) -> str:
    """Return text in which code and *emphasis* are marked; code that is a name which the site explains leads there."""
    parts = _MARKED.split(text)
    return "".join(part if part[:1] == "*" and i % 2 else index.link(part[1:-1], page) if i % 2 else escape(part)
                   for i, part in enumerate(parts))  # fmt: skip


def docstring(text: str, index: Index, page: str) -> str:
    """Return a docstring, without its indent, as Markdown.

    Paragraphs are filled; what is indented, examples (`>>>`) and drawings of trees are kept line by line.
    """
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        if not block:
            continue
        if block.lstrip().startswith(">>>"):
            blocks.append(fence(block, "pycon"))
        elif "├" in block or "└" in block or all(line.startswith("  ") for line in lines):
            blocks.append(fence(textwrap.dedent(block), ""))
        else:
            blocks.append("\n".join(_lines(lines, index, page)))
    return "\n\n".join(blocks)


def _lines(lines: Sequence[str], index: Index, page: str) -> list[str]:
    """One paragraph; a line that begins with a name in quotes and its shape is a line of its own.

    A paragraph of arguments, each with a colon, is a list.
    """
    arguments = [re.fullmatch(r"(\w+): (.*)", line) for line in lines]
    if len(lines) > 1 and all(arguments):
        return [f"* `{match[1]}`: {prose(match[2], index, page)}" for match in arguments if match]
    filled: list[str] = []
    for line in lines:
        text = prose(line.strip(), index, page)
        filled.append(f"<br>\n{text}" if re.match(r'\s*"\w+" \(', line) and filled else text)
    return filled


def fence(text: str, language: str) -> str:
    """Return a block of code."""
    return f"```{language or 'text'}\n{text.rstrip()}\n```"


def definitions(facts: Mapping[str, str]) -> str:
    """Return a list of headings, each with its text; those without text are left out. The texts are Markdown."""
    return "\n\n".join(f"{heading}\n:   {text}" for heading, text in facts.items() if text)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells in Markdown, in which a line break is a space."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def code_cell(text: str) -> str:
    """Return code for a cell of a table, in which `|` ends the cell even inside code."""
    return f"`{text}`" if text and "|" not in text else escape(text)


def heading(level: int, text: str, anchor: str = "") -> str:
    """Return a heading, with an anchor of its own where one is given."""
    return f"{'#' * level} {escape(text)}" + (f" {{ #{anchor} }}" if anchor else "")
