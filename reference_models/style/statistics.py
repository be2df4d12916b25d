"""Statistics of feature maps, or of colours, that are carried over from a style to a content."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-5
"""Added to a variance; also the smallest eigenvalue of a covariance that counts."""


def mean_and_deviation(maps: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, H, W) -> mean and deviation of each channel, (N, C, 1, 1): of the unbiased variance plus EPSILON."""
    variance, mean = torch.var_mean(maps, (2, 3), keepdim=True)
    return mean, (variance + EPSILON).sqrt()


def adain(content: Tensor, style: Tensor) -> Tensor:
    """Give the channels of a content the means and deviations of a style: adaptive instance normalisation.

    Both are (N, C, H, W), of any height and width. Source: Huang and Belongie 2017, arXiv:1703.06868, equation 8.
    """
    (mean, deviation), (style_mean, style_deviation) = mean_and_deviation(content), mean_and_deviation(style)
    return (content - mean) / deviation * style_deviation + style_mean


def whiten_and_colour(content: Tensor, style: Tensor) -> Tensor:
    """Give the channels of a content the means and covariances of a style.

    Both are (1, C, H, W), of any height and width. Directions in which a covariance is not above EPSILON have no part
    in it: there are such wherever the pixels are fewer than the channels. Source: Li et al. 2017, arXiv:1705.08086,
    section 3.2.
    """
    (whiten, _, mean), (_, colour, style_mean) = roots(content), roots(style)
    pixels = content[0].flatten(1).double() - mean  # (C, H W)
    return (colour @ (whiten @ pixels) + style_mean).view_as(content).to(content.dtype)


def roots(maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(1, C, H, W) -> inverse root and root of the covariance of the channels, (C, C), and their means, (C, 1)."""
    pixels = maps[0].flatten(1).double()  # (C, P)
    mean = pixels.mean(1, keepdim=True)
    pixels = pixels - mean
    values, vectors = torch.linalg.eigh(pixels @ pixels.T / max(pixels.shape[1] - 1, 1))
    kept = values > EPSILON
    values, vectors = values[kept], vectors[:, kept]
    return (vectors / values.sqrt()) @ vectors.T, (vectors * values.sqrt()) @ vectors.T, mean


def gram(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> Gram matrices (N, C, C): products of the channels, averaged over the pixels.

    Source: Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks", CVPR, equation 3, divided by
    the pixels, so that matrices of images of different sizes can be compared.
    """
    pixels = maps.flatten(2)  # (N, C, P)
    return pixels @ pixels.transpose(1, 2) / pixels.shape[2]
