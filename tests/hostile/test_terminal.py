"""Whatever a name holds and whatever the terminal can show: text, no traceback, and nothing that a terminal obeys."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fsbench import results
from fsbench.cli import terminal
from fsbench.results import RunResult

OLD = Path(__file__).parents[1] / "old_results/schema_4.json"
NAMES = ["人脸交换", "[bold]red[/bold]", "a\x1b[31mb\x07",
         "two\nlines\rback", "x\u202egnp.exe", "\x9b31m:smile:", "Füße"]  # fmt: skip
TERMINALS = {
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def call(*arguments: str | bytes | Path, environment: dict[str, str], **streams: object) -> tuple[int, str, str]:
    colours = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS")
    kept = {key: value for key, value in os.environ.items() if key not in colours}
    done = subprocess.run(
        [sys.executable, "-m", "fsbench", *arguments], env={**kept, "COLUMNS": "80", **environment}, check=False,
        timeout=120, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )  # fmt: skip
    encoding = {"cp1252": "cp1252"}.get(environment.get("PYTHONIOENCODING", ""), "utf-8")
    return done.returncode, (done.stdout or b"").decode(encoding), (done.stderr or b"").decode(encoding)


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose model, warnings and reasons hold every odd name."""
    result = results.load(OLD)
    first = result.models[0]
    models = [first.model_copy(update={"name": name, "spec": name, "kind": "ready"}) for name in NAMES]
    values = [value.model_copy(update={"model": name}) for name in NAMES for value in result.find(first.name)]
    folder = tmp_path_factory.mktemp("hostile")
    changed: RunResult = result.model_copy(update={
        "models": (*result.models, *models), "values": (*result.values, *values),
        "warnings": tuple(f"{name} is odd" for name in NAMES),
    })  # fmt: skip
    results.save(changed, folder)
    return folder


@pytest.mark.parametrize("kind", TERMINALS)
def test_names_are_shown_and_not_obeyed(kind: str, hostile_run: Path) -> None:
    code, said, errors = call("show", hostile_run, environment=TERMINALS[kind])
    assert (code, errors) == (0, "")
    assert not FORBIDDEN.search(said)
    assert "[bold]red[/bold] is odd" in said
    assert ":smile:" in said
    assert "a\\x1b[31mb\\x07 is odd" in said
    assert "two\\nlines\\rback is odd" in said
    assert ("人脸交换 is odd" if kind == "utf-8" else "\\u4eba\\u8138") in said
    assert ("↑" if kind == "utf-8" else " ^") in said


@pytest.mark.parametrize("kind", TERMINALS)
@pytest.mark.parametrize("name", [b"\xff\xfe", "人".encode(), b"\x1b]0;title\x07", b"[red]x[/red]", b"a\nfsbench: ok"])
def test_errors_name_what_was_typed(kind: str, name: bytes) -> None:
    code, said, errors = call("show", b"/nowhere/" + name, environment=TERMINALS[kind])
    assert (code, said) == (2, "")
    assert len(errors.splitlines()) == 2
    assert errors.startswith("fsbench: /nowhere/")
    assert "Traceback" not in errors
    assert not FORBIDDEN.search(errors)


@pytest.mark.parametrize("kind", TERMINALS)
@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list", "weights"], ["run", "--modle\x1b[1m"]])
def test_all_else_that_is_printed(kind: str, arguments: list[str]) -> None:
    code, said, errors = call(*arguments, environment=TERMINALS[kind])
    assert code == (2 if "--modle" in arguments[-1] else 0)
    assert "Traceback" not in errors
    assert not FORBIDDEN.search(said + errors)


@pytest.mark.parametrize("kind", TERMINALS)
def test_json_stays_json(kind: str, hostile_run: Path) -> None:
    code, said, _ = call("show", hostile_run, "--json", environment=TERMINALS[kind])
    assert code == 0
    assert said.isascii()
    assert set(NAMES) <= {value["model"] for value in json.loads(said)}


@pytest.mark.parametrize("arguments", [["show", "RUN"], ["show", "RUN", "--json"], ["list", "weights"], ["--help"]])
def test_an_output_that_cannot_be_written(arguments: list[str], hostile_run: Path) -> None:
    words = [str(hostile_run) if word == "RUN" else word for word in arguments]
    with Path("/dev/full").open("w") as full:
        code, _, errors = call(*words, environment={}, stdout=full)
        assert code == 2
        assert "standard output cannot be written: No space left on device" in errors
        assert "Traceback" not in errors
        assert call(*words, environment={}, stderr=full)[0] == 0
    command = 'exec "$0" "$@" >&-'
    done = subprocess.run(["sh", "-c", command, sys.executable, "-m", "fsbench", *words], stderr=subprocess.PIPE,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 2
    assert "it is closed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away(hostile_run: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "fsbench", "show", hostile_run], stdout=writing,
                          stderr=subprocess.PIPE, check=False)  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_commands_print_by_this_module_alone() -> None:
    for path in Path(terminal.__file__).parent.glob("*.py"):
        if path.name != "terminal.py":
            assert not re.findall(r"typer\.echo|(?<![\w.])print\(|\bConsole\(", path.read_text(encoding="utf-8")), path
