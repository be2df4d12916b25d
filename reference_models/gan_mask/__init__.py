"""gan_mask: faceswap-GAN v2.2, rebuilt from its published description."""

from reference_models.gan_mask.model import GanMask

__all__ = ["GanMask"]
