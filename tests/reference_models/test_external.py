"""Other programs, and images that they left: what is there is measured, what is not is counted and told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fsbench import contracts
from fsbench.config import Plan
from fsbench.errors import BadParameter, FsbenchError, UsageError
from fsbench.evidence import references
from fsbench.faces.align import TEMPLATE
from fsbench.harness import evaluation, illustrations
from fsbench.harness.run import run
from fsbench.images import to_bytes, to_levels
from fsbench.interfaces import Context, DatasetInfo, EmbedderInfo, Faces, Source, Split, Swapped, Targets, Truth
from fsbench.registry import datasets, embedders, refiners, swappers
from reference_models.external.command import Command

SIZE = 32
MIRROR = """
import sys, os
from PIL import Image, ImageOps
source, target, out = sys.argv[1:4]
if os.path.isdir(target):
    for name in os.listdir(target):
        ImageOps.mirror(Image.open(os.path.join(target, name))).save(os.path.join(out, name))
else:
    ImageOps.mirror(Image.open(target)).save(out)
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., str]:
    """Write a program in Python, and return the command that runs it on the places."""

    def write(text: str, places: str = "{source} {target} {out}") -> str:
        path = tmp_path / "program.py"
        path.write_text(text)
        return f"'{sys.executable}' {path} {places}"

    return write


def pair(n: int = 5) -> tuple[Source, Targets]:
    faces = contracts.toy_faces(size=SIZE)
    targets = Targets.of(faces.of("toy1").select(range(n)))
    return Source("toy0", faces.of("toy0").crops[:3]), replace(targets, images=to_levels(targets.images))


@pytest.mark.parametrize("places", ["{source} {target} {out}", "{sources} {targets} {out}", "{source} {targets} {out}"])
def test_a_program_is_a_swapper(places: str, program: Callable[..., str], context: Context) -> None:
    source, targets = pair()
    output = Command(run=program(MIRROR, places), context=context).swap(source, targets)
    assert torch.equal(output.images, targets.images.flip(-1))
    assert not output.absent


def test_it_keeps_the_contract_of_swappers(program: Callable[..., str], context: Context) -> None:
    contracts.check_swapper(Command(run=program(MIRROR, "{sources} {targets} {out}"), context=context))


def test_it_is_shown_the_source_and_paths_with_spaces_and_braces(tmp_path: Path, context: Context) -> None:
    folder = tmp_path / "a folder {x"
    folder.mkdir()
    (folder / "copy.py").write_text("import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])")
    source, targets = pair(1)
    command = Command(run=f"'{sys.executable}' '{folder}/copy.py' {{source}} {{out}}  --of={{target}}", context=context)
    assert torch.equal(command.swap(source, targets).images, to_levels(source.images[:1]))


SOME = """
import os, shutil, sys, time
target, out = sys.argv[2:4]
number = int(os.path.basename(target)[:4])
if number == 1:
    sys.exit("CUDA out of memory")
if number == 2:
    open(out, "wb").write(open(target, "rb").read()[:60])
elif number == 3:
    from PIL import Image
    Image.open(target).resize((64, 64)).save(out)
elif number == 4:
    from PIL import Image
    Image.open(target).resize((64, 40)).save(out)
elif number == 5:
    os.makedirs(out)
elif number == 6:
    shutil.copy(target, out)
    os.abort()
elif number != 7:
    shutil.copy(target, out)
"""


def test_every_way_to_fail_on_a_target_is_counted_and_told(program: Callable[..., str], context: Context) -> None:
    told: list[str] = []
    source, targets = pair(9)
    output = Command(run=program(SOME), context=replace(context, log=told.append)).swap(source, targets)
    states = ("", "missing", "unreadable", "", "unreadable", "unreadable", "", "missing", "")
    assert output.absent == states
    for i in (0, 6, 8):
        assert torch.equal(output.images[i], targets.images[i])
    assert output.images[[i for i, state in enumerate(states) if state]].max() == 0
    (sentence,) = told
    assert "5 of 9 outputs are missing or unreadable" in sentence
    for part in (
        "1: it ended with exit code 1: CUDA out of memory",
        "1: resized from 64 x 64 pixels",
        "1: the image has 64 x 40 pixels, and a crop is square",
        "1: an image, although it ended with exit code -6",
        "1: there is no file",
    ):
        assert part in sentence
    assert "\n" not in sentence


def test_of_a_folder_what_is_there_counts(program: Callable[..., str], context: Context) -> None:
    text = MIRROR.replace("os.listdir(target)", "sorted(os.listdir(target))[:3]") + "\nsys.exit(3)\n"
    told: list[str] = []
    source, targets = pair()
    command = Command(run=program(text, "{source} {targets} {out}"), context=replace(context, log=told.append))
    output = command.swap(source, targets)
    assert output.absent == ("", "", "", "missing", "missing")
    assert torch.equal(output.images[:3], targets.images[:3].flip(-1))
    assert "2: it ended with exit code 3" in told[0]
    assert "3: an image, although it ended with exit code 3" in told[0]


