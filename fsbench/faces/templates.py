"""Alignment templates: where each tool wants the five landmarks on its square crop, as fractions of the crop's side.

Eyes, nose tip, mouth corners, image-left first. A crop is the similarity that takes landmarks nearest to a template
(`fsbench.faces.align.similarity`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from fsbench.faces.align import TEMPLATE


def _points(*numbers: float, side: float = 1.0, margin: float = 0.0) -> np.ndarray:
    """Points of a square with so many pixels a side, `margin` of them added left and right of where the points lie."""
    points: np.ndarray = np.add(np.reshape(numbers, (5, 2)), (margin, 0)) / side
    points.setflags(write=False)
    return points


_ARCFACE_V2 = (38.2946, 51.6963, 73.5318, 51.5014, 56.0252, 71.7366, 41.5493, 92.3655, 70.7299, 92.2041)
_ARCFACE_V1 = (39.730, 51.138, 72.270, 51.138, 56.0, 68.493, 42.463, 87.010, 69.537, 87.010)
_FFHQ = (
    *(192.98138, 239.94708, 318.90277, 240.1936, 256.63416, 314.01935),
    *(201.26117, 371.41043, 313.08905, 371.15118),
)
_MTCNN = (0.36562865, 0.46733799, 0.63305391, 0.46585885, 0.50019127, 0.61942959)
_DFL = (0.35342266, 0.39285716, 0.62797622, 0.39285716, 0.48660713, 0.5401786)
_STYLEGANEX = (0.42353745, 0.52289879, 0.57725008, 0.52319972, 0.50123859, 0.61331904)

TEMPLATES: Mapping[str, np.ndarray] = MappingProxyType(
    {
        "fsbench": _points(*TEMPLATE.ravel()),
        "arcface_112_v1": _points(*_ARCFACE_V1, side=112),
        "arcface_112_v2": _points(*_ARCFACE_V2, side=112),
        "arcface_128": _points(*_ARCFACE_V2, side=128, margin=8),
        "ffhq_512": _points(*_FFHQ, side=512),
        "mtcnn_512": _points(*_MTCNN, 0.39032951, 0.77598822, 0.61178945, 0.77476328),
        "dfl_whole_face": _points(*_DFL, 0.38839287, 0.68750011, 0.59821427, 0.68750011),
        "faceswap_gan": _points(0.3259, 0.3134, 0.7228, 0.3108, 0.5187, 0.5524, 0.3726, 0.7752, 0.6773, 0.7760),
        "styleganex_384": _points(*_STYLEGANEX, 0.43364461, 0.68337652, 0.57015325, 0.68306005),
    }
)
"""By name, (5, 2) float64.

`fsbench` is that of all crops here. `arcface_112_v1` is InsightFace's frontal template, of SimSwap and ghost;
`arcface_112_v2` that of ArcFace's recognisers, `arcface_128` the same with 8 pixels added on both sides, of inswapper;
`ffhq_512` of StyleGAN's faces and what grew from them; `mtcnn_512` of HifiFace; `dfl_whole_face` of DeepFaceLive's
models; `styleganex_384` of StyleGANEX; `faceswap_gan` the mean
landmarks of faceswap-GAN's converter. Other names as in facefusion 3, whose table they are checked against.
"""
