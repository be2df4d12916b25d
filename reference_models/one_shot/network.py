"""An ONNX file with inputs of several kinds, which are handed to it by name, one sample at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fsbench.errors import WeightsError
from fsbench.interfaces import Context
from fsbench.onnx.runtime import explain, failures, open_network

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_HINT = "take it from its source again, or name the family that it is of"


class Network:
    """Runs a file that holds a `kind` of network with inputs of one of some tuples of `names`.

    Raises WeightsError for a file that is no ONNX model, not a whole one, or another network.
    """

    def __init__(self, path: Path, kind: str, *names: tuple[str, ...], context: Context) -> None:
        self.path, self.kind = path, kind
        self._session = open_network(path, context.device, context.log, kind=kind, hint=_HINT)
        try:
            given = [(value.name, value.type, tuple(value.shape)) for value in self._session.get_inputs()]
            self._outputs = [value.name for value in self._session.get_outputs() if value.type in _TYPES]
        except failures() as error:  # a name that is no text
            raise self.refuse(explain(error)) from error
        self.shapes = {name: shape for name, _, shape in given}
        self._types = {name: type_name for name, type_name, _ in given}
        fitting = [choice for choice in names if set(choice) == set(self.shapes)]
        if not fitting:
            wanted = " or ".join(" and ".join(choice) for choice in names)
            raise self.refuse(f"its inputs are {', '.join(self.shapes) or 'none'}; {wanted} would be")
        self.names = fitting[0]
        for name, type_name in self._types.items():
            if type_name not in _TYPES:
                raise self.refuse(f"its input {name} is {type_name}, not tensor(float)")

    def refuse(self, reason: str) -> WeightsError:
        """Return the error for an ONNX model that is another network."""
        return WeightsError(f"{self.path} is no {self.kind}: {reason}", _HINT)

    def __call__(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Return its outputs for one sample, float32."""
        cast = {name: np.ascontiguousarray(value, _TYPES[self._types[name]]) for name, value in inputs.items()}
        try:
            outputs = self._session.run(self._outputs, cast)
        except failures() as error:
            raise self.refuse(explain(error)) from error
        return [output.astype(np.float32) for output in outputs]
