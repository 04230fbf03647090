"""Analysis: entropy, spectrum and geometry of a batch of embeddings; pure functions on arrays."""

from keras_ssl.analysis.bound import (
    bound_terms,
    lipschitz_constant,
    margin_loss,
    phi_base,
    phi_gap_bound,
    phi_lemma4,
    phi_observed,
    phi_sampled,
    phi_sem,
)
from keras_ssl.analysis.cifar100 import (
    cifar100_classes,
    cifar100_superclasses,
)
from keras_ssl.analysis.cost import (
    Cost,
    StepCost,
    model_cost,
    step_cost,
)
from keras_ssl.analysis.entropy import (
    koleo,
    kozachenko_leonenko,
    kozachenko_leonenko_1d,
    kozachenko_leonenko_psi,
)
from keras_ssl.analysis.linear import (
    RidgeClassifier,
    independent_components,
    ridge_classifier,
)
from keras_ssl.analysis.mixture import (
    MixtureEntropy,
    entropy_curve,
    gaussian_entropy,
    mixture_entropy,
)
from keras_ssl.analysis.sections import (
    Plot,
    Section,
    Table,
    section_from_plain,
    section_to_plain,
)
from keras_ssl.analysis.semantics import (
    ClassGraph,
    chance_coherence,
    class_graph,
    coherence_readings,
    semantic_coherence,
    top_features,
)
from keras_ssl.analysis.simplices import (
    entropy_histogram,
    logit_entropies,
    margins,
    sample_spectrum,
    simplices_at,
)
from keras_ssl.analysis.spectrum import (
    Spectrum,
    alignment,
    covariance_spectrum,
    rank_tau,
    rankme,
    spectrum_of,
    uniformity,
)
from keras_ssl.analysis.usage import (
    CodeUsage,
    code_information,
    code_usage,
    joint_counts,
    typical_images,
)

__all__ = [
    "ClassGraph",
    "CodeUsage",
    "Cost",
    "MixtureEntropy",
    "Plot",
    "RidgeClassifier",
    "Section",
    "Spectrum",
    "StepCost",
    "Table",
    "alignment",
    "bound_terms",
    "chance_coherence",
    "cifar100_classes",
    "cifar100_superclasses",
    "class_graph",
    "code_information",
    "code_usage",
    "coherence_readings",
    "covariance_spectrum",
    "entropy_curve",
    "entropy_histogram",
    "gaussian_entropy",
    "independent_components",
    "joint_counts",
    "koleo",
    "kozachenko_leonenko",
    "kozachenko_leonenko_1d",
    "kozachenko_leonenko_psi",
    "lipschitz_constant",
    "logit_entropies",
    "margin_loss",
    "margins",
    "mixture_entropy",
    "model_cost",
    "phi_base",
    "phi_gap_bound",
    "phi_lemma4",
    "phi_observed",
    "phi_sampled",
    "phi_sem",
    "rank_tau",
    "rankme",
    "ridge_classifier",
    "sample_spectrum",
    "section_from_plain",
    "section_to_plain",
    "semantic_coherence",
    "simplices_at",
    "spectrum_of",
    "step_cost",
    "top_features",
    "typical_images",
    "uniformity",
]
