"""Evaluation of features: k-NN, probes, clusters, robustness; each gives a `Measurement`."""

from keras_ssl.core.protocols import FINETUNING, FinetuneProtocol
from keras_ssl.evaluation.clustering import cluster_agreement, code_agreement, kmeans_agreement
from keras_ssl.evaluation.compare import NamedRun, compare_runs, load_run, paired_bootstrap
from keras_ssl.evaluation.evaluators import EVALUATORS, Evaluation, evaluate_all
from keras_ssl.evaluation.finetuning import finetune
from keras_ssl.evaluation.knn import knn_accuracy, knn_scores, knn_sweep, top_accuracy
from keras_ssl.evaluation.probes.code_products import one_hot_csr
from keras_ssl.evaluation.probes.linear import (
    linear_classifier,
    linear_probe,
    linear_probe_few,
    linear_probe_share,
)
from keras_ssl.evaluation.probes.sgd import PROBES, ProbeProtocol, probe_grid
from keras_ssl.evaluation.probes.transfer import codes_probe, dense_probe
from keras_ssl.evaluation.representation import Features, Representation
from keras_ssl.evaluation.results import Measurement, Result, read_results, write_results
from keras_ssl.evaluation.robustness import corruption_accuracy, over_corruptions
from keras_ssl.evaluation.splits import few_labels, label_subset

__all__ = [
    "EVALUATORS",
    "Evaluation",
    "FINETUNING",
    "Features",
    "FinetuneProtocol",
    "Measurement",
    "NamedRun",
    "PROBES",
    "ProbeProtocol",
    "Representation",
    "Result",
    "cluster_agreement",
    "code_agreement",
    "codes_probe",
    "compare_runs",
    "corruption_accuracy",
    "dense_probe",
    "evaluate_all",
    "few_labels",
    "finetune",
    "kmeans_agreement",
    "knn_accuracy",
    "knn_scores",
    "knn_sweep",
    "label_subset",
    "linear_classifier",
    "linear_probe",
    "linear_probe_few",
    "linear_probe_share",
    "load_run",
    "one_hot_csr",
    "over_corruptions",
    "paired_bootstrap",
    "probe_grid",
    "read_results",
    "top_accuracy",
    "write_results",
]
