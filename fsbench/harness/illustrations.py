"""Tables that no value depends on: look-alikes of each image, maps of a judge's embeddings, outputs fed back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from fsbench.config import Plan
from fsbench.harness import umap
from fsbench.harness.evaluation import PreparedSet
from fsbench.harness.model_evaluation import ModelEvaluation
from fsbench.harness.passes import passes

STORED_TOP_K = 10
"""Look-alikes of each image that a run's files hold."""


def lookalikes(evaluation: PreparedSet, plan: Plan, done: Sequence[ModelEvaluation]) -> pd.DataFrame:
    """Rows of lookalikes.parquet."""
    parts = []
    for name, judge in evaluation.judges.items():
        people = np.array(judge.people, dtype=object)
        for model, faces in [("", judge.references), *((model.record.name, model.faces[name]) for model in done)]:
            top, scores = (table[:, :STORED_TOP_K].numpy() for table in (faces.top, faces.scores))
            row, rank = np.nonzero(top >= 0)
            parts.append(
                pd.DataFrame(
                    {
                        "judge": name,
                        "model": model,
                        "row": row,
                        "rank": rank + 1,
                        "name": people[top[row, rank]] if len(people) else [],
                        "score": scores[row, rank],
                    }
                )
            )
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def maps(evaluation: PreparedSet, plan: Plan, done: Sequence[ModelEvaluation]) -> pd.DataFrame:
    """Rows of umap.parquet: the held-out images, and the outputs of all but the baselines, which copy those."""
    parts = []
    n_test = len(evaluation.set.real.test)
    shown = [model for model in done if model.record.kind != "baseline"]
    for name, judge in evaluation.judges.items():
        outputs = {model.record.name: model.faces[name].vectors for model in shown}
        groups = {"": judge.references.vectors[:n_test], **outputs}
        vectors = {model: part.numpy() for model, part in groups.items()}
        parts.append(umap.layout(name, vectors, plan.seed, evaluation.context))
    return pd.concat(parts, ignore_index=True)


TABLES: Mapping[str, Callable[[PreparedSet, Plan, Sequence[ModelEvaluation]], pd.DataFrame | None]] = {
    "lookalikes.parquet": lookalikes,
    "umap.parquet": maps,
    "recursion.parquet": passes,
}
