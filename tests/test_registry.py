from __future__ import annotations

import itertools
import os
import sys
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbench import registry
from fsbench.errors import BadParameter, PluginError, UnknownName, UsageError
from fsbench.interfaces import Context
from fsbench.registry import Registry, Spec, parse_spec, split_list
from fsbench.specs import result_name


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
        ("my_package/gan", Spec("my_package/gan")),
        ("my_package/gan(size=lite)@runs/a.onnx", Spec("my_package/gan", {"size": "lite"}, "runs/a.onnx")),
        ("my_package/folder:/photos/2024", Spec("my_package/folder", {}, "/photos/2024")),
        ("folder:my_package/folder", Spec("folder", {}, "my_package/folder")),
        ("onnx@runs/a", Spec("onnx", {}, "runs/a")),
    ],
)
def test_specifications_are_read(text: str, spec: Spec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a(",
        "a(x,y)",
        "a(x=1,y)",
        "a(x=)",
        "a(=1)",
        "a(x=1,x=2)",
        "a((x=1))",
        "@x",
        "folder:",
        "a@ ",
        "a/",
        "/a",
        "a/b/c",
        "a /b",
        "a.b/c",
    ],
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


def plugin(package: str, name: str = "Plugin") -> type:
    """A class that says it is defined in a module of a package."""
    return type(name, (), {"__module__": f"{package}.module", "__doc__": f"Of {package}."})


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packages with entry points, named against the order of their modules."""
    points = [EntryPoint("first", "zebra", registry.ENTRY_POINTS), EntryPoint("second", "aardvark.plugins:x", "")]
    for point in points:
        monkeypatch.setitem(sys.modules, point.module, ModuleType(point.module))
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    monkeypatch.setattr(registry, "_installed", lambda state: tuple(points[::-1]))


PACKAGES = ["reference_models", "zebra", "aardvark", "notebook"]


@pytest.mark.parametrize("order", list(itertools.permutations(PACKAGES)))
def test_a_bare_name_means_the_same_whatever_was_imported_first(order: list[str], packages: None) -> None:
    shelf: Registry[object] = Registry("toy", "fsbench list toys")
    for package in order:
        shelf.register("ball")(plugin(package))
    shelf.register("hoop")(plugin("notebook"))
    assert shelf.get("ball").package == "reference_models"
    assert [entry.package for entry in shelf.owners("ball")] == PACKAGES
    assert shelf.names() == ["aardvark/ball", "ball", "hoop", "notebook/ball", "zebra/ball"]
    assert [shelf.get(name).package for name in shelf.names()] == [
        "aardvark", "reference_models", "notebook", "notebook", "zebra"]  # fmt: skip
    assert shelf.get("reference_models/ball").package == "reference_models"


def test_a_bare_name_that_several_packages_have_is_told(context: Context) -> None:
    shelf = a_registry()
    shelf.register("top")(plugin("elsewhere"))
    lines: list[str] = []
    listening = replace(context, log=lines.append)
    own = f"{__name__.partition('.')[0]}/top"
    both = f"top means elsewhere/top; others: {own}"
    shelf.build("top", listening)
    assert lines == [both]
    with pytest.raises(BadParameter, match="no parameters"):
        shelf.build("top(2)", context)
    assert shelf.build(f"{own}(2)", listening).speed == 2.0
    assert lines == [both], "a full name means one plug-in"
    with pytest.raises(BadParameter) as caught:
        shelf.build("top(speed=2)", context)
    assert both in caught.value.hint


def test_an_unknown_package_names_those_that_have_the_plugin() -> None:
    shelf = a_registry()
    shelf.register("top")(plugin("elsewhere"))
    with pytest.raises(UnknownName) as caught:
        shelf.get("nowhere/top")
    assert "elsewhere/top" in caught.value.hint
    with pytest.raises(UnknownName):
        shelf.get("elsewhere/hoop")


@pytest.mark.parametrize("name", ["Top Hat", "top-hat", "", "2tops", "elsewhere/hat", "hät", "hat "])
def test_a_name_that_is_not_snake_case_is_refused_alone(name: str) -> None:
    shelf = a_registry()
    hat = plugin("elsewhere", "Hat")
    assert shelf.register(name)(hat) is hat
    shelf.register("hoop")(plugin("elsewhere"))
    (refused,) = shelf.refused
    assert refused.reason == f"toy name {name!r} is not snake_case: elsewhere.module.Hat is left out"
    assert {"hoop", "top"} == set(shelf.names())
    with pytest.raises(UnknownName, match="is not snake_case"):
        shelf.get(name)


def test_a_package_has_a_name_once() -> None:
    shelf = a_registry()
    shelf.register("hat")(plugin("elsewhere", "Bowler"))
    shelf.register("hat")(plugin("elsewhere", "Trilby"))
    (refused,) = shelf.refused
    assert refused.name == "elsewhere/hat"
    assert "registered by elsewhere.module.Bowler already: elsewhere.module.Trilby is left out" in refused.reason
    assert shelf.get("hat").definition == "elsewhere.module.Bowler"
    again = plugin("elsewhere", "Bowler")
    shelf.register("hat")(again)
    assert shelf.get("hat").factory is again, "a module that is reloaded replaces what it had"


def test_a_partial_belongs_to_the_package_of_its_function() -> None:
    shelf: Registry[object] = Registry("toy", "fsbench list toys")
    shelf.register("ball")(partial(plugin("zebra", "Ball"), 1))
    shelf.register("ball")(partial(plugin("zebra", "Football"), 1))
    assert shelf.get("zebra/ball").definition == "zebra.module.Ball"
    assert [one.name for one in shelf.refused] == ["zebra/ball"]


def test_a_decorator_without_a_name_says_what_to_write() -> None:
    with pytest.raises(PluginError, match=r'write @register\("name"\)'):
        a_registry().register(plugin("elsewhere"))  # type: ignore[arg-type]


@pytest.mark.parametrize("annotation", ["Nowhere", "1 +", "1"])
def test_annotations_that_cannot_be_read_name_the_plugin(annotation: str, context: Context) -> None:
    shelf = a_registry()

    @shelf.register("hoop")
    class Hoop:
        """Rolls."""

        def __init__(self, *, size: int = 1) -> None: ...

    Hoop.__init__.__annotations__["size"] = annotation
    with pytest.raises(PluginError, match=f"hoop of {__name__}"):
        shelf.build("hoop(size=2)", context)
    assert shelf.build("top(2)", context).speed == 2.0


@pytest.mark.parametrize("text", ["fsbench/fid", " reference_models/mix(amount=1)"])
def test_a_built_in_plugin_is_called_by_its_bare_name_in_results(text: str) -> None:
    assert result_name(text) == text.partition("/")[2]
    assert str(parse_spec(text)) == text.partition("/")[2]


@pytest.mark.parametrize("text", ["other/fid", "fid", "onnx(fsbench/a.onnx)", "fsbench", "fsbenchmark/fid"])
def test_another_package_stays_in_the_name(text: str) -> None:
    assert result_name(text) == text
    assert str(parse_spec(text)) == text


def test_every_registry_is_in_the_list_of_them() -> None:
    assert registry.REGISTRIES["metrics"] is registry.metrics
    assert len({id(one) for one in registry.REGISTRIES.values()}) == len(registry.REGISTRIES) >= 6


def test_no_two_built_in_plugins_of_a_kind_share_a_name() -> None:
    for plugins in registry.REGISTRIES.values():
        own = [entry.name for entry in plugins._entries.values() if entry.package in registry.OWN_PACKAGES]
        assert len(own) == len(set(own))
        assert not plugins.refused


def test_a_package_that_is_installed_meanwhile_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook: entry points are read again when a folder of the path changes."""
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    monkeypatch.syspath_prepend(tmp_path)
    before = registry.plugin_modules()
    assert registry.plugin_modules() == before
    info = tmp_path / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\nlate = late_plugin\n")
    os.utime(tmp_path, (1e9, 1e9))  # however coarse the clock of the file system
    assert [point.module for point in registry.plugin_modules() if point not in before] == ["late_plugin"]
