"""A page as PDF, printed by a Chromium of this machine: nothing is installed for it, and nothing is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from fsbench.atomic import atomic_path
from fsbench.errors import OutputError

VARIABLE = "FSBENCH_CHROMIUM"
PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
"""Names and places of programs that print, the first that is there does."""

LONGEST = 120.0
"""Seconds that printing may take."""


def chromium() -> str | None:
    """Return the path of a Chromium, that of the variable first; None where there is none."""
    named = os.environ.get(VARIABLE)
    return next(filter(None, map(shutil.which, [named] if named else PROGRAMS)), None)


def write(page: Path, path: Path) -> Path:
    """Print a page of fsbench to a PDF of A4 sheets, atomically, and return its path.

    Raises OutputError where no Chromium is there, or where it does not print.
    """
    program = chromium()
    if program is None:
        named = os.environ.get(VARIABLE)
        missing = f"{named!r}, which {VARIABLE} names, is no program" if named else "there is no Chromium to print with"
        remedy = f"install chromium or Google Chrome, or name one in {VARIABLE}; or print {page} from any browser"
        raise OutputError(missing, remedy)
    with atomic_path(path) as partial, tempfile.TemporaryDirectory() as profile:
        printed = Path(profile) / "page.pdf"
        _print(program, page, printed, Path(profile))
        shutil.copyfile(printed, partial)
    return path


def _print(program: str, page: Path, printed: Path, profile: Path) -> None:
    command = [
        program, "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions",
        "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}",
        "--no-pdf-header-footer",
        f"--print-to-pdf={printed}", page.resolve().as_uri(),
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # Chromium has no sandbox for root; the page runs no code of others
    remedy = f"print {page} from any browser"
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired as error:
        raise OutputError(f"{program} did not print within {LONGEST:.0f} seconds", remedy) from error
    except OSError as error:
        raise OutputError(f"{program} cannot be run: {error.strerror}", remedy) from error
    if not printed.is_file() or not printed.stat().st_size:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise OutputError(f"{program} printed nothing: {lines[-1][:200]}", remedy)
