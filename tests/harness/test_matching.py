from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fsbench.errors import DataError, MissingData, UsageError
from fsbench.harness.external.matching import Files, Match, Names, by_name, by_table
from fsbench.harness.external.table import parse_columns, read_table

SOURCES = ["ann", "bob_smith"]
TARGETS = ["001.jpg", "shoot-2.png", "eve/s1/001.jpg", "eve/s1/007.jpg"]


@pytest.mark.parametrize(
    ("output", "source", "target"),
    [
        ("ann/shoot-2.png", "ann", 1),
        ("ann_shoot-2.jpg", "ann", 1),
        ("ann-shoot-2.png", "ann", 1),
        ("bob_smith/eve/s1/001.png", "bob_smith", 2),
        ("bob_smith_007.png", "bob_smith", 3),
        ("ann_001.png", "ann", 0),
    ],
)
def test_names_say_which_is_which(output: str, source: str, target: int) -> None:
    assert by_name([output], SOURCES, TARGETS).matches == [Match(0, source, target)]


def test_one_source_needs_no_name() -> None:
    assert by_name(["007.png", "ann_shoot-2.png"], ["ann"], TARGETS).matches == [Match(0, "ann", 3), Match(1, "ann", 1)]


@pytest.mark.parametrize(
    "output",
    [
        "shoot-2.png",  # which source?
        "carl_shoot-2.png",
        "ann_002.png",
        "annshoot-2.png",
        "001_ann.png",  # FF++ writes the target first: a table has to say so
        "ann/eve/001.png",
    ],
)
def test_a_name_that_says_nothing_is_told(output: str) -> None:
    found = by_name(["ann_shoot-2.png", output], SOURCES, TARGETS)
    assert found.matches == [Match(0, "ann", 1)]
    assert [name for _, name in found.unused] == [output]
    with pytest.raises(DataError, match=f"^{output}: its name does not say") as caught:
        by_name([output], SOURCES, TARGETS)
    assert "--pairs" in caught.value.hint


@pytest.mark.parametrize(
    ("output", "sources", "targets", "ways"),
    [
        ("000_003.png", ["000", "003"], ["000.png", "003.png"], "000 in 003.png or 003 in 000.png"),
        ("000/003.png", ["000", "003"], ["000.png", "003.png"], "000 in 003.png or 003 in 000.png"),
        ("a_b_c.png", ["a", "a_b"], ["c.png", "b_c.png"], "a in b_c.png or a_b in c.png"),
        ("a_b.png", ["a"], ["b.png", "a_b.png"], "a in b.png or a in a_b.png"),
    ],
)
def test_a_name_that_says_two_things_is_told(output: str, sources: list[str], targets: list[str], ways: str) -> None:
    with pytest.raises(DataError, match=f"^{output}: its name could show {ways}"):
        by_name([output], sources, targets)


def test_a_pair_stands_once() -> None:
    found = by_name(["ann_001.png", "ann/001.png"], SOURCES, TARGETS)
    assert found.matches == [Match(0, "ann", 0)]
    assert found.unused == [("another file shows the same source in the same target", "ann/001.png")]


@pytest.mark.parametrize("output", ["ann_1.png", "ann/1.jpg", "ann-1"])
def test_a_name_that_fits_two_targets_says_which(output: str) -> None:
    with pytest.raises(DataError, match=r"its name fits 2 targets, bob/1.jpg and eve/1.jpg"):
        by_name([output], ["ann"], ["bob/1.jpg", "eve/1.jpg"])


def test_composed_and_decomposed_names_are_one() -> None:
    assert by_name(["Zoe\u0308_1.png"], ["Zo\u00eb", "ann"], ["1.png"]).matches == [Match(0, "Zo\u00eb", 0)]


def test_a_name_that_two_files_have_names_none() -> None:
    names = Names(["ann/1.jpg", "bob/1.jpg", "bob/2.jpg", "bob/2.png"])
    assert [names.find(text) for text in ("1", "bob/1", "bob/1.jpg", "2.png", "bob/2", " ann/1 ")] == [
        None,
        1,
        1,
        3,
        None,
        0,
    ]
    assert names.all("1") == [0, 1]


