"""What all pages are made of: templates, and sections in a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fsbench.report.plots import LABEL, short
from fsbench.results import slug

_TEMPLATES = Path(__file__).parent / "templates"

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Section(Generic[Subject]):
    """A part of a page about a subject, such as a run."""

    id: str  # anchor on the page
    title: str  # in the navigation
    build: Callable[[Subject], dict[str, Any] | None]  # what the template is given; None: not on this page
    template: str  # below templates/


@dataclass(frozen=True)
class RenderedSection:
    """A section as `base.html.j2` and the navigation show it."""

    id: str
    title: str
    html: Markup


def render(
    sections: Iterable[Section[Subject]], subject: Subject, environment: Environment, **context: Any
) -> list[RenderedSection]:
    """Render those sections that have something to show; `context` is given to the templates of all of them."""
    rendered = []
    for section in sections:
        content = section.build(subject)
        if content is not None:
            html = environment.get_template(section.template).render(section=section, **context, **content)
            rendered.append(RenderedSection(section.id, section.title, Markup(html)))
    return rendered


def environment() -> Environment:
    """Return templates that escape what they print, and fail on a name that nobody gave."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(slug=slug, short=partial(short, limit=LABEL))
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    return environment


def script(*names: str) -> str:
    """Return the script of all pages, and some more."""
    return "\n".join(text(name) for name in ("tables.js", "pictures.js", "page.js", *names))


def text(name: str) -> str:
    """Return a file that is put into pages as it is: style, script."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")
