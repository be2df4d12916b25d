"""Evaluation and benchmarking for face-swap models.

Public are `fsbench.registry`, `fsbench.interfaces`, `fsbench.images`, `fsbench.errors`, `fsbench.training`,
`fsbench.feedback`, `fsbench.faces.align` and `fsbench.contracts`; everything else may change. Importing this module
imports nothing else.
"""

__version__ = "0.1.0"
