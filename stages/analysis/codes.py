"""CPLearn: how near the loss is to its bound, and how embeddings lie to the random codes."""

import math
from dataclasses import asdict

import numpy as np

from keras_ssl.analysis.certificate import Certificate, certify, cplearn_statistics
from keras_ssl.analysis.code_structure import (
    Blocks,
    CodeAlignment,
    Decorrelation,
    block_structure,
    code_alignment,
    decorrelation,
    embedding_covariance,
    ordered_adjacency,
)
from keras_ssl.analysis.dictionary import Coherence, chance_alignment, code_coherence
from keras_ssl.analysis.sections import Plot, Section
from keras_ssl.layers.hyperdimensional import code_temperature
from keras_ssl.methods.cplearn import CPLearn
from stages.analysis.codes_words import (
    certificate_words,
    codes_table,
    collapse_table,
    dictionary_words,
    embedding_words,
    terms_table,
)
from stages.analysis.subject import Subject

SIZE = 96  # cells of a side of a matrix that is shown


def section(subject: Subject) -> Section | None:
    """What CPLearn's theory says of a run; None for another method."""
    method = subject.method
    if not isinstance(method, CPLearn):
        return None
    codes, embeddings = np.asarray(method.codes.codes), subject.projections
    dictionary, aligned = code_coherence(codes), code_alignment(embeddings, codes)
    blocks = block_structure(embeddings, aligned.code)
    spread = decorrelation(embeddings)
    proven = certificate_of(method, subject.view_projections, codes)
    chance = chance_alignment(*codes.shape)
    collapses = collapse_table(proven, aligned, blocks, spread, codes.shape)
    return Section(
        "codes",
        "Codes: the certificate of the loss, and the embeddings",
        words=(
            *certificate_words(proven, method.beta),
            *embedding_words(aligned, blocks, spread, chance, codes.shape),
            dictionary_words(dictionary, *codes.shape),
        ),
        values=values_of(proven, aligned, blocks, spread, dictionary, chance),
        tables=(
            collapses,
            terms_table(proven, method.beta, subject.log),
            codes_table(aligned, subject.labels, subject.classes),
        ),
        plots=(
            *matrices(embeddings, aligned.code),
            alignment_plot(aligned, chance),
            dictionary_plot(dictionary, codes.shape[0]),
            *loss_plots(subject.log, method),
        ),
    )


def certificate_of(method: CPLearn, views: list[np.ndarray], codes: np.ndarray) -> Certificate:
    """`certify` of the first two views, all images as one batch."""
    settings = {"divergence": method.divergence, "prior": method.prior or None}
    epsilon = method.epsilon
    temperature = code_temperature(
        codes.shape[0], method.batch_size, codes.shape[1], epsilon=epsilon
    )
    terms = cplearn_statistics(views[0], views[1], codes, temperature, **settings)
    return certify(terms, method.beta, epsilon=epsilon, **settings)


def matrices(embeddings: np.ndarray, codes: np.ndarray) -> tuple[Plot, Plot]:
    """Covariance and adjacency (figures 4, 8 and 9)."""
    return (
        Plot(
            "covariance",
            "Covariance of the embeddings",
            "matrix",
            {"H'H": {"z": embedding_covariance(embeddings, size=SIZE)}},
            "feature",
            "feature",
            note="Corollary 2: the identity where the space is filled (figure 4). Large entries "
            f"off the diagonal are features that say the same. At most {SIZE} features are shown.",
        ),
        Plot(
            "adjacency",
            "Cosines of images, ordered by code",
            "matrix",
            {"HH'": {"z": ordered_adjacency(embeddings, codes, size=SIZE)}},
            "images",
            "images",
            note="Corollary 3: blocks on the diagonal, a code each, and nothing elsewhere (figure "
            "4). Few large blocks are a cluster collapse (figure 12). Cells are means over images.",
        ),
    )


def alignment_plot(aligned: CodeAlignment, chance: float) -> Plot:
    """Histograms of the cosines with the code and the next one."""
    edges = np.linspace(min(0.0, float(aligned.runner_up.min())), 1.0, 51)
    series = {
        name: {"edges": edges, "counts": np.histogram(values, edges)[0]}
        for name, values in (("its code", aligned.cosine), ("the next code", aligned.runner_up))
    }
    return Plot(
        "alignment",
        "Cosine of an embedding with its code",
        "histogram",
        series,
        "cosine",
        "images",
        note=f"Corollary 1: 1 for its code. Random directions have {chance:.2f}.",
    )


def dictionary_plot(found: Coherence, dim: int) -> Plot:
    """Histogram of the cosines of codes, and the normal density of theory."""
    shown = np.flatnonzero(np.abs(found.edges) <= 1.2 * found.max_abs + 2 / dim)
    edges = found.edges[shown[0] : shown[-1] + 1]
    middles = (edges[1:] + edges[:-1]) / 2
    normal = np.exp(-0.5 * np.square(middles) * dim)
    normal *= found.pairs * (edges[1] - edges[0]) * math.sqrt(dim / (2 * math.pi))
    return Plot(
        "dictionary",
        "Cosines of the codes",
        "histogram",
        {
            "pairs of codes": {"edges": edges, "counts": found.counts[shown[0] : shown[-1]]},
            "normal, 1/sqrt(f)": {"edges": edges, "counts": normal},
        },
        "cosine",
        "pairs",
        note="Equation 5 and figure 3: the width depends on f alone, not on the number of codes.",
    )


def loss_plots(log: list[dict], method: CPLearn) -> list[Plot]:
    """The terms over the training (figure 12)."""
    rows = [row for row in log if "invariance" in row and "matching_prior" in row]
    if not rows:
        return []
    epochs = np.array([row["epoch"] for row in rows])
    series = {
        "invariance": np.array([row["invariance"] for row in rows]) / method.beta,
        "matching prior": np.array([row["matching_prior"] for row in rows]),
        "log c": np.full(len(rows), math.log(method.num_codes)),
    }
    return [
        Plot(
            "terms",
            "Terms of the loss",
            "lines",
            {name: {"x": epochs, "y": values} for name, values in series.items()},
            "epoch",
            "nats",
            note="Figure 12: collapses are avoided where both fall. The invariance is without "
            "beta; at log c nothing is decided, or one code is all that is used.",
        )
    ]


def values_of(
    proven: Certificate,
    aligned: CodeAlignment,
    blocks: Blocks,
    spread: Decorrelation,
    dictionary: Coherence,
    chance: float,
) -> dict:
    """The numbers for programs."""
    return {
        "certificate": {
            **asdict(proven),
            "attained": proven.attained(),
            "not_constant": proven.not_constant,
            "information": proven.terms.information,
        },
        "alignment": {
            "cosine": aligned.cosine.mean(),
            "runner_up": aligned.runner_up.mean(),
            "agreement": aligned.agreement.mean(),
            "chance": chance,
        },
        "blocks": asdict(blocks),
        "decorrelation": asdict(spread),
        "dictionary": {
            name: getattr(dictionary, name)
            for name in ("codes", "pairs", "mean", "std", "mean_abs", "max_abs")
        },
    }
