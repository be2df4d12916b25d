"""`fsbench swap` on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from clips import picture, write_clip

from fsbench.cli.swap import _runs


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--smooth", "kalmann"], "unknown smoothing 'kalmann'"),
        (["--smooth", "mean(share=much)"], "is no number"),
        (["--model", "no_such_model"], "no_such_model"),
        (["--out", "out.txt"], "no name of a video"),
        (["--face", "nobody.png"], "--face nobody.png is no file"),
        (["--source", "nowhere"], "no folder"),
    ],
)
def test_what_is_typed_wrong_is_one_sentence(
    options: list[str], sentence: str, tmp_path: Path, invoke: Callable[..., tuple[int, str, str]]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [picture()])
    words = {"--model": "copy_target", "--source": str(tmp_path), "--out": str(tmp_path / "out.mp4")}
    words |= {options[0]: options[1]}
    code, out, err = invoke("swap", clip, *(word for pair in words.items() for word in pair))
    assert code == 2
    assert sentence in err
    assert "Traceback" not in out + err
    assert not (tmp_path / "out.mp4").exists()


def test_runs_of_frames_are_named_together() -> None:
    assert _runs([0]) == "0"
    assert _runs([0, 1, 2, 7, 9, 10]) == "0-2, 7, 9-10"
    assert _runs(list(range(0, 60, 2))).endswith("18 and 20 more")
