"""Callbacks of a run, for `method.fit(callbacks=[...])`, and the probes of online evaluation."""

from keras_ssl.training.callbacks import EventFiles, MetricsLog, Throughput
from keras_ssl.training.checkpoints import Checkpoints
from keras_ssl.training.divergence import StopAtDivergence
from keras_ssl.training.online import OnlineEvaluation, OnlineLinearProbe, feature_std, online_knn
from keras_ssl.training.projector import ProjectorRank
from keras_ssl.training.spectra import SpectraLog, feature_spectrum
from keras_ssl.training.watcher import Watcher

__all__ = [
    "Checkpoints",
    "EventFiles",
    "MetricsLog",
    "OnlineEvaluation",
    "OnlineLinearProbe",
    "ProjectorRank",
    "SpectraLog",
    "StopAtDivergence",
    "Throughput",
    "Watcher",
    "feature_spectrum",
    "feature_std",
    "online_knn",
]
