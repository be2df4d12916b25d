from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fsbench import weights

Adapt = Callable[..., weights.Weights]


@pytest.fixture
def adapt(monkeypatch: pytest.MonkeyPatch) -> Adapt:
    """Let the catalogue know other facts about an entry; `content` is what its published hash shall be that of."""

    def change(name: str, content: bytes | None = None, **facts: Any) -> weights.Weights:
        if content is not None:
            facts |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        entry = replace(weights.CATALOGUE[name], **facts)
        monkeypatch.setitem(weights.CATALOGUE, name, entry)
        return entry

    return change
