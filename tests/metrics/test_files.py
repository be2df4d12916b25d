"""Where a metric and its tests are found by its name.

The metric NAME is in fsbench/metrics/NAME.py; a variant NAME_suffix may be there as well. Its tests are in
tests/metrics/test_NAME.py or, for variants, in a file that is named after some of the words of its name, in order:
gt_pose_error_five is tested in test_pose_error.py. `is` is no name for a module: it goes by inception_score.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fsbench import registry

BUILT_IN = [name for name in registry.metrics.names() if registry.metrics.get(name).origin.startswith("fsbench.")]
TESTS = {path.stem.removeprefix("test_"): path.read_text() for path in Path(__file__).parent.glob("test_*.py")}


def guesses(name: str) -> list[str]:
    """Files of tests whose name is made of words of a metric's name, in order."""
    return [file for file in TESTS if re.fullmatch("(.*_)?" + file.replace("_", "_(.*_)?") + "(_.*)?", name)]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_metric_and_its_tests_are_found_by_its_name(name: str) -> None:
    entry = registry.metrics.get(name)
    module = entry.origin.rpartition(".")[2]
    file_name = "inception_score" if name == "is" else name
    assert file_name == module or file_name.startswith(f"{module}_")
    files = guesses(file_name)
    assert files, f"no file of tests for {name}"
    assert any(re.search(rf"\b{entry.factory.__name__}\b", TESTS[file]) for file in files), f"{files} do not test it"


def test_a_guess_is_made_of_the_words_of_the_name() -> None:
    assert guesses("gt_pose_error_five") == ["pose_error"]
    assert guesses("id_target_verified_strict") == ["id_verified"]
    assert guesses("pose") == guesses("errors") == guesses("xpose_error") == []
