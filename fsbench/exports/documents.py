"""A summary as text for documents: Markdown and LaTeX. Names come from outside, so that nothing in them is markup."""

from __future__ import annotations

from collections.abc import Iterable

from fsbench.exports.tables import SummaryCell, SummaryTable
from fsbench.files import printable
from fsbench.markdown import plain

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "\N{MINUS SIGN}": "$-$", "[": "{[}", "]": "{]}", "'": r"\textquotesingle{}", "`": r"\textasciigrave{}",
}  # fmt: skip


def markdown(summary: SummaryTable) -> str:
    """Return a table of GitHub's Markdown; who is better than all others is bold.

    >>> print(markdown(SummaryTable(("kid ↓",), (("a|b", (SummaryCell("1.0", "", True),)),), ("Note.",))))
    | model | kid ↓ |
    |---|---:|
    | a&#124;b | **1.0** |
    <BLANKLINE>
    Note.
    <BLANKLINE>
    """
    head, *rows = [["model", *map(plain, summary.heads)], *([plain(name), *map(_markdown_cell, cells)]
                                                            for name, cells in summary.rows)]  # fmt: skip
    lines = [_markdown_line(head), "|---|" + "---:|" * len(summary.heads), *map(_markdown_line, rows)]
    return "\n".join([*lines, "", *(f"{plain(note)}\n" for note in summary.notes)])


def latex(summary: SummaryTable) -> str:
    r"""Return a `table` environment with the rules of booktabs; who is better than all others is bold.

    >>> print(latex(SummaryTable(("kid ↓",), (("gan_mask", (SummaryCell("1.0", "[0.5, 1.5]", True),)),), ())))
    % needs \usepackage{booktabs}
    \begin{table}
    \centering
    \begin{tabular}{lr}
    \toprule
    model & kid $\downarrow$ \\
    \midrule
    gan\_mask & \textbf{1.0} {\scriptsize {[}0.5, 1.5{]}} \\
    \bottomrule
    \end{tabular}
    \end{table}
    <BLANKLINE>
    """
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{l{'r' * len(summary.heads)}}}",
        r"\toprule",
        _latex_line(["model", *map(_latex, summary.heads)]),
        r"\midrule",
        *(_latex_line([_latex(name), *map(_latex_cell, cells)]) for name, cells in summary.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if summary.notes:
        lines.append(rf"\caption{{{' '.join(map(_latex, summary.notes))}}}")
    return "\n".join([*lines, r"\end{table}", ""])


def _markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: SummaryCell) -> str:
    value = f"**{cell.text}**" if cell.best else cell.text or "–"
    return f"{value} {cell.interval}".rstrip()


def _latex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in printable(text))


def _latex_cell(cell: SummaryCell) -> str:
    value = rf"\textbf{{{_latex(cell.text)}}}" if cell.best else _latex(cell.text) or "--"
    return value + (rf" {{\scriptsize {_latex(cell.interval)}}}" if cell.interval else "")


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
