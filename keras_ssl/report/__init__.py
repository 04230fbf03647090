"""Report: one self-contained page of what a run did, and of several runs next to each other."""

from keras_ssl.report.compare import render_comparison, write_comparison
from keras_ssl.report.curves import training_section
from keras_ssl.report.page import Report, render, write_report
from keras_ssl.report.plots import draw
from keras_ssl.report.projector import write_projector

__all__ = [
    "Report",
    "draw",
    "render",
    "render_comparison",
    "training_section",
    "write_comparison",
    "write_projector",
    "write_report",
]
