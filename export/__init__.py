"""Trained encoders leave the project: SavedModels for TensorFlow Serving, and other forms."""

from export.code_search import search
from export.codes import encode, load_codes
from export.forms import export_form
from export.parity import ExportError
from export.saved_model import export_encoder

__all__ = ["ExportError", "encode", "export_encoder", "export_form", "load_codes", "search"]
