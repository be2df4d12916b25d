"""What a third party writes: it uses public names of fsbench only, and fsbench does not know that it exists."""

from dataclasses import replace

import numpy as np
import torch

from fsbench import contracts
from fsbench.interfaces import (
    Batch,
    Context,
    DatasetInfo,
    EvidenceOf,
    Faces,
    MetricInfo,
    Source,
    Split,
    Swapped,
    Swapper,
    Targets,
    Truth,
)
from fsbench.pairs import EvaluationSet, Outputs
from fsbench.registry import datasets, evidence, metrics, refiners, swappers, wrappers


@swappers.register("mix")
class Mix:
    """Cross-fades the target with a reference image of the source."""

    def __init__(self, *, amount: float = 0.5) -> None:
        self.amount = amount

    def swap(self, source: Source, targets: Targets) -> torch.Tensor:
        return self.amount * source.images[0] + (1 - self.amount) * targets.images


@refiners.register("darken")
class Darken:
    """Halves the brightness of an output."""

    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
        return Swapped(output.images / 2, output.alpha)


@wrappers.register("mirrored")
class Mirrored:
    """Shows the swapper its targets in a mirror, and turns the outputs back."""

    def wrap(self, swapper: Swapper) -> "InMirror":
        return InMirror(swapper)


class InMirror:
    def __init__(self, swapper: Swapper) -> None:
        self.swapper = swapper

    def swap(self, source: Source, targets: Targets) -> torch.Tensor:
        turned = replace(targets, images=targets.images.flip(-1))
        return Swapped.of(self.swapper.swap(source, turned)).images.flip(-1)


@metrics.register("brightness")
class Brightness:
    """Mean value of the output's pixels; 1 is white."""

    info = MetricInfo(
        unit="",
        direction="higher",
        bounds=(0.0, 1.0),
        needs=(),
        no_face="scored like any other",
        reference="none",
        measures=("colour",),
    )

    def measure(self, batch: Batch) -> torch.Tensor:
        return batch.output.mean((1, 2, 3))

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())


@metrics.register("light_flicker")
class LightFlicker:
    """Mean change of brightness from frame to frame that the target does not have; 0 is as steady as the target."""

    info = MetricInfo(
        unit="", direction="lower", bounds=(0.0, 1.0), needs=(), no_face="scored like any other", reference="none",
        sample="clip", group="temporal", measures=("flicker",),
    )  # fmt: skip

    def measure(self, batch: Batch) -> torch.Tensor:
        change = (batch.output - batch.target).mean((1, 2, 3)).diff().abs()
        consecutive = torch.from_numpy(np.diff(batch.rows["frame"]) == 1)
        return change[consecutive].mean()[None]  # (1,); NaN for a clip without consecutive frames

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())


@evidence.register("light")
class Light:
    """Mean brightness of each output and of its target, (N, 2)."""

    def prepare(self, evaluation: EvaluationSet) -> EvidenceOf:
        targets = evaluation.pairs.targets[:].mean((1, 2, 3))

        def of(outputs: Outputs) -> torch.Tensor:
            return torch.stack([outputs.images[:].mean((1, 2, 3)), targets], 1)

        return of


@metrics.register("light_change")
class LightChange:
    """Mean difference between the brightness of output and target; 0 keeps it."""

    info = MetricInfo(
        unit="", direction="lower", bounds=(0.0, 1.0), needs=("light",), no_face="scored like any other",
        reference="none", measures=("colour",),
    )  # fmt: skip

    def measure(self, batch: Batch) -> torch.Tensor:
        output, target = batch["light"].T
        return (output - target).abs()

    def summarise(self, rows: np.ndarray) -> float:
        return float(rows.mean())


@datasets.register("blobs")
class Blobs:
    """Made-up images without faces, for testing the plumbing."""

    def __init__(self, *, people: int = 2, context: Context) -> None:
        self.people = people
        self.info = DatasetInfo(
            name="blobs",
            revision="1",
            size=48,
            description="made-up images",
            licence="CC0-1.0",
            splits=("train", "test"),
            synthetic=True,
        )

    def faces(self, split: Split) -> Faces:
        everything = contracts.toy_faces(self.people, sessions=6, images=2, size=48)
        held_out = everything.rows["session"] >= "s4"
        return everything.select((held_out if split == "test" else ~held_out).to_numpy())

    def truth(self, source: str, targets: Faces) -> Truth | None:
        return None
