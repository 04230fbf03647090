"""The stages of a run: build what the recipe says, fit it, evaluate it, export it.

`run.py` reads the command line and calls these; importing this package imports TensorFlow.
"""

from stages.artefacts import export, images_of, load_trained, write_codes
from stages.build import build_encoder, build_method, build_optimizer
from stages.describe import describe, describe_backbone, describe_neck, describe_rates
from stages.devices import check_hardware, settle_hardware
from stages.finetuning import finetune
from stages.inputs import Inputs, Preprocessing, load_inputs, preview, tell_changes
from stages.judging import compare, evaluate, is_evaluated, judge
from stages.readings import Readings, readings_of
from stages.shifted import shifted_rows
from stages.training import Session, batches_from, fit, prepare, save_models, watchers
from stages.transfer import evaluate_transfer

__all__ = [
    "Inputs",
    "Preprocessing",
    "Readings",
    "Session",
    "batches_from",
    "build_encoder",
    "build_method",
    "build_optimizer",
    "check_hardware",
    "compare",
    "describe",
    "describe_backbone",
    "describe_neck",
    "describe_rates",
    "evaluate",
    "evaluate_transfer",
    "export",
    "finetune",
    "fit",
    "images_of",
    "is_evaluated",
    "judge",
    "load_inputs",
    "load_trained",
    "prepare",
    "preview",
    "readings_of",
    "save_models",
    "settle_hardware",
    "shifted_rows",
    "tell_changes",
    "watchers",
    "write_codes",
]
