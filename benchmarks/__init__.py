"""Programs behind the numbers of the documentation: `python -m benchmarks.NAME` from the root."""

import importlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
importlib.import_module("keras_ssl")  # before TensorFlow: it sets up the environment
