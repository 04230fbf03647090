"""What the simplices of a run are like: sparsity, use of their codes, directions, images."""

import numpy as np

from keras_ssl.analysis.linear import affordable_rows
from keras_ssl.analysis.sections import Plot, Section, Table
from keras_ssl.analysis.simplices import (
    entropy_histogram,
    logit_entropies,
    simplices_at,
)
from keras_ssl.analysis.spectrum import MAX_SIDE, spectrum_of
from keras_ssl.analysis.usage import code_information, typical_images
from keras_ssl.ops.rows import some_rows
from stages.analysis.subject import Subject

TEMPERATURES = (0.01, 0.1, 1.0)  # read besides tau_p
_LOGITS = 1 << 25  # whose entropies are taken
_BINS = 50
_SHOWN = (4, 4, 8)  # simplices, vertices of each, images of each vertex
_MOST, _OWN = 0.5, 0.9  # of the simplices; of the images that have a code of their own
_SPARSE, _DENSE = 0.1, 0.9  # of log V: below and above it a simplex is nearly one-hot or uniform


def section(subject: Subject) -> Section | None:
    """Entropies, use of codes, covariance and typical images; None without simplices."""
    if subject.sizes is None:
        return None
    logits = subject.logits.reshape(-1, *subject.sizes)
    parts = [_entropies(subject, logits), _usage(subject), _directions(subject, logits)]
    words, values, tables, plots = (sum(kind, ()) for kind in zip(*parts, strict=True))
    plots += (_typical(subject, logits),)
    return Section("simplices", "Simplicial Embeddings", words, dict(values), tables, plots)


def trained_temperature(subject: Subject) -> float:
    """tau_p of the encoder's simplices."""
    return subject.encoder.layers[-1].temperature


