"""What a plug-in has to look like. No base class is needed: these are Protocols, and `fsbench.contracts` tests them.

Images in memory are float32 RGB tensors `(N, 3, H, W)` in [0, 1], everywhere. A *crop* is an aligned face image of
the data set's size; landmarks are pixels of the crop, x to the right and y down, pixel centres at .5.
"""

from fsbench.interfaces.data import (
    SPLITS,
    Context,
    Dataset,
    DatasetInfo,
    Faces,
    Progress,
    Source,
    Split,
    Truth,
    WithFrames,
    clip_names,
    clip_spans,
    silent,
)
from fsbench.interfaces.evidence import (
    Batch,
    Embeddings,
    Evidence,
    EvidenceKind,
    EvidenceOf,
    FacesInFrame,
    Lookalikes,
    Observed,
    Passes,
)
from fsbench.interfaces.features import FeatureSpace, PairedFeatures, SharedTargets
from fsbench.interfaces.metrics import Aspect, Curved, DistributionMetric, Metric, MetricInfo, Resampled, RowMetric
from fsbench.interfaces.models import (
    Budget,
    CodeSwapper,
    Oracle,
    Refiner,
    Swapped,
    Swapper,
    Targets,
    Trainable,
    Training,
    Wrapper,
)
from fsbench.interfaces.networks import Classifier, Embedder, EmbedderInfo, Observer, ObserverInfo, WeightsFile
from fsbench.metric_groups import MetricGroup
from fsbench.record_types import Sample, SetName, Stage

__all__ = [
    "SPLITS",
    "Aspect",
    "Batch",
    "Budget",
    "Classifier",
    "CodeSwapper",
    "Context",
    "Curved",
    "Dataset",
    "DatasetInfo",
    "DistributionMetric",
    "Embedder",
    "EmbedderInfo",
    "Embeddings",
    "Evidence",
    "EvidenceKind",
    "EvidenceOf",
    "Faces",
    "FacesInFrame",
    "FeatureSpace",
    "Lookalikes",
    "Metric",
    "MetricGroup",
    "MetricInfo",
    "Observed",
    "Observer",
    "ObserverInfo",
    "Oracle",
    "PairedFeatures",
    "Passes",
    "Progress",
    "Refiner",
    "Resampled",
    "RowMetric",
    "Sample",
    "SetName",
    "SharedTargets",
    "Source",
    "Split",
    "Stage",
    "Swapped",
    "Swapper",
    "Targets",
    "Trainable",
    "Training",
    "Truth",
    "WeightsFile",
    "WithFrames",
    "Wrapper",
    "clip_names",
    "clip_spans",
    "silent",
]
