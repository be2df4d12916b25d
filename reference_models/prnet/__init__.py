"""PRNet: position maps of faces, and a refiner that edits with them. Feng et al., ECCV 2018."""

from reference_models.prnet.model import prnet as prnet

__all__ = ["prnet"]
