"""What the processes do that share the work of a run and do not lead it."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fsbench.claims import Claims
from fsbench.config import Plan
from fsbench.errors import DataError


def follow(request: Mapping[str, Any], claims: Claims) -> None:
    """Do a share of the work of a request on its store; raises FsbenchError.

    A request is JSON: `plan`, `read` and `typed` as in `Execution.share`, `strict`, the number of `threads`, the
    working folder `folder`, the cache and the data root.
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
    context = make_context(plan.device, Path(request["data_root"]))
    context = replace(context, store=Store.from_json(request["cache"]))
    context.store.claims = claims
    torch.set_num_threads(request["threads"])
    measure = partial(run, plan, strict=request["strict"])
    if request["read"]:
        measure = pkgutil.resolve_name(request["read"])(plan, **request["typed"])
    measure(out=passing_folder(), context=context, leads=False)
