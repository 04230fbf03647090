"""Trained encoders leave the project: SavedModels for TensorFlow Serving, codes, other forms."""

from export.code_search import Neighbors, search
from export.codes import Codes, encode, load_codes
from export.forms import export_form, in_precision
from export.parity import ExportError
from export.saved_model import export_encoder

__all__ = [
    "Codes",
    "ExportError",
    "Neighbors",
    "encode",
    "export_encoder",
    "export_form",
    "in_precision",
    "load_codes",
    "search",
]
