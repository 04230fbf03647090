"""CPLearn: how near the loss is to its bound, and how embeddings lie to the random codes."""

from dataclasses import asdict

import numpy as np

from keras_ssl.analysis.certificate import Certificate
from keras_ssl.analysis.code_structure import (
    Blocks,
    CodeAlignment,
    Decorrelation,
    block_structure,
    code_alignment,
    decorrelation,
)
from keras_ssl.analysis.dictionary import Coherence, chance_alignment, code_coherence
from keras_ssl.analysis.sections import Section
from keras_ssl.methods.cplearn import CPLearn
from stages.analysis.certificate import (
    certificate_of,
    certificate_words,
    collapse_table,
    loss_plots,
    terms_table,
)
from stages.analysis.code_embeddings import (
    alignment_plot,
    codes_table,
    dictionary_plot,
    dictionary_words,
    embedding_words,
    matrices,
)
from stages.analysis.subject import Subject


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
