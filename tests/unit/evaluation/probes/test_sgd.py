import gc
import json
import weakref
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes import sgd_training
from keras_ssl.evaluation.probes.minibatches import minibatches
from keras_ssl.evaluation.probes.sgd import PROBES, ProbeProtocol, _correct, probe_grid
from keras_ssl.evaluation.probes.sgd_training import (
    SCHEDULES,
    Chain,
    probe_logits,
    train_probes,
)
from keras_ssl.evaluation.rows import Rows
from keras_ssl.evaluation.splits import held_out, held_out_per_class
from keras_ssl.layers.simplicial import simplicial_embedding
from keras_ssl.optimizers.lars import LARS
from tests.blobs import blobs

SHORT = ProbeProtocol("a test", "sgd", (0.5, 0.1), (0.0, 1e-3), epochs=4, batch_size=16)


_data = partial(blobs, train=90)


def _simplices(*temperatures):
    return lambda z: tf.stack([simplicial_embedding(z, 2, 4, tau) for tau in temperatures])


def _train(rates, l1, protocol=SHORT, read=None, features=None):
    train, labels, _, _ = _data(spread=3.0)
    options = {} if read is None else {"read": read}
    features = train if features is None else features
    return _trained(features, labels, rates, l1, protocol, seed=1, **options)


def _trained(features, labels, rates, l1, protocol, **options):
    """Weights (R, P, 3, F) and biases (R, P, 3) of `train_probes`."""
    found = {}
    for chains in train_probes(features, labels, rates, l1, protocol, classes=3, **options):
        for one in chains:
            probes = range(*one.probes.indices(np.shape(rates)[1]))
            pairs = zip(one.weights.numpy(), one.biases.numpy(), strict=True)
            found |= {(one.representation, p): x for p, x in zip(probes, pairs, strict=True)}
    shape = np.shape(rates)
    assert len(found) == shape[0] * shape[1]
    ordered = [found[key] for key in sorted(found)]
    return [np.stack(x).reshape(*shape, *x[0].shape) for x in zip(*ordered, strict=True)]


def _on_disk(tmp_path, array):
    np.save(tmp_path / "features.npy", array)
    return np.load(tmp_path / "features.npy", mmap_mode="r")


def _oracle(features, labels, rate, l1, protocol, seed):
    """One probe in NumPy and float64, with the loss multiplied by the rate as in the SEM code."""
    draw = np.random.RandomState(seed)
    bound = 1 / np.sqrt(features.shape[1])
    weights, bias = (
        draw.uniform(-bound, bound, (3, features.shape[1])),
        draw.uniform(-bound, bound, 3),
    )
    velocity, velocity_bias = 0 * weights, 0 * bias
    for epoch in range(protocol.epochs):
        factor = SCHEDULES[protocol.schedule](epoch / protocol.epochs)
        order = draw.permutation(len(labels))[: len(labels) // 16 * 16].reshape(-1, 16)
        for rows in order:
            logits = features[rows] @ weights.T + bias
            wrong = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            wrong = (wrong - np.eye(3)[labels[rows]]) / 16
            velocity = 0.9 * velocity + rate * (wrong.T @ features[rows] + l1 * np.sign(weights))
            velocity_bias = 0.9 * velocity_bias + rate * wrong.sum(axis=0)
            moves = [velocity, velocity_bias]
            if protocol.optimizer == "nesterov":
                slope = wrong.T @ features[rows] + l1 * np.sign(weights)
                moves = [rate * slope + 0.9 * velocity, rate * wrong.sum(axis=0)]
                moves[1] += 0.9 * velocity_bias
            weights, bias = weights - factor * moves[0], bias - factor * moves[1]
    return weights, bias


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_probe_of_a_grid_follows_a_loop_in_numpy(schedule, optimizer):
    protocol = replace(SHORT, schedule=schedule, optimizer=optimizer)
    rates, l1 = np.array([[0.05, 0.01, 0.02]]), np.array([[0.0, 0.1, 1e-3]])
    weights, biases = _train(rates, l1, protocol)
    features, labels, _, _ = _data(spread=3.0)
    for i in range(3):
        expected = _oracle(features, labels, rates[0, i], l1[0, i], protocol, seed=1)
        np.testing.assert_allclose(weights[0, i], expected[0], atol=2e-5)
        np.testing.assert_allclose(biases[0, i], expected[1], atol=2e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "larc", "adam"])
