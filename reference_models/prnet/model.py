"""prnet as a plug-in: parameters, model files, refining; and the one that is trained in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor

from fsbench import __version__
from fsbench.errors import CheckpointError, UsageError
from fsbench.interfaces import Budget, Context, Faces, Progress, Source, Swapped, Targets, Training
from fsbench.registry import refiners
from fsbench.training import fast_bfloat16, load_model, one_thread, save_model, train
from reference_models.prnet.edit import Editor, Parts
from reference_models.prnet.face import Layout
from reference_models.prnet.learner import RECIPES, PositionLearner, warp
from reference_models.prnet.network import BasisNetwork, Maps, Network, PositionNetwork
from reference_models.prnet.shape import ExpressionModel
from reference_models.prnet.training import learn_expressions, make_batches, specification, synthetic_people, to_input

Size = Literal["auto", "small", "standard"]
Mask = Literal["visible", "none"]

ARCHITECTURE = "prnet"
SHIPPED = "small.safetensors"
_MISTAKES = 64  # batches on which those of the network are looked at
_PORTION = 16  # images at a time
_STRAY = 0.3  # of the eye distance: a map whose five points lie further from the landmarks shows another face, or none


class PositionRefiner:
    """Draws an output's mouth and eyes again with its target's expression, by the maps of a PRNet."""

    def __init__(self, *, parts: Parts, mask: Mask, context: Context) -> None:
        self.parts, self.mask, self.context = parts, mask, context
        self.asked: dict[str, str] = {}
        self._n_refined, self._n_left, self._told_at = 0, 0, 1
        self.network: Network | None = None
        self.layout: Layout | None = None
        self.expressions: ExpressionModel | None = None

    # --------------------------------------------------------------------------------------------------- model files

    def load(self, path: Path) -> None:
        """Take network, layout and shape model from a file that `save` or `convert` wrote; raises CheckpointError."""
        tensors, facts = load_model(path, ARCHITECTURE, self.asked)
        try:
            rank = facts.get("rank")
            network: Network = (
                PositionNetwork(facts["width"], side=facts["side"])
                if rank is None
                else BasisNetwork(facts["width"], facts["side"], rank)
            )
            state = {name.removeprefix("network."): tensor.float() for name, tensor in tensors.items()}
            own = network.state_dict()
            network.load_state_dict({name: state[name] if tensor.ndim else tensor for name, tensor in own.items()})
            self.layout = Layout.of(tensors, self.context.device)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is damaged: its tensors do not fit its description", "train again, or name another file"
            ) from error
        self.network = network.to(self.context.device).eval()
        self.expressions = ExpressionModel.of(tensors, self.context.device)

    # ------------------------------------------------------------------------------------------------------ refining

    @torch.inference_mode()
    def refine(self, output: Swapped, targets: Targets, source: Source) -> Swapped:
        """Edit the outputs; one whose face, or whose target's face, is not where the landmarks say stays as it is."""
        if self.network is None or self.layout is None:
            raise UsageError("prnet is not trained yet", "fit it, or load a file: prnet@PATH")
        editor = Editor(self.layout, self.expressions, self.parts, self.mask == "visible")
        with one_thread(self.context.device.type == "cpu"):
            parts = [
                self._refine(editor, output, targets, slice(k, k + _PORTION)) for k in range(0, len(targets), _PORTION)
            ]
        self._n_refined += len(targets)
        self._n_left += sum(n for _, n in parts)
        if self._n_left >= self._told_at:
            told = f"{self._n_left} of {self._n_refined} outputs so far"
            self.context.log(f"prnet left {told} as they were: no face at their landmarks")
            self._told_at = 2 * self._n_left  # a few lines a run, whatever the number of outputs
        alphas = [part.alpha for part, _ in parts if part.alpha is not None]
        return Swapped(torch.cat([part.images for part, _ in parts]), torch.cat(alphas) if alphas else None)

    def _refine(self, editor: Editor, output: Swapped, targets: Targets, rows: slice) -> tuple[Swapped, int]:
        """Some refined outputs, and how many of them were left as they were."""
        alpha = None if output.alpha is None else output.alpha[rows]
        given, targets = Swapped(output.images[rows], alpha), targets.select(rows)
        usable = targets.landmarks.isfinite().all(-1).all(-1)  # (N,)
        landmarks = torch.where(usable[:, None, None], targets.landmarks, _anywhere(targets))
        maps = [self.maps(images, landmarks) for images in (given.images, targets.images)]
        usable = usable & self._plausible(maps[0], landmarks) & self._plausible(maps[1], landmarks)
        edited = editor.edit(given, targets.images, *maps)
        keep = usable.view(-1, 1, 1, 1)
        new_alpha = None if edited.alpha is None or alpha is None else torch.where(keep, edited.alpha, alpha)
        return Swapped(torch.where(keep, edited.images, given.images), new_alpha), int((~usable).sum())

    def maps(self, crops: Tensor, landmarks: Tensor) -> Maps:
        """Return the maps of crops (N, 3, S, S) with landmarks (N, 5, 2), in pixels of the crop."""
        assert self.network is not None
        assert self.layout is not None
        side = self.layout.side
        forth = to_input(landmarks.cpu().numpy(), side).to(crops.device)  # (N, 2, 3)
        told = self.network(warp(crops, forth, side))
        back = torch.linalg.inv(forth[:, :, :2])
        flat = torch.einsum("nij,njhw->nihw", back, told.position[:, :2] - forth[:, :, 2, None, None])
        depth = told.position[:, 2:] * torch.linalg.det(back).sqrt()[:, None, None, None]
        return Maps(torch.cat([flat, depth], 1), told.visible)

    def _plausible(self, maps: Maps, landmarks: Tensor) -> Tensor:
        """(N,) bool: whether the five points of a map lie where the detector saw them."""
        assert self.layout is not None
        points = self.layout.at_landmarks(maps.position)[..., :2]
        five = torch.stack([points[:, 36:42].mean(1), points[:, 42:48].mean(1), *points[:, [30, 48, 54]].unbind(1)], 1)
        scale = (landmarks[:, :2].mean(1) - landmarks[:, 3:].mean(1)).norm(dim=-1)  # turning does not shorten it
        return (five - landmarks).norm(dim=-1).mean(1) < _STRAY * scale


