"""What the processes do that share the work of a run and do not lead it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fsbench.claims import Claims
from fsbench.config import Plan
from fsbench.errors import DataError


def follow(request: Mapping[str, Any], claims: Claims) -> None:
    """Do a share of the work of a request on its store; raises FsbenchError.

    A request is JSON: `plan`, `score` (what is typed of `fsbench score`, or null for a run), `strict`, the number of
    `threads`, the working folder `folder`, the cache and the data root.
    """
    import torch

    from fsbench.environment import make_context
    from fsbench.harness.run import run
    from fsbench.store import Store, passing_folder

    try:
        os.chdir(request["folder"])
    except OSError as error:
        raise DataError(f"{request['folder']} is not there on this node", "share the folder") from error
    plan = Plan.model_validate(request["plan"])
    context = replace(make_context(plan.device, Path(request["data_root"])), store=Store(Path(request["cache"])))
    context.store.claims = claims
    torch.set_num_threads(request["threads"])
    if request["score"] is None:
        run(plan, passing_folder(), context, strict=request["strict"], leads=False)
        return
    from fsbench.cli.score import read

    read(plan, **request["score"])(out=passing_folder(), context=context, leads=False)