OUTPUTS = ["000_003.png", "x/1.png"]
PEOPLE = {"ann/1.jpg": "ann", "ann/2.jpg": "ann", "bob.jpg": "bob"}


def look_up(tmp_path: Path, text: str | bytes, columns: Mapping[str, str] | None = None) -> list[Match]:
    path = tmp_path / "pairs.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return by_table(
        read_table(path, columns),
        Files(tmp_path / "out", OUTPUTS),
        Files(tmp_path / "people", list(PEOPLE)),
        list(PEOPLE.values()),
        Files(tmp_path / "targets", TARGETS),
    ).matches


ROWS = "frame,target,output,source\n7,shoot-2,000_003,ann\n8,eve/s1/001.jpg,x/1.png,bob.jpg\n"
SHOWN = [Match(0, "ann", 1), Match(1, "bob", 2)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_says_which_is_which(tmp_path: Path, delimiter: str, encoding: str) -> None:
    assert look_up(tmp_path, ROWS.replace(",", delimiter).encode(encoding)) == SHOWN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("output", " Output "),
        ("source", "SOURCE"),
        ("eve/s1/001.jpg", "eve\\s1\\001.jpg"),
        ("x/1.png", "./x/1.png"),
        ("x/1.png", "HERE/out/x/1.png"),
        ("x/1.png", "file://HERE/out/x/1.png"),
        ("\n", "\r\n"),
        ("\n", "\n\n"),
    ],
)
def test_a_table_may_be_written_otherwise(tmp_path: Path, old: str, new: str) -> None:
    assert look_up(tmp_path, ROWS.replace(old, new).replace("HERE", str(tmp_path))) == SHOWN


def test_columns_can_be_named(tmp_path: Path) -> None:
    text = ROWS.replace("output", "File").replace("source", "person").replace("target", "original")
    assert look_up(tmp_path, text, parse_columns("output=file,source=Person,target=original")) == SHOWN
    with pytest.raises(DataError, match="has no column 'output'; it was read with commas") as caught:
        look_up(tmp_path, text)
    assert 'say: --columns "output=File"' in caught.value.hint
    for wrong in ("", "output", "output=", "what=file", "output=a,output=b"):
        with pytest.raises(UsageError, match="cannot be read at"):
            parse_columns(wrong)


def test_an_output_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    assert look_up(tmp_path, "output,source,target\nx/2,ann,001\n,ann,007\n") == [
        Match(None, "ann", 0),
        Match(None, "ann", 3),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pairs.csv is empty"),
        ("output,target\n", "has no column 'source'"),
        ("output,source,target\n", "no row but its header"),
        ("output,source,target\nx/1,eve,007\n", "row 2: there is no source 'eve'"),
        ("output,source,target\nx/1,ann,9\n", "row 2: there is no target '9'"),
        ("output,source,target\nx/1,ann\n", "row 2: no target"),
        ("output,source,target\nx/1,ann,007\n000_003,ann,eve/s1/007\n", "rows 2 and 3 show the same"),
        ("output,source,target\nx/1,ann,007\nx/1,ann,001.jpg\n", "rows 2 and 3 name the same output 'x/1'"),
        ("output,Output,source,target\n", "two columns 'output'"),
        ("output,source,target\nx/1,ann,\0\n", "it is no text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "it is no text"),
        (b"\xff\xfe,", "no column|no text"),
        ("output,source,target\nx/1,ann," + "a" * 5000, "more than 4096 characters"),
        ('output,source,target\nx/1,ann,"' + "a\n" * 100_000, "row 2: .* quotation mark is not closed"),
    ],
)
def test_what_is_wrong_in_a_table_is_told(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        look_up(tmp_path, text)
    assert caught.value.hint


def test_a_table_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="there is no file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"cannot be read as CSV: (I|i)s a directory"):
        read_table(tmp_path)
