"""`python -m docs.generate [FOLDER]`: build the site."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from docs.generate.site import build


def main() -> int:
    """Build, and say where."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Build the documentation site.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("site"), help="where to; default: site")
    folder = parser.parse_args().folder
    try:
        build(folder)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    sys.stdout.write(f"site: {folder / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
