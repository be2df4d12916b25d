"""Suite files as nobody should write them: a plan, or one sentence and a hint, and never a hang."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbench.config import MOST_SUITE_BYTES, Plan, load_suite
from fsbench.errors import FsbenchError, UsageError

VALID = """dataset = "synthetic(people=3)"
models = ["gan_mask", "cyclegan(size=tiny)@'a b.safetensors'"]
judges = ["dlib_resnet"]
budget = "short"
seed = 3
resamples = 200
baselines = true
"""
PIECES = ("[", "]", "{", "}", '"', "'", '"""', "=", ".", ",", "\n", "#", "\0", "\\u", "\ufeff", "9" * 400, "1e999",
          "nan", "1979-05-27", "0x", "[[a]]", "[seed]", "seed=1", "a.b.c=1", "é", "\x1b[2J")  # fmt: skip
FUZZ = settings(max_examples=400)


def refused(path: Path) -> str:
    """The message of the refusal, which is one sentence with a hint."""
    with pytest.raises(UsageError) as caught:
        load_suite(path)
    check_sentence(caught.value)
    return caught.value.message


def check_sentence(error: FsbenchError) -> None:
    assert error.hint
    for text in (error.message, error.hint):
        assert len(text) < 600
        assert text.isprintable()


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "suite.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "dead link", "loop", "huge"])
def test_what_is_no_regular_file_is_refused_unread(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "suite.toml"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "dead link":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to(path)
        case "huge":
            with path.open("wb") as file:
                file.truncate(100 * 2**20)
    assert "suite.toml" in refused(path)


def test_a_suite_of_the_largest_size_is_read(tmp_path: Path) -> None:
    text = 'models = ["gan_mask"]\n'
    assert load_suite(write(tmp_path, text + "#" * (MOST_SUITE_BYTES - len(text)))).models == ("gan_mask",)
    assert "MiB" in refused(write(tmp_path, text + "#" * MOST_SUITE_BYTES))


@pytest.mark.parametrize("name", ["a\0b.toml", "x" * 300, "x/" * 3000, "\x1b[2J.toml", "\udcff.toml"])
def test_names_that_can_be_no_file_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_suite(tmp_path / name)
    assert caught.value.hint
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"models = [\"\xff\"]", "UTF-8"),
        ("models = []".encode("utf-16"), "UTF-8"),
        (b"models = [\"Zo\xeb\"]", "byte 14"),
        ("models = " + "[" * 100_000, "nested"),
        ("models = " + "{a=" * 50_000, "TOML"),
        ("seed = " + "9" * 400, "seed"),
        ("seed = " + "9" * 10_000, "TOML"),
        ("seed = 1e400", "seed"),
        ("seed = nan", "seed"),
        ("resamples = -1", "resamples"),
        ("models = 3", "models"),
        ("models = [3]", "models.0"),
        ("models = {a = 1}", "models"),
        ("dataset = [\"synthetic\"]", "dataset"),
        ("baselines = \"perhaps\"", "baselines"),
        ("device = 1979-05-27", "device"),
        ("seed = 1\nseed = 2", "TOML"),
        ("models = []\n[models]\n", "TOML"),
        ("a\0 = 1", "TOML"),
        ("model = []", "model"),
        ("[suite]\nmodels = []", "suite"),
        ("\"\\u001b[2J\" = 1", "field"),
        ("k" * 100_000 + " = 1", "field"),
        ("models = [", "TOML"),
    ],
)  # fmt: skip
def test_content_that_makes_no_plan_is_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refused(write(tmp_path, content))


@pytest.mark.parametrize("name", ["model", "Judges", "dataste", "metric", "sede"])
def test_an_unknown_field_is_told_with_the_one_that_is_meant(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_suite(write(tmp_path, f"{name} = []"))
    assert "did you mean" in caught.value.hint


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n"])
def test_an_empty_suite_is_the_default(tmp_path: Path, content: str) -> None:
    assert load_suite(write(tmp_path, content)) == Plan()


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    assert load_suite(write(tmp_path, b"\xef\xbb\xbf" + VALID.encode())) == load_suite(write(tmp_path, VALID))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid suite with pieces put in, cut out and doubled."""
    text = VALID
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 20)))
        piece = draw(st.sampled_from(PIECES) | st.just(text[start:end] * 2) | st.just(""))
        text = text[:start] + piece + text[end:]
    return text


@FUZZ
@given(mutated())
def test_a_mutated_suite_is_a_plan_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    try:
        plan = load_suite(write(tmp_path_factory.getbasetemp(), text))
    except FsbenchError as error:
        check_sentence(error)
    else:
        assert isinstance(plan, Plan)


LITERALS = st.recursive(
    st.sampled_from(["0", "-1", "9" * 400, "1e308", "inf", "nan", "true", '""', '"x"', "'\u202e'", '"\\u0000"',
                     "1979-05-27", "07:32:00", '"cuda:99"', '"gan_mask"', '"a(,)"']),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    | inner.map(lambda item: f"{{a = {item}}}"),
    max_leaves=5,
)  # fmt: skip


@FUZZ
@given(st.dictionaries(st.sampled_from(sorted(Plan.model_fields)), LITERALS, max_size=4))
def test_values_of_any_type_are_a_plan_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, str]
) -> None:
    path = write(tmp_path_factory.getbasetemp(), "\n".join(f"{key} = {value}" for key, value in fields.items()))
    try:
        load_suite(path)
    except FsbenchError as error:
        check_sentence(error)
