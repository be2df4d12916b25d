"""What all pages are made of: templates, and sections in a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fsbench.report import budget
from fsbench.report.plots import LABEL, short
from fsbench.results import slug

_TEMPLATES = Path(__file__).parent / "templates"

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Section(Generic[Subject]):
    """A part of a page about a subject, such as a run.

    Where `budget.SHARES` names the section, `build` is given the bytes that it may take beside the subject.
    """

    id: str  # anchor on the page
    title: str  # in the navigation
    # (subject) or (subject, bytes) -> what the template is given; None: not on this page
    build: Callable[[Subject], dict[str, Any] | None] | Callable[[Subject, int], dict[str, Any] | None]
    template: str  # below templates/


@dataclass(frozen=True)
class RenderedSection:
    """A section as `base.html.j2` and the navigation show it."""

    id: str
    title: str
    html: Markup


def render(
    sections: Sequence[Section[Subject]],
    subject: Subject,
    environment: Environment,
    room: int | None = None,
    **context: Any,
) -> list[RenderedSection]:
    """Render those sections that have something to show; `context` is given to the templates of all of them.

    Where they have `room` bytes together, those that `budget.SHARES` names are built last and for what is left.
    """
    rendered: dict[str, RenderedSection] = {}

    def html(section: Section[Subject], *given: int) -> str | None:
        content = cast(Callable[..., dict[str, Any] | None], section.build)(subject, *given)
        template = environment.get_template(section.template)
        return None if content is None else template.render(section=section, **context, **content)

    shares, left = ({}, 0) if room is None else (budget.SHARES, room)
    order = [*(section for section in sections if section.id not in shares),
             *(section for name in shares for section in sections if section.id == name)]  # fmt: skip
    for section in order:
        share = shares.get(section.id)
        text = html(section) if share is None else budget.fit(partial(html, section), int(share * left))
        if text is not None:
            rendered[section.id] = RenderedSection(section.id, section.title, Markup(text))
            left = max(0, left - budget.size(text))
    return [rendered[section.id] for section in sections if section.id in rendered]


def environment() -> Environment:
    """Return templates that escape what they print, and fail on a name that nobody gave."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(slug=slug, short=partial(short, limit=LABEL), plain=_plain)
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    return environment


def _plain(text: str) -> str:
    """Return a sentence of a docstring without the marks of code."""
    return text.replace("`", "")


def script(*names: str) -> str:
    """Return the script of all pages, and some more."""
    return "\n".join(text(name) for name in ("tables.js", "pictures.js", "page.js", *names))


def text(name: str) -> str:
    """Return a file that is put into pages as it is: style, script."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")
