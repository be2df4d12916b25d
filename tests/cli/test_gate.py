"""fsbench compare, baseline and gate as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from run_scores import labels, write_run

from fsbench.gates.baseline import load

Invoke = Callable[..., tuple[int, str, str]]
HOSTILE = "<b>x</b>|\"'\n::error::y\x1b[2J\u202e" + "人" * 500


def test_runs_are_compared(invoke: Invoke, tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", {"swapper": {"id_similarity": 0.05}}, seed=1)
    code, out, _ = invoke("compare", a, b)
    assert code == 0
    assert "swapper: B against A" in out
    assert "worse" in out
    assert "3 comparisons (Holm)" in out
    code, out, _ = invoke("compare", a, b, "--metric", "id_similarity", "--margin", "id_similarity=0.2", "--json")
    record = json.loads(out)["differences"][0]
    assert (record["verdict"], record["margin"]) == ("equivalent", 0.2)


@pytest.mark.parametrize("width", ["80", "120"])
def test_the_table_fits(width: str, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.chdir(tmp_path)
    write_run(Path("a"))
    write_run(Path("b"), seed=1, changes={"protocol.detector": "x" * 300})
    for options in ((), ("--allow-mismatch",)):
        _, out, _ = invoke("compare", "a", "b", *options)
        assert max(map(len, out.splitlines())) <= int(width)
        assert "detector" in out


def test_a_baseline_is_saved_and_held_against(invoke: Invoke, tmp_path: Path) -> None:
    old, file = write_run(tmp_path / "old"), tmp_path / "b.json"
    code, out, _ = invoke("baseline", "save", old, file, "--metric", "id_similarity")
    assert code == 0
    assert f"baseline: {file}" in out.replace("\n", "")
    assert len(load(file).keys) == 1
    assert invoke("gate", old, "--baseline", file)[0] == 0
    worse = write_run(tmp_path / "worse", {"swapper": {"id_similarity": 0.05}}, seed=1)
    code, out, _ = invoke("gate", worse, "--baseline", file, "--json")
    assert code == 1
    assert json.loads(out)["state"] == "regression"
    code, out, _ = invoke("compare", file, worse)
    assert code == 0
    assert "worse" in out
    small = [write_run(tmp_path / name, table=labels(2, 4, 1), noise=2, seed=i) for i, name in enumerate("xy")]
    assert invoke("gate", small[1], "--baseline", small[0])[0] == 3
    assert invoke("gate", small[1], "--baseline", small[0], "--inconclusive", "pass")[0] == 0


def test_a_configuration_and_files(invoke: Invoke, tmp_path: Path) -> None:
    run, config = write_run(tmp_path / "run", {"a=b": {}}), tmp_path / "gate.toml"
    new = write_run(tmp_path / "new", {"c": {}}, noise=0.1, seed=1)
    config.write_text('critical = ["id_similarity drop<=0.05"]\nas = ["a=b=c"]\n')
    files = [tmp_path / "g.xml", tmp_path / "g.md"]
    code, _, err = invoke(
        "gate", new, "--baseline", run, "--config", config, "--junit", files[0], "--markdown", files[1]
    )
    assert code == 0, err
    assert all(path.stat().st_size for path in files)


@pytest.mark.parametrize("arguments", [
    ("compare", "run"), ("compare", "run", "none"), ("compare", "run", "run", "--metric", "fid"),
    ("compare", "run", "run", "--models", "nobody"), ("compare", "run", "run", "--margin", "1"),
    ("compare", "run", "run", "--margin", "fid=1"), ("baseline", "save", "none", "b.json"),
    ("baseline", "save", "run", "run"), ("gate", "run", "--baseline", "none.json"),
    ("gate", "run", "--baseline", "gate.toml"), ("gate", "run", "--baseline", "run", "--rule", "x"),
    ("gate", "run", "--baseline", "run", "--inconclusive", "maybe"),
    ("gate", "run", "--baseline", "run", "--as", "x"), ("gate", "run", "--baseline", "run", "--as", "swapper=x"),
    ("gate", "run", "--baseline", "run", "--config", "none.toml"),
    ("gate", "run", "--baseline", "run", "--config", "gate.toml"),
    ("gate", "run", "--baseline", "run", "--junit", "run"),
], ids=" ".join)  # fmt: skip
def test_bad_input_is_a_sentence(
    arguments: tuple[str, ...], invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("run"))
    Path("gate.toml").write_text("x = 1")
    code, _, err = invoke(*arguments)
    assert code == 2
    assert err.startswith("fsbench: ")
    assert "Traceback" not in err


def test_names_are_shown_and_never_obeyed(invoke: Invoke, tmp_path: Path) -> None:
    old, new = (write_run(tmp_path / name, {HOSTILE: {}}, seed=i) for i, name in enumerate("ab"))
    for arguments in (("compare", old, new), ("gate", new, "--baseline", old, "--markdown", tmp_path / "g.md")):
        code, out, err = invoke(*arguments)
        assert code in (0, 1, 3), err
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert not any(line.lstrip().startswith("::") for line in out.splitlines())
    assert "<b>" not in (tmp_path / "g.md").read_text()
