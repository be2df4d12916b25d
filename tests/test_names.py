"""Names are read out of source files, and agree with what importing registers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fsbench import names

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


def test_source_files_agree_with_what_they_register() -> None:
    scan = names.scan_all()
    assert scan.complete
    for shelf, registry in names.SHELVES.items():
        ours = ("fsbench", "reference_models")
        own = {name for name in registry.names() if registry.get(name).origin.startswith(ours)}
        assert set(scan.found[shelf]) == own
        for name, parameters in scan.found[shelf].items():
            assert parameters is None or parameters == set(registry.get(name).parameters), name


@pytest.mark.parametrize(("source", "found", "complete"), [
    ('from fsbench.registry import metrics as m\n@m.register("a")\nclass A:\n    def __init__(self, *, b=1): ...',
     {"metrics": {"a": {"b"}}}, True),
    ('from fsbench import registry\n@registry.datasets.register("a")\ndef f(*, b, context): ...',
     {"datasets": {"a": {"b"}}}, True),
    ('import fsbench.registry as r\nr.swappers.register("a")(object)', {"swappers": {"a": None}}, True),
    ('from fsbench.registry import metrics\nfor n in "ab": metrics.register(n)(object)', {}, False),
    ('from fsbench.registry import metrics\nenrol(metrics)\n# register', {}, False),
    ('import atexit\natexit.register(print, "a")', {}, True),
    ("def register(:", {}, False),
])  # fmt: skip
def test_what_is_read_and_what_has_to_be_imported(source: str, found: dict, complete: bool, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(source)
    scan = names.Scan()
    names._read(tmp_path / "plugin.py", scan)
    assert {shelf: entries for shelf, entries in scan.found.items() if entries} == found
    assert scan.complete == complete
