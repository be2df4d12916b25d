"""Images that another tool made of the targets of a run."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fsbench.errors import BadParameter, DataError
from fsbench.images import list_images
from fsbench.interfaces import Context, Source, Swapped, Targets
from fsbench.registry import swappers
from reference_models.external.outputs import OutputFiles


@swappers.register("precomputed")
class Precomputed:
    """Images that another tool made of the crops of a run, DIR/SOURCE/TARGET.png: precomputed:DIR.

    SOURCE is the identity of the source, TARGET the path that the target has below `inputs/targets` of a run folder, in
    any format; so `outputs/MODEL` of another run is such a folder. A crop of another size is resized. An output that is
    not there, or cannot be read, counts as a failure on that pair. `coach` names the families of recognisers that the
    tool was trained against, with commas between them. `fsbench data export` writes the crops that a tool is to be
    given, and `fsbench score --dataset` measures several folders at once. Photographs that are not cut to crops, and
    files of other names, are for `fsbench score --target`.
    """

    precomputed = True

    def __init__(self, *, coach: str = "", context: Context) -> None:
        if not context.path:
            raise BadParameter("precomputed needs a folder", "write precomputed:DIR")
        self.coaches = tuple(family.strip() for family in coach.split(",") if family.strip())
        self._folder, self._log = Path(context.path).expanduser(), context.log
        self._files: dict[str, Path] = {}
        for file in list_images(self._folder, "precomputed:DIR names a folder of images").files:
            name = str(PurePosixPath(file.name).with_suffix(""))
            if name in self._files:
                raise DataError(
                    f"{self._folder} holds two images called {name}", "keep one of them: names count without suffix"
                )
            self._files[name] = file.path
        if not self._files:
            raise DataError(f"{self._folder} holds no image", "it should hold SOURCE/TARGET.png for each pair")

    def swap(self, source: Source, targets: Targets) -> Swapped:
        """Return the images of these pairs; black, and absent, where there is none."""
        outputs, names = (
            OutputFiles(targets.images.shape[-1]),
            [f"{source.identity}/{name}" for name in targets.rows["id"]],
        )
        for name in names:
            outputs.read(self._files.get(name))
        if sentence := outputs.sentence(f"precomputed:{self._folder}"):
            example = f"; wanted is {names[0]}.png, there is {next(iter(self._files))}" * (names[0] not in self._files)
            self._log(sentence + example)
        return outputs.swapped()
