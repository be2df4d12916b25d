from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fsbench.datasets import balance


def test_even_rows_give_no_warning() -> None:
    rows = pd.DataFrame({"identity": ["a"] * 4 + ["b"] * 4, "session": list("ssttssuu")})
    assert balance.warnings(rows) == []


def test_a_session_as_in_experiment_4_is_warned_of() -> None:
    rows = pd.DataFrame({"identity": "hinako", "session": ["series"] * 65 + [f"shoot{i}" for i in range(35)]})
    (warning,) = balance.warnings(rows)
    assert warning.startswith("hinako: session series holds 65 of 100 images (65%)")


def test_a_pose_is_warned_of_above_nine_in_ten() -> None:
    for frontal, warned in ((18, 0), (19, 1)):
        yaw = [0.0] * frontal + [30.0] * (20 - frontal)
        rows = pd.DataFrame({"identity": "ann", "session": [f"s{i}" for i in range(20)], "yaw": yaw})
        assert len(balance.warnings(rows)) == warned
    assert balance.warnings(rows)[0].startswith("ann: pose frontal holds 19 of 20 images")


def test_images_are_counted_by_session_and_pose() -> None:
    rows = pd.DataFrame(
        {"session": ["t", "s", "t", "t", "t", "t", "s"], "yaw": [-45.1, -45, -15.1, -15, 15, 45, np.nan]}
    )
    assert balance.by_session(rows) == {"s": 2, "t": 5}
    assert list(balance.by_session(rows)) == ["s", "t"]
    assert balance.by_pose(rows) == {"profile left": 1, "left": 2, "frontal": 1, "right": 1, "profile right": 1}


@pytest.mark.parametrize("rows", [{"session": ["s"]}, {"session": ["s"], "yaw": [np.nan]}])
def test_without_a_yaw_there_are_no_poses(rows: dict[str, list[object]]) -> None:
    assert balance.by_pose(pd.DataFrame(rows)) == {}
