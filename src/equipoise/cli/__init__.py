"""The command line: wiring only. Importing it loads nothing heavy."""

from equipoise.cli.main import main

__all__ = ["main"]
