"""Analysis: entropy, spectrum and geometry of a batch of embeddings; pure functions on arrays."""

from keras_ssl.analysis.affine import (
    affine_layers,
    local_maps,
    local_unexplained_variance,
    region_statistics,
)
from keras_ssl.analysis.bound import (
    bound_terms,
    lipschitz_constant,
    margin_loss,
    phi_base,
    phi_gap_bound,
    phi_lemma4,
    phi_observed,
    phi_sem,
)
from keras_ssl.analysis.certificate import (
    certify,
    cplearn_bound,
)
from keras_ssl.analysis.cifar100 import (
    cifar100_classes,
    cifar100_superclasses,
)
from keras_ssl.analysis.code_structure import (
    block_structure,
    code_alignment,
    decorrelation,
    embedding_covariance,
)
from keras_ssl.analysis.collapse import (
    cluster_overlap,
    cluster_usage,
    measure_outputs,
    within_share,
)
from keras_ssl.analysis.cost import (
    model_cost,
    step_cost,
)
from keras_ssl.analysis.critics import (
    best_temperature,
    critic_bounds,
    train_critic,
)
from keras_ssl.analysis.dictionary import (
    chance_alignment,
    code_coherence,
    largest_cosine,
    mean_cosine,
    random_codes,
    sampled_coherence,
    welch_bound,
)
from keras_ssl.analysis.discrete_information import (
    conditional_mutual_information,
    discrete_entropy,
    discrete_mutual_information,
    interaction_information,
    joint_table,
)
from keras_ssl.analysis.entropy import (
    koleo,
    kozachenko_leonenko,
    kozachenko_leonenko_1d,
    kozachenko_leonenko_psi,
)
from keras_ssl.analysis.geometry import (
    chance_agreement,
    label_agreement,
    nearest_negatives,
    negative_distances,
    unexplained_variance,
)
from keras_ssl.analysis.linear import (
    independent_components,
    ridge_classifier,
)
from keras_ssl.analysis.maps import (
    principal_components,
)
from keras_ssl.analysis.mixture import (
    entropy_curve,
    mixture_entropy,
)
from keras_ssl.analysis.mutual_information import (
    ba_bound,
    ba_upper_bound,
    dv_bound,
    gaussian_mutual_information,
    infonce_bound,
    nwj_bound,
    tuba_bound,
    uba_bound,
)
from keras_ssl.analysis.projector import linear_weights, weight_rank, weight_rankme
from keras_ssl.analysis.sections import (
    Plot,
    Section,
    Table,
)
from keras_ssl.analysis.semantics import (
    class_graph,
    semantic_coherence,
)
from keras_ssl.analysis.simplices import (
    entropy_histogram,
    logit_entropies,
)
from keras_ssl.analysis.spectrum import (
    alignment,
    covariance_spectrum,
    rank_tau,
    rankme,
    spectrum_of,
    uniformity,
)
from keras_ssl.analysis.tangents import (
    lie_generator,
    rotation_rank,
)
from keras_ssl.analysis.transformations import (
    transformation_accuracy,
)
from keras_ssl.analysis.usage import (
    code_information,
    code_usage,
    typical_images,
)
from keras_ssl.analysis.verdict import Verdict, diagnose_collapse, verdict_words

__all__ = [
    "diagnose_collapse",
    "Plot",
    "Section",
    "Table",
    "Verdict",
    "affine_layers",
    "alignment",
    "ba_bound",
    "ba_upper_bound",
    "best_temperature",
    "block_structure",
    "bound_terms",
    "certify",
    "chance_agreement",
    "chance_alignment",
    "cifar100_classes",
    "cifar100_superclasses",
    "class_graph",
    "cluster_overlap",
    "cluster_usage",
    "code_alignment",
    "code_coherence",
    "code_information",
    "code_usage",
    "conditional_mutual_information",
    "covariance_spectrum",
    "cplearn_bound",
    "critic_bounds",
    "decorrelation",
    "discrete_entropy",
    "discrete_mutual_information",
    "dv_bound",
    "embedding_covariance",
    "entropy_curve",
    "entropy_histogram",
    "gaussian_mutual_information",
    "independent_components",
    "infonce_bound",
    "interaction_information",
    "joint_table",
    "koleo",
    "kozachenko_leonenko",
    "kozachenko_leonenko_1d",
    "kozachenko_leonenko_psi",
    "label_agreement",
    "largest_cosine",
    "lie_generator",
    "linear_weights",
    "lipschitz_constant",
    "local_maps",
    "local_unexplained_variance",
    "logit_entropies",
    "margin_loss",
    "mean_cosine",
    "measure_outputs",
    "mixture_entropy",
    "model_cost",
    "nearest_negatives",
    "negative_distances",
    "nwj_bound",
    "phi_base",
    "phi_gap_bound",
    "phi_lemma4",
    "phi_observed",
    "phi_sem",
    "principal_components",
    "random_codes",
    "rank_tau",
    "rankme",
    "region_statistics",
    "ridge_classifier",
    "rotation_rank",
    "sampled_coherence",
    "semantic_coherence",
    "spectrum_of",
    "step_cost",
    "train_critic",
    "transformation_accuracy",
    "tuba_bound",
    "typical_images",
    "uba_bound",
    "unexplained_variance",
    "uniformity",
    "verdict_words",
    "weight_rank",
    "weight_rankme",
    "welch_bound",
    "within_share",
]
