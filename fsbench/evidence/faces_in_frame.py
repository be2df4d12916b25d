"""The evidence `faces_in_frame`: who is in view, and whose face a paste changed."""

from __future__ import annotations

import torch

from fsbench.errors import NotScorable
from fsbench.interfaces import EvidenceOf, FacesInFrame
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.registry import evidence


@evidence.register("faces_in_frame")
class FacesOfFrames:
    """Features of all faces in the frame of each output, and by how much each was changed, as `FacesInFrame`."""

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        """Return the faces of the targets' frames, with what each model changed there."""

        def of(outputs: Outputs) -> FacesInFrame:
            if outputs.changes is None:
                raise NotScorable("crops are not put back into frames here")
            if evaluation.people is None:
                raise NotScorable("there is no recogniser that tells the people in view apart")
            features = torch.from_numpy(evaluation.people[evaluation.pairs.index])
            return FacesInFrame(features, torch.from_numpy(outputs.changes))

        return of
