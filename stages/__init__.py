"""The stages of a run: build what the recipe says, fit it, evaluate it, export it.

`run.py` reads the command line and calls these; importing this package imports TensorFlow.
"""

from stages.artefacts import export, load_trained
from stages.build import build_encoder, build_method, build_optimizer, settle_precision
from stages.describe import describe, describe_backbone, describe_neck, describe_rates
from stages.finetuning import finetune
from stages.inputs import Inputs, Preprocessing, load_inputs, preview
from stages.judging import evaluate, judge, representations
from stages.training import Session, batches_from, fit, prepare, save_models, watchers

__all__ = [
    "Inputs",
    "Preprocessing",
    "Session",
    "batches_from",
    "build_encoder",
    "build_method",
    "build_optimizer",
    "describe",
    "describe_backbone",
    "describe_neck",
    "describe_rates",
    "evaluate",
    "export",
    "finetune",
    "fit",
    "judge",
    "load_inputs",
    "load_trained",
    "prepare",
    "preview",
    "representations",
    "save_models",
    "settle_precision",
    "watchers",
]
