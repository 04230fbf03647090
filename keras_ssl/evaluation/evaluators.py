"""Everything that is measured of a representation: one list of evaluators, walked by one loop.

An evaluator is a function `(evaluation, representations, train, test)` that yields `Result`s:
`representations` share the features from which they are read.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from keras_ssl.core.constants import TOP5_FROM
from keras_ssl.core.errors import UserError, translate_tf_errors
from keras_ssl.evaluation.clustering import kmeans_agreement
from keras_ssl.evaluation.gradient_probe import gradient_probe
from keras_ssl.evaluation.knn import METRICS, knn_accuracy, knn_sweep
from keras_ssl.evaluation.probes.linear import linear_probe, linear_probe_few, linear_probe_share
from keras_ssl.evaluation.rows import EVALUATOR_SHARE, FEATURES_SHARE
from keras_ssl.evaluation.shifted import other_images
from keras_ssl.evaluation.tables import task_name

RESTARTS = 3  # of k-means, of which the best counts


@dataclass(frozen=True)
class LeftOut:
    """Something that could not be measured.

    Attributes:
        text: str. What, and why.
        retry: bool. Whether another attempt may succeed: the disk was full, memory was short, a
            file has to be replaced.
    """

    text: str
    retry: bool = False


@contextlib.contextmanager
def skipped(left_out: list, what: str, name: str = "") -> Iterator[None]:
    """Turn what prevents a measurement into a `LeftOut`, where nothing else is lost by it.

    Args:
        left_out: list that it is appended to.
        what: str. What is measured.
        name: str. Of the representation, where `what` lacks it. Data that do not allow a task
            prevent it for every one; a reason that may pass, such as memory, is that of one.

    Example:

    >>> left_out = []
    >>> with skipped(left_out, "raw pixels, clusters"):
    ...     raise UserError("It needs two images of a class.")
    >>> left_out
    [LeftOut(text='raw pixels, clusters: It needs two images of a class.', retry=False)]
    """
    try:
        with translate_tf_errors():
            yield
    except (UserError, OSError) as error:
        retry = isinstance(error, OSError) or error.retry
        of = f"{name}, " if name and retry and not what.startswith(name) else ""
        left_out.append(LeftOut(f"{of}{what}: {error}", retry))


@dataclass(frozen=True)
class Evaluation:
    """What representations are evaluated on and how, and what came of it.

    Attributes:
        data: `ImageData` with labels for both parts, or anything with its fields.
        settings: the section `evaluation` of a recipe.
        corruptions: function of uint8 images -> (iterable of (name, severity, images), protocol).
        shifted_part: function of the name of a data set -> its test part, with `name`, `images` and
            `labels`; it raises `UserError` where there is none that fits.
        members: function of the name of a data set -> {(corruption, severity): name} of the sets
            that it stands for; empty for one that stands for itself.
        augmented: function of a model, or of None for pixels -> (`views` of `probe_grid`,
            protocol).
        kept_in: directory where features are kept, or None.
        digests: `key_of_images` of the train and the test images, or None.
        memory: float. Bytes that may be held beyond the images: a quarter for the features, the
            rest for an evaluator. Wider features are read from disk and computed in blocks.
        probes: {name of a representation: `Measurement` of its gradient probe}, once it is trained.
        results: list of `Result`.
        left_out: list of `LeftOut`.

    Example:

    >>> evaluation = Evaluation(data=None, settings=None)
    >>> with evaluation.skipped("k-means"):
    ...     raise UserError("It needs two images of a class.")
    >>> len(evaluation.left_out)
    1
    """

    data: object
    settings: object
    corruptions: Callable | None = None
    shifted_part: Callable | None = None
    members: Callable | None = None
    augmented: Callable | None = None
    kept_in: object = None
    digests: tuple = (None, None)
    memory: float = float("inf")
    probes: dict = field(default_factory=dict)
    results: list = field(default_factory=list)
    left_out: list = field(default_factory=list)

    def skipped(self, what, name=""):
        """`skipped`, for `self.left_out`."""
        return skipped(self.left_out, what, name)

    def labeled(self, train, test):
        """Features with their labels, as measures take them."""
        return train, self.data.train_labels, test, self.data.test_labels

    @property
    def shown(self):
        """The metrics of classifiers that tables show: top-5 is for many classes."""
        many = len(np.unique(self.data.train_labels)) >= TOP5_FROM
        return ("accuracy", "top5") if many else ("accuracy",)

    def found(self, measurement, representation, task, dataset=None, metrics=None):
        """A list of `Result`, of some metrics or of all."""
        results = measurement.results(task, dataset or self.data.name, **representation.fields)
        return [result for result in results if metrics is None or result.metric in metrics]


def knn(evaluation, representations, train, test):
    """The weighted k-NN."""
    k = min(evaluation.settings.knn_neighbours, len(train))
    temperature = evaluation.settings.knn_temperature
    found = knn_accuracy(*evaluation.labeled(train, test), k=k, temperature=temperature)
    yield from evaluation.found(found, *representations, "knn", metrics=evaluation.shown)


def linear(evaluation, representations, train, test):
    """Logistic regression with all labels."""
    found = linear_probe(*evaluation.labeled(train, test))
    yield from evaluation.found(found, *representations, "linear")


def few_labels(evaluation, representations, train, test):
    """Logistic regression with a few labels per class."""
    per_class = evaluation.settings.labels_per_class
    found = linear_probe_few(*evaluation.labeled(train, test), per_class=per_class)
    yield from evaluation.found(found, *representations, "few labels")


def label_fractions(evaluation, representations, train, test):
    """Logistic regression with each of several fractions of the labels."""
    for share in evaluation.settings.label_shares:
        with evaluation.skipped(
            task_name("label fraction", {"share": share}), representations[0].name
        ):
            found = linear_probe_share(*evaluation.labeled(train, test), share=share)
            yield from evaluation.found(found, *representations, "label fraction")


def neighbours(evaluation, representations, train, test):
    """The k-NN at other k, temperatures and metrics."""
    for metric in METRICS if evaluation.settings.knn_sweep else ():
        # Each on its own: rows of zeros have distances, but no directions.
        with evaluation.skipped(f"knn, {metric}", representations[0].name):
            found, too_many = knn_sweep(*evaluation.labeled(train, test), metrics=(metric,))
            evaluation.left_out.extend(LeftOut(f"knn, {metric}, {why}") for why in too_many)
            for one in found:
                yield from evaluation.found(
                    one, *representations, "knn sweep", metrics=evaluation.shown
                )


def clusters(evaluation, representations, _, test):
    """k-means of the test features against the classes."""
    if not evaluation.settings.clusters:
        return
    labels = evaluation.data.test_labels
    if len(np.unique(labels)) == len(test):
        raise UserError(
            f"{len(test)} test images of as many classes are as many clusters, so that every score "
            "would be 100. It needs two images of a class."
        )
    found = kmeans_agreement(test, labels, repeats=RESTARTS)
    yield from evaluation.found(found, *representations, "k-means")


@dataclass(frozen=True)
class Evaluator:
    """Something that is measured of representations.

    Attributes:
        function: `(evaluation, representations, train, test)` that yields `Result`s.
        title: function of (name of the first representation, section `evaluation` of the recipe)
            -> what "Left out" calls it.
        joint: bool. Whether it takes all representations that are read from the same features, and
            those features; else one, and its own.
    """

    function: Callable
    title: Callable
    joint: bool = False


def _few_labels_title(_, settings):
    return task_name("few labels", {"per_class": settings.labels_per_class})


EVALUATORS = (
    Evaluator(knn, lambda *_: "knn"),
    Evaluator(linear, lambda *_: "linear"),
    Evaluator(few_labels, _few_labels_title),
    Evaluator(label_fractions, lambda *_: "linear, % of labels"),
    Evaluator(neighbours, lambda *_: "knn sweep"),
    Evaluator(clusters, lambda name, _: f"{name}, clusters"),
    Evaluator(gradient_probe, lambda name, _: f"{name}, gradient probe", joint=True),
    Evaluator(other_images, lambda name, _: f"{name}, corrupted or shifted", joint=True),
)


def evaluate_all(representations: list, evaluation: Evaluation) -> None:
    """Add to `evaluation` all that is measured of representations of the same features.

    Args:
        representations: list of `Representation` with the same `features` and `neck`.
        evaluation: `Evaluation`, whose `results` and `left_out` grow.

    Raises:
        UserError: for pixels that do not fit in `evaluation.memory`.
        OSError: if features do not fit in it and the disk is full.

    Example:

    >>> import pipelines
    >>> from keras_ssl.config.schema import Evaluation as Settings
    >>> from keras_ssl.evaluation.representation import Features, Representation
    >>> data = pipelines.load("digits", log=lambda text: None)
    >>> evaluation = Evaluation(data, Settings(clusters=False))
    >>> evaluate_all([Representation(Features(), "pixels")], evaluation)
    >>> [(one.task, round(one.value, 1)) for one in evaluation.results]
    [('knn', 96.4), ('linear', 96.1), ('few labels', 87.9)]
    """
    features, data = representations[0].features, evaluation.data
    pairs = zip((data.train_images, data.test_images), evaluation.digests, strict=True)
    options = {"memory": evaluation.memory, "share": FEATURES_SHARE}
    parts = [features.read(part, evaluation.kept_in, digest, **options) for part, digest in pairs]
    evaluation = replace(evaluation, memory=EVALUATOR_SHARE * evaluation.memory)  # same results
    for one in representations:
        _walk(False, evaluation, (one,), *(one.rows(part, evaluation.memory) for part in parts))
    _walk(True, evaluation, representations, *parts)


def _walk(joint, evaluation, representations, train, test):
    name = representations[0].name
    for evaluator in EVALUATORS:
        if evaluator.joint == joint:
            with evaluation.skipped(evaluator.title(name, evaluation.settings), name):
                for result in evaluator.function(evaluation, representations, train, test):
                    evaluation.results.append(result)


def by_features(representations: Iterable) -> list[list]:
    """Lists of those representations that are read from the same features through one neck."""
    groups = itertools.groupby(representations, lambda one: (id(one.features), id(one.neck)))
    return [list(group) for _, group in groups]
