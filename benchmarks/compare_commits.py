"""Proof that two revisions of fsbench give the same numbers: the same jobs, each with its own code, compared by ==.

    python benchmarks/compare_commits.py                               # 8b58449 against the working tree
    python benchmarks/compare_commits.py --old v1 --new v2             # two revisions, or two folders
    python benchmarks/compare_commits.py --keep DIR                    # keep code, inputs and results of both sides
    python benchmarks/compare_commits.py --reuse DIR --new FOLDER      # the old side is in DIR: run the new one alone

Each side is a copy of the code with a cache of its own, and is run by this interpreter, on one core of the CPU:
`run` on synthetic people (trained models, a refiner and a swapper of the example plug-in, baselines); `score` of its
outputs by name and by table, some of them missing, damaged or unchanged; `calibrate`; `validate` with metrics of every
kind of evidence. Inputs of `score` and `calibrate` come from the old side's run and serve both. Inception's weights are
random; others are taken from --weights where they are there.

Compared are all numbers, intervals, counts, reasons, names and verdicts of result.json, calibration.json and
validation.json, all tables, unit vectors, trained weights, the pixels of all images and the exit codes. What is the
same is equal to the last digit; NaN equals NaN. A leaf that the old side alone has is a difference, and one that the
new side alone has is listed as an addition. compare_results.py names the fields that are not compared; --ignore adds a
pattern, such as `run/result.json:metrics*.observer`. The exit code is 1 where there is a difference.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from compare_results import report

ROOT = Path(__file__).parents[1]
BASELINE = "8b58449"

WEIGHTS = {
    "lpips_alex": "lpips_alexnet.pickle",
    "face_landmarker": "face_landmarker.task",
    "sface": "face_recognition_sface_2021dec.onnx",
    "arcface_mbf": "arcface_w600k_mbf.onnx",
}
"""Pretrained files that jobs use where --weights has them, by the catalogue's name."""

MODELS = "gan_mask,cyclegan,gan_mask+darken,gan_mask+darken+darken,cyclegan(mask=true),mix"
INCEPTION = "inception@inputs/inception.pth"
VALIDATED = ("background,skin_colour,gt_psnr,gt_ssim_crop,id_similarity,id_leakage,id_verified,id_topk,id_retrieval,"
             "fid_face,pose_error_five,gt_pose_error_five,fid,kid_clean,is,recursion_drift")  # fmt: skip


# ---- running ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One revision of the code in a folder of its own: code/, site/ (metadata of packages), cache/, results/."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, revision: str) -> Side:
        """Copy a revision, or a folder with the code in it."""
        code, site = folder / "code", folder / "site"
        shutil.rmtree(folder, ignore_errors=True)
        code.mkdir(parents=True)
        site.mkdir()
        if Path(revision).is_dir():
            for name in ("fsbench", "reference_models", "tests/plugin_package"):
                shutil.copytree(Path(revision) / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(Path(revision) / "pyproject.toml", code)
        else:
            archive = subprocess.run(["git", "-C", str(ROOT), "archive", revision], capture_output=True, check=True)
            subprocess.run(["tar", "-x", "-C", str(code)], input=archive.stdout, check=True)
        for project in (code, code / "tests/plugin_package"):
            _write_metadata(project, site)
        (folder / "inputs").symlink_to(folder.parent / "inputs")
        side = cls(folder)
        side.check()
        return side

    def check(self) -> None:
        """Raise SystemExit unless the copy's own code is what is imported."""
        program = "import fsbench as f, reference_models as r, fsbench_example as e"
        done = self._python("-c", f"{program}; print(f.__file__, r.__file__, e.__file__, sep='\\n')")
        files = done.stdout.split()
        print(f"{self.folder.name} imports {', '.join(files)}", flush=True)
        if len(files) != 3 or not all(Path(file).is_relative_to(self.folder / "code") for file in files):
            raise SystemExit(f"{self.folder / 'code'} is not what is imported: {files} {done.stderr}")

    def fsbench(self, title: str, *arguments: str) -> int:
        """Run a command; what it prints goes to logs/TITLE.txt."""
        print(f"{self.folder.name}: fsbench {' '.join(arguments)}", flush=True)
        done = self._python("-m", "fsbench", *arguments)
        log = self.folder / "logs" / f"{title}.txt"
        log.parent.mkdir(exist_ok=True)
        log.write_text(f"{done.stdout}\n{done.stderr}", encoding="utf-8")
        if done.returncode:
            print(f"  exit code {done.returncode}; the end of {log}:\n{(done.stdout + done.stderr)[-800:]}", flush=True)
        return done.returncode

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        paths = (self.folder / "site", self.folder / "code", self.folder / "code/tests/plugin_package")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "CUDA_VISIBLE_DEVICES": "",
                       "FSBENCH_CACHE": str(self.folder / "cache"), "FSBENCH_DATA": str(self.folder / "data"),
                       "COLUMNS": "200"}  # fmt: skip
        return subprocess.run([*_one_core(), sys.executable, *arguments], cwd=self.folder, env=environment,
                              capture_output=True, text=True, check=False)  # fmt: skip

    def run(self, plan: Mapping[str, Any], titles: Sequence[str]) -> None:
        """Run jobs, and note their exit codes where results are compared."""
        for name in plan["weights"]:
            self.fsbench(f"import {name}", "weights", "import", f"inputs/weights/{WEIGHTS[name]}", "--as", name)
        for title in titles:
            out = self.folder / "results" / title
            shutil.rmtree(out, ignore_errors=True)
            code = self.fsbench(title, *plan["jobs"][title], "--out", f"results/{title}", "--device", "cpu", "--quiet")
            out.mkdir(parents=True, exist_ok=True)
            (out / "exit.json").write_text(json.dumps({"exit_code": code}))


