"""Reports: a run folder becomes one self-contained page for people."""

from equipoise.report.gate import describe_gate, write_gate
from equipoise.report.printing import print_report
from equipoise.report.render import render_against, render_report

__all__ = ["describe_gate", "print_report", "render_against", "render_report", "write_gate"]
