"""What a user hands over, a function or outputs, as a model of the harness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from fsbench.errors import UsageError
from fsbench.extraction.blocks import spans
from fsbench.guard import copied
from fsbench.harness.models import Model
from fsbench.harness.parts import Part, check_image, check_output, check_signature
from fsbench.interfaces import Source, Swapped, Swapper, Targets
from fsbench.specs import Spec
from fsbench.store import fingerprint

Swap = Callable[[Source, Targets], Swapped | Tensor]

WANTED = "a function of source and targets, a swapper, or a tensor of outputs (N, 3, S, S) for all pairs"


def as_model(
    swap: Swap | Swapper | Tensor, name: str, coaches: Sequence[str], key: str | None, batch_size: int
) -> Model:
    """Return a model of one part; raises UsageError and PluginError for what cannot be called as a swapper is.

    Its outputs are kept where there is a `key`, and else computed each time.
    """
    if isinstance(swap, Tensor):
        part = Part(name, Spec("outputs"), "swapper", SimpleNamespace(coaches=tuple(coaches)), "outputs handed over")
        return Model(name, "outputs", (part,))
    function: Any = getattr(swap, "swap", swap)
    if not callable(function):
        raise UsageError(f"{name}: cannot score {type(swap).__name__}", f"give {WANTED}")
    check_signature(name, SimpleNamespace(swap=function), "swap")
    doc = (getattr(swap, "__doc__", None) or "a function").strip().split("\n\n")[0]
    identity = None if key is None else fingerprint({"key": key, "batch_size": batch_size})
    called = _Called(name, function, swap, coaches, batch_size)
    origin = f"{getattr(swap, '__module__', '')}.{getattr(swap, '__qualname__', type(swap).__qualname__)}"
    return Model(name, origin, (Part(name, Spec("swap"), "swapper", called, " ".join(doc.split()), identity),))


def check_outputs(name: str, outputs: Tensor, n: int, size: int) -> Tensor:
    """Return outputs (N, 3, S, S) of all pairs as float32 on the CPU; raises PluginError for anything else."""
    like = torch.empty(1).expand(n, 3, size, size)  # takes no memory
    return check_image(name, outputs.detach(), like, 3)


class _Called:
    """Calls a function as a swapper, on so many targets at once; it sees ordinary tensors, and no gradients are kept.

    Tensors of inference mode would do for the outputs, but not for what a model keeps of its first call (a table of
    positions, say) and is trained with afterwards.
    """

    def __init__(self, name: str, function: Swap, swapper: object, coaches: Sequence[str], batch_size: int) -> None:
        self._name, self._function, self._batch_size = name, function, batch_size
        self.coaches = tuple(dict.fromkeys((*coaches, *getattr(swapper, "coaches", ()))))
        self.weights_files = tuple(getattr(swapper, "weights_files", ()))

    def swap(self, source: Source, targets: Targets) -> Swapped:
        """Return the outputs for all targets; raises PluginError for what is no image."""
        with torch.inference_mode(False), torch.no_grad():
            portions = [targets.select(block) for block in spans(len(targets), self._batch_size)]
            parts = [self._swap(copied(source), copied(portion)) for portion in portions]
        alpha = [part.alpha for part in parts if part.alpha is not None]
        absent = [part.absent or ("",) * len(part.images) for part in parts]
        return Swapped(
            torch.cat([part.images for part in parts]),
            torch.cat(alpha) if len(alpha) == len(parts) else None,
            tuple(name for names in absent for name in names),
        )

    def _swap(self, source: Source, targets: Targets) -> Swapped:
        shown = targets.images.clone()  # the function may write into its own
        return check_output(self._name, self._function(source, targets), shown)
