"""SavedModels of trained encoders, laid out as TensorFlow Serving wants them."""

from export.saved_model import export_encoder

__all__ = ["export_encoder"]
