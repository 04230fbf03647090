"""Losses: pure functions of projections, predictions, logits or codes to a scalar."""

from keras_ssl.losses.barlow_twins import barlow_twins_loss
from keras_ssl.losses.byol import byol_loss, multi_crop_byol_loss
from keras_ssl.losses.cpc import infonce, row_prediction_loss
from keras_ssl.losses.cplearn import (
    cplearn_forward_loss,
    cplearn_forward_terms,
    cplearn_loss,
    cplearn_terms,
    gedi_nogen_loss,
    gedi_nogen_terms,
    symmetric_cplearn_forward_loss,
    symmetric_cplearn_forward_terms,
)
from keras_ssl.losses.dbn import dbn_loss
from keras_ssl.losses.decoupled import (
    decoupled_infonce,
    infonce_split,
    infonce_upper_bound,
    symmetric_decoupled_infonce,
    symmetric_upper_bound,
    von_mises_fisher_weights,
    weighted_decoupled_infonce,
)
from keras_ssl.losses.deepcluster import cluster_prediction_loss
from keras_ssl.losses.dino import dino_loss
from keras_ssl.losses.moco import end_to_end_loss, moco_loss, symmetric_moco_loss
from keras_ssl.losses.self_classifier import self_classifier_loss
from keras_ssl.losses.simclr import decoupled_nt_xent, nt_xent
from keras_ssl.losses.simmer import simmer_loss
from keras_ssl.losses.simsiam import multi_crop_simsiam_loss, simsiam_loss
from keras_ssl.losses.swav import swapped_prediction_loss
from keras_ssl.losses.vicreg import vicreg_loss
from keras_ssl.losses.wmse import wmse_loss
from keras_ssl.ops.information import mutual_information_bound

__all__ = [
    "barlow_twins_loss",
    "byol_loss",
    "cluster_prediction_loss",
    "cplearn_forward_loss",
    "cplearn_forward_terms",
    "cplearn_loss",
    "cplearn_terms",
    "dbn_loss",
    "decoupled_infonce",
    "decoupled_nt_xent",
    "dino_loss",
    "end_to_end_loss",
    "gedi_nogen_loss",
    "gedi_nogen_terms",
    "infonce",
    "infonce_split",
    "infonce_upper_bound",
    "moco_loss",
    "multi_crop_byol_loss",
    "multi_crop_simsiam_loss",
    "mutual_information_bound",
    "nt_xent",
    "row_prediction_loss",
    "self_classifier_loss",
    "simmer_loss",
    "simsiam_loss",
    "swapped_prediction_loss",
    "symmetric_cplearn_forward_loss",
    "symmetric_cplearn_forward_terms",
    "symmetric_decoupled_infonce",
    "symmetric_upper_bound",
    "symmetric_moco_loss",
    "vicreg_loss",
    "von_mises_fisher_weights",
    "weighted_decoupled_infonce",
    "wmse_loss",
]
