import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.telltales import COMMON, LARGEST_CLUSTER, Telltale, undecided
from keras_ssl.training.online import OnlineEvaluation
from keras_ssl.training.watcher import Watcher
from tests.descriptors import METHODS, make_method, make_views

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype="uint8")


class _Model:
    """What a watcher takes of a method."""

    cluster_head = None

    def __init__(self, *telltales, cluster=None):
        self.found = telltales
        self.cluster = cluster
        self.cluster_head = None if cluster is None else "clusters"
        self.optimizer = keras.optimizers.SGD()

    def telltales(self):
        return self.found

    def cure_of(self, kind):
        return f"a cure of {kind}"

    def cluster_scores(self, images):
        first = tf.range(tf.shape(images)[0]) if self.cluster == "all" else tf.zeros(20, "int32")
        return tf.one_hot(first, 20)


AT_ONE = Telltale("loss", 1.0, "all is one", "cluster", tolerance=0.1)


def watch(path, numbers, *telltales, first=0, model=None, **options):
    """Give a watcher the numbers of some epochs; -> the lines of its file."""
    watcher = Watcher(path, **options)
    watcher.set_model(model or _Model(*(telltales or [AT_ONE])))
    watcher.on_train_begin()
    for epoch, number in enumerate(numbers, first):
        watcher.on_epoch_begin(epoch)
        watcher.on_epoch_end(epoch, {} if number is None else {"loss": number})
    return lines_of(path)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_it_is_said_once_after_so_many_looks_in_a_row(tmp_path, capsys):
    (line,) = watch(tmp_path / "w", [1.05, 2, 1, 1, 0.95, 1, 1, 1, 1])
    assert (line["epoch"], line["metric"], line["value"]) == (5, "loss", 0.95)
    assert (line["description"], line["cure"]) == ("all is one", "a cure of cluster")
    said = capsys.readouterr().out
    assert said.count("Warning") == 1
    assert "all is one" in said and "a cure of cluster" in said and "at epoch 5" in said


@pytest.mark.parametrize("numbers", [[1.0, 1.0, 1.2] * 3, [math.nan] * 9, [None] * 9, [2.0] * 9])
def test_what_does_not_stay_there_is_not_said(tmp_path, numbers):
    assert not watch(tmp_path / "w", numbers)


def test_epochs_without_the_number_do_not_interrupt(tmp_path):
    (line,) = watch(tmp_path / "w", [1, None, 1, None, 1])
    assert line["epoch"] == 5


LN10 = undecided("loss", 10, what="classes")


@pytest.mark.parametrize(
    "numbers, warmup, said",
    [
        ([2.3026] * 9, 4, [7]),  # three looks after the warm-up
        ([2.3026] * 9, 0, [3]),
        ([2.3026 - 0.0005 * i for i in range(12)], 0, [3]),  # no more than noise
        ([2.3026 - 0.0015 * i for i in range(12)], 1, []),  # falls, and leaves
        ([3.0, 2.5, *[2.3026] * 3], 1, [5]),  # fell to it, and stays
        ([2.306, 2.304, 2.3026, 2.3026], 0, [3]),  # from above
    ],
)
def test_undecided_is_said_after_the_warm_up_if_nothing_moves(tmp_path, numbers, warmup, said):
    lines = watch(tmp_path / "w", numbers, LN10, warmup_epochs=warmup)
    assert [line["epoch"] for line in lines] == said


def test_a_resumed_training_counts_on_from_its_log(tmp_path):
    log = tmp_path / "metrics.jsonl"
    for first in range(0, 6, 2):  # stopped after every second epoch
        numbers = [1.0, 1.0]
        lines = watch(tmp_path / "w", numbers, first=first, log=log)
        with log.open("a") as file:
            for epoch, number in enumerate(numbers, first + 1):
                file.write(json.dumps({"epoch": epoch, "loss": number}) + "\n")
    assert [line["epoch"] for line in lines] == [3]


@pytest.mark.parametrize("kept", ['{"epoch": 2, "loss": null}', '{"epoch": 3, "loss": 1.0}', '{"e'])
def test_a_log_interrupts_by_what_is_no_number_and_counts_no_later_epoch(tmp_path, kept):
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"epoch": 1, "loss": 1.0}\n' + kept)
    (line,) = watch(tmp_path / "w", [1.0] * 4, first=2, log=log)
    assert line["epoch"] == (5 if "null" in kept else 4)


def test_features_that_are_not_finite_are_said_at_once_if_the_loss_is(tmp_path, capsys):
    broken = [telltale for telltale in COMMON if math.isnan(telltale.value)]
    assert [telltale.metric for telltale in broken] == ["feature_std", LARGEST_CLUSTER]
    watcher = Watcher(tmp_path / "w")
    watcher.set_model(_Model(*broken))
    watcher.on_epoch_begin(0)
    watcher.on_epoch_end(0, {"loss": math.nan, "feature_std": math.nan})
    watcher.on_epoch_end(1, {"loss": 1.0, "feature_std": 0.5})
    assert not lines_of(tmp_path / "w")
    for epoch in (2, 3):
        watcher.on_epoch_end(epoch, {"loss": 1.0, "feature_std": math.nan})
    (line,) = lines_of(tmp_path / "w")
    assert (line["epoch"], line["value"]) == (3, None) and "near" not in capsys.readouterr().out