def _one_core() -> list[str]:
    """Prefix of a command that keeps it on one core, so that sums are in one order."""
    if not hasattr(os, "sched_getaffinity") or not shutil.which("taskset"):
        return []
    return ["taskset", "-c", str(max(os.sched_getaffinity(0)))]


def _write_metadata(project: Path, site: Path) -> None:
    """What an installer writes of a project: name and entry points; found before those of this environment."""
    told = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"{told['name'].replace('-', '_')}-{told['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: {told['version']}\n")
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in told.get("entry-points", {}).items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))


def make_plan(inputs: Path, weights: Path) -> dict[str, Any]:
    """Commands of the jobs, for the pretrained files that are there."""
    (inputs / "weights").mkdir(parents=True)
    there = [name for name, file in WEIGHTS.items() if (weights / file).is_file()]
    for name in there:
        (inputs / "weights" / WEIGHTS[name]).symlink_to((weights / WEIGHTS[name]).absolute())
    judges = ",".join(["dlib_resnet", *(f"onnx({name})" for name in ("sface", "arcface_mbf") if name in there)])
    extra = ",lpips,gt_lpips_crop" * ("lpips_alex" in there)
    extra += ",pose_error,gaze_error,gt_expression_error" * ("face_landmarker" in there)
    used = ["--judges", judges, "--observers", INCEPTION]
    scored = ["score", "--target", "inputs/targets", "--source", "inputs/people", *used]
    jobs = {
        "run": ["run", "--models", MODELS, "--dataset", "synthetic(people=2,sessions=8,images=2,gallery=24)",
                "--budget", "smoke", *used],
        "score": [*scored, "--outputs", "inputs/tools/*", "--coach", "gan_mask=arcface"],
        "table": [*scored, "--outputs", "inputs/tools", "--pairs", "inputs/pairs.csv", "--missing", "drop",
                  "--seed", "3"],
        "calibrate": ["calibrate", "inputs/people", "--judges", judges],
        "validate": ["validate", "--metrics", VALIDATED + extra, "--faults", "blur,identity_mix,pose_offset,flicker",
                     "--budget", "smoke", "--judges", judges.split(",onnx(arc")[0], "--observers", INCEPTION],
    }  # fmt: skip
    return {"weights": there, "jobs": jobs}


# ---- inputs ----------------------------------------------------------------------------------------------------------


def write_inception(path: Path) -> None:
    """Inception-v3 with random weights, such that features stay in range and are not all alike."""
    import torch
    from torchvision.models.inception import Inception3

    from fsbench.contracts import toy_weights

    with torch.device("meta"):
        layout = Inception3(1008, aux_logits=False, init_weights=False).state_dict()
    torch.save(toy_weights(layout), path)


def write_photographs(run: Path, inputs: Path) -> None:
    """Lay out a run's targets and outputs as photographs of people and folders of tools, with faults of every kind."""
    targets = sorted((run / "inputs/target").rglob("*.png"))
    for path in targets:
        name = path.relative_to(run / "inputs/target")
        _photograph([path], inputs / "people" / name)
        _photograph([path], inputs / "targets" / _flat(name))
    lines = ["output,source,target,model"]
    for tool in ("gan_mask", "alpha_paste", "exact"):
        folder = run / "outputs" / tool
        for number, path in enumerate(sorted(folder.rglob("*.png"))):
            source, *rest = path.relative_to(folder).parts
            name = f"{source}_{_flat(Path(*rest))}"
            place = inputs / "tools" / tool / name
            _write_output(path, place, number if tool != "exact" else -1, inputs / "targets" / _flat(Path(*rest)))
            lines.append(f"{name},{source},{_flat(Path(*rest))},{tool}")
    _two_faces(targets, run / "outputs/exact", inputs, lines)
    (inputs / "pairs.csv").write_text("\n".join(lines) + "\n")


