"""Tables of pairs as spreadsheets, scripts and strangers write them: rows, or one sentence and a hint."""

from __future__ import annotations

import csv
import io
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cost import cost, lines
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbench.datasets._photos import Photo
from fsbench.datasets.people import Album
from fsbench.errors import DataError, FsbenchError, MissingData, UsageError
from fsbench.files import Found, printable
from fsbench.harness.external import csv_text
from fsbench.harness.external.asked import Missing, ask, by_model
from fsbench.harness.external.files import ABSENT, ToolOutputs
from fsbench.harness.external.matching import Files, Match, by_table
from fsbench.harness.external.table import Row, Table, parse_columns, read_table

OUTPUTS = ["0.png", "a/1.png", "\x1b[31mred.png", "[bold]x[/bold].png", "a, b.png", "50% (1).png", "ü 'q\".png"]
SOURCES = {"ann/1.jpg": "ann", "Zoë/1.jpg": "Zoë", "a=b/1.jpg": "a=b"}
TARGETS = ["1.jpg", "eve/s1/001.jpg", "..x.png", "C/1.png"]
HEADER = ("output", "source", "target")

nasty = st.sampled_from(
    [
        *OUTPUTS,
        *SOURCES,
        *SOURCES.values(),
        *TARGETS,
        "",
        " ",
        ".",
        "..",
        "../1.jpg",
        "../../etc/passwd",
        "/etc/passwd",
        r"C:\data\1.png",
        r"\\server\share\1.png",
        r"a\1.png",
        "file:///etc/passwd",
        "file://[",
        "file:%00",
        "%00",
        "~",
        "~nobody/x",
        "~/x",
        "a//1.png",
        "./a/./1.png",
        "a/../0.png",
        "[bold]",
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\u202egnp",
        "\u2028",
        "\x85",
        '"',
        "'",
        '""',
        "a\nb",
        "=1+1",
        "@SUM(A1)",
        "nul",
        "con.png",
        "-rf",
        "1" * 5000,
        "x" * 4000,
        "\ufeff",
        "Zoe\u0308",
        "ann ",
        "ANN",
        "\N{PILE OF POO}",
        "名前",
        "\x7f",
        "\x00",
    ]
)
text = nasty | st.text(max_size=12)
cells = st.lists(text, max_size=6)
encodings = st.sampled_from(
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "gbk", "shift_jis"]
)
delimiters = st.sampled_from([",", ";", "\t", "|", ":", " "])
headers = st.sampled_from(
    [
        HEADER,
        ("Output", " SOURCE ", "target"),
        ("target", "output", "source", "model"),
        ("output", "source"),
        ("output", "output", "source", "target"),
        ("file", "person", "original"),
        ("a.png", "ann", "1.jpg"),
        ("x",) * 40 + HEADER,
    ]
) | cells.map(tuple)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A table as some program writes it, whole or cut, clean or not."""
    rows = [draw(headers), *draw(st.lists(st.tuples(text, text, text) | cells.map(tuple), max_size=6))]
    delimiter = draw(delimiters)
    if draw(st.booleans()):
        stream = io.StringIO(newline="")
        csv.writer(
            stream,
            delimiter=delimiter,
            lineterminator=draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"])),
            quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        ).writerows(rows)
        whole = stream.getvalue()
    else:
        whole = draw(st.sampled_from(["\n", "\r\n", "\r", "\u2028"])).join(map(delimiter.join, rows))
    whole = draw(st.sampled_from(["", "", "\n\n", f"sep={delimiter}\n", "sep=,\n", "# made by a tool\n"])) + whole
    content = whole.encode(draw(encodings), "replace")
    cut = draw(st.none() | st.integers(0, max(0, len(content))))
    return content[:cut] if draw(st.booleans()) else content


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def look_up(path: Path, columns: str = "") -> list[Match]:
    table = read_table(path, parse_columns(columns) if columns else None)
    return by_table(
        table,
        Files(path.parent / "out", OUTPUTS),
        Files(path.parent / "people", list(SOURCES)),
        list(SOURCES.values()),
        Files(path.parent / "targets", TARGETS),
    ).matches


def holds(path: Path, columns: str = "") -> None:
    """A table gives pairs of what there is, or says in one printable sentence what is wrong and what to do."""
    try:
        for match in look_up(path, columns):
            assert match.output is None or 0 <= match.output < len(OUTPUTS)
            assert match.source in SOURCES.values()
            assert 0 <= match.target < len(TARGETS)
    except FsbenchError as error:
        for said in (error.message, error.hint):
            assert said.strip()
            assert said == printable(said)
            assert len(said) < 1000


@settings(max_examples=600)
@given(content=written())
def test_a_table_of_any_program_is_read_or_refused(home: Path, content: bytes) -> None:
    path = home / "pairs.csv"
    path.write_bytes(content)
    holds(path)


@settings(max_examples=300)
@given(
    content=st.binary(max_size=300),
    start=st.sampled_from([b"", b"output,source,target\n", b"\xff\xfe", b"\xef\xbb\xbf", b"PK\x03\x04", b"\x1f\x8b"]),
)
def test_any_bytes_are_read_or_refused(home: Path, content: bytes, start: bytes) -> None:
    path = home / "pairs.csv"
    path.write_bytes(start + content)
    holds(path)


@settings(max_examples=200)
@given(
    rows=st.lists(st.tuples(*3 * [st.sampled_from([*OUTPUTS, *SOURCES.values(), *TARGETS])]), min_size=1, max_size=5),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    order=st.permutations(HEADER),
)
def test_what_is_written_by_the_rules_is_read_as_it_was(
    home: Path, rows: list[tuple[str, str, str]], delimiter: str, encoding: str, end: str, order: list[str]
) -> None:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, order, delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(dict(zip(HEADER, row, strict=True)) for row in rows)
    path = home / "pairs.csv"
    path.write_bytes(stream.getvalue().encode(encoding))
    found = read_table(path)
    assert [(row.output, row.source, row.target) for row in found.rows] == rows
    assert found.warning == ""


@settings(max_examples=300)
@given(
    columns=text
    | st.lists(st.tuples(st.sampled_from([*HEADER, "model", "x", ""]), text), max_size=4).map(
        lambda pairs: ",".join(f"{name}={header}" for name, header in pairs)
    )
)
def test_any_mapping_of_columns_is_read_or_refused(home: Path, columns: str) -> None:
    path = home / "mapped.csv"
    path.write_text("output,source,target\n0.png,ann,1.jpg\n")
    holds(path, columns)


FOLDERS = {"a": ("0.png", "1.png", "x/2.png"), "b (1)": ("0.png", "9.png"), "ü": ("1.jpg",)}
models = st.sampled_from([*FOLDERS] * 8 + ["", "never", "..", "\x1b[2J", "m" * 300])
names = st.sampled_from(["0.png", "1", "a/0.png", "x/2", "9", "", "gone.png"])
rows = st.lists(
    st.builds(
        Row, st.integers(2, 99), names, st.sampled_from([*SOURCES.values()]), st.sampled_from(TARGETS[:2]), models
    ),
    min_size=1,
    max_size=6,
    unique_by=(lambda row: (row.model, row.source, row.target), lambda row: (row.model, row.output or row.line)),
)


def album(name: str, photos: dict[str, str]) -> Album:
    """Photographs and whom they show; no face is looked for."""
    return Album(
        Path("/t", name), tuple(Photo(Found(Path(), file), who) for file, who in photos.items()), 64, None, (), False
    )  # type: ignore[arg-type]


@settings(max_examples=500)
@given(rows=rows, split=st.booleans(), missing=st.sampled_from(["failure", "drop"]))
def test_every_output_is_measured_or_told_and_every_pair_is_asked(
    rows: list[Row], split: bool, missing: Missing
) -> None:
    files = [f"{tool}/{name}" for tool, names in FOLDERS.items() for name in names]
    outputs = (
        [ToolOutputs("tools", Path("/t/tools"), tuple(files))]
        if split
        else [ToolOutputs(tool, Path("/t/tools") / tool, names) for tool, names in FOLDERS.items()]
    )
    givers, scenes = album("people", SOURCES), album("targets", dict(zip(TARGETS, TARGETS, strict=True)))
    table = Table("pairs.csv", Path("/t"), rows)
    try:
        tools, _ = by_model(outputs, table)
        asked = ask(tools, givers, scenes, table, missing)
    except DataError:
        return
    wanted = {(row.source, TARGETS.index(row.target)) for row in rows}
    pairs = set(zip(asked.pairs.source, asked.pairs.target.tolist(), strict=True))
    assert pairs == wanted if missing == "failure" else pairs <= wanted
    told = {(record.where, file) for record in asked.unused for file in record.files}
    for one in tools:
        shown = {*map(int, asked.pairs.outputs.get(one.name, ()))} - {ABSENT}
        unused = {number for number, file in enumerate(one.files) if (one.name, file) in told}
        assert not shown & unused
        assert len(one.files) - len(shown | unused) <= len(wanted) - len(pairs), "of pairs that are left out for all"
        assert (one.name in asked.failed) != bool(shown)
        assert any(one.name in said for said in asked.warnings) or one.name not in asked.failed
    if split and tools is not outputs:
        assert sum(len(one.files) for one in tools) + sum(where == "tools" for where, _ in told) >= len(files)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("/dev/tty"),
        lambda path: path.symlink_to("/proc/self/mem"),
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to("/proc/kmsg"),
        lambda path: path.symlink_to("/dev/stdin"),
    ],
    ids=["folder", "pipe", "endless device", "terminal", "memory", "loop", "kernel", "standard input"],
)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "pairs.csv")
    begun = time.monotonic()
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "pairs.csv")
    assert caught.value.hint
    assert time.monotonic() - begun < 20  # a device or a pipe that is read never ends


@pytest.mark.parametrize("name", ["none.csv", "no/where.csv", "~nobody/x.csv", "a" * 300, "a\0b", "x\udcff.csv"])
def test_a_table_that_cannot_be_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / name)
    assert caught.value.message == printable(caught.value.message)
    assert isinstance(caught.value, MissingData) or "cannot be read" in caught.value.message


def column_million() -> bytes:
    return b",".join(b"c%d" % i for i in range(10**6)) + b"\noutput,source,target\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (column_million, "row 1 has more than 1048576 characters"),
        (lambda: b"output,source,target\n" + b"," * 30_000_000, "row 2 has more than 1048576 characters"),
        (lambda: b"a" * 100_000_000, "has more than 64 MiB"),
        (lambda: b'output,source,target\n"' + b"\n" * 30_000_000, "row 2: .*a quotation mark is not closed"),
        (lambda: b"\n" * 30_000_000, "has more than 4000000 lines"),
        (lambda: b"output,source,target\n" + b"," * 500_000, "has no row but its header"),
        (lambda: b"output,source,target" + b",x" * 400_000 + b"\n0.png,ann,1.jpg\n" * 3, "show the same source"),
        (lambda: b"outpt,source,target" + b",x" * 400_000 + b"\n", "no column 'output'.* and 399991 more"),
    ],
    ids=[
        "a million columns",
        "a long row",
        "a line of 100 MB",
        "an open quotation mark",
        "empty lines",
        "empty cells",
        "many columns",
        "a typo among many columns",
    ],
)
def test_a_huge_table_costs_neither_memory_nor_time(tmp_path: Path, content: Callable[[], bytes], message: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def refused() -> None:
        with pytest.raises(DataError, match=message):
            look_up(path)

    assert cost(refused, over=lines) < 40
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB


def test_rows_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_text, "MAX_ROWS", 10)
    (tmp_path / "pairs.csv").write_text("output,source,target\n" + "0.png,ann,1.jpg\n" * 11)
    with pytest.raises(DataError, match="more than 10 rows"):
        read_table(tmp_path / "pairs.csv")


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "pairs.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("output,source,target\na, b.png,ann,1.jpg\n", "row 2 has 4 columns, and the header 3"),
        (
            '"output","source","target"\n"1","0.png","ann","1.jpg"\n',
            "row 2 has 4 columns, and the header 3",
        ),  # R does so
        (
            'output,source,target\n0.png,"ann,1.jpg\n"a/1.png",ann,1.jpg\n',
            "row 2: text follows a closing quotation mark",
        ),
        ('output,source,target\n0.png,ann,"1.jpg\na/1.png,ann,1.jpg\n', "row 2: a quotation mark is not closed"),
        ("output,source,target\n0.png,ann," + "x" * 200_000, "row 2: a field has more than 131072 characters"),
        (b"PK\x03\x04\x14\x00xl/worksheets", "it is no text"),
        (b"\x1f\x8b\x08\x00", "it is no text"),
        ("output,source,target\nnothing,nobody,\x1b[31mred\n", "row 2: there is no source 'nobody'"),
        ("output,source,target\n0.png,ann,\x1b[31mred\n", r"there is no target '\\\\x1b\[31mred'"),
        ("output,source,target\n0.png,ann,../1.jpg\n", "there is no target '../1.jpg'"),
        ("output,source,target\n0.png,ann,file://[\n", "there is no target"),
    ],
)
def test_each_fault_has_its_own_sentence(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        look_up(table(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\noutput;source;target\n0.png;ann;eve/s1/001.jpg\n",
        "SEP=|\r\noutput|source|target\r\n0.png|ann|001\r\n",
        "output;source;target;a, b, c, d, e\n0.png;ann;001;x, y\n",  # more commas than semicolons in the header
        'output, source, target\n"0.png", "ann", "001"\n',
        "output,source,target,note\n0.png,ann,001\n",
        "output,source,target\n0.png,ann,001,,,\n",
        "note,output,source,target\n" + "x" * 9000 + ",0,ann,001\n",
        "output,source,target\nOUT/0.png,ann,TARGETS/eve/../eve/s1/001.jpg\n",
        "output,source,target\nout/0.png,people/ann/1.jpg,targets/eve/s1/001.jpg\n",  # from the table's folder
        "output,source,target\n./out//0.png,.\\people\\ann\\1.jpg,file://TARGETS/eve/s1/001.jpg\n",
    ],
)
def test_a_table_may_be_written_in_many_ways(tmp_path: Path, content: str) -> None:
    content = content.replace("OUT", str(tmp_path / "out")).replace("TARGETS", str(tmp_path / "targets"))
    assert look_up(table(tmp_path, content)) == [Match(0, "ann", 1)]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("elsewhere/0.png", False),
        ("/other/out/0.png", False),
        ("C:\\out\\0.png", False),
        ("out/0.png", True),
        ("0", True),
    ],
)
def test_an_output_of_another_folder_is_not_taken_for_one_of_this(tmp_path: Path, path: str, found: bool) -> None:
    assert look_up(table(tmp_path, f"output,source,target\n{path},ann,001\n")) == [
        Match(0 if found else None, "ann", 1)
    ]


@pytest.mark.parametrize("name", ["Zoë", "Jürgen", "Ærø"])
def test_a_guessed_encoding_is_told(tmp_path: Path, name: str) -> None:
    content = f"output,source,target\n0.png,{name},1.jpg\n"
    assert "was read as cp1252" in read_table(table(tmp_path, content.encode("cp1252"))).warning
    assert read_table(table(tmp_path, content.encode())).warning == ""
    assert read_table(table(tmp_path, content.encode("cp1252"))).rows[0].source == name


@pytest.mark.parametrize("header", ["a, b", "x=y", "it's", 'the "file"', "[bold]", "x (new)"])
def test_a_column_of_any_name_can_be_mapped(tmp_path: Path, header: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([(header, "source", "target"), ("0.png", "ann", "001")])
    path = table(tmp_path, stream.getvalue())
    quoted = "'" + header.replace("'", "''") + "'"
    assert look_up(path, f"output={quoted}") == [Match(0, "ann", 1)]
    with pytest.raises(UsageError):
        parse_columns(f"output='{'x' * 5}")


def test_the_advice_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    path = table(tmp_path, 'file,person,"target, cut"\n0.png,ann,001\n')
    with pytest.raises(DataError) as caught:
        look_up(path)
    assert '--columns "output=file"' in caught.value.hint
    assert isinstance(read_table(path, {"output": "file", "source": "person", "target": "target, cut"}), Table)
