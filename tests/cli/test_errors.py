"""Bad input gets one clear sentence, a hint and exit code 2, never a traceback, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Invoke = Callable[..., tuple[int, str, str]]

WRONG = [
    (["run", "--models", "gan_msak"], "unknown model 'gan_msak'", "did you mean gan_mask?"),
    (["run", "--models", "gan_mask(sise=tiny)"], "parameter of gan_mask", "did you mean size?"),
    (["run", "--models", "gan_mask(size=huge)"], "gan_mask(size=huge)", "default is 'auto'"),
    (["run", "--models", "gan_mask+blurr"], "unknown refiner or wrapper 'blurr'", ""),
    (["run", "--models", "gan_mask(size"], "cannot read", "name(parameter=value"),
    (["run", "--models", "copy_target@weights.safetensors"], "takes no path", "copy_target alone"),
    (["run", "--models", "gan_mask@nowhere.safetensors"], "no file nowhere.safetensors", "models/gan_mask.safetensors"),
    (["run", "--metrics", "id_similarty"], "unknown metric", "did you mean id_similarity"),
    (["run", "--judges", "dlib"], "unknown embedder", "did you mean dlib_resnet?"),
    (["run", "--dataset", "sinthetic"], "unknown data set", "did you mean synthetic?"),
    (["run", "--dataset", "synthetic(people=1)"], "people", ""),
    (["run", "--dataset", "folder:/no/such/folder"], "/no/such/folder", ""),
    (["run", "--dataset", "trump_cage"], "trump_cage", "--dataset synthetic"),
    (["run", "--budget", "3 minutes"], "cannot read --budget", "180s"),
    (["run", "--seed", "-1"], "--seed: input should be greater", ""),
    (["run", "--dataset", "folder:"], "no path follows", "folder:PATH"),
    (["run", "--dataset", "folder:pyproject.toml"], "is a file", "IDENTITY"),
    (["run", "--models", "", "--no-baselines"], "no model to run", "--models"),
    (["run", "--judges", ""], "no judge", "--judges"),
    (["run", "--judges", "dlib_resnet@net.dat"], "takes no path", "dlib_resnet alone"),
    (["run", "--metrics", "id_similarity@junk"], "takes no path", "id_similarity alone"),
    (["run", "--device", "meta"], "unknown device", "auto, cpu, cuda"),
    (["run", "--suite", "nowhere.toml"], "no suite file", "benchmarks/"),
    (["run", "--device", "cuda:7"], "cuda", "--device cpu"),
    (["run", "--device", "tpu9"], "device", "auto, cpu, cuda"),
    (["show", "/no/such/run"], "no finished run", "--resume"),
    (["report", "/no/such/run"], "no finished run", ""),
    (["data", "info", "trump_cage"], "trump_cage", "--dataset synthetic"),
]


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_wrong_input(arguments: list[str], sentence: str, hint: str, invoke: Invoke, tmp_path: Path) -> None:
    extra = ["--out", str(tmp_path / "out")] if arguments[0] == "run" else []
    code, _, errors = invoke(*arguments, *extra)
    said = " ".join(errors.split())
    assert code == 2, errors
    assert sentence in said
    assert hint in said
    assert not (tmp_path / "out").exists(), "nothing is left behind by a run that never began"


def test_an_output_directory_that_holds_something_else(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    code, _, errors = invoke("run", "--budget", "smoke", "--out", tmp_path)
    assert code == 2
    assert "is not empty" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_resume_needs_a_directory(invoke: Invoke) -> None:
    code, _, errors = invoke("run", "--resume")
    assert code == 2
    assert "--out DIR" in errors


def test_a_cache_that_is_a_file(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("not a folder")
    monkeypatch.setenv("FSBENCH_CACHE", str(tmp_path / "cache"))
    code, _, errors = invoke(
        "run", "--models", "copy_target", "--metrics", "id_similarity,gt_psnr", "--dataset",
        "synthetic(sessions=4,images=4,gallery=0,frames=4,size=32)", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, errors
    assert errors.count("work goes on without the cache") == 1
