"""What a run or a score ends with: who did what by the headline metrics, on one screen of 80 columns.

Everything else is one option away (`--verbose`), and in `fsbench show` and the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fsbench.cli import terminal
from fsbench.cli.show import print_differences, print_ranking, print_values
from fsbench.numbers import ARROWS
from fsbench.results import scored_keys
from fsbench.stats.ranking import CONTESTANTS, in_order

if TYPE_CHECKING:
    from rich.table import Table

    from fsbench.results import Key, MetricRecord, ModelRecord, RunResult, Value

FAILURES = {"missing": "no output", "unreadable": "unreadable", "no_face": "no face", "unchanged": "unchanged"}
NAME_WIDTH, HEADING_WIDTH = 24, 12
MOST_WARNINGS, MOST_UNSCORED = 3, 2
REMEDY = re.compile(r"(?:fsbench weights (?:fetch|import)|pip install) [^);,]+")
FETCH = "fsbench weights fetch "
WANTING = ("weights", "install", "fetch")
"""What reasons say where a metric waits for files or packages."""


def print_summary(result: RunResult, verbose: bool = False) -> None:
    """Print models by headline metrics, what waits for weights, the ranks and what limits all this."""
    target = terminal.console()
    if verbose:
        print_values(target, result, result.values)
    models = in_order(result)
    short = _shortened([model.name for model in models])
    values = {(value.model, value.key): value for value in result.values}
    target.print(_table(result, models, short, _columns(result, values, target.width), values))
    target.print()
    for sentence in _unscored(result):
        target.print(terminal.cell(sentence))
    print_ranking(target, result.ranking, lambda name: short.get(name, name))
    print_differences(target, result, lambda name: short.get(name, name))
    warnings = list(result.warnings) if verbose else _grouped(result)
    for model in models:
        if model.error and not any(model.error[:60] in warning for warning in warnings):  # whose ends are cut
            warnings.insert(0, f"{model.name} failed: {model.error}")
    for warning in warnings:
        terminal.warn(target, warning)


def _columns(result: RunResult, values: Mapping[tuple[str, Key], Value], width: int) -> list[Key]:
    """Metrics and judges to show: those that have a value, as many as there is room for.

    The metric of the ranking comes first under every judge that ranks, the others under the first judge.
    """
    facts, record = {metric.name: metric for metric in result.metrics}, result.ranking
    others = [judge.name for judge in result.judges if judge.name not in result.unfit.union(record.judges)]
    first = next(iter((*record.judges, *others)), None)
    keys = [key for key in scored_keys(result.values, facts, record.metric) if key.judge not in result.unfit]
    keys.sort(key=lambda key: key.judge not in (None, first, *(record.judges if key.metric == record.metric else ())))
    failing = any(model.failures or model.error for model in result.models)
    shown: list[Key] = []
    room = width - NAME_WIDTH - 12 * failing
    for key in keys:
        lines = [*_heading(facts[key.metric], key)]
        for (_, own), value in values.items():
            if own == key:
                lines += _value(value, facts[key.metric].digits)
        room -= max(map(len, lines)) + 2
        if room < 0:
            break
        shown.append(key)
    return shown


def _table(
    result: RunResult,
    models: Sequence[ModelRecord],
    short: Mapping[str, str],
    columns: Sequence[Key],
    values: Mapping[tuple[str, Key], Value],
) -> Table:
    from rich.table import Table

    facts = {metric.name: metric for metric in result.metrics}
    failing = any(model.failures or model.error for model in models)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", max_width=NAME_WIDTH, overflow="fold")
    if failing:
        table.add_column("failed", justify="right", max_width=12)
    for key in columns:
        table.add_column(terminal.cell(*_heading(facts[key.metric], key)), justify="right", no_wrap=True)
    for model in models:
        low = model.kind not in CONTESTANTS
        cells = [_value(values.get((model.name, key)), facts[key.metric].digits)[: 1 if low else 2] for key in columns]
        failed = [terminal.cell(*_failed(model, result.protocol.n_pairs))] if failing else []
        style = "dim" if low else ""
        row = [terminal.cell(short[model.name]), *failed, *(terminal.cell(*lines) for lines in cells)]
        table.add_row(*row, style=style)
    return table


def _heading(metric: MetricRecord, key: Key) -> list[str]:
    """Name, judge, stage, direction and unit, in narrow lines."""
    lines = [""]
    for part in metric.name.split("_"):
        joined = f"{lines[-1]}_{part}".lstrip("_")
        if lines[-1] and len(joined) > HEADING_WIDTH:
            lines[-1] += "_"
            lines.append(part)
        else:
            lines[-1] = joined
    unit = "deg" if metric.unit == "degrees" else metric.unit
    judges = [_middle(key.judge, HEADING_WIDTH + 2)] if key.judge else []
    stages = [key.stage] if key.stage != "crop" else []
    return [*lines, *judges, *stages, f"{ARROWS[metric.direction]} {unit}".rstrip()]


def _value(value: Value | None, digits: int) -> list[str]:
    """A value, and below it its interval."""
    if value is None:
        return [""]
    if value.value is None:
        return ["not scored"]
    lines = [f"{value.value:.{digits}f}"]
    if value.low is not None and value.high is not None:
        lines.append(f"{value.low:.{digits}f}..{value.high:.{digits}f}")
    return lines


def _failed(model: ModelRecord, n_pairs: int) -> list[str]:
    """How often a model failed, and mostly how."""
    if model.error:
        return ["all", "see below"]
    if not model.failures:
        return [""]
    kinds = sorted(model.failures, key=lambda kind: -model.failures[kind])
    return [f"{sum(model.failures.values())}/{n_pairs}", FAILURES[kinds[0]] + (" +" if len(kinds) > 1 else "")]


def _unscored(result: RunResult) -> list[str]:
    """What nobody has a value of: what waits for weights or packages in one sentence, the rest by reason."""
    reasons: dict[str, set[str]] = {}
    scored = {value.metric for value in result.values if value.value is not None}
    for value in result.values:
        if value.value is None and value.metric not in scored:
            reasons.setdefault(value.metric, set()).add(value.reason)
    waiting, remedies, others = [], list[str](), dict[str, list[str]]()
    for metric, why in reasons.items():
        if all(any(word in reason for word in WANTING) for reason in why):
            waiting.append(metric)
            remedies += [remedy.strip() for reason in why for remedy in REMEDY.findall(reason)]
        else:
            others.setdefault("; ".join(sorted(why)), []).append(metric)
    lines = []
    if waiting:
        how = f": {'; '.join(_joined(remedies))}" if remedies else ": fsbench show says what for"
        lines.append(f"{_some(waiting, 6)} wait{'s' if len(waiting) == 1 else ''} for weights or packages{how}")
    lines += [f"not scored: {_some(names, 4)}: {_cut(why)}" for why, names in list(others.items())[:MOST_UNSCORED]]
    if rest := [name for names in list(others.values())[MOST_UNSCORED:] for name in names]:
        lines.append(f"not scored for other reasons: {_some(rest, 4)}")
    return lines


def _joined(remedies: Iterable[str]) -> list[str]:
    """Commands, each once, those that fetch weights as one."""
    files = dict.fromkeys(
        name for remedy in remedies if remedy.startswith(FETCH) for name in remedy.removeprefix(FETCH).split()
    )
    others = dict.fromkeys(remedy for remedy in remedies if not remedy.startswith(FETCH))
    return [*others, *([FETCH + " ".join(files)] if files else [])]


def _grouped(result: RunResult) -> list[str]:
    """Warnings, those that differ by the model or by numbers alone as one; what the table tells is left out."""
    names = sorted((model.name for model in result.models), key=len, reverse=True)
    groups: dict[str, list[tuple[str, str]]] = {}
    for warning in dict.fromkeys(result.warnings):
        name = next((name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", warning)), "")
        if name and warning.startswith(f"{name} failed on "):
            continue
        pattern = re.sub(r"\d+(?:\.\d+)?", "#", warning.replace(name, "\0")) if name else warning
        groups.setdefault(pattern, []).append((name, warning))
    lines = []
    for members in sorted(groups.values(), key=lambda members: not members[0][0]):  # of models first
        first, others = _cut(members[0][1]), list(dict.fromkeys(name for name, _ in members[1:]))
        lines.append(f"{first} (the same of {_some(others, 2)})" if others else first)
    kept = sorted(lines, key=lambda text: " failed" not in text)[:MOST_WARNINGS]
    more = len(lines) - len(kept)
    return [*kept, *([f"{more} more warnings: in the report, by --verbose and by fsbench show"] if more else [])]


def _shortened(names: Sequence[str]) -> dict[str, str]:
    """Names without their parameters, or else cut in their middle, where what is left still tells them apart."""
    forms = {name: (text := terminal.clean(name), _bare(text), _middle(text, NAME_WIDTH)) for name in names}
    taken = list(zip(*forms.values(), strict=True))
    return {
        name: next(
            (
                form
                for form, others in zip(own, taken, strict=True)
                if len(form) <= NAME_WIDTH and others.count(form) == 1
            ),
            name,
        )
        for name, own in forms.items()
    }


def _bare(text: str) -> str:
    """Leave the parameters of all parts out.

    >>> _bare("gan_mask(norm=none)+gatys(size=64,steps=12)")
    'gan_mask(...)+gatys(...)'
    """
    return re.sub(r"\([^()]*\)", "(...)", text)


def _middle(text: str, width: int) -> str:
    """Cut the middle of a text out.

    >>> _middle("cyclegan(mask=true)@runs/last.safetensors", 24)
    'cyclegan(m...safetensors'
    """
    if len(text) <= width:
        return text
    head = (width - 3) // 2
    return f"{text[:head]}...{text[head + 3 - width :]}"


def _cut(text: str, length: int = 150) -> str:
    return text if len(text) <= length else f"{text[:length].rpartition(' ')[0]} ..."


def _some(names: Iterable[str], most: int) -> str:
    """Name a few.

    >>> _some(["a", "b", "c", "d"], 2)
    'a, b and 2 more'
    """
    names = list(names)
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"
