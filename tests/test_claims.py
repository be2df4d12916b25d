"""Processes that share a store compute each item once, and lose none, however they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fsbench import claims
from fsbench.claims import FOLDER, SUFFIX, Alone, SharedClaims
from fsbench.remote import Objects


def fill(shared: SharedClaims | Alone, folder: Path, items: list[int], seconds: float = 0.0) -> list[int]:
    """Write a file for each item that is not there; returns those that were computed here."""
    computed: list[int] = []

    def compute(item: int) -> None:
        time.sleep(seconds)
        computed.append(item)
        (folder / str(item)).write_text("")

    given = list(shared.share(items, str, lambda item: (folder / str(item)).exists(), compute))
    assert sorted(given) == sorted(items)
    return computed


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("url", ["file://{}", "memory://claims-{}"])
def test_claims_at_a_url_hold_as_those_in_a_folder(folder: Path, tmp_path: Path, url: str) -> None:
    """Each item is computed once, a dead member's too, and nothing is left."""
    place = url.format(tmp_path / "bucket")
    dead = SharedClaims(tmp_path / "here", "dead", url=place)
    assert dead._take(claims._file_name("3"))
    dead._held.clear()
    computed: list[int] = []
    threads = []
    for k in range(2):
        shared = SharedClaims(tmp_path / f"node{k}", f"m{k}", k, 2, url=place)
        shared.gone(["dead"])
        threads.append(in_thread(lambda shared=shared: computed.extend(fill(shared, folder, list(range(6)), 0.01))))
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert sorted(computed) == list(range(6))
    assert not Objects(place).listed(FOLDER)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


def left(folder: Path) -> list[Path]:
    return list((folder.parent / "claims").glob(f"*{SUFFIX}"))


@pytest.mark.parametrize(("members", "n"), [(1, 5), (2, 20), (3, 7), (5, 2), (4, 1), (2, 0)])
def test_each_item_is_computed_by_one_member(folder: Path, members: int, n: int) -> None:
    """More members than items, one item, none at all: nobody waits for ever, and nothing is computed twice."""
    items, computed = list(range(n)), list[int]()
    threads = []
    for place in range(members):
        shared = SharedClaims(folder.parent, f"m{place}", place, members)
        threads.append(in_thread(lambda shared=shared: computed.extend(fill(shared, folder, items, 0.01))))
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert sorted(computed) == items
    assert not left(folder)


def test_members_begin_apart(folder: Path) -> None:
    shared = SharedClaims(folder.parent, "b", 1, 2)
    assert fill(shared, folder, [0, 1, 2, 3]) == [2, 3, 0, 1]


def test_what_is_there_is_not_computed(folder: Path) -> None:
    (folder / "1").write_text("")
    assert fill(SharedClaims(folder.parent, "a"), folder, [0, 1, 2]) == [0, 2]


def claimed_by(folder: Path, member: str, item: int) -> SharedClaims:
    """Claims of a member that holds an item, and is killed with it."""
    shared = SharedClaims(folder.parent, member)
    assert shared._take(claims._file_name(str(item)))
    with shared._lock:
        shared._held.clear()  # it renews nothing any more
    return shared


def test_claims_of_a_dead_member_are_taken_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LEASE", 0.3)
    claimed_by(folder, "dead", 1)
    began = time.monotonic()
    assert sorted(fill(SharedClaims(folder.parent, "alive"), folder, [0, 1, 2])) == [0, 1, 2]
    assert time.monotonic() - began >= 0.3
    assert not left(folder)


def test_a_member_known_to_be_gone_is_not_waited_for(folder: Path) -> None:
    claimed_by(folder, "dead", 1)
    shared = SharedClaims(folder.parent, "alive")
    waiting = in_thread(lambda: fill(shared, folder, [0, 1]))
    time.sleep(0.2)
    assert waiting.is_alive()
    shared.gone(["dead"])
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_member_that_is_started_again_takes_its_claims_up(folder: Path) -> None:
    claimed_by(folder, "m1", 1)
    assert sorted(fill(SharedClaims(folder.parent, "m1"), folder, [0, 1])) == [0, 1]


def test_a_claim_that_is_renewed_is_respected(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the work takes: the other waits for it."""
    monkeypatch.setattr(claims, "LEASE", 1.5)
    monkeypatch.setattr(claims, "BEAT", 0.05)
    shared = [SharedClaims(folder.parent, name) for name in "ab"]
    slow: list[int] = []
    first = in_thread(lambda: slow.extend(fill(shared[0], folder, [0], seconds=3.0)))
    while not left(folder):
        time.sleep(0.01)
    assert fill(shared[1], folder, [0]) == []
    first.join(10)
    assert slow == [0]


def test_what_fails_is_free_for_others(folder: Path) -> None:
    def fails(item: int) -> None:
        raise ZeroDivisionError

    shared = SharedClaims(folder.parent, "a")
    with pytest.raises(ZeroDivisionError):
        list(shared.share([0], str, lambda item: False, fails))
    assert not left(folder)
    assert fill(SharedClaims(folder.parent, "b"), folder, [0]) == [0]


def test_patience_leaves_work_to_others_and_ends(folder: Path) -> None:
    patient = SharedClaims(folder.parent, "leader", 0, 2, patience=0.3)
    began = time.monotonic()
    assert sorted(fill(patient, folder, [0, 1, 2])) == [0, 1, 2]
    assert 0.3 <= time.monotonic() - began < 5


def test_where_there_can_be_no_claims_everybody_computes(folder: Path) -> None:
    (folder.parent / "claims").write_text("")
    assert fill(SharedClaims(folder.parent, "a"), folder, [0, 1]) == [0, 1]


def test_a_folder_in_the_place_of_a_claim_stops_nobody(folder: Path) -> None:
    (folder.parent / FOLDER / claims._file_name("1")).mkdir(parents=True)
    assert sorted(fill(SharedClaims(folder.parent, "a"), folder, [0, 1])) == [0, 1]


def test_claims_travel_as_json(tmp_path: Path) -> None:
    shared = SharedClaims(tmp_path, "a", 1, 3, 2.0)
    again = SharedClaims.from_json(shared.as_json())
    assert again.as_json() == shared.as_json()
    assert shared.of_member(1).as_json() == {**shared.as_json(), "member": "a.1", "place": 2, "patience": 0.0}
