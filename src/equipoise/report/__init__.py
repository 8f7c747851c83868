"""Reports: a run folder becomes one self-contained page for people."""

from equipoise.report.render import render_report

__all__ = ["render_report"]
