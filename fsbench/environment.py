"""Where a run happens: folders, device, threads, versions. The only reader of environment variables.

FSBENCH_CACHE         cache of rendered images, features, trained models and pretrained weights, a folder or a URL
                      (default: the platform's user cache folder)
FSBENCH_CACHE_LOCAL   folder of the local copy of a cache that is a URL, and of pretrained weights beside it (default: a
                      folder in the platform's user cache folder, one for each URL)
FSBENCH_DATA          folder that holds data sets which cannot be redistributed (default: the platform's user data
                      folder)
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fsbench.errors import DeviceError
from fsbench.remote import Objects, url_of

if TYPE_CHECKING:
    import torch

    from fsbench.events import Events
    from fsbench.interfaces import Context, Dataset
    from fsbench.store import Store

S = TypeVar("S", bound="Store")

LIBRARY_CACHES = {"NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib", "TORCH_HOME": "torch"}
"""Environment variables, and the folders that they are to name."""

PACKAGES = (
    "fsbench",
    "torch",
    "torchvision",
    "facenet-pytorch",
    "numpy",
    "scipy",
    "scikit-image",
    "pillow",
    "onnxruntime",
    "mediapipe",
    "umap-learn",
)


def quiet_openmp() -> None:
    """Make idle OpenMP threads sleep. Has to run before torch is imported; settings of the user's own win.

    By default they spin between parallel sections. With a second process on the same cores, each section then waits
    until the spinning threads have used up their time slices, which was measured to cost up to 50x.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def keep_library_caches() -> None:
    """Let libraries keep what they compile and download below FSBENCH_CACHE; settings of the user's own win.

    Has to run before numba and matplotlib are imported. By default numba writes beside its users' source files or into
    the home folder, and raises where it may write to neither. Where the cache cannot be written, a folder of this
    process takes its place.
    """
    root = cache_root() / "libraries"
    try:
        root.mkdir(parents=True, exist_ok=True)
        writable = os.access(root, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        from fsbench.store import passing_folder  # numpy: only where it is needed

        root = passing_folder()
    for name, folder in LIBRARY_CACHES.items():
        os.environ.setdefault(name, str(root / folder))


def available_cores() -> int:
    """Number of cores that this process may use: affinity mask and container quota, not what the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def cache_root() -> Path:
    """FSBENCH_CACHE, or the local copy of that where it is a URL; raises UsageError for one that cannot be used."""
    import platformdirs

    default = platformdirs.user_cache_dir("fsbench")
    url = cache_url()
    if url is None:
        folder = os.environ.get("FSBENCH_CACHE") or default
    else:
        digest = hashlib.sha256(url.encode()).hexdigest()[:20]
        folder = os.environ.get("FSBENCH_CACHE_LOCAL") or os.path.join(default, "remote", digest)
    return Path(folder).expanduser().absolute()


def cache_url() -> str | None:
    """The URL that FSBENCH_CACHE is; raises UsageError for one that cannot be used."""
    return url_of(os.environ.get("FSBENCH_CACHE", ""))


def open_store(kind: type[S], tell: Callable[[str], None]) -> S:
    """Open the cache as a `Store`, or an `UnkeptStore`; raises RemoteError for a URL that cannot be used."""
    url = cache_url()
    objects = Objects(url, tell) if url else None
    store = kind(cache_root(), tell, objects)
    if objects is not None:
        objects.check()
        store.mirror.send_rest()
    return store


def data_root() -> Path:
    """FSBENCH_DATA, or the platform's user data folder."""
    import platformdirs

    return Path(os.environ.get("FSBENCH_DATA") or platformdirs.user_data_dir("fsbench")).expanduser().absolute()


def find_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one; raises DeviceError for a device that is not there."""
    import torch

    from fsbench.config import parse_device  # pydantic: only where it is needed

    kind, index = parse_device(name)
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        return torch.device("cuda" if n_devices else "cpu")
    if kind == "cuda" and index >= n_devices:
        found = f"{n_devices or 'no'} CUDA device{'' if n_devices == 1 else 's'}"
        raise DeviceError(
            f"--device {name}: torch {torch.__version__} finds {found}",
            f"the last is cuda:{n_devices - 1}"
            if n_devices
            else "use --device cpu, or install a CUDA build of torch and a driver that it supports",
        )
    return torch.device(name)


def make_context(device: str = "auto", data_root_path: Path | None = None, events: Events | None = None) -> Context:
    """Choose device, threads and folders for one process, whose `events` are told what happens."""
    import torch

    from fsbench.events import Events
    from fsbench.interfaces import Context
    from fsbench.store import Store

    torch.set_num_threads(available_cores())
    events = events or Events()
    return Context(
        device=find_device(device),
        store=open_store(Store, events.log),
        data_root=data_root_path or data_root(),
        stage=events.stage,
        log=events.log,
        tell=events.tell,
    )


def build_dataset(text: str, context: Context) -> Dataset:
    """Make a data set from its specification: `synthetic(people=3)`, `folder:PATH`, `trump_cage`."""
    from fsbench.registry import datasets

    return datasets.build(text, context)


def git_state() -> str:
    """Commit of the source checkout and whether it is modified; "" for an installed package or where git is missing."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        said = [
            subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, timeout=10, check=True
            ).stdout
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    return said[0].strip() + (" (modified)" if said[1].strip() else "")


def describe(device: torch.device) -> dict[str, Any]:
    """Return machine, versions and code state, as JSON values."""
    import torch

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = ""
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "processor": _processor(),
        "cores": available_cores(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "packages": versions,
        "git": git_state(),
    }


def processor_features() -> frozenset[str]:
    """What the processor says it can do (`avx2`, `avx512_bf16`, ...); empty where the system does not tell."""
    return frozenset((_cpuinfo("flags") or _cpuinfo("Features")).split())  # as x86 and as ARM call it


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor()


def _cpuinfo(key: str) -> str:
    """Return what /proc/cpuinfo says of the first processor, "" where there is nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")
