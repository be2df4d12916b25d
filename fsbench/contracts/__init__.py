"""The tests that a plug-in's author runs on their own plug-in.

    from fsbench import contracts

    def test_my_swapper():
        contracts.check_swapper(MySwapper())

Each check raises AssertionError with one sentence that says which promise of `fsbench.interfaces` is broken. The images
are made up, small and without faces: what a plug-in does is not judged here, only how it behaves.
"""

from fsbench.contracts.data import check_dataset
from fsbench.contracts.evidence import check_evidence
from fsbench.contracts.metrics import LACKING, check_metric, check_nothing, check_validity
from fsbench.contracts.models import check_refiner, check_swapper, check_training, check_wrapper
from fsbench.contracts.networks import check_embedder, check_observer
from fsbench.contracts.toys import toy_batch, toy_clip, toy_faces, toy_targets, toy_weights, with_evidence

__all__ = [
    "LACKING",
    "check_dataset",
    "check_embedder",
    "check_evidence",
    "check_metric",
    "check_nothing",
    "check_observer",
    "check_refiner",
    "check_swapper",
    "check_training",
    "check_validity",
    "check_wrapper",
    "toy_batch",
    "toy_clip",
    "toy_faces",
    "toy_targets",
    "toy_weights",
    "with_evidence",
]
