"""What decides a plug-in's results is in its key: files that parameters name, inputs; an object has no key."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.config import parse_pipeline
from fsbench.errors import BadParameter, CheckpointError
from fsbench.harness.codehash import plugin_key
from fsbench.harness.judging import Judge
from fsbench.harness.observing import Watcher
from fsbench.harness.obtain import build, obtain
from fsbench.harness.swapping import swap
from fsbench.interfaces import Context, EmbedderInfo, Faces, ObserverInfo, Source
from fsbench.registry import Entry, embedders, observers, refiners, swappers
from fsbench.specs import parse_spec

pytestmark = pytest.mark.usefixtures("registering")


class Level:
    """Answers with the brightness that a file names."""

    def __init__(self, *, ckpt: str = "", level: int = 0) -> None:
        found = Path(ckpt).expanduser() if ckpt else None
        text = "0" if found is None else (found / "level.txt" if found.is_dir() else found).read_text()
        self.level = int(text) + level

    def swap(self, source: Source, target: Tensor) -> Tensor:
        return torch.full_like(target, self.level / 255)

    def refine(self, output: Tensor, target: Tensor, source: Source) -> Tensor:
        return self.swap(source, target)


class Loaded:
    """Needs no training, and has its level loaded."""

    level = 0

    def load(self, path: Path) -> None:
        if not path.read_text().isdigit():
            raise CheckpointError(f"{path} is damaged")
        self.level = int(path.read_text())

    def swap(self, source: Source, target: Tensor) -> Tensor:
        return torch.full_like(target, self.level / 255)

    def refine(self, output: Tensor, target: Tensor, source: Source) -> Tensor:
        return self.swap(source, target)


@pytest.fixture(autouse=True)
def _toys() -> None:
    swappers.register("level")(Level)
    refiners.register("level")(Level)
    swappers.register("loaded")(Loaded)
    refiners.register("loaded")(Loaded)


def identity(text: str, context: Context) -> str | None:
    return obtain(build(parse_pipeline(text), context), no_training, "auto", 0, context).identity


def no_training() -> Faces:
    raise AssertionError("nothing is to be trained")


Place = Callable[[Path], tuple[str, Path]]


def in_home(folder: Path) -> tuple[str, Path]:
    os.environ["HOME"] = str(folder)
    return "~/last.txt", folder / "last.txt"


def behind_a_link(folder: Path) -> tuple[str, Path]:
    (folder / "link").symlink_to(folder / "real")
    return str(folder / "link"), folder / "real"


def folder_with_a_file(folder: Path) -> tuple[str, Path]:
    (folder / "model" / "deep").mkdir(parents=True)
    return str(folder / "model"), folder / "model" / "level.txt"


PLACES: dict[str, Place] = {
    "absolute": lambda folder: (str(folder / "last.txt"), folder / "last.txt"),
    "relative": lambda folder: ("last.txt", folder / "last.txt"),
    "home": in_home,
    "link": behind_a_link,
    "folder": folder_with_a_file,
    "odd name": lambda folder: (f"'{folder}/a, b (1).txt'", folder / "a, b (1).txt"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "text", ["level(ckpt={})", "level({})", "level(level=3)+level(ckpt={})", "loaded@{}", "level+loaded@{}"]
)
def test_a_file_that_changes_gives_new_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_context: Context, place: str, text: str
) -> None:
    if "@" in text and place == "folder":
        pytest.skip("a folder is no file to load")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", os.environ.get("HOME", ""))
    name, file = PLACES[place](tmp_path)
    file.write_text("7")
    first = identity(text.format(name), fresh_context)
    assert identity(text.format(name), fresh_context) == first is not None
    file.write_text("8")  # of the same size, and at once
    second = identity(text.format(name), fresh_context)
    assert second not in (first, None)
    file.write_text("7")
    assert identity(text.format(name), fresh_context) == first


def test_the_outputs_are_those_of_the_file_as_it_is(tmp_path: Path, fresh_context: Context) -> None:
    for level in ("40", "50"):
        (tmp_path / "last.txt").write_text(level)
        built = build(parse_pipeline(f"level({tmp_path}/last.txt)"), fresh_context)
        model = obtain(built, no_training, "auto", 0, fresh_context)
        output = swap(model, Source("a", torch.zeros(1, 3, 8, 8)), torch.zeros(2, 3, 8, 8), None)
        assert output.mul(255).round().unique().tolist() == [float(level)]


@pytest.mark.parametrize("change", ["add", "rename", "remove", "deep"])
def test_every_file_of_a_folder_counts(tmp_path: Path, fresh_context: Context, change: str) -> None:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    for name in ("level.txt", "other", "deep/one"):
        (folder / name).write_text("7")
    before = identity(f"level({folder})", fresh_context)
    if change == "add":
        (folder / "new").write_text("")
    elif change == "rename":
        (folder / "other").rename(folder / "another")
    elif change == "remove":
        (folder / "other").unlink()
    else:
        (folder / "deep" / "one").write_text("8")
    assert identity(f"level({folder})", fresh_context) != before


def test_several_files_in_one_parameter(tmp_path: Path) -> None:
    class Many:
        """Of some files."""

        def __init__(self, *, files: str = "") -> None:
            self.files = files

    names = [tmp_path / name for name in "abc"]
    for path in names:
        path.write_text("1")
    spec = parse_spec("many('" + ",".join(map(str, names)) + "')")
    keys = [plugin_key(Entry("many", Many), spec, Many())]
    for path in names:
        path.write_text("2")
        keys.append(plugin_key(Entry("many", Many), spec, Many()))
    assert len({str(key) for key in keys}) == 4


def test_a_default_that_names_a_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Default:
        """Of a file in the working directory."""

        def __init__(self, *, ckpt: str = "last.pt", place: Path = Path("other.pt")) -> None:
            self.ckpt = ckpt

    monkeypatch.chdir(tmp_path)
    keys = []
    for name, content in (("last.pt", "1"), ("last.pt", "2"), ("other.pt", "1"), ("other.pt", "2")):
        (tmp_path / name).write_text(content)
        keys.append(str(plugin_key(Entry("default", Default), parse_spec("default"), Default())))
    assert len(set(keys)) == 4


def test_inputs_of_any_plugin_count(fresh_context: Context) -> None:
    class Reader(Level):
        """Says what it read."""

    swappers.register("reader")(Reader)
    refiners.register("reader")(Reader)
    for text in ("reader", "level+reader"):
        Reader.inputs = {"w.bin": "ab"}
        first = identity(text, fresh_context)
        Reader.inputs = {"w.bin": "cd"}
        assert identity(text, fresh_context) != first


@pytest.mark.parametrize("kind", ["judge", "observer"])
def test_files_and_inputs_of_judges_and_observers_count(tmp_path: Path, fresh_context: Context, kind: str) -> None:
    class Network:
        """Of a file."""

        def __init__(self, *, file: str = "") -> None:
            about: dict[str, Any] = {"weights": (), "description": "-"}
            self.info = EmbedderInfo("toy", 3, **about) if kind == "judge" else ObserverInfo(**about)
            self.inputs = {"more": Path(file).with_suffix(".more").read_text()}

    # The variable `kind` of this function is a plain value: it is part of the key.
    (embedders if kind == "judge" else observers).register("toy_network")(Network)
    keys = []
    for name, content in (("w.bin", "1"), ("w.more", "1"), ("w.bin", "2"), ("w.more", "2")):
        (tmp_path / name).write_text(content)
        if name == "w.more" or keys:
            text = f"toy_network({tmp_path / 'w.bin'})"
            keys.append((Judge if kind == "judge" else Watcher).build(text, fresh_context).key)
    assert None not in keys
    assert len(set(keys)) == 3


def test_a_pipe_behind_a_parameter_is_never_opened_and_gives_no_key(tmp_path: Path) -> None:
    class Names:
        """Takes a name."""

        def __init__(self, *, ckpt: str = "") -> None:
            self.ckpt = ckpt

    os.mkfifo(tmp_path / "pipe")
    assert plugin_key(Entry("names", Names), parse_spec(f"names({tmp_path}/pipe)"), Names()) is None


def made_around(held: object) -> type[Level]:
    class Around(Level):
        """Holds what it was made around."""

        def swap(self, source: Source, target: Tensor) -> Tensor:
            return target * 0 if held else target

    return Around


@pytest.mark.parametrize("held", [[1], {"a": 1}, torch.nn.Linear(1, 1), SimpleNamespace(), Level()])
def test_an_object_that_was_handed_over_gives_no_key(held: object, fresh_context: Context) -> None:
    factories: list[Callable[..., Any]] = [
        made_around(held), functools.partial(Level, level=held), lambda: held, staticmethod(lambda: held).__func__]
    assert [plugin_key(Entry("around", factory), parse_spec("around"), Level()) for factory in factories] == [None] * 4
    swappers.register("around")(factories[0])
    assert identity("around", fresh_context) is None
    assert identity("around+level", fresh_context) is None
    assert not list(fresh_context.store.root.rglob("*.safetensors"))


@pytest.mark.parametrize("held", [1, "x", None, (1, "a"), torch.nn.Linear, contracts.toy_faces])
def test_a_plain_value_that_was_handed_over_is_part_of_the_key(held: object) -> None:
    keys = [plugin_key(Entry("around", made_around(value)), parse_spec("around"), Level()) for value in (held, 2)]
    assert None not in keys
    assert keys[0] != keys[1]


def test_an_object_as_default_gives_no_key() -> None:
    net = torch.nn.Linear(1, 1)

    class Default:
        """Has an object for a default."""

        def __init__(self, *, net: Any = net) -> None:
            self.net = net

    assert plugin_key(Entry("default", Default), parse_spec("default"), Default()) is None


def test_a_class_without_source_gives_no_key() -> None:
    place: dict[str, Any] = {"__name__": "__main__"}
    exec("class Typed:\n    '''At a console.'''\n    def swap(self, source, target): return target\n", place)
    typed = place["Typed"]
    typed.__module__ = "nowhere"
    assert plugin_key(Entry("typed", typed), parse_spec("typed"), typed()) is None
    assert plugin_key(Entry("builtin", dict), parse_spec("builtin"), {}) is None


@pytest.mark.parametrize("text", ["synthetic@x", "synthetic(size=64):x"])
def test_a_path_that_nobody_reads_is_refused(text: str, context: Context) -> None:
    from fsbench.registry import datasets

    with pytest.raises(BadParameter, match="takes no path"):
        datasets.build(text, context)


@pytest.mark.parametrize("text", ["level@x", "level+level@x", "copy_target@x"])
def test_a_model_without_load_takes_no_path(text: str, context: Context) -> None:
    with pytest.raises(BadParameter, match="takes no path"):
        build(parse_pipeline(text), context)


@pytest.mark.parametrize("text", ["loaded@{}", "level+loaded@{}"])
@pytest.mark.parametrize("what", ["missing", "folder", "pipe", "damaged"])
def test_a_file_that_cannot_be_loaded_is_a_sentence(tmp_path: Path, context: Context, text: str, what: str) -> None:
    path = tmp_path / "w.txt"
    {"missing": lambda: None, "folder": path.mkdir, "pipe": lambda: os.mkfifo(path),
     "damaged": lambda: path.write_text("x")}[what]()
    with pytest.raises(CheckpointError) as caught:
        build(parse_pipeline(text.format(path)), context)
    assert "w.txt" in caught.value.message


@pytest.mark.parametrize("name", ["gan_mask", "cyclegan", "copy_target", "copy_source", "alpha_paste", "exact"])
def test_models_that_come_with_fsbench_have_keys(name: str, context: Context) -> None:
    plugin = swappers.build(name, context)
    assert plugin_key(swappers.get(name), parse_spec(name), plugin) is not None


def test_a_decorator_holds_no_object() -> None:
    class Decorated(Level):
        """Swaps without gradients."""

        @torch.inference_mode()
        def swap(self, source: Source, target: Tensor) -> Tensor:
            return target

    assert plugin_key(Entry("decorated", Decorated), parse_spec("decorated"), Decorated()) is not None
