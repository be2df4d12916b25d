"""`fsbench cache` of a cache at a URL: what is there and what is here, of which only the latter is removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fsbench.environment import open_store
from fsbench.remote import Objects
from fsbench.store import Store

Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a cache with two entries, of which one is here."""
    url = f"file://{tmp_path}/there"
    monkeypatch.setenv("FSBENCH_CACHE", url)
    monkeypatch.setenv("FSBENCH_CACHE_LOCAL", str(tmp_path / "here"))
    for n in range(2):
        open_store(Store, print).arrays("kind", {"n": n}, lambda: {"x": np.zeros(1000)})
    next((tmp_path / "here" / "kind").iterdir()).unlink()
    return url


def test_info_counts_both(cache: str, tmp_path: Path, invoke: Invoke) -> None:
    code, out, _ = invoke("cache", "info")
    assert code == 0
    assert f"{cache}: 2 objects, 16.3 kB" in out
    assert f"{tmp_path / 'here'}: 8.2 kB" in out
    facts = json.loads(invoke("cache", "info", "--json")[1])
    assert facts["remote"] == {"url": cache, "files": 2, "size": 2 * facts["size"]}


def test_prune_leaves_what_is_there(cache: str, tmp_path: Path, invoke: Invoke) -> None:
    code, out, _ = invoke("cache", "prune", "--max-size", "0MB")
    assert code == 0
    assert f"{cache} is left as it is" in out
    assert not (tmp_path / "here" / "kind").exists()
    assert len(Objects(cache).listed()) == 2


def test_verify_reads_what_is_here(cache: str, tmp_path: Path, invoke: Invoke) -> None:
    next((tmp_path / "here" / "kind").iterdir()).write_bytes(b"nonsense")
    code, out, _ = invoke("cache", "verify")
    assert code == 1
    assert "damaged" in out


def test_a_run_that_was_not_sent_is_not_removed(cache: str, tmp_path: Path, invoke: Invoke) -> None:
    for name, is_sent in (("a" * 20, True), ("b" * 20, False)):
        (tmp_path / "here" / "runs" / name / "out").mkdir(parents=True)
        (tmp_path / "here" / "runs" / name / "out" / "plan.json").write_text("{}")
        if is_sent:
            (tmp_path / "here" / "runs" / name / "out.sent").touch()
    rows = {row["kind"]: row for row in json.loads(invoke("cache", "info", "--json")[1])["kinds"]}
    assert (rows["runs"]["files"], rows["runs"]["unsent"]) == (2, 1)
    assert invoke("cache", "prune", "--max-size", "0MB")[0] == 0
    assert [path.name for path in (tmp_path / "here" / "runs").iterdir()] == ["b" * 20]


@pytest.mark.parametrize("url", ["s3:/bucket/x", "s3://me:secret@bucket/x", "s4://bucket/x"])
def test_a_cache_that_is_no_url(url: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSBENCH_CACHE", url)
    code, out, err = invoke("cache", "info")
    assert (code, out) == (2, "")
    assert err.startswith("fsbench: ")
    assert "secret" not in err
    assert "Traceback" not in err
