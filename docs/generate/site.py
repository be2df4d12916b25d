"""All pages of the site, written and made, and the order in which it lists them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from docs.generate import api, commands, models, plugins
from docs.generate.facts import filled
from docs.generate.markdown import Index
from docs.generate.metrics import OVERVIEW, Metrics, page_of
from docs.generate.pictures import Pictures
from fsbench.environment import make_context
from fsbench.metric_groups import GROUPS
from fsbench.store import Store
from fsbench.validity import Validation

DOCS = Path(__file__).parents[1]
GUIDE = {
    "index.md": "Home",
    "start.md": "Get started",
    "reading.md": "Read a report",
    "protocol.md": "Protocol",
    "judges.md": "Judges",
    "gates.md": "Gates",
    "videos.md": "Videos",
    "many-processes.md": "Many processes",
    "long_runs.md": "Long runs",
    "storage.md": "Results and cache at URLs",
    "python.md": "Python",
    "plugins.md": "Plug-ins",
}
"""Pages that people wrote, in their order; others in docs/ follow."""

Nav = list["str | dict[str, str | Nav]"]


def lay_out(folder: Path, validation: Validation | None) -> None:
    """Write the pages, and `zensical.toml` with their list, into an empty folder."""
    pages, context = folder / "pages", make_context("cpu")
    empty = replace(context, store=Store(folder / "empty"))  # what a metric needs, not what of it is on this machine
    shutil.copytree(DOCS, pages, ignore=shutil.ignore_patterns("generate", "*.toml"))
    for page in pages.glob("*.md"):
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    index, metrics, pictures = Index(), Metrics(empty, validation), Pictures(context)
    metrics.note_places(index)
    models.note_places(index)
    plugins.note_places(index)
    commands.note_places(index)
    made = {
        **dict(metrics.pages(index)),
        models.PAGE: models.page(index, pictures),
        **dict(plugins.pages(index)),
        commands.PAGE: commands.page(index),
        **dict(api.pages(index)),
    }
    for path, text in made.items():
        target = pages / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for path, content in pictures.files.items():
        (pages / path).parent.mkdir(parents=True, exist_ok=True)
        (pages / path).write_bytes(content)
    settings = (DOCS / "zensical.toml").read_text(encoding="utf-8")
    head, mark, rest = settings.partition("[project]\n")
    own = f'docs_dir = "pages"\nsite_dir = "site"\nnav = {_toml(navigation())}\n'
    (folder / "zensical.toml").write_text(head + mark + own + rest, encoding="utf-8")


def guide() -> dict[str, str]:
    """Pages that people wrote, with their titles: those of GUIDE that are there, then any other."""
    others = {path.name: _title(path) for path in sorted(DOCS.glob("*.md")) if path.name not in GUIDE}
    return {name: title for name, title in GUIDE.items() if (DOCS / name).is_file()} | others


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def navigation() -> Nav:
    """The list of pages."""
    guide_pages: Nav = [{title: name} for name, title in guide().items()]
    groups: Nav = [{facts.title: page_of(group)} for group, facts in GROUPS.items()]
    networks: Nav = [{title: page} for page, title in plugins.TITLES.items()]
    public: Nav = [{name: api.page_of(name)} for name in api.modules()]
    return [
        *guide_pages,
        {"Metrics": [OVERVIEW, *groups]},
        {"Models": models.PAGE},
        *networks,
        {"Weights": plugins.WEIGHTS},
        {"Faults": plugins.FAULT_PAGE},
        {"Command line": commands.PAGE},
        {"Python API": [api.OVERVIEW, *public]},
    ]


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


def build(site: Path, validation: Validation | None, pages: Path | None = None) -> None:
    """Build the site into a folder, strictly; one that is there already is replaced. `pages`: a folder to keep them in.

    Raises FileExistsError where a folder holds something else, CalledProcessError for a link that leads nowhere.
    """
    for folder, mark in ((site, "search.json"), (pages, "zensical.toml")):
        if folder is not None and folder.exists() and any(folder.iterdir()) and not (folder / mark).is_file():
            raise FileExistsError(f"{folder} holds something else")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        lay_out(work, validation)
        if pages is not None:
            shutil.copytree(work, pages, dirs_exist_ok=True)
        command = [sys.executable, "-m", "zensical", "build", "--strict", "-f", str(work / "zensical.toml")]
        subprocess.run(command, check=True)
        shutil.rmtree(site, ignore_errors=True)
        shutil.move(work / "site", site)
