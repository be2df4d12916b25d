"""`python -m docs.generate.shots RUN`: photograph parts of a run's report again, for docs/pictures, by a Chromium.

The pictures in the repository are of the run that docs/pictures/captions.toml names.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from docs.generate.pictures import KEPT

PARTS = {
    "report-first": ("header, #summary", 1060),
    "report-differences": ("#differences", 900),
    "report-galleries": ("#galleries", 1000),
    "report-identity": ("#identity", 1000),
}
"""What is shown of a report, by selectors of its top elements, and the height at most."""

WIDTH, MARGIN, QUALITY = 1280, 12, 72


def main(run: Path) -> None:
    """Photograph all parts."""
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    if browser is None:
        sys.exit("no Chromium is installed")
    html = (run / "report.html").read_text(encoding="utf-8")
    with TemporaryDirectory() as name:
        for part, (selector, height) in PARTS.items():
            page, shot = Path(name) / f"{part}.html", Path(name) / f"{part}.png"
            style = f"<style>main > :not({selector}), footer {{ display: none !important }}</style></head>"
            page.write_text(html.replace("</head>", style, 1), encoding="utf-8")
            command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{height}",
                       f"--screenshot={shot}", page.as_uri()]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
            with Image.open(shot) as image:
                _trimmed(image.convert("RGB")).save(KEPT / f"{part}.webp", quality=QUALITY, method=6)


def _trimmed(image: Image.Image) -> Image.Image:
    """The picture without the empty border around what it shows."""
    pixels = np.asarray(image)
    drawn = (pixels != pixels[0, 0]).any(-1)
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    left, right = max(columns[0] - MARGIN, 0), min(columns[-1] + MARGIN, image.width)
    return image.crop((left, max(rows[0] - MARGIN, 0), right, min(rows[-1] + MARGIN, image.height)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
