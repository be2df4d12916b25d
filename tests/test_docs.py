"""What the documents say is true: the code in them runs, every command is told, and no plug-in that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from types import FunctionType

import pytest
from typer.main import get_command

from fsbench import registry
from fsbench.cli import app
from fsbench.interfaces import Context

ROOT = Path(__file__).parents[1]
SNIPPETS = re.findall(r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_the_plugins_in_contributing_keep_their_contracts(number: int, context: Context, registering: None) -> None:
    names: dict[str, object] = {"__name__": f"contributing_{number}"}
    exec(compile(SNIPPETS[number], "CONTRIBUTING.md", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_") and isinstance(value, FunctionType)]
    assert len(tests) == 1
    tests[0](**({"context": context} if "context" in tests[0].__annotations__ else {}))


README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(get_command(app).commands))  # type: ignore[attr-defined]
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"fsbench {name}" in README


LISTED = README.partition("## What is in it")[2].partition("## Settings")[0]
NAMES = sorted(set(re.findall(r"`([a-z]\w*)(?:\([^`]*\)|:PATH)?`", LISTED)))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_readme_calls_a_plugin_is_one(name: str) -> None:
    """A new plug-in may be left out: `fsbench list` has them all."""
    assert any(plugins.has(name) for plugins in registry.REGISTRIES.values())


def test_the_readme_names_plugins() -> None:
    assert len(NAMES) > 50
    assert {"gan_mask", "onnx", "synthetic", "folder"} <= set(NAMES)


def test_every_option_has_help() -> None:
    def walk(command: object, path: str) -> None:
        for parameter in getattr(command, "params", []):
            assert getattr(parameter, "help", "") or parameter.name in (
                "help",
                "install_completion",
                "show_completion",
            ), f"{path} {parameter.name} has no help"
        for name, below in getattr(command, "commands", {}).items():
            walk(below, f"{path} {name}")

    walk(get_command(app), "fsbench")
