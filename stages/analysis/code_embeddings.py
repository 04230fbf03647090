"""How CPLearn's embeddings lie to their codes, and the codes to each other: words, table, plots."""

import math

import numpy as np

from keras_ssl.analysis.code_structure import (
    Blocks,
    CodeAlignment,
    Decorrelation,
    embedding_covariance,
    ordered_adjacency,
)
from keras_ssl.analysis.dictionary import Coherence, cosine_std, largest_cosine, mean_cosine
from keras_ssl.analysis.sections import Plot, Table, said

SHOWN = 10  # codes in a table
SIZE = 96  # cells of a side of a matrix that is shown


def embedding_words(
    aligned: CodeAlignment,
    blocks: Blocks,
    spread: Decorrelation,
    chance: float,
    shape: tuple[int, int],
) -> list[str]:
    """How the embeddings of held-out images lie."""
    cosines = [
        f"{value:.2f} {name}"
        for name, value in (("of one code", blocks.within), ("of different codes", blocks.between))
        if value is not None
    ]
    return [
        f"{blocks.used:,} of {shape[1]:,} codes have one of {len(aligned.code):,} images, as "
        f"evenly as {said(blocks.effective, 4)}; the most used has "
        f"{blocks.largest:.1%}. Mean cosine of two images: {', '.join(cosines)}.",
        f"An embedding has a cosine of {aligned.cosine.mean():.2f} with its code (1 is perfect, "
        f"{chance:.2f} is what a random direction has) and {aligned.runner_up.mean():.2f} with the "
        f"next; {aligned.agreement.mean():.0%} of its signs are those of its code.",
        f"The embeddings fill {said(spread.participation)} of {shape[0]:,} dimensions. Two of "
        f"their features are alike by {spread.off_diagonal:.2g}, the typical cosine over images "
        "(off the diagonal of H'H): 0 is best, each then says something of its own, and 1 is a "
        "collapse.",
    ]


def dictionary_words(found: Coherence, dim: int, num_codes: int) -> str:
    """Quasi-orthogonality of the codes against theory."""
    return (
        f"Cosines of two codes have a standard deviation of {found.std:.3f} (theory "
        f"{cosine_std(dim):.3f} for f = {dim:,}), a mean size of {found.mean_abs:.3f} "
        f"({mean_cosine(dim):.3f}) and at most {found.max_abs:.2f} (bound "
        f"{largest_cosine(dim, num_codes):.2f})."
    )


def codes_table(
    aligned: CodeAlignment, labels: np.ndarray | None, classes: tuple[str, ...]
) -> Table:
    """The codes with most images."""
    found = aligned.per_code()
    rows = []
    for code, images, cosine, agreement in zip(*found.values(), strict=True):
        row = [int(code), int(images), float(cosine), float(agreement)]
        if labels is not None:
            counts = np.bincount(labels[aligned.code == code])
            row += [str(classes[counts.argmax()]), float(counts.max() / images)]
        rows.append(tuple(row))
        if len(rows) == SHOWN:
            break
    head = ["code", "images", "cosine", "signs that agree"]
    head += [] if labels is None else ["most frequent class", "share of it"]
    return Table("The codes with most images", tuple(head), tuple(rows))


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