def test_a_probe_in_a_grid_becomes_what_it_becomes_alone(optimizer):
    protocol = replace(SHORT, optimizer=optimizer)
    rates, l1 = np.array([[0.1, 0.01], [0.02, 0.05]]), np.array([[0.0, 1e-3], [1e-2, 0.0]])
    weights, biases = _train(rates, l1, protocol, _simplices(0.1, 1.0))
    for r, read in enumerate((_simplices(0.1), _simplices(1.0))):
        for p in range(2):
            alone = _train(rates[r, p, None, None], l1[r, p, None, None], protocol, read)
            np.testing.assert_allclose(weights[r, p], alone[0][0, 0], atol=1e-5)
            np.testing.assert_allclose(biases[r, p], alone[1][0, 0], atol=1e-5)


# 6,000 bytes hold the probes of one of two representations, and minibatches one by one.
LITTLE = 6000


def test_streamed_from_disk_in_groups_probes_have_the_bits_of_those_trained_at_once(tmp_path):
    rates, l1 = np.array([[0.1, 0.01], [0.02, 0.05]]), np.array([[0.0, 1e-3], [1e-2, 0.0]])
    sizes = {"sizes": (3, 8), "batch": 16, "slots": 1, "memory": LITTLE}
    assert [len(group) for group in sgd_training._groups((2, 2), **sizes)] == [1, 1]
    train, labels, _, _ = _data(spread=3.0)
    read = _simplices(0.1, 1.0)
    at_once = _trained(train, labels, rates, l1, SHORT, read=read)
    streamed = _trained(
        _on_disk(tmp_path, train), labels, rates, l1, SHORT, read=read, memory=LITTLE
    )
    for a, b in zip(at_once, streamed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_streamed_and_in_memory_a_grid_finds_the_same_to_the_image(tmp_path):
    train, labels, test, test_labels = _data(spread=3.0)
    options = {"protocol": SHORT, "names": ("a", "b"), "read": _simplices(0.1, 1.0)}
    at_once = probe_grid(train, labels, test, test_labels, **options)
    disk = _on_disk(tmp_path, train)
    streamed = probe_grid(Rows(disk), labels, Rows(test), test_labels, memory=LITTLE, **options)
    for a, b in zip(at_once.values(), streamed.values(), strict=True):
        assert (a.metrics, a.details, a.protocol) == (b.metrics, b.details, b.protocol)
        assert np.array_equal(a.correct, b.correct)


def test_probes_of_one_representation_that_do_not_fit_together_are_trained_apart(monkeypatch):
    rates, l1 = np.full((1, 5), 0.1), np.array([[0.0, 1e-3, 1e-2, 0.1, 0.0]])
    together = _train(rates, l1)
    monkeypatch.setattr(sgd_training, "CHAIN_VALUES", 3 * 8 * 2)
    apart = _train(rates, l1)
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_where_not_even_one_probe_fits_its_size_is_named():
    message = (
        "3 classes on 8 features needs 3.*e-06 GiB: 3.02e-07 GiB for weights, optimizer and "
        "gradients.*2.79e-06 GiB is the limit.*evaluation.memory"
    )
    with pytest.raises(UserError, match=message):
        probe_grid(*_data(), protocol=SHORT, memory=3000)


def test_rows_are_probed_as_what_they_read():
    train, labels, test, test_labels = _data(spread=3.0)
    (read,) = (lambda x: _simplices(0.1)(x)[0],)
    wide = [np.asarray(Rows(part, read)) for part in (train, test)]
    plain = probe_grid(wide[0], labels, wide[1], test_labels, protocol=SHORT)["features"]
    rows = [Rows(part, read) for part in (train, test)]
    read = probe_grid(rows[0], labels, rows[1], test_labels, protocol=SHORT)["features"]
    assert np.array_equal(plain.correct, read.correct) and plain.details == read.details


def test_codes_are_probed_as_the_corners_of_their_simplices():
    train, labels, test, test_labels = _data(spread=3.0)
    dense = probe_grid(train, labels, test, test_labels, protocol=SHORT, read=_simplices(0.0))
    codes = [part.reshape(-1, 2, 4).argmax(axis=2).astype("uint8") for part in (train, test)]
    read = lambda x: tf.reshape(tf.one_hot(tf.cast(x, tf.int32), 4), (-1, 8))  # noqa: E731
    rows = [Rows(part, read) for part in codes]
    sparse = probe_grid(rows[0], labels, rows[1], test_labels, protocol=SHORT)
    assert np.array_equal(dense["features"].correct, sparse["features"].correct)
    pairs = zip(dense["features"].classifier, sparse["features"].classifier, strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_minibatches_come_in_chunks_in_the_order_asked_for(tmp_path):
    features = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    order = np.random.default_rng(1).permutation(48).reshape(12, 4)
    disk = _on_disk(tmp_path, features)
    for source in (features, disk, Rows(disk).take(np.arange(50)).source):
        parts = [
            (rows, chunk.numpy()[:steps], chunk.shape)
            for rows, steps, chunk in minibatches(source, order, size=5 * 4 * 3 * 4)
        ]
        assert [len(rows) for rows, _, _ in parts] == [5, 5, 2]
        assert {tuple(shape) for _, _, shape in parts} == {(5, 4, 3)}
        for rows, chunk, _ in parts:
            np.testing.assert_array_equal(chunk, features[rows])


def test_a_grid_keeps_no_model_alive():
    class Model:
        def __call__(self, features):
            return features[None]

    model = Model()
    alive = weakref.ref(model)
    probe_grid(*_data(), protocol=SHORT, read=model)
    del model
    gc.collect()
    assert alive() is None


def test_one_epoch_of_views_is_held_at_a_time():
    train, labels, test, test_labels = _data()
    epochs = []

    def views(epoch, seed):
        assert not [one for one in epochs if one() is not None]
        drawn = train.copy()
        epochs.append(weakref.ref(drawn))
        return drawn

    probe_grid(train, labels, test, test_labels, protocol=SHORT, views=views)
    assert len(epochs) > 2


def test_the_weights_of_the_chosen_probe_are_given():
    train, labels, test, test_labels = _data(spread=3.0)
    result = probe_grid(train, labels, test, test_labels, protocol=SHORT, seeds=(0, 1))["features"]
    weights, biases = result.classifier
    predicted = (test @ weights.T + biases).argmax(axis=1)
    assert np.array_equal(predicted == test_labels, result.correct[-1])
    rates, l1 = ([[result.details[name]]] for name in ("learning_rate", "l1"))
    again = _trained(train, labels, rates, l1, SHORT, seed=1)
    np.testing.assert_allclose(weights, again[0][0, 0], atol=1e-6)


def test_the_validation_accuracy_is_that_of_the_chosen_settings_on_the_held_out_part():
    train, labels, test, test_labels = _data(spread=3.0)
    result = probe_grid(train, labels, test, test_labels, protocol=SHORT)["features"]
    held = held_out(labels, 0.1)
    rest = np.setdiff1d(np.arange(90), held)
    rates, l1 = ([[result.details[name]]] for name in ("learning_rate", "l1"))
    weights, biases = _trained(train, labels, rates, l1, SHORT, rows=rest)
    right = (train[held] @ weights[0, 0].T + biases[0, 0]).argmax(axis=1) == labels[held]
    assert result.details["validation"] == pytest.approx(100 * right.mean())
    assert result.protocol["train_images"] == 90
    assert result.details["validation_images"] == len(held)


def test_only_a_protocol_of_some_images_of_each_class_counts_them_in_its_hash():
    train, labels, test, test_labels = _data(spread=3.0)
    by_count = replace(SHORT, hold_out_per_class=2)
    share, count = (
        probe_grid(train, labels, test, test_labels, protocol=one)["features"].protocol
        for one in (SHORT, by_count)
    )
    assert "validation_images" not in share
    assert count["validation_images"] == 2 * len(set(labels))


@pytest.mark.parametrize(
    "name, make",
    [
        ("adam", lambda rate: keras.optimizers.Adam(rate, epsilon=1e-8)),
        ("lars", lambda rate: LARS(rate, variant="larc", exclude_1d=False)),
    ],
)
def test_the_optimizers_are_those_of_keras_and_of_this_library(name, make):
    protocol = replace(PROBES[name], epochs=3, batch_size=30, schedule="constant")
    features, labels, _, _ = _data(spread=3.0)
    weights, biases = _trained(features, labels, [[0.3]], [[0.0]], protocol)
    theirs = _reference(make(0.3), features, labels, protocol)
    np.testing.assert_allclose(weights[0, 0], theirs[0], atol=2e-5)
    np.testing.assert_allclose(biases[0, 0], theirs[1], atol=2e-5)


def _reference(optimizer, features, labels, protocol):
    draw = np.random.RandomState(0)
    width = features.shape[1]
    if protocol.weight_std is None:
        start = [draw.uniform(-1, 1, s) / np.sqrt(width) for s in [(3, width), (3,)]]
    else:
        start = [draw.normal(0, protocol.weight_std, (3, width)), np.zeros(3)]
    variables = [keras.Variable(x.astype("float32")) for x in start]
    for _ in range(protocol.epochs):
        for rows in draw.permutation(90).reshape(-1, 30):
            with tf.GradientTape() as tape:
                logits = features[rows] @ tf.transpose(variables[0].value) + variables[1].value
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels[rows], logits)
                loss = tf.reduce_mean(loss)
            optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    return [keras.ops.convert_to_numpy(v) for v in variables]


def test_augmented_features_are_asked_for_once_an_epoch():
    features, asked = _data(spread=3.0)[0], []

    def views(epoch):
        asked.append(epoch)
        return features

    same = _train([[0.1]], [[0.0]], features=views)
    assert asked == [0, 1, 2, 3]
    assert all(np.array_equal(a, b) for a, b in zip(same, _train([[0.1]], [[0.0]]), strict=True))


def test_views_are_drawn_for_each_epoch_and_seed():
    data, asked = _data(spread=3.0), []

    def views(epoch, seed):
        asked.append((epoch, seed))
        return data[0]

    protocol = replace(SHORT, learning_rates=(0.1,), l1=(0.0,), epochs=2)
    result = probe_grid(*data, protocol=protocol, views=views, seeds=(0, 5))["features"]
    assert asked == [(0, 0), (1, 0), (0, 5), (1, 5)]
    plain = probe_grid(*data, protocol=protocol, seeds=(0, 5))["features"]
    assert np.array_equal(result.correct, plain.correct)


@pytest.mark.parametrize("shape", [(90, 7), (89, 8)])
def test_views_of_another_shape_are_refused_before_anything_is_trained(shape):
    asked = []

    def views(epoch, seed):
        asked.append(epoch)
        return np.zeros(shape, "float32")

    with pytest.raises(UserError, match=rf"shape .{shape[0]}, {shape[1]}., .* .90, 8."):
        probe_grid(*_data(), protocol=SHORT, views=views)
    assert asked == [0]


def test_only_the_rows_given_are_trained_on():
    features, labels, _, _ = _data(spread=3.0)
    rows = np.arange(40, 90)
    rates, l1 = [[0.1]], [[0.0]]
    some = _trained(features, labels, rates, l1, SHORT, rows=rows)
    spoiled = features.copy()
    spoiled[:40] = np.nan
    same = _trained(spoiled, labels, rates, l1, SHORT, rows=rows)
    cut = _trained(features[rows], labels[rows], rates, l1, SHORT)
    assert np.array_equal(some[0], same[0]) and np.array_equal(some[0], cut[0])


def test_logits_in_blocks_are_those_of_all_at_once():
    features = _data()[0]
    weights = _train([[0.1, 0.2]], [[0.0, 0.0]])
    chains = [Chain(0, slice(0, 2), weights[0][0], weights[1][0])]
    parts = dict()
    for block in (7, 90):
        parts[block] = np.concatenate(
            [logits for _, (logits,) in probe_logits(chains, features, block=block)], axis=2
        )
    expected = np.einsum("nf,pcf->pcn", features, weights[0][0]) + weights[1][0][..., None]
    np.testing.assert_allclose(parts[7], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(parts[7], parts[90], rtol=1e-5, atol=1e-5)


def test_two_runs_agree_in_every_bit():
    first, second = (
        probe_grid(*_data(spread=3.0), protocol=SHORT, seeds=(0, 1))["features"] for _ in range(2)
    )
    assert (first.accuracy, first.metrics["top5"], first.details) == (
        second.accuracy,
        second.metrics["top5"],
        second.details,
    )
    assert np.array_equal(first.correct, second.correct)
    weights = [_train([[0.1]], [[1e-3]]) for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


@pytest.mark.parametrize("name", PROBES)
def test_separable_classes_are_separated(name):
    protocol = replace(PROBES[name], epochs=20, batch_size=8)
    if name == "lars":  # its steps are small shares of the weights, and these are few
        protocol = replace(protocol, learning_rates=(20.0,), per_256=False)
    result = probe_grid(*_data(spread=0.1), protocol=protocol)
    assert result["features"].accuracy == result["features"].metrics["top5"] == 100


def test_shuffled_labels_are_at_chance():
    train, labels, test, test_labels = _data(train=400, test=400, classes=4, spread=8.0)
    shuffled = np.random.default_rng(1).permutation(labels)
    result = probe_grid(train, shuffled, test, test_labels, protocol=SHORT)["features"]
    assert abs(result.accuracy - 25) < 12


def test_each_representation_gets_the_settings_that_are_best_on_its_held_out_part():
    train, labels, test, test_labels = _data(spread=3.0)
    protocol = replace(SHORT, learning_rates=(1e-6, 0.5), l1=(0.0,))
    result = probe_grid(train, labels, test, test_labels, protocol=protocol)["features"]
    assert result.details.items() >= {"learning_rate": 0.5, "l1": 0.0}.items()
    only = replace(protocol, learning_rates=(0.5,))
    again = probe_grid(train, labels, test, test_labels, protocol=only)["features"]
    assert (result.accuracy, result.metrics["top5"]) == (again.accuracy, again.metrics["top5"])


def test_the_test_part_has_no_say_in_the_choice():
    train, labels, test, test_labels = _data(spread=3.0)
    wrong = (test_labels + 1) % 3
    chosen = [
        probe_grid(train, labels, test, y, protocol=SHORT)["features"].details
        for y in (test_labels, wrong)
    ]
    assert chosen[0] == chosen[1]


def test_several_seeds_give_mean_and_deviation():
    data = _data(spread=3.0)
    protocol = replace(SHORT, learning_rates=(0.1,), l1=(0.0,))
    single = [probe_grid(*data, protocol=protocol, seeds=(i,))["features"] for i in range(3)]
    result = probe_grid(*data, protocol=protocol, seeds=(0, 1, 2))["features"]
    assert result.accuracy == pytest.approx(np.mean([one.accuracy for one in single]))
    assert result.std["accuracy"] == pytest.approx(np.std([one.accuracy for one in single]))
    assert result.std["top5"] == pytest.approx(np.std([one.metrics["top5"] for one in single]))
    assert single[0].std == {}
    assert result.correct.shape == (3, 60)
    assert 100 * result.correct.mean() == pytest.approx(result.accuracy)


def test_readings_of_one_embedding_are_named():
    names = ("tau_d=0.1", "tau_d=1")
    read = _simplices(0.1, 1.0)
    result = probe_grid(*_data(), protocol=SHORT, names=names, read=read)
    assert tuple(result) == names


def test_top5_is_that_of_scikit_learn():
    from sklearn.metrics import top_k_accuracy_score

    draw = np.random.RandomState(0)
    weights = draw.normal(size=(1, 9, 4)).astype("float32")
    chains = [Chain(0, slice(0, 1), weights, np.zeros((1, 9), "float32"))]
    features, labels = draw.normal(size=(50, 4)).astype("float32"), np.arange(50) % 9
    (hits,) = _correct(chains, features, labels, lambda x: x[None])
    scores = features @ weights[0].T
    for i, top in enumerate((1, 5)):
        assert hits[i].mean() == pytest.approx(top_k_accuracy_score(labels, scores, k=top))


def test_labels_may_be_any_integers():
    train, labels, test, test_labels = _data(spread=3.0)
    plain = probe_grid(train, labels, test, test_labels, protocol=SHORT)["features"]
    named = probe_grid(train, 7 * labels + 3, test, 7 * test_labels + 3, protocol=SHORT)["features"]
    assert plain.accuracy == named.accuracy


def test_a_probe_that_diverges_is_not_chosen_and_not_reported():
    train, labels, test, test_labels = _data(spread=3.0)
    data = (1e4 * train, labels, 1e4 * test, test_labels)
    wild = replace(SHORT, learning_rates=(1e38, 1e-6), l1=(0.0,))
    assert probe_grid(*data, protocol=wild)["features"].details["learning_rate"] == 1e-6
    with pytest.raises(UserError, match="diverged at learning rates .*1e[+]38"):
        probe_grid(*data, protocol=replace(wild, learning_rates=(1e38,)))


def test_a_protocol_holds_settings_and_no_outcome():
    data = _data(spread=3.0)
    other = (data[0] * 5, data[1], data[2] * 5, data[3])
    first, second = (probe_grid(*x, protocol=SHORT)["features"].protocol for x in (data, other))
    assert first == second == json.loads(json.dumps(first))
    assert probe_grid(*data, protocol=SHORT, seeds=(1,))["features"].protocol != first


def test_held_out_rows_are_that_share_of_every_class():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [2, 10, 20, 40]))
    rows = held_out(labels, 0.1)
    assert np.bincount(labels[rows]).tolist() == [1, 1, 2, 4]
    assert np.array_equal(rows, held_out(labels, 0.1))
    assert not np.array_equal(rows, held_out(labels, 0.1, seed=1))


def test_so_many_images_of_every_class_are_held_out():
    labels = np.repeat(np.arange(3), [1, 4, 40])
    rows = PROBES["sem_sgd_imagenet"].held_out(labels)
    assert np.bincount(labels[rows], minlength=3).tolist() == [0, 3, 10]
    assert np.array_equal(rows, held_out_per_class(labels, 10))


# What the papers print of their linear probes, and where.
PRINTED = {
    "sem_sgd": {  # SEM, section 4 (10 % of CIFAR-100's training set) and appendix B.2
        "learning_rates": (0.5, 0.1, 0.05, 0.01),
        "l1": (0, 1e-6, 1e-5),
        "epochs": 100,
        "batch_size": 256,
        "schedule": "steps",  # at epochs 60 and 80, by 10
        "hold_out": 0.1,
        "hold_out_per_class": None,
    },
    "sem_sgd_imagenet": {  # SEM, appendix B.2 (10 images per class)
        "learning_rates": (0.5, 0.1, 0.05, 0.01),
        "l1": (0, 1e-6, 1e-5),
        "epochs": 100,
        "batch_size": 256,
        "schedule": "steps",
        "hold_out_per_class": 10,
    },
    "lars": {  # SimMER, section 3.3, and SimSiam, appendix A
        "learning_rates": (0.1,),
        "per_256": True,  # 0.1 x 4096 / 256
        "epochs": 90,
        "batch_size": 4096,
        "schedule": "cosine",
        "l1": (0,),  # weight decay 0
        "optimizer": "larc",
    },
    "adam": {  # CPLearn, appendix G
        "learning_rates": (0.01,),
        "epochs": 100,
        "schedule": "constant",
        "l1": (0,),
        "optimizer": "adam",
    },
}


@pytest.mark.parametrize("name", PROBES)
def test_a_protocol_is_the_one_that_its_paper_prints(name):
    protocol = PROBES[name]
    assert {field: getattr(protocol, field) for field in PRINTED[name]} == PRINTED[name]


def test_the_rate_falls_by_ten_at_60_and_at_80_of_100_epochs():
    factors = [SCHEDULES["steps"](epoch / 100) for epoch in (0, 59, 60, 79, 80, 99)]
    np.testing.assert_allclose(factors, [1, 1, 0.1, 0.1, 0.01, 0.01])


def test_the_temperatures_that_validation_images_choose_from_are_the_printed_ones():
    from keras_ssl.config.schema import Evaluation

    assert Evaluation().probe_temperatures == (0.01, 0.1, 1.0)  # SEM, appendix B.2


def test_the_learning_rate_of_256_images_follows_the_batch():
    assert PROBES["lars"].rate(0.1, 4096) == pytest.approx(1.6)
    assert PROBES["sem_sgd"].rate(0.1, 4096) == 0.1


def _changed(**changes):
    names = ("train", "train_labels", "test", "test_labels")
    return {**dict(zip(names, _data(), strict=True)), "protocol": SHORT, **changes}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"test_labels": np.full(60, 7)}, "Classes without a train image: 7"),
        ({"test_labels": np.arange(60) % 2}, "Classes without a test image: 2"),
        ({"train_labels": np.zeros(90, int), "test_labels": np.zeros(60, int)}, "two classes"),
        ({"train_labels": np.r_[2, np.arange(89)]}, "without a test image"),
        ({"train_labels": np.zeros(90)}, "must be integers"),
        ({"train": np.full((90, 8), np.nan)}, "NaN or infinite values in 90 of 90"),
        ({"train": np.zeros((90, 8))}, "90 of 90 train features are all zero"),
        ({"test": np.zeros((60, 9))}, "same width"),
        ({"names": ("a", "b")}, "one matrix for each of .'a', 'b'.*shape .1, 1, 8."),
        ({"seeds": ()}, "one seed or more"),
        ({"protocol": "sem_sgdd"}, "Did you mean 'sem_sgd'"),
        ({"protocol": replace(SHORT, optimizer="lamb")}, "Unknown probe optimizer 'lamb'"),
        ({"protocol": replace(SHORT, learning_rates=())}, "learning rates above 0"),
        ({"protocol": replace(SHORT, epochs=0)}, "1 epoch or more"),
        ({"protocol": replace(SHORT, hold_out_per_class=0)}, "nothing to choose by"),
    ],
)
def test_a_mistake_is_answered_by_what_came(changes, message):
    with pytest.raises(UserError, match=message):
        probe_grid(**_changed(**changes))


def test_one_image_per_class_is_enough_where_nothing_is_chosen():
    train, labels, test, test_labels = _data(train=3, spread=0.1)
    protocol = replace(SHORT, learning_rates=(0.1,), l1=(0.0,))
    assert probe_grid(train, labels, test, test_labels, protocol=protocol)["features"].accuracy > 50
