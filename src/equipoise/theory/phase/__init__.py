"""Phase diagrams: what networks of many sizes store, against what the theory says they should."""

from equipoise.theory.phase.cell import Cell
from equipoise.theory.phase.job import Grid, run_phase

__all__ = ["Cell", "Grid", "run_phase"]
