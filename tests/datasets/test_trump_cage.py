from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fsbench.datasets.trump_cage import IDENTITIES, TrumpCage
from fsbench.errors import MissingData
from fsbench.interfaces import Context


def test_where_it_is_missing_one_message_says_all(tmp_path: Path, context: Context) -> None:
    with pytest.raises(MissingData, match="cannot be redistributed") as caught:
        TrumpCage(context=replace(context, data_root=tmp_path))
    for name in IDENTITIES:
        assert str(tmp_path / "trump_cage" / name) in caught.value.message
    for word in ("--data-root", "FSBENCH_DATA", "--dataset synthetic"):
        assert word in caught.value.hint
    assert caught.value.exit_code == 2


def test_half_of_it_is_missing_too(tmp_path: Path, context: Context) -> None:
    (tmp_path / "trump_cage" / IDENTITIES[0]).mkdir(parents=True)
    with pytest.raises(MissingData):
        TrumpCage(context=replace(context, data_root=tmp_path))


def test_it_is_found_under_the_data_root(tmp_path: Path, fresh_context: Context, shared: Path) -> None:
    for name, person in zip(IDENTITIES, ("George_W_Bush", "Colin_Powell"), strict=True):
        for i, path in enumerate(sorted((shared / "data/lfw" / person).glob("*.jpg"))[:12]):
            copy = tmp_path / "trump_cage" / name / f"shoot{i // 3}" / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    data = TrumpCage(context=replace(fresh_context, data_root=tmp_path))
    assert data.info.name == "trump_cage"
    assert data.faces("train").identities == list(IDENTITIES)
    assert sorted(data.faces("test").rows["session"].unique()) == ["shoot2", "shoot3"]
