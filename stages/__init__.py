"""The stages of a run: build what the recipe says, fit it, evaluate it, export it.

`run.py` reads the command line and calls these; importing this package imports TensorFlow.
"""

from stages.artefacts import export, images_of, load_trained, write_codes
from stages.build import build_encoder, build_method, build_optimizer, settle_precision
from stages.describe import describe, describe_backbone, describe_neck, describe_rates
from stages.finetuning import finetune
from stages.inputs import Inputs, Preprocessing, load_inputs, preview
from stages.judging import compare, evaluate, judge, representations
from stages.training import Session, batches_from, fit, prepare, save_models, watchers

__all__ = [
    "Inputs",
    "Preprocessing",
    "Session",
    "batches_from",
    "build_encoder",
    "build_method",
    "build_optimizer",
    "compare",
    "describe",
    "describe_backbone",
    "describe_neck",
    "describe_rates",
    "evaluate",
    "export",
    "finetune",
    "fit",
    "images_of",
    "judge",
    "load_inputs",
    "load_trained",
    "prepare",
    "preview",
    "representations",
    "save_models",
    "settle_precision",
    "watchers",
    "write_codes",
]
