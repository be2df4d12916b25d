"""Refiners that give an output the style of its target, as in experiment 12 of the faceswap-GAN notes."""

from reference_models.style import adain as adain
from reference_models.style import gatys as gatys
from reference_models.style import microast as microast
from reference_models.style import wct as wct
