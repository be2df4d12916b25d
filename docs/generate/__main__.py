"""`python -m docs.generate [FOLDER]`: build the site."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from docs.generate.site import build
from fsbench import validity


def main() -> int:
    """Build, and say where."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Build the documentation site.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("site"), help="where to; default: site")
    parser.add_argument("--pages", type=Path, help="a folder to keep the pages in that the site is made of")
    parser.add_argument(
        "--validation", type=Path, help="DIR of fsbench validate: draws curves in place of the verdicts of this version"
    )
    typed = parser.parse_args()
    validation = validity.load(typed.validation) if typed.validation else validity.shipped()
    try:
        build(typed.folder, validation, typed.pages)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    sys.stdout.write(f"site: {typed.folder / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