class TrainedRefiner(PositionRefiner):
    """The refiner with a network that a run trains, on synthetic people whom no run shows."""

    def __init__(self, *, size: Size, parts: Parts, mask: Mask, context: Context) -> None:
        super().__init__(parts=parts, mask=mask, context=context)
        self.asked = {"size": size}
        self.size = "small" if size == "auto" else size

    @property
    def budgets(self) -> Mapping[str, int]:
        """Steps of the named budgets."""
        if self.size == "small":
            return {"smoke": 4, "short": 400, "full": 5000}
        return {"smoke": 2, "short": 2000 if self.context.device.type == "cuda" else 30, "full": 40_000}

    def fit(self, data: Faces, budget: Budget, progress: Progress, checkpoint: Path) -> Training:
        """Train on people of its own, whose maps are exact; those of the run, `data`, are not looked at."""
        recipe, device = RECIPES[self.size], self.context.device
        text = specification(recipe, budget)
        people = synthetic_people(text, self.context)
        layout, draw = make_batches(people, recipe, device)
        half_precision = fast_bfloat16(device)
        learner = PositionLearner(recipe, layout.weight, draw, budget.seed, half_precision)
        settings = {
            "architecture": ARCHITECTURE,
            "size": self.size,
            "data": text,
            "revision": people.info.revision,
            "device": device.type,
            "half_precision": half_precision,
            **asdict(recipe),
        }
        with one_thread(device.type == "cpu"):
            done = train(
                learner,
                budget,
                recipe=settings,
                device=device,
                progress=progress,
                checkpoint=checkpoint,
                decay=recipe.decay,
            )
        self.network, self.layout = learner.network.eval(), layout
        for kernel in self.network.parameters():
            if kernel.ndim == 4:
                kernel.data = kernel.data.half().float()  # as the file keeps them
        with one_thread(device.type == "cpu"):
            n_batches, generator = min(_MISTAKES, done.steps), Generator(device).manual_seed(budget.seed)
            self.expressions = learn_expressions(people, self.network, draw, n_batches, generator)
        return Training(done.steps, done.seconds, settings)

    def save(self, path: Path) -> None:
        """Write network, layout of the maps and model of expressions; kernels in half precision."""
        if self.network is None or self.layout is None:
            raise UsageError("prnet is not trained yet", "fit it, or load a file: prnet@PATH")
        state = {
            f"network.{name}": tensor.half() if tensor.ndim == 4 else tensor
            for name, tensor in self.network.state_dict().items()
            if tensor.ndim
        }
        expressions = {} if self.expressions is None else self.expressions.tensors()
        facts = {
            "architecture": ARCHITECTURE,
            "size": self.size,
            "width": self.network.width,
            "side": self.network.side,
            "rank": self.network.rank,
            "fsbench": __version__,
        }
        save_model(path, {**state, **self.layout.tensors(), **expressions}, facts)


@refiners.register("prnet")
def prnet(
    *, parts: Parts = "features", mask: Mask = "visible", size: Size = "auto", context: Context
) -> PositionRefiner:
    """Draws an output's mouth and eyes again with its target's expression, by position maps of both (PRNet).

    `parts` features is mouth and eyes; whole draws the whole face with the target's shape, as the published texture
    editing does, at the cost of the source's. With `mask` visible nothing is drawn where the network sees an occluder.
    `size` small, and standard, the published one, are trained in the run, on synthetic people whom no data set shows;
    auto is the small network that comes with fsbench, or trains it where none does. A file takes the place of all:
    prnet@FILE. An output stays as it is where the maps do not lie on its landmarks.
    Feng et al., "Joint 3D Face Reconstruction and Dense Alignment with Position Map Regression Network", ECCV 2018.
    """
    with as_file(files(__package__) / SHIPPED) as path:
        if size == "auto" and path.is_file():
            refiner = PositionRefiner(parts=parts, mask=mask, context=context)
            refiner.load(path)
            return refiner
    return TrainedRefiner(size=size, parts=parts, mask=mask, context=context)


def _anywhere(targets: Targets) -> Tensor:
    """Landmarks for images that have none: those of an aligned face."""
    from fsbench.faces.align import TEMPLATE

    return torch.from_numpy(np.asarray(TEMPLATE)).to(targets.landmarks) * targets.images.shape[-1]
