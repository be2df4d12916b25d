from __future__ import annotations

from pathlib import Path

import pytest

from fsbench.errors import DataError, MissingData
from fsbench.harness.matching import Match, Names, by_name, by_table

SOURCES = ["ann", "bob_smith"]
TARGETS = ["001.jpg", "shoot-2.png", "eve/s1/001.jpg", "eve/s1/007.jpg"]


@pytest.mark.parametrize(("output", "source", "target"), [
    ("ann/shoot-2.png", "ann", 1), ("ann_shoot-2.jpg", "ann", 1), ("ann-shoot-2.png", "ann", 1),
    ("bob_smith/eve/s1/001.png", "bob_smith", 2), ("bob_smith_007.png", "bob_smith", 3), ("ann_001.png", "ann", 0),
])
def test_names_say_which_is_which(output: str, source: str, target: int) -> None:
    assert by_name([output], SOURCES, TARGETS) == [Match(0, source, target)]


def test_one_source_needs_no_name() -> None:
    assert by_name(["007.png", "ann_shoot-2.png"], ["ann"], TARGETS) == [Match(0, "ann", 3), Match(1, "ann", 1)]


@pytest.mark.parametrize("output", [
    "shoot-2.png",                                       # which source?
    "carl_shoot-2.png", "ann_002.png", "annshoot-2.png",
    "001_ann.png",                                       # FF++ writes the target first: a table has to say so
    "ann/eve/001.png",
])
def test_a_name_that_says_nothing_is_told(output: str) -> None:
    with pytest.raises(DataError, match=f"^{output}: its name does not say") as caught:
        by_name(["ann_shoot-2.png", output], SOURCES, TARGETS)
    assert "--pairs" in caught.value.hint


@pytest.mark.parametrize(("output", "sources", "targets", "ways"), [
    ("000_003.png", ["000", "003"], ["000.png", "003.png"], "000 in 003.png or 003 in 000.png"),
    ("000/003.png", ["000", "003"], ["000.png", "003.png"], "000 in 003.png or 003 in 000.png"),
    ("a_b_c.png", ["a", "a_b"], ["c.png", "b_c.png"], "a in b_c.png or a_b in c.png"),
    ("a_b.png", ["a"], ["b.png", "a_b.png"], "a in b.png or a in a_b.png"),
])
def test_a_name_that_says_two_things_is_told(output: str, sources: list[str], targets: list[str], ways: str) -> None:
    with pytest.raises(DataError, match=f"^{output} could show {ways}"):
        by_name([output], sources, targets)


def test_a_pair_stands_once() -> None:
    with pytest.raises(DataError, match=r"^ann_001.png and ann/001.png show the same source"):
        by_name(["ann_001.png", "ann/001.png"], SOURCES, TARGETS)


def test_a_name_that_two_files_have_names_none() -> None:
    names = Names(["ann/1.jpg", "bob/1.jpg", "bob/2.jpg", "bob/2.png"])
    assert [names.find(text) for text in ("1", "bob/1", "bob/1.jpg", "2.png", "bob/2", " ann/1 ")] == [
        None, 1, 1, 3, None, 0]
    assert names.count("1") == 2


OUTPUTS = ["000_003.png", "x/1.png"]
PEOPLE = {"ann/1.jpg": "ann", "ann/2.jpg": "ann", "bob.jpg": "bob"}


def table(tmp_path: Path, text: str) -> Path:
    (tmp_path / "pairs.csv").write_text(text, encoding="utf-8-sig")
    return tmp_path / "pairs.csv"


def test_a_table_says_which_is_which(tmp_path: Path) -> None:
    path = table(tmp_path, "frame,target,output,source\n7,shoot-2,000_003,ann\n8,eve/s1/001.jpg,x/1.png,bob.jpg\n")
    assert by_table(path, OUTPUTS, PEOPLE, TARGETS) == [Match(0, "ann", 1), Match(1, "bob", 2)]


@pytest.mark.parametrize(("text", "message"), [
    ("", "has no column 'output'"), ("output,target\n", "has no column 'source'"),
    ("output,source,target\n", "no row but its header"),
    ("output,source,target\nx/1,ann,007\nx/2,ann,001\n", "pairs.csv, row 3: there is no output 'x/2'"),
    ("output,source,target\nx/1,eve,007\n", "row 2: there is no source 'eve'"),
    ("output,source,target\nx/1,ann,9\n", "row 2: there is no target '9'"),
    ("output,source,target\nx/1,ann\n", "row 2: no target"),
    ("output,source,target\nx/1,ann,007\n000_003,ann,eve/s1/007\n", "row 2 and pairs.csv, row 3 show the same"),
    ("output,source,target\nx/1,ann,eve/s1/001\n000_003,ann,\"1\n", "row 3: there is no target"),
])
def test_what_is_wrong_in_a_table_is_told_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        by_table(table(tmp_path, text), OUTPUTS, PEOPLE, TARGETS)
    assert caught.value.hint


def test_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="there is no file"):
        by_table(tmp_path / "none.csv", OUTPUTS, PEOPLE, TARGETS)
    (tmp_path / "pairs.csv").write_bytes(b"output,source,target\n\xff\xfe,a,b\n")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        by_table(tmp_path / "pairs.csv", OUTPUTS, PEOPLE, TARGETS)
