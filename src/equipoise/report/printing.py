"""A page as a PDF, printed by the Chromium that is installed; the print rules are in style.css."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from equipoise.errors import BadInputError
from equipoise.runs.atomic import write_atomic

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
PATIENCE = 300  # seconds


def print_report(page: Path) -> Path:
    """Print a page to a PDF beside it.

    Args:
        page: A page of a run.

    Returns:
        The path of the PDF.

    Raises:
        BadInputError: when no Chromium is installed, or it does not print.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "report.pdf"
        command = [
            browser, "--headless", "--disable-gpu", "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # root has none to enter
            page.resolve().as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
            content = printed.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise BadInputError(
                f'"{page}" could not be printed: {browser} gave no PDF '
                f"({type(error).__name__}). Open the page in a browser and print it there."
            ) from error
    target = page.with_suffix(".pdf")
    write_atomic(target, content)
    return target


def find_browser() -> str:
    """Find an installed browser of Chromium's family.

    Raises:
        BadInputError: when there is none.
    """
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise BadInputError(
            f"No PDF was made: none of {', '.join(BROWSERS)} is on the path. Install Chromium, or "
            "open report.html in a browser and print it there."
        )
    return found
