"""Analysis: entropy, spectrum and geometry of a batch of embeddings; pure functions on arrays."""

from keras_ssl.analysis.cost import Cost, StepCost, model_cost, step_cost
from keras_ssl.analysis.entropy import (
    koleo,
    kozachenko_leonenko,
    kozachenko_leonenko_1d,
    kozachenko_leonenko_psi,
)
from keras_ssl.analysis.sections import (
    Plot,
    Section,
    Table,
    section_from_plain,
    section_to_plain,
)
from keras_ssl.analysis.semantics import semantic_coherence
from keras_ssl.analysis.spectrum import (
    alignment,
    covariance_spectrum,
    rank_tau,
    rankme,
    uniformity,
)

__all__ = [
    "Cost",
    "Plot",
    "Section",
    "StepCost",
    "Table",
    "alignment",
    "covariance_spectrum",
    "koleo",
    "kozachenko_leonenko",
    "kozachenko_leonenko_1d",
    "kozachenko_leonenko_psi",
    "model_cost",
    "rank_tau",
    "rankme",
    "section_from_plain",
    "section_to_plain",
    "semantic_coherence",
    "step_cost",
    "uniformity",
]
