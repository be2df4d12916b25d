"""Swappers that are other programs, or images that they left."""

from reference_models.external import command as command
from reference_models.external import precomputed as precomputed