def test_every_kind_is_said(tmp_path):
    zero = Telltale("loss", 0.0, "all is nothing", in_a_row=1)
    lines = watch(tmp_path / "w", [1, 1, 1, 0, 0, 1, 1, 1], AT_ONE, zero)
    assert [line["target"] for line in lines] == ["1", "0"]


def test_a_resumed_training_keeps_what_was_said_before_and_does_not_repeat_it(tmp_path):
    path = tmp_path / "w"
    zero = Telltale("loss", 0.0, "all is nothing", in_a_row=1)
    watch(path, [1, 1, 1, 1, 0], AT_ONE, zero)
    kept = path.read_text().splitlines()[0]
    lines = watch(path, [1, 1, 1, 1], AT_ONE, zero, first=3)
    assert [line["epoch"] for line in lines] == [3] and path.read_text().splitlines() == [kept]
    assert [line["epoch"] for line in watch(path, [1, 1, 1, 1])] == [3]  # from the beginning


def test_a_cross_entropy_is_undecided_at_the_logarithm_of_its_choices():
    telltale = undecided("loss", 10, 20, scale=3.0, what="classes")
    logits = [keras.ops.zeros((4, count)) for count in (10, 20)]
    terms = [keras.ops.categorical_crossentropy(keras.ops.softmax(z), z, True) for z in logits]
    assert telltale.matches(3.0 * float(sum(map(keras.ops.mean, terms))) / 2)
    assert telltale.target.startswith("3 mean ln of 10, 20")


def _online(model, **options):
    encoder = lambda images, training: tf.reshape(images, (len(images), -1))  # noqa: E731
    scale = lambda images: tf.cast(images, "float32") / 255  # noqa: E731
    return OnlineEvaluation(encoder, scale, IMAGES, probes={}, batch_size=20, **options)


@pytest.mark.parametrize("cluster, share", [("one", 1.0), ("all", 0.05)])
def test_the_largest_cluster_is_looked_at_where_features_are(tmp_path, cluster, share):
    model = _Model(AT_ONE, cluster=cluster)
    online = _online(model)
    watcher = Watcher(tmp_path / "w", online)
    watcher.set_model(model)
    watcher.on_epoch_begin(0)
    logs = {}
    watcher.on_epoch_end(0, logs)
    assert logs == {}
    online.measure()
    watcher.on_epoch_end(1, logs)
    assert logs == {LARGEST_CLUSTER: pytest.approx(share)}


@pytest.mark.parametrize("name", METHODS)
def test_every_number_that_a_method_looks_for_is_one_that_is_logged(name):
    method = make_method(name)
    extra = {LARGEST_CLUSTER, "feature_std", "feature_largest_share", "mutual_information_bound"}
    own = {telltale.metric for telltale in method.telltales()} - extra
    assert own <= {metric.name for metric in method._means.values()}


@pytest.mark.parametrize("name", METHODS)
def test_there_is_a_cure_for_every_kind_that_a_method_looks_for(name):
    method = make_method(name)
    assert all(method.cure_of(telltale.kind) for telltale in method.telltales())


CONSTANT = {  # numbers that tell where all outputs are alike, and the constant
    "byol": ({"byol"}, 0.5),
    "simsiam": ({"simsiam"}, 0.5),
    "vicreg": ({"variance", "invariance"}, 0.5),
    "barlow_twins": ({"invariance"}, 0.5),
    "simclr": ({"mutual_information_bound"}, 0.5),
    "cpc": ({"mutual_information_bound"}, 0.5),
    "swav": ({"swav"}, 0.0),
    "dino": ({"dino"}, 0.5),
    "simmer": ({"total_variance"}, 0.5),
    "cplearn": ({"invariance"}, 0.5),
    "gedi_nogen": ({"invariance"}, 0.5),
    "self_classifier": ({"self_classifier"}, 0.0),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_outputs_that_are_all_alike_are_recognized(name):
    metrics, value = CONSTANT[name]
    method = make_method(name)
    outputs = method.embed(make_views(method), training=True)
    outputs = keras.tree.map_structure(lambda x: _constant(x, value), outputs)
    terms = method.loss_terms(outputs)
    if method.diagnostic_names:
        terms |= method.diagnostics(outputs, terms)
    looked = [t for t in method.telltales() if t.metric in terms]
    assert metrics == {t.metric for t in looked if t.matches(terms[t.metric])}


def _constant(x, value):
    if x is None or "int" in keras.backend.standardize_dtype(x.dtype):
        return x
    return keras.ops.full(x.shape, value, x.dtype)
