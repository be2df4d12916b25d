"""How the run was made: command, data, protocol, networks, models, machine."""

from __future__ import annotations

from typing import Any

from fsbench.report.page import Section
from fsbench.report.run import RunContents


def build(run: RunContents) -> dict[str, Any]:
    return {"protocol": run.result.protocol.model_dump()}


SECTIONS = (Section("provenance", "Provenance", build, "run/provenance.html.j2"),)
