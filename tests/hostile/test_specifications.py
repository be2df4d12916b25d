"""Specifications, pipelines, budgets and suites as anybody may type them: read as meant, or refused in a sentence."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fsbench.config import Plan, load_suite, make_plan, parse_budget, parse_pipeline
from fsbench.errors import UsageError
from fsbench.specs import LONGEST, Spec, local_path, parse_spec, split_list

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True, alphabet=st.characters(codec="ascii"))
VALUES = st.text(st.sampled_from("ab1/ ,()=+@:'\"\\.~-\n"), min_size=1, max_size=12) | st.text(max_size=8).filter(
    lambda text: "\0" not in text
)
PATHS = VALUES.filter(lambda text: bool(text.strip()))
SPECS = st.builds(Spec, NAMES, st.dictionaries(NAMES, VALUES, max_size=3), st.just("") | PATHS)
FUZZ = settings(max_examples=400)


@FUZZ
@given(SPECS, st.none() | VALUES)
@example(Spec("a", {"x": ""}, "'"), "b=c")
def test_a_specification_reads_back_as_it_is_written(spec: Spec, first: str | None) -> None:
    spec = spec if first is None else Spec(spec.name, {**spec.params, "": first}, spec.path)
    assert parse_spec(str(spec)) == spec
    assert split_list(f"{spec},{spec}") == [str(spec), str(spec)]


@FUZZ
@given(st.lists(SPECS, min_size=1, max_size=3))
def test_a_pipeline_reads_back_as_it_is_written(specs: list[Spec]) -> None:
    text = "+".join(map(str, specs))
    pipeline = parse_pipeline(text)
    if any(spec.path and not str(spec).endswith(("'", '"')) for spec in specs[:-1]):
        return  # a path without quotes goes on to the parts that have none
    assert list(pipeline.parts) == specs


@pytest.mark.parametrize(
    ("text", "path", "params"),
    [
        ("onnx('a, b (1).onnx')", "", {"": "a, b (1).onnx"}),
        ('onnx("x=1,y.onnx", size=96)', "", {"": "x=1,y.onnx", "size": "96"}),
        ("onnx(file='it''s (a) net.onnx')", "", {"file": "it's (a) net.onnx"}),
        ("mine(ckpt=runs/O'Brien.pt)", "", {"ckpt": "runs/O'Brien.pt"}),
        ("folder:O'Brien's photos", "O'Brien's photos", {}),
        ("folder:'with, comma'", "with, comma", {}),
        ("folder:(2024), best", "(2024), best", {}),
        ("gan_mask@C:\\models\\a,b.safetensors", "C:\\models\\a,b.safetensors", {}),
        ("gan_mask(size=tiny)@'a b+c.safetensors'", "a b+c.safetensors", {"size": "tiny"}),
        ('mine(x="")', "", {"x": ""}),
    ],
)
def test_paths_with_odd_characters(text: str, path: str, params: dict[str, str]) -> None:
    found = parse_spec(text)
    assert (found.path, found.params) == (path, params)


@pytest.mark.parametrize(
    ("text", "names", "paths"),
    [
        ("a@'x+y,z.pt'+soft", ["a", "soft"], ["x+y,z.pt", ""]),
        ("a@x+y.pt+soft(file='b(1)+c.pt')", ["a", "soft"], ["x+y.pt", ""]),
        ("a('u@v.pt')+soft", ["a", "soft"], ["", ""]),
        ("a('u+v.pt')@w.pt+soft", ["a", "soft"], ["w.pt", ""]),
        ("a+soft@'w+1.pt'+last", ["a", "soft", "last"], ["", "w+1.pt", ""]),
    ],
)
def test_parts_of_a_pipeline_are_told_apart(text: str, names: list[str], paths: list[str]) -> None:
    pipeline = parse_pipeline(text)
    specs = pipeline.parts
    assert [spec.name for spec in specs] == names
    assert [spec.path for spec in specs] == paths
    assert parse_pipeline(str(pipeline)) == pipeline


def test_lists_are_split_outside_quotes() -> None:
    assert split_list("a@'x,y.pt',b(p=\"1,2\"),c") == ["a@'x,y.pt'", 'b(p="1,2")', "c"]


@pytest.mark.parametrize(
    "text",
    ["gan_mask+", "+gan_mask", "a++b", "+", "", " ", "gan_mask(,)", "a(x=1,)", "a(,x=1)", "a(x=1,,y=2)", "a('b)",
     'a(x="b)', "a@'b", "a('b'c)", "a(b", "a)b", "a(b))", "a@", "a('')@ ", "a\0", "a@\0", "a(x='\0')", "é(",
     "a@''"],
)  # fmt: skip
def test_what_cannot_be_read_is_a_sentence(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pipeline(text)
    assert caught.value.message
    assert "\0" not in caught.value.message


@pytest.mark.parametrize("text", ["a" * (LONGEST + 1), "a(" + "x" * LONGEST + ")", "a@" + "+b" * LONGEST, "(" * 20_000])
def test_what_is_too_long_is_refused_unread(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pipeline(text)
    assert len(caught.value.message) < 400


@FUZZ
@given(st.text(st.sampled_from("ab,()=+@:'\" \\\n\0~é"), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse_spec, parse_pipeline, split_list):
        with suppress(UsageError):
            read(text)


@pytest.mark.parametrize(
    "text",
    ["9" * 400, "9" * 5000, "9" * 400 + "s", "1" + "0" * 13, "0.0s", "1e9", "-3", "\u0663", "\u00b2", "1h1m", "nan",
     "infs"],
)  # fmt: skip
def test_budgets_without_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="budget") as caught:
        parse_budget(text)
    assert len(caught.value.message) < 100


@FUZZ
@given(st.text(st.sampled_from("0123456789.smh-+e "), max_size=20))
def test_any_budget_is_read_or_refused(text: str) -> None:
    try:
        amount = parse_budget(text)
    except UsageError:
        return
    assert isinstance(amount, str) or 0 < amount <= 10**9 * 3600


@pytest.mark.parametrize("seed", [-1, 2**32, 10**400, 1.5, "x", None, [], True and 2**33])
def test_seeds_out_of_range_are_refused(seed: object) -> None:
    with pytest.raises(UsageError, match="seed"):
        make_plan({"seed": seed}, "--")


@pytest.mark.parametrize("text", ["~nouser/x", "~no user", "a" * 300, "a/" * 5000, "a\0b", "/proc/self/\0"])
def test_paths_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        local_path(text)
    assert len(caught.value.message) < 250
    assert "\0" not in caught.value.message


def test_paths_that_may_be_are_kept(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "not there", tmp_path / "a" / "b"):
        assert local_path(str(place)) == place
    (tmp_path / "file").write_text("")
    assert local_path(str(tmp_path / "file" / "below")) == tmp_path / "file" / "below"


SCALARS = st.integers() | st.booleans() | st.text(max_size=5) | st.floats()
TOML = st.recursive(
    SCALARS | st.sampled_from(["gan_mask+", "a(,)", "synthetic"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@FUZZ
@given(st.dictionaries(st.sampled_from(sorted(Plan.model_fields)) | st.text(max_size=4), TOML, max_size=4))
def test_any_suite_is_a_plan_or_refused(fields: dict[str, object]) -> None:
    with suppress(UsageError):
        make_plan(fields, "suite").pipelines()


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(st.sampled_from("models=[]\"\n{}.#'\\u1"), max_size=60).map(str.encode))
def test_any_bytes_are_a_suite_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("suite") / "s.toml"
    path.write_bytes(content)
    with suppress(UsageError):
        load_suite(path)


def test_a_suite_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("models = " + "[" * 100_000)
    with pytest.raises(UsageError, match="TOML"):
        load_suite(path)


def test_a_suite_may_quote(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("""models = ["a('x, y.pt')", 'b@"p+q.pt"+c']\n""")
    assert tomllib.loads(path.read_text())["models"] == list(load_suite(path).models)
    one, two = load_suite(path).pipelines()[-2:]
    assert (one.swapper.params, two.swapper.path) == ({"": "x, y.pt"}, "p+q.pt")
