"""The border between fsbench and the code of plug-ins: every call of such code passes it.

What a plug-in raises is told as its own fault, and what it changes reaches neither another plug-in nor a later call:
`call` hands over copies of tensors, arrays, tables and of the records that hold them, and copies what comes back; and
`run` puts the state of the process back as it was (`_settings`, `_streams`, grad and inference mode, warnings, standard
output, which goes to standard error meanwhile so that `--json` stays JSON). What lies deeper is out of reach: writes of
C libraries to the terminal, threads that go on, and `os._exit`, which ends the process on the spot.

A call costs 0.2 ms and the copies, 12 ms for 64 images of 128 pixels.
"""

from __future__ import annotations

import copy
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

from fsbench.errors import FsbenchError, PluginError, one_line

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Access = tuple[Callable[[], Any], Callable[[Any], object]]
"""How something is read, and how it is set."""


def call(who: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return a copy of what a plug-in's function gives for copies of the arguments; raises as `run` does."""
    given: T = copied(run(who, function, *copied(args), **copied(kwargs)))
    return given


def run(who: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of the plug-in `who`, and put the state of the process back afterwards.

    An FsbenchError passes: it says what is wrong. So does KeyboardInterrupt, whoever raises it: it is how Ctrl-C
    arrives, and nothing tells the two apart. Whatever else is raised, SystemExit among it, becomes a PluginError that
    names the plug-in and has the original as its cause.
    """
    try:
        with unchanged():
            return function(*args, **kwargs)
    except (FsbenchError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PluginError(f"{who} raised {one_line(error)}", "the fault is in the plug-in: tell its author") from error


def copied(value: Any) -> Any:
    """Copy tensors, arrays and tables, in records, mappings, lists and tuples too; anything else is the same object."""
    torch, pandas, numpy = (sys.modules.get(name) for name in ("torch", "pandas", "numpy"))
    if torch is not None and isinstance(value, torch.Tensor):
        return value.detach().clone()
    if pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series):
        return value.copy()
    if numpy is not None and isinstance(value, numpy.ndarray):
        return value.copy(order="K")
    if is_dataclass(value) and not isinstance(value, type):
        twin = copy.copy(value)
        for one in fields(value):
            object.__setattr__(twin, one.name, copied(getattr(value, one.name)))
        for name in list(getattr(twin, "__dict__", ())):
            if isinstance(getattr(type(value), name, None), cached_property):
                del vars(twin)[name]  # what it holds is no copy
        return twin
    if type(value) in (tuple, list):
        return type(value)(copied(item) for item in value)
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    return value


@contextmanager
def unchanged() -> Iterator[None]:
    """Put the state of the process back after a `with` block."""
    settings = [(get(), get, put) for get, put in _settings()]
    streams = [(get(), put) for get, put in _streams()]
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(redirect_stdout(sys.stderr))
        if (torch := sys.modules.get("torch")) is not None:
            graded = torch.is_grad_enabled()
            stack.enter_context(torch.inference_mode(torch.is_inference_mode_enabled()))
            stack.enter_context(torch.set_grad_enabled(graded))
        try:
            yield
        finally:
            for before, get, put in settings:
                if get() != before:
                    put(before)
            for before, put in streams:
                put(before)


@contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """Compute with one thread for a while: for small networks on CPUs, whose threads wait for each other by spinning.

    Measured on networks of a million weights and two cores: a second thread gains 5 % of a bfloat16 training step when
    both cores are free; when one is not, that step takes ten times as long, and a forward pass up to forty times.
    One thread also makes the result independent of the number of cores.
    """
    import torch  # slow to import, and the registry needs this file

    before = torch.get_num_threads()
    torch.set_num_threads(1 if wanted else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let numpy and scipy compute with one thread for a while: for many small matrices, as `one_thread` for networks.

    Measured on two cores that others use too: 1,000 eigenvalue problems of 128 dimensions took 2 s with one thread, and
    175 s with two, which wait for each other by spinning.
    """
    from threadpoolctl import threadpool_limits  # looks for libraries, which takes milliseconds

    with threadpool_limits(1, "blas"):
        yield


def parallel_map(function: Callable[[Item], T], items: Sequence[Item], *, begun: bool = False) -> list[T]:
    """Apply a function to items, in as many threads as torch may use, each of which computes with one.

    For networks on a CPU, which release Python's lock while they compute: what they give for an item is the same to the
    last bit, whatever the number of cores. The function must bear to be called from several threads at once. The first
    item is alone, so that what is made at the first call is made once; `begun` says that there was a call before.
    """
    import torch  # as in `one_thread`

    first = [] if begun else items[:1]
    workers, inference = min(torch.get_num_threads(), len(items) - len(first)), torch.is_inference_mode_enabled()
    if workers < 2:
        with one_thread():
            return [function(item) for item in items]

    def alone(item: Item) -> T:
        with torch.inference_mode(inference):
            return function(item)

    with one_thread():
        given = [function(item) for item in first]
        pool = ThreadPoolExecutor(workers)  # new threads take the number of threads that is set
        try:
            return [*given, *pool.map(alone, items[len(first) :])]
        finally:
            pool.shutdown(cancel_futures=True)


def side_by_side(function: Callable[[Item], T], items: Sequence[Item], n_threads: int) -> list[T]:
    """Apply a function to a few items at once, each in a thread that computes with one; in turn with `n_threads` 1.

    For steps of training, whose parts release Python's lock while they compute.
    """
    if n_threads < 2 or len(items) < 2:
        return [function(item) for item in items]
    with one_thread(), ThreadPoolExecutor(min(n_threads, len(items)) - 1) as pool:
        others = [pool.submit(function, item) for item in items[1:]]
        return [function(items[0]), *(other.result() for other in others)]


def _settings() -> list[Access]:
    """What is compared, and set again where it is another."""
    found: list[Access] = [(_folder, _go), (lambda: dict(os.environ), _set_environment)]
    if threading.current_thread() is threading.main_thread():
        found.append((lambda: signal.getsignal(signal.SIGINT), lambda handler: signal.signal(signal.SIGINT, handler)))
    if (numpy := sys.modules.get("numpy")) is not None:
        found.append((numpy.geterr, lambda modes: numpy.seterr(**modes)))
    if (torch := sys.modules.get("torch")) is not None:
        found += [
            # First of all: what follows would be made on another device.
            (torch.get_default_device, lambda one: torch.set_default_device(None if one.type == "cpu" else one)),
            (torch.get_default_dtype, torch.set_default_dtype),
            (torch.get_num_threads, torch.set_num_threads),
            (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
            (
                lambda: (
                    torch.are_deterministic_algorithms_enabled(),
                    torch.is_deterministic_algorithms_warn_only_enabled(),
                ),
                lambda modes: torch.use_deterministic_algorithms(modes[0], warn_only=modes[1]),
            ),
            *(_attribute(torch.backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic")),
            _attribute(torch.backends.mkldnn, "enabled"),
            *(_autocast(torch, device) for device in ("cpu", "cuda")),
        ]
    return found


def _streams() -> list[Access]:
    """Random numbers, which are set again always."""
    found: list[Access] = [(random.getstate, random.setstate)]
    if (numpy := sys.modules.get("numpy")) is not None:
        found.append((numpy.random.get_state, numpy.random.set_state))
    if (torch := sys.modules.get("torch")) is not None:
        found.append((torch.get_rng_state, torch.set_rng_state))
        if torch.cuda.is_initialized():
            found.append((torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all))
    return found


def _attribute(owner: Any, name: str) -> Access:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _autocast(torch: Any, device: str) -> Access:
    return lambda: torch.is_autocast_enabled(device), lambda value: torch.set_autocast_enabled(device, value)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted under us, and nobody can go back to it
        return ""


def _go(folder: str) -> None:
    with suppress(OSError):
        os.chdir(folder)


def _set_environment(before: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)
