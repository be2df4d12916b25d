"""The page of several runs: what stands on it, also where pictures, samples or a whole protocol are missing."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import run_scores

from fsbench.comparison.scores import load
from fsbench.comparison.table import compare_runs
from fsbench.gates import baseline
from fsbench.report import comparison

Invoke = Callable[..., tuple[int, str, str]]


def page_of(*folders: Path, **options: Any) -> str:
    scores = [load(folder) for folder in folders]
    return comparison.html(comparison.Compared(scores, compare_runs(scores, **options)))


def section(page: str, name: str) -> str:
    return page.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def test_a_page_shows_both_runs(run_folder: Path) -> None:
    page = page_of(run_folder, run_folder, models=["gan_mask=<b>cycle</b>(mask=true)"])
    assert "<b>cycle</b>" not in page
    assert html.escape("<b>cycle</b>(mask=true) of A against gan_mask of A") in page
    assert page.count("<svg") == 1  # of pose_error: the judge is partial to one of the two
    assert "was trained against toy_judge" in page
    flips = section(page, "flips")
    assert "got worse" in flips
    assert flips.count("data:image/jpeg") >= 4 * 6
    pictures = section(page, "pictures")
    rows = pictures.count("<tr data-pair=")
    assert rows > 2
    assert pictures.count("data:image/jpeg") == 4 * rows
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)


def test_a_page_is_the_same_when_it_is_written_again(run_folder: Path, tmp_path: Path) -> None:
    scores = [load(run_folder), load(run_folder)]
    pages = [comparison.write(scores, compare_runs(scores), tmp_path / name).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_flips_are_those_of_the_largest_change(tmp_path: Path) -> None:
    a = run_scores.write_run(tmp_path / "a")
    b = run_scores.write_run(tmp_path / "b", seed=1)
    samples = [pd.read_parquet(folder / "samples.parquet") for folder in (a, b)]
    tables = [table[table["model"] == "swapper"].reset_index(drop=True) for table in samples]
    name = f"id_similarity@{run_scores.JUDGE}"
    change = tables[1][name] - tables[0][name]
    flips = section(page_of(a, b), "flips")
    worst = tables[0].loc[change.idxmin()]
    best = tables[0].loc[change.idxmax()]
    for row in (worst, best):
        assert f"{row['source']} into {row['id']}:" in flips
    captions = re.findall(r"<figcaption>(.*?) in A, .*?<b>(.*?)</b>", flips)
    assert captions[0][0].startswith(f"{worst['source']} into {worst['id']}")
    sizes = [float(size.replace("−", "-")) for _, size in captions]
    assert sizes[:6] == sorted(sizes[:6])
    assert sizes[6:] == sorted(sizes[6:], reverse=True)
    assert f"{int((change < 0).sum())} of {len(change)} got worse" in flips
    assert "missing" in flips  # the files of its pictures


def test_what_is_refused_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    a = run_scores.write_run(tmp_path / "a")
    b = run_scores.write_run(tmp_path / "b", changes={"metrics.2.version": 2, "protocol.gallery_images": 9}, seed=1)
    page = page_of(a, b)
    assert "version of pose_error: 1 in A, 2 in B" in page
    assert "Not compared: pose_error" in page
    assert "nothing could be compared" in page
    allowed = page_of(a, b, allow_mismatch=True)
    assert "in spite of gallery size" in allowed


def test_several_runs_and_a_baseline(tmp_path: Path) -> None:
    runs = [run_scores.write_run(tmp_path / name, seed=seed) for seed, name in enumerate("abc")]
    page = page_of(*runs)
    assert all(f"swapper: {letter} against A" in page for letter in "BC")
    assert "<h1>swapper in 3 runs</h1>" in page
    assert page.count("1 November 2026, 00:00 UTC") == 3
    baseline.save(load(runs[0]), tmp_path / "b.json")
    scores = [baseline.load(tmp_path / "b.json"), load(runs[1])]
    assert "no picture" in comparison.html(comparison.Compared(scores, compare_runs(scores)))


def test_runs_without_a_sample_in_common(tmp_path: Path) -> None:
    a = run_scores.write_run(tmp_path / "a", table=run_scores.labels(sessions=2))
    b = run_scores.write_run(tmp_path / "b", table=run_scores.labels(sessions=2, first=5))
    page = page_of(a, b, allow_mismatch=True)
    assert "share no sample" in page
    assert "0 outputs are compared" in page


def test_many_points_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsbench.report.comparison_sections.MOST_POINTS", 20)
    a, b = (run_scores.write_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab"))
    figures = section(page_of(a, b, metrics=["pose_error"]), "samples")
    assert len(re.findall(r"<use ", figures.partition("PathCollection_1")[2].partition("</g>\n   </g>")[0])) <= 20


def test_the_command(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from fsbench.cli import main

    def invoke(*arguments: object) -> int:
        monkeypatch.setattr("sys.argv", ["fsbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0)

    other = tmp_path / "other"
    shutil.copytree(run_folder, other)
    assert invoke("report", run_folder, other, "--out", tmp_path / "page.html") == 0
    assert "gan_mask: B against A" in (tmp_path / "page.html").read_text()
    assert invoke("report", run_folder, other) == 2
    assert "--out" in capsys.readouterr().err
    assert invoke("report", run_folder, "--out", tmp_path / "x.html") == 2
    assert not (tmp_path / "x.html").exists()
