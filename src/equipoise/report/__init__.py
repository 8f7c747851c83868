"""Reports: a run folder becomes one self-contained page for people."""

from equipoise.report.gate import describe_gate, write_gate
from equipoise.report.render import render_report

__all__ = ["describe_gate", "render_report", "write_gate"]
