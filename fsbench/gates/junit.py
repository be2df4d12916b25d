"""A gate as JUnit XML, for GitLab and Jenkins.

There is no standard. GitLab shows `classname` as the suite and the text of a failure, and neither its message nor
properties; Ant's schema allows no attribute on `skipped`. So everything stands in `classname`, `name` and texts.
"""

from __future__ import annotations

from xml.etree import ElementTree

from fsbench.files import printable
from fsbench.gates.decide import INCONCLUSIVE, Check, GateResult
from fsbench.gates.wording import Metrics, age, headline, sentence, title


def junit(result: GateResult, metrics: Metrics) -> str:
    """Return the document: a test case for each check; a critical one that cannot say is an error unless it passes."""
    checks = result.checks
    blocking = [check for check in checks if check.blocks]
    unknown = [check for check in checks if _is_error(check, result)]
    suite = ElementTree.Element(
        "testsuite", name="fsbench gate", tests=str(len(checks)), failures=str(len(blocking)),
        errors=str(len(unknown)), skipped=str(sum(_is_skipped(check, result) for check in checks)), time="0",
    )  # fmt: skip
    for check in checks:
        classname = f"fsbench gate.{check.tier}.{check.model}"
        case = ElementTree.SubElement(suite, "testcase", classname=_text(classname), name=_text(title(check)), time="0")
        text = f"{check.state}: {sentence(check, metrics)}\n{headline(result)}\n{age(result)}"
        if check.blocks or check in unknown:
            tag = "failure" if check.blocks else "error"
            problem = ElementTree.SubElement(case, tag, type=check.state, message=_text(sentence(check, metrics)))
            problem.text = _text(text)
        else:
            if _is_skipped(check, result):
                ElementTree.SubElement(case, "skipped")
            ElementTree.SubElement(case, "system-out").text = _text(text)
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _is_error(check: Check, result: GateResult) -> bool:
    """Whether not knowing blocks: with exit code 3, and where it counts as a failure."""
    blocking = result.exit_code in (1, INCONCLUSIVE) and result.state == "inconclusive"
    return check.state == "inconclusive" and check.tier == "critical" and (blocking or result.state == "regression")


def _is_skipped(check: Check, result: GateResult) -> bool:
    return check.state != "pass" and not check.blocks and not _is_error(check, result)


def _text(text: str) -> str:
    """What XML can hold, line by line."""
    return "\n".join(map(printable, text.split("\n")))