def _entropies(subject, logits):
    (num, size), tau = subject.sizes, trained_temperature(subject)
    rows = some_rows(len(logits), max(1, _LOGITS // (num * size)))
    some, uniform = np.asarray(logits[rows]), np.log(size)
    taus = sorted({tau, *TEMPERATURES})
    means, sparse, dense, series = {}, {}, {}, {}
    for each in taus:
        share = logit_entropies(some, each) / uniform
        means[each] = float(share.mean())
        sparse[each] = float((share < _SPARSE).mean())
        dense[each] = float((share > _DENSE).mean())
    edges, counts = entropy_histogram(some, taus, bins=_BINS)
    for each, row in zip(taus, counts, strict=True):
        name = f"tau = {each:g}" + (", as trained" if each == tau else "")
        series[name] = {"edges": edges, "counts": row / row.sum()}
    words = (
        f"At tau_p = {tau:g} the {num} simplices of {size} entries have an entropy of "
        f"{means[tau] * uniform:.2f} nats on average, {means[tau]:.0%} of log({size}): "
        f"{sparse[tau]:.0%} are nearly one-hot, {dense[tau]:.0%} nearly uniform.",
    )
    values = (
        ("temperature", tau),
        ("num_simplices", num),
        ("simplex_size", size),
        ("entropy_images", len(rows)),
        ("entropy", {f"{t:g}": means[t] * uniform for t in taus}),
        ("nearly_one_hot", {f"{t:g}": sparse[t] for t in taus}),
        ("nearly_uniform", {f"{t:g}": dense[t] for t in taus}),
    )
    plot = Plot(
        "entropy",
        "Entropy of the simplices",
        "histogram",
        series,
        x_label=f"nats, 0 is one-hot, {uniform:.2f} is uniform",
        y_label="share of simplices",
        note=f"All simplices of {len(rows)} images, read at several temperatures. A peak at 0.69 "
        "is simplices with two entries near one half (SEM, fig. 2b).",
    )
    return words, values, (), (plot,)


def _usage(subject):
    (num, size), labels = subject.sizes, subject.labels
    usage, codes = subject.code_usage, subject.codes
    effective = usage.effective
    words = (
        f"A simplex chooses {effective.mean():.1f} of its {size} vertices in effect; "
        f"{usage.dead} of {num * size} vertices are chosen by no image, {usage.constant} of {num} "
        f"simplices choose the same for all. {len(codes)} images have {usage.distinct} different "
        f"codes. {_said_of_codes(usage, len(codes))}",
    )
    values = (
        ("effective_vertices", float(effective.mean())),
        ("dead_vertices", usage.dead),
        ("constant_simplices", usage.constant),
        ("distinct_codes", usage.distinct),
        ("code_images", len(codes)),
    )
    if labels is None or len(np.unique(labels)) < 2:
        return words, values, (), ()
    information = code_information(codes, size, labels)
    share = np.unique(labels, return_counts=True)[1] / len(labels)
    whole = -(share * np.log(share)).sum()
    best = np.argsort(-information, kind="stable")[:10]
    words += (
        f"The code of one simplex tells {information.mean():.2f} nats of the class on average, "
        f"of the best {information[best[0]]:.2f}, where the class has {whole:.2f}.",
    )
    values += (
        ("class_information", float(information.mean())),
        ("class_information_best", float(information[best[0]])),
        ("class_entropy", float(whole)),
    )
    rows = [(int(i), float(information[i]), float(effective[i])) for i in best]
    table = Table(
        "Most informative simplices", ("simplex", "nats of the class", "vertices"), tuple(rows)
    )
    counts, edges = np.histogram(information, bins=_BINS, range=(0, min(whole, np.log(size))))
    plot = Plot(
        "information",
        "What a simplex tells of the class",
        "histogram",
        {"simplices": {"edges": edges, "counts": counts}},
        x_label="nats",
        y_label="simplices",
    )
    return words, values, (table,), (plot,)


def _said_of_codes(usage, images):
    if usage.constant > _MOST * len(usage.counts):
        return "That is bad: most simplices say nothing of an image."
    if usage.distinct >= _OWN * images:
        return "That is good: nearly every image has a code of its own."
    return "Images share codes, which is bad where they are of different classes."


def _directions(subject, logits):
    """Spectra of the covariance, as the paper compares them, by the Gram side where it is less."""
    tau, num = trained_temperature(subject), np.prod(subject.sizes)
    rows = some_rows(len(logits), affordable_rows(num, most=MAX_SIDE))
    embedding = np.asarray(logits[rows])
    arrays = {
        "simplices": simplices_at(embedding, tau).reshape(len(rows), -1),
        "embedding": embedding.reshape(len(rows), -1),
        "backbone": subject.features[rows],
    }
    spectra = {name: spectrum_of(array) for name, array in arrays.items()}
    ranks = {name: spectrum.dimensions(0.99) for name, spectrum in spectra.items()}
    series = {}
    for name, spectrum in spectra.items():
        values = spectrum.eigenvalues[spectrum.eigenvalues > 0]
        series[name] = {"x": np.arange(1, 1 + len(values)), "y": values}
    words = (
        "99 % of the variance lies in "
        + ", ".join(f"{rank} directions ({name})" for name, rank in ranks.items())
        + f", of {len(rows)} images.",
    )
    plot = Plot(
        "spectrum",
        "Variance by direction, before and after the softmax",
        "lines",
        series,
        x_label="index",
        y_label="eigenvalue",
        log_y=True,
        note=f"Of {len(rows)} images, which bound the number of values. The embedding, before the "
        "softmax, has at most as many as the backbone has features if its embedder is linear (SEM, "
        "eq. 6 and fig. 7).",
    )
    values = (("directions", ranks), ("spectrum_images", len(rows)))
    return words, values, (), (plot,)


def _typical(subject, logits):
    """Images that are nearest to the vertices of a few simplices."""
    simplices, vertices, images = _SHOWN
    usage, codes = subject.code_usage, subject.codes
    scores = usage.effective
    known = subject.labels is not None and len(np.unique(subject.labels)) > 1
    if known:
        scores = code_information(codes, subject.sizes[1], subject.labels)
    series = {}
    for i in np.argsort(-scores, kind="stable")[:simplices]:
        for vertex in np.argsort(-usage.counts[i], kind="stable")[:vertices]:
            found = typical_images(logits[:, i], int(vertex), images)
            if len(found):
                name = f"simplex {i}, vertex {vertex}: {usage.counts[i, vertex]} images"
                series[name] = {"images": subject.images[found]}
    which = "tell most of the class" if known else "use most of their vertices"
    note = f"The simplices that {which}, their most chosen vertices, the surest images first."
    return Plot("typical", "Images that are typical of a vertex", "images", series, note=note)
