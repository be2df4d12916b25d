"""Numbers of a run for experiment trackers: MLflow and TensorBoard, where they are installed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from fsbench.errors import UsageError, one_line
from fsbench.results import ModelRecord, RunResult, Value, column, slug

_MLFLOW_NAME = re.compile(r"[^\w\-. :/]", re.ASCII)
_MLFLOW_TEXT = 500
"""Characters of a parameter that every store of MLflow takes."""


def scalars(values: Iterable[Value]) -> Iterator[tuple[str, float]]:
    """Name and number of all that is known of a model: each value, and the ends of its interval, `/low` and `/high`."""
    for value in values:
        if value.value is None:
            continue
        name = column(value.metric, value.judge, value.stage)
        yield name, value.value
        for end in ("low", "high"):
            if (number := getattr(value, end)) is not None:
                yield f"{name}/{end}", number


def mlflow_name(name: str) -> str:
    """A name as MLflow takes it: the characters that it forbids become `_`.

    >>> mlflow_name("id_similarity@onnx(sface)/low")
    'id_similarity_onnx_sface_/low'
    """
    return _MLFLOW_NAME.sub("_", name)


def steps(model: ModelRecord) -> int:
    """Steps after which a model is measured, 0 for one that was not trained here."""
    return model.training.steps if model.training else 0


def to_mlflow(result: RunResult, place: str, experiment: str) -> int:
    """Write a run of MLflow for each model, to a tracking URI; returns their number.

    Characters that MLflow forbids in names become `_`. Raises UsageError where MLflow is not installed, or refuses the
    place.
    """
    mlflow = _needed("mlflow", "mlflow")
    try:
        mlflow.set_tracking_uri(place)
        mlflow.set_experiment(experiment)
    except mlflow.exceptions.MlflowException as error:
        hint = "name a tracking URI: --out sqlite:///mlflow.db, or the address of a server"
        raise UsageError(f"MLflow cannot use {place}: {one_line(error)}", hint) from error
    for model in result.models:
        with mlflow.start_run(run_name=model.name):
            mlflow.log_params({key: text[:_MLFLOW_TEXT] for key, text in _facts(result, model).items()})
            named = {mlflow_name(name): number for name, number in scalars(result.find(model.name))}
            mlflow.log_metrics(named, step=steps(model))
    return len(result.models)


def to_tensorboard(result: RunResult, folder: Path) -> int:
    """Write an event file for each model, in a folder of its own, at its number of steps; returns their number.

    Raises UsageError where TensorBoard is not installed.
    """
    _needed("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for model in result.models:
        with SummaryWriter(str(folder / slug(model.name))) as writer:
            for name, number in scalars(result.find(model.name)):
                writer.add_scalar(name, number, steps(model))
            facts = "\n".join(f"    {key}: {text}" for key, text in _facts(result, model).items())  # a block of code
            writer.add_text("facts", facts, steps(model))
    return len(result.models)


def _facts(result: RunResult, model: ModelRecord) -> dict[str, str]:
    """What numbers are of, and by which rules."""
    return {
        "model": model.spec,
        "kind": model.kind,
        "dataset": result.dataset.spec,
        "revision": result.dataset.revision,
        "stage": result.protocol.stage,
        "pairs": str(result.protocol.n_pairs),
        "seed": str(result.seed),
        "created": result.created,
        "git": str(result.environment.get("git", "")),
    }


def _needed(package: str, wheel: str) -> ModuleType:
    try:
        return import_module(package)
    except ImportError as error:
        raise UsageError(f"{package} is not installed ({error})", f"pip install {wheel}") from error
