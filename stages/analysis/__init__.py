"""Look at what a run has learned: sections of `keras_ssl.analysis`, and the page of them."""

from stages.analysis.analyze import analyze

__all__ = ["analyze"]
