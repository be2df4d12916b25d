"""Several threads, each of which computes with one: the same results, settings put back, errors told."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from fsbench import guard


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_stand_in_the_order_of_the_items(threads: int) -> None:
    assert guard.parallel_map(lambda x: x * x, list(range(20))) == [x * x for x in range(20)]
    assert guard.parallel_map(lambda x: x, []) == []
    assert guard.parallel_map(lambda x: x, ["a"]) == ["a"]


def test_each_thread_computes_with_one_and_the_number_is_put_back(threads: int) -> None:
    assert set(guard.parallel_map(lambda _: torch.get_num_threads(), list(range(8)))) == {1}
    assert torch.get_num_threads() == threads


def test_inference_mode_holds_in_all_threads(threads: int) -> None:
    with torch.inference_mode():
        assert all(guard.parallel_map(lambda _: torch.zeros(1).is_inference(), list(range(6))))
    assert not any(guard.parallel_map(lambda _: torch.zeros(1).is_inference(), list(range(6))))


def test_networks_give_the_same_to_the_last_bit(threads: int) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 5), torch.nn.ReLU(), torch.nn.Conv2d(16, 8, 3)).eval()
    images = list(torch.rand(9, 1, 3, 40, 40))
    with torch.inference_mode():
        with guard.one_thread():
            alone = [network(image) for image in images]
        assert all(torch.equal(*pair) for pair in zip(guard.parallel_map(network, images), alone, strict=True))


def test_what_is_made_at_the_first_call_is_made_once(threads: int) -> None:
    made: list[int] = []

    def lazily(x: int) -> int:
        if not made:
            made.append(x)
        return made[0]

    assert guard.parallel_map(lazily, list(range(12))) == [0] * 12
    assert made == [0]


def test_who_has_been_called_before_is_called_for_all_items_at_once() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=60)
    try:
        guard.parallel_map(lambda _: meeting.wait(), [0, 1], begun=True)  # waits in vain where one follows the other
    finally:
        torch.set_num_threads(before)


def test_an_error_ends_it_and_leaves_no_thread(threads: int) -> None:
    def fail(x: int) -> int:
        if x == 3:
            raise KeyError(x)
        return x

    before = threading.active_count()
    with pytest.raises(KeyError):
        guard.parallel_map(fail, list(range(50)))
    assert torch.get_num_threads() == threads
    assert threading.active_count() == before
