"""What the terms of CPLearn's loss prove of collapse: words, tables and curves."""

import math

import numpy as np

from keras_ssl.analysis.certificate import Certificate, certify, cplearn_statistics
from keras_ssl.analysis.code_structure import Blocks, CodeAlignment, Decorrelation
from keras_ssl.analysis.sections import Plot, Table, said
from keras_ssl.layers.hyperdimensional import code_temperature
from keras_ssl.methods.cplearn import CPLearn

CURVES = {"terms": ("invariance", "matching_prior")}  # metrics of the training, by plot
NEARLY = 0.9  # of the clusters that there could be, and of a cosine of 1, is as a theorem has it
HARDLY = 0.5  # of what undecided outputs have: above it a term is nearer to that than to its least


def certificate_of(method: CPLearn, views: list[np.ndarray], codes: np.ndarray) -> Certificate:
    """`certify` of the first two views, all images as one batch."""
    settings = {"divergence": method.divergence, "prior": method.prior or None}
    epsilon = method.epsilon
    temperature = code_temperature(
        codes.shape[0], method.batch_size, codes.shape[1], epsilon=epsilon
    )
    terms = cplearn_statistics(views[0], views[1], codes, temperature, **settings)
    return certify(terms, method.beta, epsilon=epsilon, **settings)


def certificate_words(proven: Certificate, beta: float) -> list[str]:
    """What the terms of the loss prove, and what is in the way of the bound."""
    terms, bound = proven.terms, proven.bound
    words = [
        f"The loss on views of {terms.images:,} training images is {proven.loss:.3g} nats, "
        f"{proven.gap:.3g} above the bound of Lemma 1 ({bound.total:.3g}): its minimum is "
        f"{'' if proven.attained() else 'not '}attained."
    ]
    if proven.not_constant:
        words.append(
            f"Its terms prove that the predictions tell the images apart into at least "
            f"{said(proven.clusters)} clusters, of {most_clusters(proven):,} that there could be. "
            "That is good: the outputs are not constant."
        )
    else:
        words.append(
            "Its terms prove nothing, which is bad: predictions that are the same for all images "
            "could have them."
        )
    words.append(
        f"Invariance: {terms.invariance:.3g} nats; 0 where all images have a code for sure, "
        f"{bound.undecided:.3g} where nothing is decided. An image is undecided between "
        f"{said(math.exp(terms.image_entropy))} codes, and its views disagree by "
        f"{max(terms.invariance - terms.image_entropy, 0):.2g} nats."
    )
    words.append(
        f"Matching prior: {proven.prior_gap:.3g} nats above its least; the mean prediction is "
        f"as even as {said(proven.codes_used, 4)} of {terms.codes:,} codes."
    )
    return words + balance_words(proven, beta)


def balance_words(proven: Certificate, beta: float) -> list[str]:
    """Which way beta should go, where one of the two terms is hardly minimized."""
    gaps = {"invariance": proven.invariance_gap, "prior": proven.prior_gap}
    high = [name for name, gap in gaps.items() if gap > HARDLY * proven.bound.undecided]
    if high == ["invariance"]:
        return [
            f"The invariance is what is not minimized: train longer, or raise method.beta={beta:g} "
            "(CPLearn, tables 7 and 9)."
        ]
    if high == ["prior"]:
        return [
            f"The matching prior is what is not minimized, so that few codes are used: lower "
            f"method.beta={beta:g} (CPLearn, tables 7 and 9)."
        ]
    return []


def most_clusters(proven: Certificate) -> int:
    """Clusters that predictions of these images could be told apart into."""
    return min(proven.terms.codes, proven.terms.images)


def collapse_table(
    proven: Certificate,
    aligned: CodeAlignment,
    blocks: Blocks,
    spread: Decorrelation,
    shape: tuple[int, int],
) -> Table:
    """The four collapses: whether the theory excludes them for this run, and what is measured."""
    at_minimum = proven.clusters >= NEARLY * most_clusters(proven)
    on_codes = aligned.cosine.mean() >= NEARLY
    enough = shape[1] >= shape[0]
    images = len(aligned.code)
    rows = (
        (
            "representation (Lemma 1)",
            "yes" if proven.not_constant else "no",
            _proven_clusters(proven),
        ),
        (
            "cluster (Lemma 1)",
            "yes" if at_minimum else "in part" if proven.not_constant else "no",
            f"{_proven_clusters(proven)} of {most_clusters(proven):,}; as even as "
            f"{said(blocks.effective, 4)} codes",
        ),
        (
            "dimensional (Corollary 2)",
            "yes" if at_minimum and on_codes and enough else "no",
            f"{said(spread.participation)} of {shape[0]:,} dimensions; cosine with the code "
            f"{aligned.cosine.mean():.2f}; {shape[1]:,} codes",
        ),
        (
            "intracluster (Corollary 3)",
            "yes" if at_minimum and on_codes and shape[1] >= images else "no",
            f"{said(images / blocks.used)} images in a code that is used, at most "
            f"{blocks.largest * images:.0f}",
        ),
    )
    return Table(
        "Collapses that the theory excludes",
        ("collapse", "excluded", "evidence"),
        rows,
        "What is not excluded need not have happened: the theory is silent where the loss is "
        "above its minimum, or the embeddings are not on their codes.",
    )


def _proven_clusters(proven):
    if not proven.not_constant:
        return "no clusters proven"
    return f"at least {said(proven.clusters)} clusters"


def terms_table(proven: Certificate, beta: float, log: list[dict]) -> Table:
    """The two terms next to their bounds."""
    terms, bound = proven.terms, proven.bound
    last = next((row for row in reversed(log) if "matching_prior" in row), {})
    trained = [last.get("invariance"), last.get("matching_prior"), last.get("loss")]
    if trained[0] is not None:
        trained[0] /= beta
    rows = (
        ("invariance, without beta", terms.invariance, bound.invariance, trained[0]),
        ("matching prior", terms.matching_prior, bound.matching_prior, trained[1]),
        (f"loss, beta = {beta:g}", proven.loss, bound.total, trained[2]),
    )
    notes = [f"Bounds of Lemma 1. No {terms.images:,} images have a loss below {bound.batch:.3g}"]
    if bound.constant is not None:
        notes.append(f", and none that is the same for all images below {bound.constant:.3g}")
    return Table(
        "Loss and bound, in nats",
        ("term", f"{terms.images:,} images", "bound", "last epoch, by batch"),
        rows,
        "".join(notes) + ".",
    )


def loss_plots(log: list[dict], method: CPLearn) -> list[Plot]:
    """The terms over the training (figure 12)."""
    rows = [row for row in log if "invariance" in row and "matching_prior" in row]
    if len(rows) < 2:  # no curve
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
