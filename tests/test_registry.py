from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbench.errors import BadParameter, PluginError, UnknownName, UsageError
from fsbench.interfaces import Context
from fsbench.registry import Registry, Spec, parse_spec, split_list


def a_registry() -> Registry[object]:
    shelf: Registry[object] = Registry("toy", "fsbench list toys")

    @shelf.register("top")
    class Top:
        """Spins."""

        def __init__(
            self,
            *,
            speed: float = 1.0,
            colour: Literal["red", "blue"] = "red",
            loud: bool = False,
            context: Context | None = None,
        ) -> None:
            self.speed, self.colour, self.loud, self.context = speed, colour, loud, context

    return shelf


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("gan_mask", Spec("gan_mask")),
        (" gan_mask ( size = lite , norm=group ) ", Spec("gan_mask", {"size": "lite", "norm": "group"})),
        ("gan_mask@runs/a.safetensors", Spec("gan_mask", {}, "runs/a.safetensors")),
        ("folder:/photos/2024: best", Spec("folder", {}, "/photos/2024: best")),
        ("folder(size=96):x", Spec("folder", {"size": "96"}, "x")),
        ("onnx(a/b.onnx, size=96)", Spec("onnx", {"": "a/b.onnx", "size": "96"})),
    ],
)
def test_specifications_are_read(text: str, spec: Spec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    "text", ["", "a b", "a(", "a(x,y)", "a(x=1,y)", "a(x=)", "a(=1)", "a(x=1,x=2)", "a((x=1))", "@x", "folder:", "a@ "]
)
def test_unreadable_specifications_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_spec(text)


@given(
    st.from_regex(r"[a-z]\w{0,8}", fullmatch=True, alphabet=st.characters(codec="ascii")),
    st.dictionaries(
        st.sampled_from(["alpha", "beta", "gamma"]),
        st.from_regex(r"[a-z0-9.]+", fullmatch=True, alphabet=st.characters(codec="ascii")),
    ),
)
def test_a_printed_specification_reads_back(name: str, params: dict[str, str]) -> None:
    spec = Spec(name, params)
    assert parse_spec(str(spec)) == spec
    assert split_list(f"{spec},{spec}") == [str(spec), str(spec)]


def test_parameters_get_the_types_that_the_plugin_declares(context: Context) -> None:
    top = a_registry().build("top(speed=2,colour=blue,loud=true)", context)
    assert (top.speed, top.colour, top.loud) == (2.0, "blue", True)
    assert top.context.device.type == "cpu"


def test_a_value_without_a_name_is_the_first_parameter(context: Context) -> None:
    assert a_registry().build("top(2,colour=blue)", context).speed == 2.0
    with pytest.raises(BadParameter, match="speed twice"):
        a_registry().build("top(2,speed=3)", context)


def test_a_parameter_without_a_default_is_asked_for(context: Context) -> None:
    shelf = a_registry()

    @shelf.register("hoop")
    class Hoop:
        """Rolls."""

        def __init__(self, *, size: int) -> None:
            self.size = size

    assert shelf.build("hoop(3)", context).size == 3
    assert shelf.get("hoop").choices("size") == ["SIZE"]
    with pytest.raises(BadParameter, match="needs to know size"):
        shelf.build("hoop", context)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("top(sped=1)", "speed"),
        ("top(speed=fast)", "1.0"),
        ("top(fast)", "1.0"),
        ("top(colour=green)", "'red'"),
        ("top(context=1)", "known"),
    ],
)
def test_wrong_parameters_name_the_remedy(text: str, word: str, context: Context) -> None:
    with pytest.raises(BadParameter) as caught:
        a_registry().build(text, context)
    assert word in caught.value.hint


def test_a_typo_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName) as caught:
        a_registry().get("topp")
    assert caught.value.exit_code == 2
    assert "did you mean top?" in caught.value.hint


def test_a_name_is_taken_once() -> None:
    shelf = a_registry()
    other = type("Other", (), {"__module__": "elsewhere"})
    with pytest.raises(PluginError, match="already"):
        shelf.register("top")(other)
    with pytest.raises(PluginError, match="already"):

        @shelf.register("top")
        class Another:
            """Of the same module."""

    with pytest.raises(PluginError, match="snake_case"):
        shelf.register("Top Hat")
