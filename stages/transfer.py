"""Evaluate the encoder of a run on other data sets than it was trained on."""

from dataclasses import replace
from pathlib import Path

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.evaluators import by_features, skipped
from keras_ssl.evaluation.feature_cache import scratch_in
from keras_ssl.evaluation.probes.transfer import codes_probe, dense_probe
from keras_ssl.evaluation.representation import representations_of
from keras_ssl.evaluation.results import write_results
from keras_ssl.evaluation.rows import EVALUATOR_SHARE, FEATURES_SHARE
from keras_ssl.evaluation.tables import format_transfer, representation_name, title_of
from keras_ssl.ops.precision import full_float32
from stages.evaluation import baselines, evaluation_memory
from stages.inputs import Inputs
from stages.other_data import keeps_its_size, load_other
from stages.published import write_run_tables

# How images came to the size that they were read at; gray ones are replicated to three channels.
OWN_SIZE = "arrays in their own size"
RESIZED = "arrays, by the preprocessing of the encoder: bicubic, the middle square"
READ_AT_SIZE = "when the data were read: bicubic, the middle square"


@full_float32()
def evaluate_transfer(recipe, preprocessing, encoder, workdir):
    """Write and print the accuracy on every data set of `transfer.datasets`; -> the results.

    What cannot be read or measured is reported and left out; the rest is written as it comes.

    Raises:
        UserError: if nothing could be measured.
    """
    every = by_features(representations(recipe, preprocessing, encoder))
    results = []
    for name in dict.fromkeys(recipe.transfer.datasets):
        for found, left_out in measured_on(name, every, recipe, preprocessing, Path(workdir)):
            if found:
                write_results(workdir, found, {"method": recipe.name})
            reasons = (f"Left out: {each.text}" for each in left_out)
            print(*map(describe_result, found), *reasons, sep="\n")
            results += found
    if not results:
        raise UserError("Nothing could be measured, for the reasons above.")
    write_run_tables(recipe, workdir)
    print(format_transfer(results))
    return results


def representations(recipe, preprocessing, encoder):
    """All that is evaluated, with tau_d = 0 as codes: a list of `Representation`.

    Reference: Lavoie et al., Simplicial Embeddings, appendix B.4 (tau_d = 0).
    """
    soft = tuple(tau for tau in recipe.evaluation.temperatures if tau > 0)
    kind, embedding = recipe.neck.kind, recipe.evaluation.embedding
    found = representations_of(encoder, kind, (*soft, 0.0), embedding, preprocessing.function)
    return [*baselines(recipe, Inputs(None, preprocessing)), *found]


def measured_on(name, every, recipe, preprocessing, workdir):
    """Yield (results, list of `LeftOut`) of one of `every` group of representations at a time."""
    left_out, data = [], None
    with skipped(left_out, title_of(name)):
        data = load_other(name, recipe, preprocessing)
    if data is None:
        yield [], left_out
        return
    for group in every:
        memory = evaluation_memory(recipe)
        with scratch_in(workdir / "features"):
            found = measured(
                group, data, recipe.transfer.strengths, preprocessing.image_size, memory
            )
        yield found


def measured(group, data, strengths, image_size, memory=float("inf")):
    """Results of one data set, and a list of `LeftOut`.

    Args:
        group: list of `Representation` of the same features and neck.
        data: `ImageData`.
        strengths: int. How many values of C are tried.
        image_size: that of the encoder.
        memory: float. Bytes that it may take beyond the images.
    """
    features, title = group[0].features, title_of(data.name)
    names = [one.name for one in group]
    parts, read = (data.train_images, data.test_images), None
    results, left_out = [], []
    with skipped(left_out, f"{title}, {', '.join(names)}"):
        read = [features.read(images, memory=memory, share=FEATURES_SHARE) for images in parts]
    for one, name in zip(group, names, strict=True) if read else ():
        with skipped(left_out, f"{title}, {name}"):
            found = probed(one, read, data, strengths, EVALUATOR_SHARE * memory)
            found = replace(found, protocol=comparable(found.protocol, one, data, image_size))
            results += found.results("transfer", data.name, **one.fields)
    return results, left_out


def probed(representation, features, data, strengths, memory):
    """The `Measurement` of one representation; one-hot simplices are measured as codes."""
    labels = data.train_labels, data.test_labels
    settings = {"strengths": strengths, "validation": data.validation_rows}
    if representation.tau == 0:
        probe = codes_probe
        settings |= {"simplex_size": representation.sizes[1], "memory": memory * 0.75}
        read = [representation.codes(part, memory / 8) for part in features]
    else:
        probe = dense_probe
        read = [representation.rows(part, memory) for part in features]
    return probe(read[0], labels[0], read[1], labels[1], **settings)


def comparable(protocol, representation, data, image_size):
    """The protocol with how the images came, and without how the features are stored.

    So all representations, of this run and of others, are in one column when runs are compared.
    """
    stored = ("features", "num_simplices", "simplex_size")
    protocol = {key: value for key, value in protocol.items() if key not in stored}
    return {**protocol, **images_read(representation.features, data, image_size)}


def images_read(features, data, image_size):
    """What the protocol says of the images: their sides where they are read, and how these came.

    Example:

    >>> from keras_ssl.evaluation.representation import Features
    >>> from pipelines.data.load import load
    >>> images_read(Features(), load("digits"), 32)
    {'image_size': [16, 16], 'images': 'arrays in their own size'}
    """
    sides, square = list(data.train_images.shape[1:3]), [image_size, image_size]
    if not keeps_its_size(data.name):
        return {"image_size": sides, "images": READ_AT_SIZE}
    if features.model is None or sides == square:
        return {"image_size": sides, "images": OWN_SIZE}
    return {"image_size": square, "images": RESIZED}


def describe_result(result):
    """What was measured, in a line."""
    name = representation_name(*result.representation)
    metric = "" if result.metric == "accuracy" else f" {result.metric}"
    return f"{title_of(result.dataset)}{metric}, {name}: {result.value:.1f} %"
