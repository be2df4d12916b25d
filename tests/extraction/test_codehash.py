"""What decides a plug-in's results is in its key: files that parameters name, inputs; an object has no key."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fsbench
from fsbench import contracts
from fsbench.config import parse_pipeline
from fsbench.errors import BadParameter, CheckpointError
from fsbench.extraction import codehash
from fsbench.extraction.codehash import _spec, code_hash, plugin_key, sources
from fsbench.extraction.extractor import Extractor
from fsbench.harness.models import build, prepare_model
from fsbench.harness.parts import swap
from fsbench.interfaces import Context, EmbedderInfo, Faces, ObserverInfo, Source, Swapped, Targets
from fsbench.registry import Entry, embedders, observers, refiners, swappers, wrappers
from fsbench.specs import parse_spec
from fsbench.store import release

pytestmark = pytest.mark.usefixtures("registering")


class Level:
    """Answers with the brightness that a file names."""

    def __init__(self, *, ckpt: str = "", level: int = 0) -> None:
        found = Path(ckpt).expanduser() if ckpt else None
        text = "0" if found is None else (found / "level.txt" if found.is_dir() else found).read_text()
        self.level = int(text) + level

    def swap(self, source: Source, targets: Targets) -> Tensor:
        return torch.full_like(targets.images, self.level / 255)

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Tensor:
        return self.swap(source, targets)


class Loaded:
    """Needs no training, and has its level loaded."""

    level = 0

    def load(self, path: Path) -> None:
        if not path.read_text().isdigit():
            raise CheckpointError(f"{path} is damaged")
        self.level = int(path.read_text())

    def swap(self, source: Source, targets: Targets) -> Tensor:
        return torch.full_like(targets.images, self.level / 255)

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Tensor:
        return self.swap(source, targets)


@pytest.fixture(autouse=True)
def _toys(registering: None) -> None:
    swappers.register("level")(Level)
    refiners.register("level")(Level)
    swappers.register("loaded")(Loaded)
    refiners.register("loaded")(Loaded)


def identity(text: str, context: Context) -> str | None:
    return prepare_model(build(parse_pipeline(text), context), no_training, "auto", 0, context).identity


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
        model = prepare_model(built, no_training, "auto", 0, fresh_context)
        targets = Targets.of(contracts.toy_faces(1, 1, 2, 8))
        output = swap(model.parts, Source("a", torch.zeros(1, 3, 8, 8)), targets).images
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
            keys.append(Extractor.build(embedders if kind == "judge" else observers, text, fresh_context).key)
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

        def swap(self, source: Source, targets: Targets) -> Tensor:
            return targets.images * 0 if held else targets.images

    return Around


@pytest.mark.parametrize("held", [[1], {"a": 1}, torch.nn.Linear(1, 1), SimpleNamespace(), Level()])
def test_an_object_that_was_handed_over_gives_no_key(held: object, fresh_context: Context) -> None:
    factories: list[Callable[..., Any]] = [
        made_around(held),
        functools.partial(Level, level=held),
        lambda: held,
        staticmethod(lambda: held).__func__,
    ]
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
    {
        "missing": lambda: None,
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "damaged": lambda: path.write_text("x"),
    }[what]()
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
        def swap(self, source: Source, targets: Targets) -> Tensor:
            return targets.images

    assert plugin_key(Entry("decorated", Decorated), parse_spec("decorated"), Decorated()) is not None


ROOT = Path(fsbench.__file__).parents[1]
SHELVES = (swappers, refiners, wrappers, embedders, observers)


def code_of(factory: Callable[..., object]) -> str | None:
    """The hash of the code of a plug-in, None where its source is in no file."""
    code = sources(factory)
    return None if code is None else code_hash(code)


def code_of_all() -> dict[str, str | None]:
    """The hash of the code of everything that is built in."""
    built_in = [entry.factory for shelf in SHELVES for entry in map(shelf.get, shelf.names())]
    names = [name for shelf in SHELVES for name in shelf.names()]
    return {
        name: code_of(factory)
        for name, factory in zip(names, built_in, strict=True)
        if factory.__module__.startswith(("fsbench.", "reference_models."))
    }


BASELINES = {"alpha_paste", "copy_source", "copy_target", "exact"}
MODELS = {"gan_mask", "cyclegan"}
DLIB, FACENET = {"dlib_resnet"}, {"facenet_casia", "facenet_vggface2"}
PORTED = {"facenet_vggface2", "vggface2_resnet50", "vggface2_senet50"}
ALIGNED = BASELINES | MODELS | DLIB | FACENET | PORTED | {"onnx", "keras_vggface"}
KNOWN = ALIGNED | {"inception", "face_mesh", "five_points", "recursive"}
"""Plug-ins that came later may import what they like."""


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("reference_models/gan_mask/losses.py", {"gan_mask"}),
        ("reference_models/gan_mask/__init__.py", set()),
        ("reference_models/cyclegan/networks.py", {"cyclegan"}),
        ("reference_models/augment.py", MODELS),
        ("reference_models/baselines.py", BASELINES),
        ("reference_models/crops.py", MODELS | BASELINES),
        ("reference_models/__init__.py", set()),
        ("fsbench/embedders/_dlib_network.py", DLIB | {"keras_vggface"}),
        ("fsbench/embedders/dlib_resnet.py", DLIB | {"keras_vggface"}),
        ("fsbench/embedders/keras_vggface.py", {"keras_vggface"}),
        ("fsbench/embedders/facenet_casia.py", {"facenet_casia", "keras_vggface"}),
        ("fsbench/embedders/_facenet.py", FACENET | {"keras_vggface"}),
        ("fsbench/onnx/session.py", {"onnx", "keras_vggface"}),
        ("fsbench/embedders/_vggface2_network.py", PORTED | {"keras_vggface"}),
        ("fsbench/observers/inception.py", {"inception"}),
        ("fsbench/observers/_gaze.py", {"face_mesh"}),
        ("fsbench/faces/align.py", ALIGNED),
        ("fsbench/faces/pose.py", {"five_points"}),
        ("fsbench/faces/region.py", MODELS | BASELINES),
        ("fsbench/feedback.py", {"recursive"}),
        ("reference_models/recursive.py", {"recursive"}),
        ("fsbench/training.py", MODELS),
        ("fsbench/metrics/fid.py", set()),
        ("fsbench/harness/models.py", set()),
        ("fsbench/errors.py", set()),
        ("fsbench/cli/run.py", set()),
    ],
)
def test_an_edit_computes_again_what_imports_the_file_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, file: str, again: set[str]
) -> None:
    """keras_vggface imports modules by names that it makes up: all files of its package are its own."""
    before, read = code_of_all(), Path.read_bytes
    assert (ROOT / file).exists()
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: read(path) + (b"\n# a comment\n" if path == ROOT / file else b"")
    )
    after = code_of_all()
    assert before.keys() >= KNOWN
    assert {name for name in KNOWN if before[name] != after[name]} == again
    assert None not in before.values()


@pytest.mark.parametrize(
    ("name", "libraries"),
    [
        ("gan_mask", ["torch"]),
        ("copy_target", ["torch"]),
        ("dlib_resnet", ["torch"]),
        ("onnx", ["onnxruntime", "torch"]),
        ("face_mesh", ["mediapipe", "torch"]),
        ("five_points", ["torch"]),
    ],
)
def test_the_libraries_that_compute_are_in_the_key(
    monkeypatch: pytest.MonkeyPatch, name: str, libraries: list[str]
) -> None:
    shelf = next(shelf for shelf in SHELVES if name in shelf.names())
    asked: list[str] = []
    monkeypatch.setattr(codehash, "release", lambda *names: [f"{asked.append(one) or one} 9.9" for one in names])
    key = plugin_key(shelf.get(name), parse_spec(name), object())
    assert sorted(set(asked)) == libraries
    assert key is not None
    assert key["runtime"] == [f"{one} 9.9" for one in libraries]


def test_of_a_version_two_parts_count() -> None:
    (said,) = release("numpy")
    assert said == f"numpy {'.'.join(np.__version__.split('.')[:2])}"
    assert release("no such library", "numpy") == [said]


Files = dict[str, str]
Write = Callable[[Files], Callable[[], str | None]]


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules and give the code hash of `make` in the first one, as it is whenever asked."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(files: Files) -> Callable[[], str | None]:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        first = next(iter(files)).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        importlib.invalidate_caches()
        factory = importlib.import_module(first).make

        def asked() -> str | None:
            _spec.cache_clear()
            return code_of(factory)

        return asked

    yield write
    for name in [name for name in sys.modules if name.startswith("thirdparty")]:
        del sys.modules[name]


MAKE = "def make():\n    return 1\n"


@pytest.mark.parametrize(
    ("files", "counts"),
    [
        (
            {
                "thirdparty_a.py": "import thirdparty_b\n" + MAKE,
                "thirdparty_b.py": "import thirdparty_c",
                "thirdparty_c.py": "",
            },
            {"thirdparty_a.py", "thirdparty_b.py", "thirdparty_c.py"},
        ),
        ({"thirdparty_a.py": MAKE, "thirdparty_b.py": ""}, {"thirdparty_a.py"}),
        (
            {"thirdparty_a.py": "def make():\n    from thirdparty_b import x\n", "thirdparty_b.py": "x = 1"},
            {"thirdparty_a.py", "thirdparty_b.py"},
        ),
        (
            {
                "thirdparty_p/one.py": "from . import two\n" + MAKE,
                "thirdparty_p/__init__.py": "",
                "thirdparty_p/two.py": "",
                "thirdparty_p/three.py": "",
            },
            {"thirdparty_p/one.py", "thirdparty_p/two.py"},
        ),
        (
            {
                "thirdparty_p/one.py": "from . import x\n" + MAKE,
                "thirdparty_p/__init__.py": "x = 1\n",
                "thirdparty_p/two.py": "",
            },
            {"thirdparty_p/one.py", "thirdparty_p/__init__.py"},
        ),
        (
            {
                "thirdparty_p/deep/one.py": "from ..two import x as y\nfrom thirdparty_p.deep.four import z\n" + MAKE,
                "thirdparty_p/__init__.py": "",
                "thirdparty_p/deep/__init__.py": "",
                "thirdparty_p/two.py": "x = 1",
                "thirdparty_p/deep/four.py": "z = 1",
                "thirdparty_p/three.py": "",
            },
            {"thirdparty_p/deep/one.py", "thirdparty_p/two.py", "thirdparty_p/deep/four.py"},
        ),
        ({"thirdparty_p/__init__.py": MAKE, "thirdparty_p/two.py": ""}, {"thirdparty_p/__init__.py"}),
        (
            {
                "thirdparty_p/one.py": "import importlib\nimportlib.import_module('.'.join(('thirdparty_p', 'two')))\n"
                + MAKE,
                "thirdparty_p/__init__.py": "",
                "thirdparty_p/two.py": "",
                "thirdparty_p/three.py": "",
            },
            {"thirdparty_p/one.py", "thirdparty_p/__init__.py", "thirdparty_p/two.py", "thirdparty_p/three.py"},
        ),
        (
            {
                "thirdparty_p/one.py": "import importlib\nimportlib.import_module('thirdparty_p.two')\n" + MAKE,
                "thirdparty_p/__init__.py": "",
                "thirdparty_p/two.py": "",
                "thirdparty_p/three.py": "",
            },
            {"thirdparty_p/one.py", "thirdparty_p/two.py"},
        ),
        (
            {
                "thirdparty_a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import thirdparty_b\n"
                + MAKE,
                "thirdparty_b.py": "",
            },
            {"thirdparty_a.py"},
        ),
        (
            {
                "thirdparty_a.py": "import thirdparty_q.inner\n" + MAKE,
                "thirdparty_q/__init__.py": "",
                "thirdparty_q/inner.py": "",
                "thirdparty_q/other.py": "",
            },
            {"thirdparty_a.py", "thirdparty_q/inner.py"},
        ),
        (
            {"thirdparty_a.py": "import thirdparty_b\n" + MAKE, "thirdparty_b.py": "import thirdparty_a"},
            {"thirdparty_a.py", "thirdparty_b.py"},
        ),
        (
            {"thirdparty_a.py": "def make():\n    import thirdparty_b\n", "thirdparty_b.py": "no python:"},
            {"thirdparty_a.py", "thirdparty_b.py"},
        ),
        (
            {
                "thirdparty_a.py": "from thirdparty_n.inner import x\n" + MAKE,
                "thirdparty_n/inner.py": "x = 1",
                "thirdparty_n/other.py": "",
            },
            {"thirdparty_a.py", "thirdparty_n/inner.py"},
        ),
    ],
    ids=range(14),
)
def test_what_a_third_party_module_imports_counts(
    tmp_path: Path, third_party: Write, files: Files, counts: set[str]
) -> None:
    asked = third_party(files)
    whole = asked()
    assert whole is not None
    changed = set()
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n# a comment\n")
        if asked() != whole:
            changed.add(name)
        (tmp_path / name).write_text(text)
        assert asked() == whole
    assert changed == counts
