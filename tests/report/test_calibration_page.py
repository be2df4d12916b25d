"""The page of `fsbench calibrate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fsbench.report import calibration
from fsbench.report.run import read
from fsbench.stats.calibration import calibrate


def test_terms_of_the_weights_stand_on_the_page(run_folder: Path, tmp_path: Path) -> None:
    result = read(run_folder).result
    shares = {judge.name: (np.array([0, 1.0]), np.array([1.0, 0])) for judge in result.judges}
    page = calibration.write(tmp_path, result.dataset, result.judges, shares, ()).read_text(encoding="utf-8")
    (note,) = result.judges[0].notes
    assert "Weights that were used" in page
    assert f"{result.judges[0].name}: {note}." in page
    free = [judge.model_copy(update={"notes": ()}) for judge in result.judges]
    page = calibration.write(tmp_path, result.dataset, free, shares, ()).read_text(encoding="utf-8")
    assert "Weights that were used" not in page


def test_judges_that_see_no_difference_are_drawn(run_folder: Path) -> None:
    record = read(run_folder).result.judges[0].calibration
    assert record is not None
    identity, session = (np.array(list(text), dtype=object) for text in ("aabb", "1212"))
    for vectors in (np.eye(4)[[0, 0, 0, 0]], np.eye(4)[[0, 0, 1, 1]], np.eye(4)[[0, 0, 0, 0]] * [[1], [-1], [1], [-1]]):
        found = calibrate(vectors.astype(np.float32), identity, session)
        assert found is not None
        _, *shares = found.densities(1000)
        assert calibration.histogram("one", (shares[0], shares[1]), record).startswith("<svg")
        assert calibration.errors({"one": (shares[0], shares[1])}).startswith("<svg")
