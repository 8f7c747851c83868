"""`python -m equipoise`, for launchers that start a module: `torchrun -m equipoise audit ...`."""

import sys

from equipoise.cli import main

if __name__ == "__main__":
    sys.exit(main())
