"""The two-person set of early face swapping; it cannot be redistributed, so that the user supplies the files."""

from __future__ import annotations

from fsbench.datasets.folder import Label, PhotoFolder
from fsbench.errors import MissingData
from fsbench.interfaces import Context
from fsbench.registry import datasets

IDENTITIES = ("donald_trump", "nicolas_cage")


@datasets.register("trump_cage")
class TrumpCage(PhotoFolder):
    """Press and film photographs of Donald Trump and Nicolas Cage, supplied by the user; they cannot be redistributed.

    `test` is the share of each identity that is held out. `dedup` leaves out training images that show a held-out
    photograph in another file.
    """

    def __init__(self, *, context: Context, size: int = 128, test: float = 0.25, dedup: bool = False) -> None:
        root = context.data_root / "trump_cage"
        missing = [name for name in IDENTITIES if not (root / name).is_dir()]
        if missing:
            places = "\n".join(f"    {root / name}/SESSION/*.jpg" for name in IDENTITIES)
            raise MissingData(
                "trump_cage, photographs of Donald Trump and Nicolas Cage, cannot be redistributed and is not in "
                f"{context.data_root}: fill these folders, one sub-folder for each video or shoot\n{places}",
                "or point --data-root or FSBENCH_DATA at where they are; --dataset synthetic goes on without them",
            )
        super().__init__(
            root,
            Label(
                "trump_cage",
                "photographs of Donald Trump and Nicolas Cage",
                "not redistributable: the user's own files",
            ),
            context,
            size,
            test,
            dedup,
        )
