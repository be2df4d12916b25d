"""How often tests kill processes: FSBENCH_TEST_KILLS says it, 10 by default, 50 at night."""

import os

KILLS = int(os.environ.get("FSBENCH_TEST_KILLS", "10"))

SHARES = {"run": 0.35, "score": 0.25, "validate": 0.25, "ray": 0.15}


def kills_of(name: str) -> int:
    """How often one of SHARES is killed, at least once."""
    return max(1, round(SHARES[name] * KILLS))
