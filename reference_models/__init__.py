"""Reference models, written against fsbench's public names only, as a third party would."""

from reference_models import baselines, cyclegan, gan_mask, recursive

__all__ = ["baselines", "cyclegan", "gan_mask", "recursive"]
