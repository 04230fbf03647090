"""Evaluate the encoder of a run on other data sets than it was trained on."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes.transfer import codes_probe, dense_probe
from keras_ssl.evaluation.rows import Row, aligned, write_results
from keras_ssl.layers.codes import code_dtype
from keras_ssl.ops.precision import full_float32
from pipelines.data.load import load
from stages.errors import translate_tf_errors
from stages.inputs import Inputs, in_memory
from stages.judging import FEATURE_LIMIT, baselines
from stages.readings import readings_of
from stages.shifted import in_channels, keeps_its_size, title_of
from stages.tables import write_tables

TASK = "transfer"
CODES = "pretrained, SEM tau_d=0"
# How images came to the size that they were read at; gray ones are repeated for colours.
OWN_SIZE = "arrays in their own size"
RESIZED = "arrays, by the preprocessing of the encoder: bicubic, the middle square"
READ_AT_SIZE = "when the data were read: bicubic, the middle square"
_BLOCK = 1024  # images whose embeddings are held in memory at a time to read codes


@full_float32()
def evaluate_transfer(recipe, preprocessing, encoder, workdir):
    """Write and print the accuracy on every data set of `transfer.datasets`; -> the rows.

    What cannot be had or measured is told and left out; the rest is kept as it comes.

    Raises:
        UserError: if nothing could be measured.
    """
    every = representations(recipe, preprocessing, encoder)
    rows = []
    for name in dict.fromkeys(recipe.transfer.datasets):
        for more, missing in measured_on(name, every, recipe, preprocessing):
            if more:
                write_results(Path(workdir) / "results.json", more, {"method": recipe.name})
            print(*map(describe_row, more), *(f"Left out: {why}" for why in missing), sep="\n")
            rows += more
    if not rows:
        raise UserError("Nothing could be measured, for the reasons above.")
    write_tables(workdir)
    print(format_transfer(rows))
    return rows


def representations(recipe, preprocessing, encoder):
    """All that is evaluated, with tau_d = 0 as codes: a list of `Readings` and `CodeReadings`.

    Reference: Lavoie et al., Simplicial Embeddings, appendix B.4 (tau_d = 0).
    """
    soft = tuple(tau for tau in recipe.evaluation.temperatures if tau > 0)
    asked = recipe.with_({"evaluation.temperatures": soft}, origin="--mode=transfer")
    found = readings_of(encoder, asked, preprocessing.function)
    codes = [CodeReadings(readings) for readings in found if readings.sizes]
    found = [readings for readings in found if readings.names]
    return [*baselines(recipe, Inputs(None, preprocessing)), *found, *codes]


@dataclass(frozen=True)
class CodeReadings:
    """What `Readings` of simplices give at tau_d = 0, held as one whole number for each simplex.

    Attributes:
        readings: `Readings` with sizes.
    """

    readings: object
    names = (CODES,)

    @property
    def model(self):
        """That of the readings."""
        return self.readings.model

    def width(self, images):
        """Numbers of four bytes that the codes of all the images take."""
        num_simplices, simplex_size = self.readings.sizes
        return len(images) * num_simplices * code_dtype(simplex_size).itemsize // 4

    def extract(self, images):
        """Codes of images, (N, L): the largest entry of each simplex."""
        blocks = [images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK)]
        return np.concatenate([self._codes(self.readings.extract(block)) for block in blocks])

    def _codes(self, embedding):
        simplices = embedding.reshape(len(embedding), *self.readings.sizes)
        return simplices.argmax(axis=-1).astype(code_dtype(self.readings.sizes[1]))


def measured_on(name, every, recipe, preprocessing):
    """Yield rows, and sentences on what could not be measured, of one of `every` at a time."""
    try:
        with translate_tf_errors():
            data = load_other(name, recipe, preprocessing)
    except (UserError, OSError) as error:
        yield [], [f"{title_of(name)}: {error}"]
        return
    for readings in every:
        yield measured(readings, data, recipe.transfer.strengths, preprocessing.image_size)


def load_other(name, recipe, preprocessing):
    """A data set with the channels that the encoder takes.

    Raises:
        UserError: if it lacks labels or a test part, or is in colour where the encoder takes gray.
        UserError: if it cannot be had.
    """
    # Arrays stay in their own size, from which the preprocessing resizes as in evaluation.
    settings = {
        "data_dir": recipe.data.data_dir,
        "image_size": None if keeps_its_size(name) else preprocessing.image_size,
        "in_memory": in_memory(recipe.data),
    }
    data = load(name, **settings)
    if data.train_labels is None or data.test_labels is None:
        lacks = "is no test part" if data.test_images is None else "are no labels for both parts"
        raise UserError(f"It needs labelled train and test images; there {lacks}.")
    parts = {
        part: in_channels(getattr(data, part), preprocessing.channels, name)
        for part in ("train_images", "test_images")
    }
    return replace(data, **parts)


def measured(readings, data, strengths, image_size):
    """Rows of one data set, and sentences on what could not be measured.

    `image_size` is that of the encoder.
    """
    title, parts = title_of(data.name), (data.train_images, data.test_images)
    what = f"{title}, {', '.join(readings.names)}"
    gigabytes = sum(map(readings.width, parts)) * 4 / 2**30
    if gigabytes > FEATURE_LIMIT:
        return [], [f"{what}: the features need {gigabytes:.0f} GiB; {FEATURE_LIMIT} is the limit."]
    rows, left_out, images = [], [], images_read(readings, data, image_size)
    try:
        with translate_tf_errors():
            features = [readings.extract(images) for images in parts]
    except (UserError, OSError) as error:
        return [], [f"{what}: {error}"]
    for name in readings.names:
        try:
            with translate_tf_errors():
                result = probed(readings, name, features, data, strengths)
            rows.append(row_of(name, result, data.name, images))
        except UserError as error:
            left_out.append(f"{title}, {name}: {error}")
    return rows, left_out


def probed(readings, name, features, data, strengths):
    """The `Measurement` of one representation."""
    labels, settings = (data.train_labels, data.test_labels), {"strengths": strengths}
    if isinstance(readings, CodeReadings):
        probe, settings["simplex_size"] = codes_probe, readings.readings.sizes[1]
    else:
        probe, features = dense_probe, [readings.read(name, part) for part in features]
    return probe(features[0], labels[0], features[1], labels[1], **settings)


def images_read(readings, data, image_size):
    """What the protocol tells of the images: their sides where they are read, and how these came.

    Example:

    >>> from pipelines.data.load import load
    >>> from stages.readings import Readings
    >>> images_read(Readings(None, None, ("raw pixels",)), load("digits"), 32)
    {'image_size': [16, 16], 'images': 'arrays in their own size'}
    """
    sides, square = list(data.train_images.shape[1:3]), [image_size, image_size]
    if not keeps_its_size(data.name):
        return {"image_size": sides, "images": READ_AT_SIZE}
    if readings.model is None or sides == square:
        return {"image_size": sides, "images": OWN_SIZE}
    return {"image_size": square, "images": RESIZED}


def row_of(name, result, dataset, images):
    """The row of results.

    How the features are held is left out of its protocol, so that all representations, of this run
    and of others, are in one column when runs are compared.
    """
    held = ("features", "num_simplices", "simplex_size")
    protocol = {key: value for key, value in result.protocol.items() if key not in held}
    return Row(name, TASK, "accuracy", result.accuracy, dataset, "test", {**protocol, **images})


def describe_row(row):
    """What was measured, in a line."""
    return f"{title_of(row.dataset)}, {row.representation}: {row.value:.1f} %"


def format_transfer(rows):
    """A line for each representation, a column for each data set, and the mean where all are there.

    Example:

    >>> what = ("raw pixels", TASK, "accuracy")
    >>> rows = [Row(*what, 40.0, "a", "test", {}), Row(*what, 50.0, "npz:b.npz", "test", {})]
    >>> print(format_transfer(rows))
    representation     a     b  mean
    raw pixels      40.0  50.0  45.0
    """
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    titles = [title_of(name) for name in datasets]
    names = [
        name if titles.count(title) > 1 else title
        for name, title in zip(datasets, titles, strict=True)
    ]
    lines = [["representation", *names, "mean"]]
    for representation in dict.fromkeys(row.representation for row in rows):
        values = {row.dataset: row.value for row in rows if row.representation == representation}
        cells = [f"{values[name]:.1f}" if name in values else "-" for name in datasets]
        mean = f"{np.mean(list(values.values())):.1f}" if len(values) == len(datasets) else "-"
        lines.append([representation, *cells, mean])
    return aligned(lines)
