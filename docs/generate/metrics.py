"""A page for each group of metrics, with a card for each metric, and a page that compares them all."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from docs.generate.curves import responses_table
from docs.generate.markdown import Index, definitions, docstring, escape, heading, prose, relative, table
from docs.generate.plugins import FAULT_PAGE
from fsbench import registry, weights
from fsbench.faults import FAULTS
from fsbench.harness.records import metric_record
from fsbench.interfaces import Context, Metric
from fsbench.metric_groups import GROUPS
from fsbench.numbers import ARROWS
from fsbench.report import responses
from fsbench.report.validity import facts as examined_facts
from fsbench.results import MetricRecord
from fsbench.validity import ExaminedRecord, Validation

OVERVIEW = "metrics/index.md"
SETS = {"output": "stills", "clip": "clips"}
STAGES = {"crop": "in crops", "frame": "in frames"}
INTERVALS = {
    "centred": "of the spread, about the value: resampling adds bias to this metric, which the interval leaves out",
    "none": "none: resampling would bias it",
}


def page_of(group: str) -> str:
    """Return the page of a group."""
    return f"metrics/{group}.md"


class Metrics:
    """All registered metrics, with their facts."""

    def __init__(self, context: Context, validation: Validation | None) -> None:
        self.built: dict[str, Metric] = {
            name: registry.metrics.build(name, context) for name in registry.metrics.names()
        }
        self.records: dict[str, MetricRecord] = {
            name: metric_record(name, metric, None) for name, metric in self.built.items()
        }
        self.validation = validation

    def in_group(self, group: str) -> list[str]:
        """Names of a group's metrics: those of the report's first table first, then by name."""
        names = [name for name, record in self.records.items() if record.group == group]
        return sorted(names, key=lambda name: (self.records[name].summary_rank or 1000, name))

    def note_places(self, index: Index) -> None:
        """Note where each metric is explained."""
        for name, record in self.records.items():
            index.add(name, page_of(record.group), name)

    def pages(self, index: Index) -> Iterator[tuple[str, str]]:
        """Return each page's path and text."""
        yield OVERVIEW, self._overview(index)
        for group in GROUPS:
            yield page_of(group), self._group(group, index)

    def _overview(self, index: Index) -> str:
        parts = [
            heading(1, "Metrics"),
            f"{len(self.records)} metrics, in groups by the question that they answer. Each has a card: what it is, "
            "what it needs, what happens to an output without a face, where the definition comes from, and what "
            "`fsbench validate` found.",
        ]
        for group, of_group in GROUPS.items():
            rows = [
                [
                    f"{index.link(name, OVERVIEW)} {ARROWS[self.records[name].direction]}",
                    prose(self.records[name].summary, index, OVERVIEW),
                    escape(self.records[name].unit) or "–",
                    self._needs(name, index, OVERVIEW) or "–",
                ]
                for name in self.in_group(group)
            ]
            parts += [
                f"## [{of_group.title}]({relative(page_of(group), OVERVIEW)}): {of_group.question}",
                table(["metric", "what", "unit", "needs"], rows),
            ]
        return "\n\n".join([*parts, *self._matrix()]) + "\n"

    def _matrix(self) -> list[str]:
        if self.validation is None:
            return []
        marks = [[f"**{escape(mark.sign)}**", mark.title, escape(mark.meaning)] for mark in responses.MARKS.values()]
        return [
            "## What each responds to { #validity }",
            "A row for each metric, a column for each known fault. A number is the response in percent of the metric's "
            "largest response to what it measures. The cards draw the values: over the strengths of the fault, on one "
            "scale for each metric, with 95 % intervals. Full dots are changes that are more than chance; the grey "
            "line is the exact swap.",
            f'<div class="matrix-scroll">{_one_line(str(responses.matrix(self.validation, linked=False)))}</div>',
            table(["mark", "verdict", "meaning"], marks),
        ]

    def _group(self, group: str, index: Index) -> str:
        facts = GROUPS[group]  # type: ignore[index]
        parts = [heading(1, facts.title), escape(facts.question[0].upper() + facts.question[1:])]
        parts += [self._card(name, index, page_of(group)) for name in self.in_group(group)]
        return "\n\n".join(parts) + "\n"

    def _card(self, name: str, index: Index, page: str) -> str:
        record, info = self.records[name], self.built[name].info
        text = inspect.getdoc(type(self.built[name])) or ""
        summary, _, rest = text.partition("\n\n")
        entry = registry.metrics.get(name)
        parameters = ", ".join(f"`{key}={' | '.join(entry.choices(key))}`" for key in entry.parameters)
        listed = definitions(
            {
                "direction": f"{record.direction} is better, from {info.bounds[0]:g} to {info.bounds[1]:g}",
                "unit": escape(record.unit) or "none, a pure number",
                "measured on": f"{SETS[record.sample]}, {' and '.join(STAGES[stage] for stage in info.stages)}"
                + (", for every judge" if "judge" in info.needs else ""),
                "needs": self._needs(name, index, page) or "outputs and targets alone",
                "no face found": escape(record.no_face),
                "interval": INTERVALS.get(record.interval, ""),
                "parameters": parameters,
                "error of the estimator": f"what {index.link(record.checked_by, page)} gives the unchanged targets"
                if record.checked_by
                else "",
                "cautions": " ".join(
                    f"Fewer than {n:,} {SETS[record.sample]}: {escape(said)}." for n, said in info.cautions
                ),
                "source": escape(record.reference),
                "version": str(record.version) if record.version > 1 else "",
            }
        )
        parts = [
            heading(2, f"{name} {ARROWS[record.direction]}", name),
            f"**{prose(' '.join(summary.split()), index, page)}**",
            docstring(rest, index, page),
            listed,
            *self._validity(name, index, page),
        ]
        return "\n\n".join(part for part in parts if part)

    def _needs(self, name: str, index: Index, page: str) -> str:
        """Evidence and files that a metric needs; `missing` is what it says where none of these is installed."""
        info = self.built[name].info
        files = [index.link(file, page) for file in weights.CATALOGUE if f" {file} " in info.missing]
        return ", ".join([index.link(need, page) for need in info.needs] + files)

    def _validity(self, name: str, index: Index, page: str) -> Iterator[str]:
        """Print what was found about a metric: sentences, and for each judge the responses with their numbers."""
        if self.validation is None or name in self.validation.missing([name]):
            yield f"*Not examined yet:* `fsbench validate --metrics {name}`"
            return
        yield "**Validity.** " + " ".join(
            _with_faults(said, page) for said in responses.for_metric(self.validation, name)
        )
        for entry in self.validation.metrics:
            if entry.metric.name == name:
                yield _examined(self.validation, entry, page)


def _examined(validation: Validation, entry: ExaminedRecord, page: str) -> str:
    """Print the responses of a metric, folded."""
    title = "Responses to known faults" + (f", judge {entry.judge}" if entry.judge else "")
    known = examined_facts(validation, entry).items()
    listed = "".join(f"<dt>{_html(heading)}</dt><dd>{_html(text)}</dd>" for heading, text in known)
    body = responses_table(validation, entry, page) + f"<dl>{listed}</dl>"
    return f'<details class="validity"><summary>{_html(title)}</summary>{body}</details>'


def _with_faults(sentence: str, page: str) -> str:
    """A sentence in which the names of faults lead to what they are."""
    names = "|".join(sorted(FAULTS, key=len, reverse=True))
    home = relative(FAULT_PAGE, page)
    return re.sub(rf"\b({names})\b", lambda match: f"[{match[1]}]({home}#{match[1]})", sentence.replace("<", "&lt;"))


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _one_line(html: str) -> str:
    """A block of HTML without blank lines, at which Markdown would take it for text again."""
    return " ".join(line.strip() for line in html.splitlines() if line.strip())
