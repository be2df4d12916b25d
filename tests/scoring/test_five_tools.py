"""The job of five unknown tools in one command: what each did wrong is counted, and nothing is dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from fsbench.cli import app
from fsbench.files import MADE
from fsbench.images import NO_IMAGE
from fsbench.results import Failure, RunResult, load

Photograph = Callable[..., None]
SOURCES = ("ann", "bob")
TARGETS = (*(f"{i}.png" for i in range(4)), "two people.png")
PAIRS = [(source, target) for source in SOURCES for target in TARGETS]
TOOLS = ("a good one", "lossy", "missing", "broken", "lazy")
HEADER = ("tool", "file", "person", "original")

# What each tool does to its outputs of the pairs, by number of the pair; all others are fine. One entry a fault:
# another kind of fault is another line here and another function below.
FAULTS: dict[str, dict[int, str]] = {
    "lossy": dict.fromkeys(range(len(PAIRS)), "jfif"),
    "missing": {0: "removed", 3: "removed", 5: "removed"},
    "broken": {0: "truncated", 1: "empty", 2: "text", 6: "blank"},
    "lazy": {0: "unchanged", 1: "unchanged", 2: "blank", 4: "larger_face", 7: "blank"},
}
COUNTS_AS: dict[str, Failure] = {
    "removed": "missing",
    "truncated": "unreadable",
    "empty": "unreadable",
    "text": "unreadable",
    "blank": "no_face",
    "unchanged": "unchanged",
    "larger_face": "unchanged",
}
WHY = {"truncated": "truncated", "empty": "is empty", "text": "not an image"}


def jfif(path: Path, target: Path) -> None:
    with Image.open(path) as image:
        image.save(path.with_suffix(".jfif"), format="JPEG", quality=95)
    path.unlink()


def removed(path: Path, target: Path) -> None:
    path.unlink()


def truncated(path: Path, target: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


def empty(path: Path, target: Path) -> None:
    path.write_bytes(b"")


def text(path: Path, target: Path) -> None:
    path.write_text("not an image\n")


def blank(path: Path, target: Path) -> None:
    with Image.open(target) as image:
        Image.new("RGB", image.size).save(path)


def unchanged(path: Path, target: Path) -> None:
    path.write_bytes(target.read_bytes())


def side_by_side(path: Path, left: Path, right: Path) -> None:
    """(80, 201) the middles of two pictures; the right one is the smaller face."""
    with Image.open(left) as one, Image.open(right) as other:
        whole = Image.new("RGB", (201, 80))
        whole.paste(one.crop((0, 0, 100, 80)), (0, 0))
        whole.paste(other.crop((0, 0, 100, 80)), (100, 0))
    whole.save(path)


def smaller_face(path: Path, target: Path) -> None:
    """What the tools did with two people: the output so far is put in the place of the right one."""
    with Image.open(target) as image:
        image.crop((0, 0, 100, 80)).save(path.with_suffix(".left.png"))
    side_by_side(path, path.with_suffix(".left.png"), path)
    path.with_suffix(".left.png").unlink()


def larger_face(path: Path, target: Path) -> None:
    """One tool swapped the other face."""
    with Image.open(target) as before, Image.open(path) as after:
        before.paste(after.crop((100, 0, 200, 80)), (0, 0))
        before.save(path)


HOW = {
    function.__name__: function for function in (jfif, removed, truncated, empty, text, blank, unchanged, larger_face)
}


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory, photograph: Photograph) -> Path:
    """Sources, targets, five folders of outputs with names that say nothing, stray files, and one table."""
    root = tmp_path_factory.mktemp("five")
    for k, name in enumerate(("ann", "bob")):
        for i in range(3):
            photograph(root / "people" / name / f"{i}.png", name, 10 * k + i)
    for i, target in enumerate((*TARGETS, "nobody wants.png")):
        photograph(root / "targets" / target, "eve", 100 + i)
    photograph(root / "zoe.png", "zoe", 99)
    side_by_side(root / "targets" / TARGETS[-1], root / "targets" / TARGETS[-1], root / "zoe.png")
    lines = [";".join(HEADER)]
    for tool in TOOLS:
        for k, (source, target) in enumerate(PAIRS):
            path = root / "tools" / tool / f"result {k}.png"
            photograph(path, source, 200 + k)
            if target == TARGETS[-1]:
                smaller_face(path, root / "targets" / target)
            if fault := FAULTS.get(tool, {}).get(k):
                HOW[fault](path, root / "targets" / target)
            name = path.with_suffix(".jfif").name if fault == "jfif" else path.name
            lines.append(f"{tool};{name};{source};{target}")
    for tool in TOOLS[:2]:
        (root / "tools" / tool / "Thumbs.db").write_bytes(b"x")
        photograph(root / "tools" / tool / "@eaDir" / "result 0.png", "ann", 1)
    (root / "tools" / "lossy" / "log.txt").write_text("done")
    photograph(root / "tools" / "lazy" / "result 0 (copy).png", "ann", 1)
    (root / "pairs.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    return root


@pytest.fixture(scope="module")
def scored(
    five: Path, painted_now: Callable[[], AbstractContextManager[None]]
) -> tuple[Result, RunResult, pd.DataFrame]:
    """What the command printed, its result and its table: one command for all tests."""
    command = [
        "score",
        "--outputs",
        str(five / "tools" / "*"),
        "--target",
        str(five / "targets"),
        "--source",
        str(five / "people"),
        "--pairs",
        str(five / "pairs.csv"),
        "--columns",
        "model=tool,output=file,source=person,target=original",
        "--judges",
        "colour",
        "--metrics",
        "id_similarity,id_nearer_source",
        "--out",
        str(five / "out"),
        "--size",
        "64",
    ]
    with painted_now(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSBENCH_CACHE", str(five / "cache"))
        done = CliRunner().invoke(app, command, catch_exceptions=False)
    table = pd.read_csv(five / "out" / "scores.csv", encoding="utf-8-sig", keep_default_na=False)
    return done, load(five / "out"), table


def expected(tool: str) -> dict[str, int]:
    return dict(Counter(COUNTS_AS[fault] for fault in FAULTS.get(tool, {}).values() if fault in COUNTS_AS))


def test_all_tools_stand_in_one_table(scored: tuple[Result, RunResult, pd.DataFrame]) -> None:
    done, result, _ = scored
    assert done.exit_code == 0, done.output
    assert [model.name for model in result.models] == ["copy_target", "copy_source", *sorted(TOOLS)]
    assert all(tool in done.stdout for tool in TOOLS)
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80  # the last names the report
    assert result.protocol.n_pairs == len(PAIRS)


@pytest.mark.parametrize("tool", TOOLS)
def test_failures_are_counted_by_kind_and_nothing_is_dropped(
    scored: tuple[Result, RunResult, pd.DataFrame], tool: str
) -> None:
    _, result, rows = scored
    (model,) = [model for model in result.models if model.name == tool]
    assert {kind: count for kind, count in model.failures.items() if count} == expected(tool)
    (value,) = result.find(tool, "id_similarity")
    unmeasured = sum(expected(tool).get(kind, 0) for kind in ("missing", "unreadable", "no_face"))
    assert value.n_total == len(PAIRS)
    assert value.n_failed == sum(expected(tool).values())
    own = rows[rows["model"] == tool]
    assert len(own) == len(PAIRS)
    assert Counter(own["failure"]) == Counter(expected(tool)) + Counter({"": len(PAIRS) - value.n_failed})
    assert (own["file"] == "").sum() == expected(tool).get("missing", 0)
    assert (own["id_similarity@colour"] == "").sum() == unmeasured


def test_reasons_stand_beside_the_users_own_file_names(scored: tuple[Result, RunResult, pd.DataFrame]) -> None:
    _, _, rows = scored
    broken = rows[rows["model"] == "broken"].set_index("file")
    for k, fault in FAULTS["broken"].items():
        if fault in WHY:
            assert WHY[fault] in broken.loc[f"result {k}.png", "why"]
    assert rows[rows["model"] == "lossy"]["file"].str.endswith(".jfif").all()


def test_every_file_that_was_not_used_is_named(scored: tuple[Result, RunResult, pd.DataFrame]) -> None:
    _, result, _ = scored
    unused = {(one.where, one.reason, file) for one in result.unused for file in one.files}
    assert unused == {
        *((tool, MADE, name) for tool in TOOLS[:2] for name in ("Thumbs.db", "@eaDir/")),
        ("lossy", NO_IMAGE, "log.txt"),
        ("lazy", "the table does not name it", "result 0 (copy).png"),
        ("targets", "no tool has an output of this target", "nobody wants.png"),
    }
    for _, _, file in unused:
        assert any(file in said for said in result.warnings)


def test_of_two_people_the_one_that_was_swapped_is_measured(scored: tuple[Result, RunResult, pd.DataFrame]) -> None:
    done, result, rows = scored
    crowd = rows[rows["id"].str.startswith("two people")]
    assert len(crowd) == len(SOURCES) * (2 + len(TOOLS))
    assert crowd["id"].eq("two people~face2").all()
    assert crowd["faces"].eq(2).all()
    assert crowd["face"].eq(2).all()
    assert rows.drop(crowd.index)["faces"].eq(1).all()
    good = crowd[crowd["model"] == "a good one"]["id_similarity@colour"].astype(float)
    assert good.gt(0.9).all()
    assert crowd[crowd["model"] == "copy_target"]["id_similarity@colour"].astype(float).lt(0.7).all()
    assert any(said.startswith("1 of 5 targets show several faces, two people.png") for said in result.warnings)
    assert any(said.startswith("lazy changed another face of its target") for said in result.warnings)
    assert "1 of 5 targets show several faces" in done.output


def test_who_fails_does_not_stand_before_who_does_not(scored: tuple[Result, RunResult, pd.DataFrame]) -> None:
    _, result, _ = scored
    values = {tool: result.find(tool, "id_similarity")[0].value for tool in TOOLS}
    whole = min(values[tool] or 0 for tool in TOOLS if not expected(tool))
    assert all((values[tool] or 0) < whole for tool in TOOLS if expected(tool))
    assert result.ranking.ranks[0].model in TOOLS[:2]
