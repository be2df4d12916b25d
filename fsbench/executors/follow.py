"""What the processes do that share the work of a run and do not lead it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fsbench.claims import Claims
from fsbench.config import Plan


def follow(request: Mapping[str, Any], claims: Claims) -> None:
    """Walk the plan of a request against its store, by claims; raises FsbenchError.

    A request is JSON: `plan`, the folders `cache` and `data_root`, `strict`, and the number of `threads`.
    """
    import torch

    from fsbench.environment import make_context
    from fsbench.harness import run
    from fsbench.store import Store

    plan = Plan.model_validate(request["plan"])
    context = replace(make_context(plan.device, Path(request["data_root"])), store=Store(Path(request["cache"])))
    context.store.claims = claims
    torch.set_num_threads(request["threads"])
    run.follow(plan, context, strict=request["strict"])
