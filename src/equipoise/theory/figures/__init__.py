"""The figures of the paper from real trainings: one file a figure, one job that runs them all."""

from equipoise.theory.figures.job import run_figures
from equipoise.theory.figures.spectrum import Subject

__all__ = ["Subject", "run_figures"]