def test_a_program_may_write_another_format(program: Callable[..., str], context: Context) -> None:
    text = MIRROR.replace("os.path.join(out, name)", 'os.path.join(out, name[:-3] + "bmp")')
    source, targets = pair()
    output = Command(run=program(text, "{source} {targets} {out}"), context=context).swap(source, targets)
    assert torch.equal(output.images, targets.images.flip(-1))


HANGS = """
import os, shutil, subprocess, sys, time
target, out = sys.argv[2:4]
if target.endswith("0000.png"):
    shutil.copy(target, out)
else:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(2); open(sys.argv[1], 'w')", out + ".late"])
    time.sleep(60)
"""


def test_a_program_that_hangs_is_ended_with_all_it_started(program: Callable[..., str], context: Context) -> None:
    told: list[str] = []
    source, targets = pair(2)
    began = time.monotonic()
    command = Command(run=program(HANGS), timeout=1.0, context=replace(context, log=told.append))
    assert command.swap(source, targets).absent == ("", "missing")
    assert time.monotonic() - began < 20
    assert "1: it took longer than 1 s" in told[0]


def test_a_program_that_never_answers_is_given_up(
    program: Callable[..., str], tmp_path: Path, context: Context
) -> None:
    text = "import sys; open(sys.argv[4], 'a').write('x'); sys.exit('no such model')"
    log = tmp_path / "calls"
    with pytest.raises(UsageError, match=r"left no image for its first 3 targets.*exit code 1: no such model"):
        Command(run=program(text, f"{{source}} {{target}} {{out}} {log}"), context=context).swap(*pair())
    assert log.read_text() == "xxx"


def test_what_a_program_prints_cannot_fill_or_garble_a_sentence(program: Callable[..., str], context: Context) -> None:
    text = "import sys; sys.stdout.write('y' * 3_000_000 + '\\n\\x1b[31m' + 'z' * 5000); sys.exit(1)"
    with pytest.raises(UsageError) as caught:
        Command(run=program(text), context=context).swap(*pair())
    assert len(caught.value.message) < 600
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("true {source} {target}", "needs {out}"),
        ("true {source} {out}", "needs {out}, and {target} or {targets}"),
        ("true {source} {target} {targets} {out}", "needs {out}, and {target} or {targets}"),
        ("true {target} {out}", "shows no source"),
        ("true {source} {target} {output}", "a place for output"),
        ("true {source} '{target} {out}", "cannot be read"),
        ("no-such-program {source} {target} {out}", "no program no-such-program"),
    ],
)
def test_a_command_that_cannot_work_is_one_sentence(command: str, sentence: str, context: Context) -> None:
    with pytest.raises(BadParameter, match=sentence) as caught:
        Command(run=command, context=context)
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_a_timeout_leaves_time(context: Context) -> None:
    with pytest.raises(BadParameter, match="leaves no time"):
        Command(run="true {source} {target} {out}", timeout=0, context=context)


def test_files_that_a_command_names_are_part_of_what_it_is(program: Callable[..., str], context: Context) -> None:
    first = Command(run=program(MIRROR), context=context).inputs
    second = Command(run=program(MIRROR + "# edited\n"), context=context).inputs
    assert first.keys() == second.keys()
    assert len([name for name in first if first[name] != second[name]]) == 1


def save(folder: Path, images: torch.Tensor, names: list[str]) -> None:
    for name, pixels in zip(names, to_bytes(images), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)


def test_images_are_found_by_source_and_target(tmp_path: Path, context: Context) -> None:
    told: list[str] = []
    source, targets = pair(6)
    names = [f"{source.identity}/{name}" for name in targets.rows["id"]]
    answers = to_levels(targets.images.flip(2))
    suffixes = [".png", ".bmp", ".PNG", ".png", ".png"]
    save(tmp_path, answers[:5], [name + suffix for name, suffix in zip(names[:5], suffixes, strict=True)])
    save(tmp_path, answers[5:], ["someone/else.png"])
    (tmp_path / f"{names[3]}.png").write_bytes(b"no image")
    save(tmp_path, torch.ones(1, 3, 64, 64), [f"{names[4]}.png"])
    swapper = swappers.build(f"precomputed:{tmp_path}", replace(context, log=told.append))
    output = swapper.swap(source, targets)
    assert isinstance(output, Swapped)
    assert output.absent == ("", "", "", "unreadable", "", "missing")
    assert torch.equal(output.images[:3], answers[:3])
    assert output.images[4].min() > 0.999
    assert "2 of 6 outputs are missing or unreadable" in told[0]
    assert "1: resized from 64 x 64 pixels" in told[0]
    assert "\n" not in told[0]


def test_a_folder_of_other_names_tells_what_is_wanted(tmp_path: Path, context: Context) -> None:
    told: list[str] = []
    source, targets = pair(1)
    save(tmp_path, targets.images, ["flat_name.png"])
    output = swappers.build(f"precomputed:{tmp_path}", replace(context, log=told.append)).swap(source, targets)
    assert isinstance(output, Swapped)
    assert output.absent == ("missing",)
    assert f"wanted is toy0/{targets.rows['id'][0]}.png, there is flat_name" in told[0]


