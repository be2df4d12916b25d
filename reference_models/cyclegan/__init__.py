"""cyclegan: Zhu et al. 2017, rebuilt from the paper."""

from reference_models.cyclegan.model import CycleGan

__all__ = ["CycleGan"]
