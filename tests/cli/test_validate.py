"""`fsbench validate`: what it leaves, what it prints, and what it says where something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench import validity

Invoke = Callable[..., tuple[int, str, str]]

TINY = "synthetic(people=2,sessions=9,images=2,gallery=0,frames=4,size=48)"


def test_a_part_leaves_a_file_and_a_page_and_prints_the_matrix(invoke: Invoke, tmp_path: Path) -> None:
    out, small = tmp_path / "out", tmp_path / "small.json"
    code, said, errors = invoke(
        "validate", "--metrics", "gt_psnr,gt_ssim", "--faults", "noise,jpeg", "--dataset", TINY, "--budget", "smoke",
        "--out", out, "--summary", small, "--device", "cpu",
    )  # fmt: skip
    assert code == 0, errors
    assert sorted(path.name for path in out.iterdir()) == ["validation.html", "validation.json"]
    found = validity.load(out)
    assert [fault.name for fault in found.faults] == ["noise", "jpeg"]
    assert {one.metric.name for one in found.metrics} == {"gt_psnr", "gt_ssim"}
    assert {one.verdict for one in found.responses} == {"responds"}
    assert found.command.startswith("fsbench validate --metrics gt_psnr,gt_ssim")
    row = next(line for line in said.splitlines() if line.startswith("gt_psnr"))
    assert row.count("✓") == 2
    assert f"report: {out / 'validation.html'}" in said
    assert {one.verdict for one in validity.load(small).responses} == {"responds"}
    assert small.stat().st_size < (out / "validation.json").stat().st_size / 2


def test_a_metric_is_put_into_a_file_that_is_there(invoke: Invoke, tmp_path: Path) -> None:
    file, common = tmp_path / "small.json", ["--budget", "smoke", "--out", tmp_path / "out", "--device", "cpu"]
    code, _, errors = invoke("validate", "-m", "gt_psnr", "-f", "noise", "-d", TINY, "--summary", file, *common)
    assert code == 0, errors
    before = validity.load(file)
    code, said, errors = invoke("validate", "-m", "skin_colour", "--update", "--summary", file, *common)
    assert code == 0, errors
    assert f"updated: {file}" in said
    after = validity.load(file)
    assert [one.metric.name for one in after.metrics] == ["gt_psnr", "skin_colour"]
    assert after.of("gt_psnr") == before.of("gt_psnr")
    assert list(after.of("skin_colour")) == ["noise"], "faults and data set are those of the file"
    assert "gt_ssim" in after.missing()
    assert "Not examined yet: " in (tmp_path / "out" / "validation.html").read_text()
    kept = file.read_bytes()
    for arguments, sentence in (
        (["-m", "gt_ssim", "--seed", "1"], "--seed 0, not 1"),
        (["-m", "gt_ssim", "-f", "noise,blur"], "--faults noise, not blur,noise"),
        (["-m", "gt_ssim", "-d", "synthetic"], "--dataset"),
        ([], "--update puts metrics into a file, and none is named"),
    ):
        code, _, errors = invoke("validate", *arguments, "--update", "--summary", file, *common)
        assert (code, sentence in " ".join(errors.split())) == (2, True), errors
    assert file.read_bytes() == kept


def test_quiet_prints_where_the_page_is(invoke: Invoke, tmp_path: Path) -> None:
    code, said, errors = invoke(
        "validate", "-m", "gt_psnr", "-f", "noise", "-d", TINY, "-b", "smoke", "-o", tmp_path / "out", "-q",
        "--device", "cpu",
    )  # fmt: skip
    assert (code, said.strip(), errors) == (0, f"report: {tmp_path / 'out' / 'validation.html'}", "")


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (["--faults", "blurr"], "unknown fault 'blurr'", "did you mean blur?"),
        (["--metrics", "gt_psnrr"], "unknown metric 'gt_psnrr'", "did you mean gt_psnr"),
        (["--metrics", "gt_psnr", "--budget", "tiny"], "unknown budget 'tiny'", "full, short, smoke"),
        (["--metrics", "id_similarity", "--judges", "dlib"], "unknown embedder", "did you mean dlib_resnet?"),
        (["--metrics", "gt_psnr", "--dataset", "sinthetic"], "unknown data set", "did you mean synthetic?"),
        (["--metrics", "gt_psnr", "--dataset", "folder:/no/such/folder"], "/no/such/folder", ""),
        (["--device", "tpu9"], "device", "auto, cpu, cuda"),
    ],
)
def test_wrong_input(arguments: list[str], sentence: str, hint: str, invoke: Invoke, tmp_path: Path) -> None:
    code, _, errors = invoke("validate", *arguments, "--out", tmp_path / "out")
    said = " ".join(errors.split())
    assert code == 2, errors
    assert sentence in said
    assert hint in said
    assert not (tmp_path / "out").exists(), "nothing is left behind by what never began"


def test_photographs_cannot_be_drawn_with_faults(invoke: Invoke, tmp_path: Path) -> None:
    import numpy as np

    from fsbench.png import write_png

    for person in ("ada", "bo"):
        for session in ("s0", "s1"):
            write_png(tmp_path / "photos" / person / session / "0.png", np.zeros((64, 64, 3), np.uint8))
    code, _, errors = invoke("validate", "--metrics", "gt_psnr", "--dataset", f"folder:{tmp_path / 'photos'}")
    assert code == 2, errors
    assert "cannot be drawn with known faults" in errors
    assert "--dataset synthetic" in errors


def test_the_help_teaches(invoke: Invoke) -> None:
    code, said, _ = invoke("validate", "--help")
    assert code == 0
    for word in ("--faults", "--budget", "blur,identity_mix", "smoke", "known faults"):
        assert word in said
