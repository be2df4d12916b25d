"""Names are read out of source files, and agree with what importing registers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fsbench import names, registry
from fsbench.config import Plan
from fsbench.errors import BadParameter, UnknownName, UsageError
from fsbench.registry import refiners, wrappers

TYPOS = [
    ["run", "--models", "gan_mas"],
    ["run", "--models", "gan_mask(sizee=tiny)"],
    ["run", "--models", "gan_mask+blurr"],
    ["run", "--metrics", "id_similarty"],
    ["run", "--judges", "arcface"],
    ["run", "--observers", "face_mash@x.task"],
    ["run", "--dataset", "sinthetic"],
    ["run", "--budget", "3 minutes"],
    ["run", "--out", "pyproject.toml"],
    ["run", "--device", "cdua"],
    ["run", "--device", ""],
    ["run", "--device", "cuda:-1"],
    ["run", "--models", "gan_mask,cyclegan,gan_mask"],
    ["run", "--models", "gan_mask(size=tiny,norm=group),gan_mask(norm=group, size=tiny)"],
    ["run", "--judges", "dlib_resnet,dlib_resnet"],
    ["run", "--metrics", "id_similarity,lpips,id_similarity"],
    ["validate", "--faults", "blur,blur"],
    ["validate", "--device", "gpu"],
    ["calibrate", "photos", "--judges", "dlib_resnet,dlib_resnet"],
    ["calibrate", "photos", "--device", "mps"],
    ["score", "--outputs", ".", "--target", ".", "--source", ".", "--device", "cuda0"],
    ["validate", "--metrics", "kidd"],
    ["calibrate", "photos", "--judges", "dlib"],
    ["data", "info", "sintetic"],
    ["score", "--outputs", ".", "--target", ".", "--source", ".", "--metrics", "kidd"],
]
CODE = """
import sys
from fsbench.cli import main
try:
    main()
finally:
    print("torch" if "torch" in sys.modules else "light")
"""


@pytest.mark.parametrize("arguments", TYPOS, ids=" ".join)
def test_a_typo_is_told_before_torch_is_imported(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.strip() == "light"
    assert done.stderr.startswith("fsbench: ")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(("shelf", "typed", "meant"), [
    ("embedders", "arcface", "did you mean onnx(arcface_mbf)?"),
    ("embedders", "ArcFace", "did you mean onnx(arcface_mbf)?"),
    ("embedders", "arcfase", "did you mean onnx(arcface_mbf)?"),
    ("embedders", "insightface", "did you mean onnx(arcface_mbf)?"),
    ("embedders", "mobile_facenet", "did you mean onnx(mobilefacenet)?"),
    ("embedders", "edgeface", "did you mean onnx(edgeface_s)?"),
    ("embedders", "w600k", "did you mean onnx(arcface_mbf)?"),
    ("embedders", "facenet", "did you mean facenet_casia or facenet_vggface2?"),
    ("embedders", "vggface", "did you mean vggface2_resnet50 or vggface2_senet50 or keras_vggface?"),
    ("embedders", "dlib", "did you mean dlib_resnet?"),
    ("embedders", "dlib_resnt", "did you mean dlib_resnet?"),
    ("embedders", "adaface", "known: dlib_resnet, "),
    ("observers", "mediapipe", "did you mean face_mesh?"),
    ("metrics", "lpips_vgg", "did you mean lpips(vgg)?"),
    ("metrics", "ssim", "did you mean gt_ssim or gt_ssim_crop?"),
])  # fmt: skip
def test_a_network_is_known_by_more_than_its_plugin(shelf: str, typed: str, meant: str) -> None:
    with pytest.raises(UnknownName) as caught:
        names.check_names(shelf, [typed])
    assert caught.value.hint.startswith(meant)
    assert ("onnx(PATH)" in caught.value.hint) == (shelf == "embedders")


def test_a_network_is_known_where_not_all_sources_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = names.scan_all()
    monkeypatch.setattr(whole, "complete", False)
    with pytest.raises(UnknownName, match=r"onnx\(arcface_mbf\)") as caught:
        names.check_names("embedders", ["arcface"], whole)
    assert "fsbench list embedders" in caught.value.hint
    whole.found["embedders"].pop("dlib_resnet")
    names.check_names("embedders", ["dlib_resnet"], whole)


def test_source_files_agree_with_what_they_register() -> None:
    scan = names.scan_all()
    assert scan.complete
    for shelf, plugins in registry.REGISTRIES.items():
        own = {name for name in plugins.names() if plugins.get(name).package in registry.OWN_PACKAGES}
        assert set(scan.found[shelf]) == own
        for name, parameters in scan.found[shelf].items():
            assert parameters is None or parameters == set(plugins.get(name).parameters), name


@pytest.mark.parametrize(("source", "found", "complete"), [
    ('from fsbench.registry import metrics as m\n@m.register("a")\nclass A:\n    def __init__(self, *, b=1): ...',
     {"metrics": {"a": {"b"}}}, True),
    ('from fsbench import registry\n@registry.datasets.register("a")\ndef f(*, b, context): ...',
     {"datasets": {"a": {"b"}}}, True),
    ('from fsbench.registry import swappers as s\n@s.register("a")\n@dataclass(kw_only=True, eq=False)\nclass A:\n'
     '    b: int = 1\n    context: object', {"swappers": {"a": {"b"}}}, True),
    ('from fsbench.registry import swappers as s\n@s.register("a")\n@dataclass\nclass A:\n    b: int = 1',
     {"swappers": {"a": None}}, True),
    ('import fsbench.registry as r\nr.swappers.register("a")(object)', {"swappers": {"a": None}}, True),
    ('from fsbench.registry import metrics\nfor n in "ab": metrics.register(n)(object)', {}, False),
    ('from fsbench.registry import metrics\nenrol(metrics)\n# register', {}, False),
    ('import atexit\natexit.register(print, "a")', {}, True),
    ("def register(:", {}, False),
])  # fmt: skip
def test_what_is_read_and_what_has_to_be_imported(source: str, found: dict, complete: bool, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(source)
    scan = names.Scan()
    names._read(tmp_path / "plugin.py", scan, "plugin")
    assert {shelf: entries for shelf, entries in scan.found.items() if entries} == found
    assert scan.complete == complete


@pytest.mark.parametrize(
    ("part", "kind", "said"),
    [
        ("recursve", UnknownName, "unknown refiner or wrapper 'recursve'"),
        ("recursive(m=2)", BadParameter, "parameter of recursive 'm'"),
        ("gan_mask", UnknownName, "unknown refiner or wrapper 'gan_mask'"),
        ("both", UsageError, "both is the name of a refiner of .* and a wrapper of"),
    ],
)
def test_parts_are_refiners_or_wrappers(registering: None, part: str, kind: type[UsageError], said: str) -> None:
    names.check(Plan(models=("gan_mask+recursive", "gan_mask+recursive(n=3)@x")))
    refiners.register("both")(object)
    wrappers.register("both")(dict)
    with pytest.raises(kind, match=said) as caught:
        names.check(Plan(models=(f"gan_mask+recursive+{part}",)))
    if part == "recursve":
        assert "did you mean recursive?" in caught.value.hint