def _flat(name: Path) -> str:
    return "-".join(name.parts)


def _write_output(path: Path, place: Path, number: int, target: Path) -> None:
    """An output; of the first six one is missing, unreadable, black, unchanged, and of another size."""
    from PIL import Image

    place.parent.mkdir(parents=True, exist_ok=True)
    if number == 1:
        place.write_bytes(b"no image")
    elif number == 2:
        Image.new("RGB", (360, 300)).save(place)
    elif number == 3:
        shutil.copy(target, place)
    elif number == 4:
        _photograph([path], place, 1.5)
    elif number != 0:
        _photograph([path], place)


def _two_faces(targets: Sequence[Path], exact: Path, inputs: Path, lines: list[str]) -> None:
    """A target with two people, of which the second was swapped."""
    first, second = targets[0], targets[-1]
    _photograph([first, second], inputs / "targets/both.png")
    source = first.relative_to(first.parents[2]).parts[0]
    swapped = exact / source / second.relative_to(second.parents[2])
    _photograph([first, swapped], inputs / f"tools/exact/{source}_both.png")
    lines.append(f"{source}_both.png,{source},both.png,exact")


def _photograph(paths: Sequence[Path], place: Path, factor: float = 1.0) -> None:
    """Crops side by side on a shaded ground, in twice their size."""
    from PIL import Image

    width, height = 100 + 260 * len(paths), 300
    shade = np.linspace(60, 180, width)[None, :, None] + np.linspace(-30, 30, height)[:, None, None]
    canvas = Image.fromarray(np.broadcast_to(shade, (height, width, 3)).astype(np.uint8))
    for number, path in enumerate(paths):
        with Image.open(path) as crop:
            canvas.paste(crop.convert("RGB").resize((256, 256), Image.Resampling.BICUBIC), (50 + 260 * number, 22))
    place.parent.mkdir(parents=True, exist_ok=True)
    canvas.resize((round(width * factor), round(height * factor))).save(place)


# ---- the command -----------------------------------------------------------------------------------------------------


def prepare_old(home: Path, revision: str, weights: Path) -> dict[str, Any]:
    """Run the old side, and write the inputs that its `run` gives for the other jobs."""
    inputs = home / "inputs"
    shutil.rmtree(inputs, ignore_errors=True)
    plan = make_plan(inputs, weights)
    write_inception(inputs / "inception.pth")
    side = Side.make(home / "old", revision)
    first, *others = plan["jobs"]
    side.run(plan, [first])
    write_photographs(home / "old/results" / first, inputs)
    side.run({**plan, "weights": []}, others)
    (home / "plan.json").write_text(json.dumps(plan, indent=1))  # last: without it the old side is not finished
    return plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both sides, compare, print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", default=BASELINE, help="revision or folder (default: %(default)s)")
    parser.add_argument("--new", default=str(ROOT), help="revision or folder (default: the working tree)")
    parser.add_argument("--keep", type=Path, help="new folder for code, inputs and results (default: a temporary one)")
    parser.add_argument("--reuse", type=Path, help="folder that --keep wrote: its old side and inputs are used")
    parser.add_argument("--name", default="new", help="folder of the new side below --keep or --reuse")
    parser.add_argument("--jobs", help="comma-separated jobs of the new side (default: all)")
    parser.add_argument("--ignore", action="append", default=[], help="pattern of JOB/FILE:FIELD that is not compared")
    parser.add_argument("--compare-only", action="store_true", help="compare what is in --reuse, and run nothing")
    parser.add_argument(
        "--weights",
        type=Path,
        help="folder of pretrained files (default: FSBENCH_TEST_WEIGHTS)",
        default=os.environ.get("FSBENCH_TEST_WEIGHTS", Path.home() / ".cache/fsbench-test-weights"),
    )
    chosen = parser.parse_args(arguments)
    if not chosen.name.isidentifier() or chosen.name in ("old", "inputs"):
        parser.error("--name is a plain name, and neither old nor inputs: that folder is written anew")
    if chosen.keep and chosen.keep.exists() and any(chosen.keep.iterdir()):
        parser.error(f"{chosen.keep} holds files already; --reuse {chosen.keep} uses the old side that is there")
    with tempfile.TemporaryDirectory() as passing:
        home = (chosen.reuse or chosen.keep or Path(passing)).absolute()
        plan = (
            json.loads((home / "plan.json").read_text())
            if chosen.reuse
            else prepare_old(home, chosen.old, Path(chosen.weights))
        )
        titles = chosen.jobs.split(",") if chosen.jobs else list(plan["jobs"])
        if not chosen.compare_only:
            Side.make(home / chosen.name, chosen.new).run(plan, titles)
        return 0 if report(home / "old/results", home / chosen.name / "results", titles, chosen.ignore) else 1


if __name__ == "__main__":
    sys.exit(main())