def test_a_precomputed_folder_keeps_the_contract_of_swappers(tmp_path: Path, context: Context) -> None:
    faces = contracts.toy_faces()
    names = [f"toy0/{name}.png" for name in faces.of("toy1").rows["id"]]
    save(tmp_path, faces.of("toy1").crops[:].flip(3), names)
    contracts.check_swapper(swappers.build(f"precomputed:{tmp_path}", context))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [([], "no image"), (["a/1.png", "a/1.bmp"], "two images called a/1"), (None, "no folder|not there")],
)
def test_a_folder_that_cannot_be_used_is_one_sentence(
    names: list[str] | None, sentence: str, tmp_path: Path, context: Context
) -> None:
    folder = tmp_path / "outputs"
    if names is not None:
        folder.mkdir()
        save(folder, torch.zeros(len(names), 3, 8, 8), names)
    with pytest.raises(FsbenchError, match=sentence) as caught:
        swappers.build(f"precomputed:{folder}", context)
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_precomputed_needs_a_folder(context: Context) -> None:
    with pytest.raises(BadParameter, match="needs a folder"):
        swappers.build("precomputed", context)


class Few:
    """A few images of two people; the last sessions are held out."""

    info = DatasetInfo(
        name="few", revision="1", size=SIZE, description="-", licence="CC0-1.0", splits=("train", "test")
    )

    def faces(self, split: Split) -> Faces:
        made = contracts.toy_faces(2, sessions=6, images=3, size=SIZE)
        held_out = (made.rows["session"] >= "s3").to_numpy()
        return made.select(held_out if split == "test" else ~held_out)

    def truth(self, source: str, targets: Faces) -> Truth | None:
        return None


class Halves:
    """Knows images by the colours of their halves."""

    info = EmbedderInfo(family="halves", dim=6, weights=(), description="-")

    def embed(self, crops: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(crops, (1, 2)).flatten(1)


@pytest.fixture
def few(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.register("few")(Few)
    embedders.register("halves")(Halves)
    monkeypatch.setattr(illustrations, "TABLES", {})  # maps, which take long
    for module in (evaluation, references):
        monkeypatch.setattr(
            module, "find_landmarks", lambda crops, *_: np.repeat((TEMPLATE * SIZE)[None], len(crops), 0)
        )


def counts(out: Path, context: Context, *models: str) -> dict[str, dict[str, int]]:
    plan = Plan(
        dataset="few", models=models, metrics=("skin_colour",), judges=("halves",), budget="smoke", baselines=False
    )
    result = run(plan, out, context)
    assert all(not model.error for model in result.models)
    return {model.name: dict(model.failures) for model in result.models if model.kind != "baseline"}


def test_a_run_counts_what_a_program_leaves_out(
    few: None, program: Callable[..., str], tmp_path: Path, fresh_context: Context
) -> None:
    """Also after a refiner, from the cache, and when the run's own outputs are read again."""
    command = f'command("{program(SOME.replace("shutil.copy(target, out)", COLOURS))}")'
    models = [command, f"{command}+dim"]

    @refiners.register("dim")
    class Dim:
        """Darkens, and says nothing of what is absent."""

        def refine(self, output: Swapped, targets: Targets, source: Source) -> torch.Tensor:
            return output.images * 0.9

    told: list[str] = []
    first = counts(tmp_path / "run", replace(fresh_context, log=told.append), *models)
    for failures in first.values():
        assert (failures["missing"], failures["unreadable"]) == (4, 6)  # of 2 sources with 9 targets each
    assert sum("5 of 9 outputs are missing or unreadable" in line for line in told) == 2
    table = pd.read_parquet(tmp_path / "run" / "samples.parquet")
    assert set(table["failure"]) == {"", "missing", "unreadable", "unchanged"}  # one copies its target, larger
    assert table.loc[table["failure"].isin(["missing", "unreadable"]), "skin_colour"].isna().all()
    told.clear()
    assert counts(tmp_path / "again", replace(fresh_context, log=told.append), *models) == first
    assert not any("missing or unreadable" in line for line in told)


COLOURS = "__import__('PIL.Image').Image.new('RGB', (32, 32), (200, 30, 40)).save(out)"


def test_outputs_of_a_run_are_a_folder_of_outputs(few: None, tmp_path: Path, fresh_context: Context) -> None:
    counts(tmp_path / "run", fresh_context, "copy_source")
    folder = tmp_path / "run" / "outputs" / "copy_source"
    again = counts(tmp_path / "again", fresh_context, f"precomputed:{folder}")
    assert list(again.values()) == [{}]
    one, other = (pd.read_parquet(tmp_path / name / "samples.parquet") for name in ("run", "again"))
    assert len(one) == len(other) == 18
    assert np.array_equal(one["skin_colour"], other["skin_colour"])
    next(folder.rglob("*.png")).unlink()
    assert list(counts(tmp_path / "third", fresh_context, f"precomputed:{folder}").values()) == [{"missing": 1}]
