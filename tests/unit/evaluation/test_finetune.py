"""Fine-tuning: how layers learn, what is chosen, and what the number depends on."""

import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.finetune_training import (
    SCHEDULES,
    LayerwiseSGD,
    Trainer,
    add_classifier,
    batch_norm_momentum,
    layer_groups,
    rate_multipliers,
)
from keras_ssl.evaluation.finetuning import finetune
from keras_ssl.evaluation.splits import few_labels, label_subset


def encoder(width=4):
    return keras_ssl.create_backbone("tiny", (8, 8, 1), width=width)


def data(count=60, classes=3, seed=0):
    """Images of one gray each, by class, with noise."""
    draw = np.random.RandomState(seed)
    labels = np.arange(count) % classes
    images = labels[:, None, None, None] * 80 + draw.randint(0, 30, (count, 8, 8, 1))
    return images.astype("uint8"), labels


def preprocess(images):
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def views_of(images):
    def views(rows, batch_size, seed):
        order = np.random.RandomState(seed).permutation(len(rows))
        positions = tf.data.Dataset.from_tensor_slices(order.astype("int64"))
        batches = positions.repeat().batch(batch_size, drop_remainder=True)
        return batches.map(lambda at: (preprocess(tf.gather(tf.constant(images[rows]), at)), at))

    return views


def tuned(train=None, labels=None, network=None, **options):
    images, numbers = data()
    train, labels = (images if train is None else train), (numbers if labels is None else labels)
    options = {"learning_rates": (0.5,), "steps": 20, "batch_size": 16, **options}
    return finetune(
        network or encoder(),
        train,
        labels,
        *data(seed=1),
        views=views_of(train),
        preprocess=preprocess,
        **options,
    )


def test_classes_that_differ_are_told_apart():
    result = tuned(steps=60)
    assert result.accuracy == 100.0
    assert result.details["classes"] == (0, 1, 2) and result.details["validation"] == ()
    assert (result.details["learning_rate"], result.details["weight_decay"]) == (0.5, 0.0)


def test_the_model_of_the_result_has_the_accuracy_of_the_result():
    result = tuned(steps=5)
    images, labels = data(seed=1)
    guesses = np.argmax(result.details["model"](preprocess(images)), axis=1)
    assert result.accuracy == pytest.approx(100 * np.mean(guesses == labels))


def test_what_serves_the_held_out_fifth_best_is_chosen_and_the_rest_is_told():
    result = tuned(learning_rates=(1e-6, 0.5, 1e9), weight_decays=(0.0, 1e-4), steps=30)
    scores = {trial[:2]: trial.accuracy for trial in result.details["validation"]}
    assert len(scores) == 6
    assert scores[result.details["learning_rate"], result.details["weight_decay"]] == max(
        scores.values()
    )
    assert result.details["learning_rate"] == 0.5  # 1e9 diverges, 1e-6 stands still
    assert result.accuracy > 90


def test_the_encoder_stays_as_it_is():
    network = encoder()
    before = network.get_weights()
    tuned(network=network, steps=3)
    for now, then in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_labels_outside_the_subset_are_never_read(monkeypatch):
    images, labels = data()
    rows = label_subset(labels, 0.5)
    module = sys.modules[finetune.__module__]
    monkeypatch.setattr(module, "label_subset", lambda *_: rows)
    wrong = np.random.RandomState(1).permutation(labels)
    wrong[rows] = labels[rows]
    network = encoder()
    one, other = (tuned(images, y, network, share=0.5, steps=3) for y in (labels, wrong))
    assert one.accuracy == other.accuracy
    for a, b in zip(
        one.details["model"].get_weights(), other.details["model"].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_labels_may_be_any_numbers():
    images, labels = data()
    named = finetune(
        encoder(),
        images,
        labels * 10 + 7,
        images,
        labels * 10 + 7,
        views=views_of(images),
        preprocess=preprocess,
        learning_rates=(0.5,),
        steps=60,
        batch_size=16,
    )
    assert named.details["classes"] == (7, 17, 27) and named.accuracy == 100.0


def test_a_protocol_holds_settings_and_no_outcome():
    one = tuned(steps=2)
    other = tuned(network=encoder(width=5), steps=2, train=data(seed=5)[0])
    assert one.protocol == other.protocol
    assert json.loads(json.dumps(one.protocol)) == one.protocol
    assert (one.protocol["train_images"], one.protocol["folds"]) == (60, 5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_too(policy):
    keras.config.set_dtype_policy(policy)
    result = tuned(network=encoder(), steps=60, weight_decays=(1e-4,))
    assert result.accuracy > 90 and result.protocol["precision"] == policy


def test_subsets_are_balanced_nested_and_those_of_few_labels():
    labels = np.random.RandomState(0).permutation(np.arange(600) % 3)
    tenth = label_subset(labels, 0.1, seed=2)
    assert np.array_equal(tenth, few_labels(labels, 20, seed=2))
    assert set(label_subset(labels, 0.02, seed=2)) < set(tenth)
    assert np.array_equal(label_subset(labels, 1.0), np.arange(600))
    assert not np.array_equal(tenth, label_subset(labels, 0.1, seed=3))


def test_a_class_keeps_two_images_in_every_subset():
    labels = np.repeat([0, 1], [5, 1000])
    assert np.bincount(labels[label_subset(labels, 0.01)]).tolist() == [2, 10]


def test_a_copy_with_a_classifier_starts_as_the_encoder_and_shares_nothing():
    network = keras_ssl.sem_neck(encoder(), num_simplices=3, simplex_size=4)
    model = add_classifier(network, 5, batch_norm_momentum=0.97)
    copies = model.layers[1]
    for ours, theirs in zip(network.weights, copies.weights, strict=True):
        assert ours is not theirs
        np.testing.assert_array_equal(ours, theirs)
    norms = [
        layer
        for layers in layer_groups(model).values()
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 3 and all(norm.momentum == 0.97 for norm in norms)
    assert keras_ssl.backbone_of(network).get_layer("block1_bn").momentum == 0.9


def test_batch_norm_keeps_more_where_epochs_are_long():
    assert batch_norm_momentum(25_600, 256) == 0.9  # 100 steps
    assert batch_norm_momentum(256_000, 256) == pytest.approx(0.99)  # 1000 steps
    assert batch_norm_momentum(100, 100) == 0.9


def test_groups_go_from_the_stem_over_the_blocks_to_the_head():
    network = keras_ssl.create_backbone("resnet18", (8, 8, 3), width=4)
    blocks = [f"stage{stage}_block{block}" for stage in (1, 2, 3, 4) for block in (1, 2)]
    assert list(layer_groups(network)) == ["stem", *blocks]
    model = add_classifier(keras_ssl.sem_neck(network, num_simplices=2, simplex_size=2), 3)
    assert list(layer_groups(model)) == ["stem", *blocks, "embedder", "logits"]


def test_rates_fall_from_the_head_down_by_the_decay():
    model = add_classifier(encoder(), 3)
    layers = [variable.path.split("/")[-2] for variable in model.trainable_variables]
    shares = dict(zip(layers, rate_multipliers(model, 0.5), strict=True))
    assert shares == {
        "logits": 1.0,
        "block2_conv": 0.5,
        "block2_bn": 0.5,
        "block1_conv": 0.25,
        "block1_bn": 0.25,
    }
    assert set(rate_multipliers(model, 1.0)) == {1.0}


def steps_of(optimizer, gradients, start):
    variable = keras.Variable(start)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return np.asarray(variable)


def test_a_step_is_that_of_keras_at_a_share_of_the_rate_with_the_penalty_in_the_gradient():
    start, gradient = np.full((2, 2), 2.0, "float32"), np.full((2, 2), 0.5, "float32")
    optimizer = LayerwiseSGD([0.1])
    optimizer.restart(weight_decay=0.25)
    optimizer.learning_rate = 0.4
    theirs = keras.optimizers.SGD(0.04, momentum=0.9, nesterov=True)
    expected = steps_of(theirs, [gradient + 0.25 * start], start)
    np.testing.assert_allclose(steps_of(optimizer, [gradient], start), expected, rtol=1e-6)


def test_vectors_are_not_decayed():
    optimizer = LayerwiseSGD([1.0])
    optimizer.restart(weight_decay=0.25)
    optimizer.learning_rate = 0.4
    start = np.ones(3, "float32")
    np.testing.assert_array_equal(steps_of(optimizer, [np.zeros(3, "float32")], start), start)


def test_a_trainer_forgets_what_it_did_before():
    images, labels = data()
    batches = views_of(images)(np.arange(60), 16, 0)
    batches = batches.map(lambda x, at: (x, tf.gather(tf.constant(labels), at)))
    model = add_classifier(encoder(), 3)
    trainer = Trainer(model, batches, batch_size=16, preprocess=preprocess, layer_decay=1.0)
    found = []
    for rate, decay in [(0.1, 0.0), (1e9, 0.1), (0.1, 0.0)]:
        trainer.train(rate, decay, steps=4, schedule="steps")
        found.append(model.get_weights())
    for first, last in zip(found[0], found[2], strict=True):
        np.testing.assert_array_equal(first, last)
    assert any(np.any(a != b) for a, b in zip(found[0], trainer.start, strict=True))


def test_a_network_that_diverged_has_no_right_answers():
    result = tuned(learning_rates=(1e12,), steps=8)
    assert not all(np.isfinite(weights).all() for weights in result.details["model"].get_weights())
    assert result.accuracy == 0.0  # and not the share of the first class


def test_a_class_of_one_image_is_learned_but_chooses_nothing():
    result = tuned(labels=np.repeat([0, 1, 2], [1, 29, 30]), steps=1)
    assert result.protocol["classes_of_one_image"] == 1 and len(result.details["classes"]) == 3


def test_schedules_begin_at_the_peak_and_fall():
    assert [SCHEDULES["cosine"](done) for done in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert [SCHEDULES["steps"](done) for done in (0, 0.59, 0.6, 0.79, 0.8)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01]
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"share": 0}, r"share=0 does not fit; it must be in \(0, 1\]"),
        ({"layer_decay": 1.5}, "layer_decay=1.5"),
        ({"learning_rates": ()}, "one or more numbers above 0"),
        ({"learning_rates": (0.1, 0.0)}, "numbers above 0"),
        ({"weight_decays": (-1e-3,)}, "numbers from 0 on"),
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 1}, "batch_size=1"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"labels": np.zeros(60, int)}, "without a train image: 1"),
        ({"labels": np.repeat([0, 1, 2], [1, 1, 58])}, "1 images of class 0"),
        ({"labels": np.zeros(60)}, "must be integers"),
        ({"labels": np.zeros(59, int)}, "one train label per image"),
    ],
)
def test_a_mistake_is_answered_by_what_came(options, message):
    with pytest.raises(UserError, match=message):
        tuned(**options)


def test_lengths_and_temperatures_are_chosen_together_with_the_rates():
    network = keras_ssl.sem_neck(encoder(), num_simplices=3, simplex_size=4)
    search = {"epochs": (0.5, 8), "temperatures": (0.1, 1.0), "learning_rates": (1e-6, 0.5)}
    result = tuned(network=network, **search)
    tried = result.details["validation"]
    found = {(one.epochs, one.temperature, one.learning_rate) for one in tried}
    assert len(tried) == len(found) == 8 and result.details["chosen_by"] == 12
    best = max(tried, key=lambda one: one.accuracy)
    for name in ("epochs", "temperature", "learning_rate"):
        assert result.details[name] == getattr(best, name)
    assert result.protocol["epochs"] == [0.5, 8] and "steps" not in result.protocol
    assert result.protocol["temperatures"] == [0.1, 1.0]
    chosen = keras_ssl.layers.necks.simplices_of(result.details["model"].layers[1])
    assert chosen.temperature == best.temperature


def test_epochs_are_passes_over_the_labels_of_the_training(monkeypatch):
    steps = []
    train = Trainer.train
    monkeypatch.setattr(
        Trainer, "train", lambda self, *a, **k: steps.append(k["steps"]) or train(self, *a, **k)
    )
    tuned(epochs=(2, 4), batch_size=12)
    assert steps[:2] == [8, 16] and steps[2] in (10, 20)  # 48 images, then all 60


def test_top_5_is_measured_where_there_are_more_than_five_classes():
    images, labels = data(count=60, classes=6)
    result = tuned(images, labels, steps=1)
    assert set(result.metrics) == {"accuracy"} or result.metrics["top5"] >= result.accuracy
    assert "top5" in result.metrics and "top5" not in tuned(steps=1).metrics


def test_ranks_count_the_classes_before_the_right_one(monkeypatch):
    images, labels = data()
    batches = views_of(images)(np.arange(60), 16, 0)
    trainer = Trainer(
        add_classifier(encoder(), 3), batches, batch_size=16, preprocess=preprocess, layer_decay=1.0
    )
    logits = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 0.0], [np.nan] * 3, [1.0, 1.0, 0.0]])
    trainer.logits = lambda _: logits
    assert trainer.ranks(None, np.array([0, 0, 1, 1])).tolist() == [2, 0, 3, 1]


def test_the_validation_split_chooses_and_is_learned_from_in_the_end():
    images, labels = data()
    seen = []

    def views(rows, batch_size, seed):
        seen.append(rows.tolist())
        return views_of(images)(rows, batch_size, seed)

    own = np.arange(0, 60, 4)
    result = finetune(
        encoder(),
        images,
        labels,
        *data(seed=1),
        views=views,
        preprocess=preprocess,
        validation=own,
        learning_rates=(1e-6, 0.5),
        steps=10,
        batch_size=16,
    )
    assert seen == [np.setdiff1d(np.arange(60), own).tolist(), list(range(60))]
    assert result.details["chosen_by"] == result.protocol["validation_images"] == 15
    assert "validation split" in result.protocol["choice"] and "folds" not in result.protocol
    half = tuned(validation=own, share=0.5, steps=1)
    assert half.protocol["train_images"] == 30 and half.protocol["validation_images"] == 6


def test_so_many_labels_of_each_class_are_learned_from():
    result = tuned(labels_per_class=4, steps=1)
    assert result.protocol["train_images"] == 12
    with pytest.raises(UserError, match="per_class=21 does not fit"):
        tuned(labels_per_class=21)


def test_the_encoder_may_learn_at_a_rate_of_its_own_and_with_plain_momentum():
    model = add_classifier(encoder(), 3)
    layers = [variable.path.split("/")[-2] for variable in model.trainable_variables]
    rates = dict(zip(layers, rate_multipliers(model, 1.0, 0.01), strict=True))
    assert rates.pop("logits") == 1.0 and set(rates.values()) == {0.01}
    start, gradient = np.full((2, 2), 2.0, "float32"), np.full((2, 2), 0.5, "float32")
    optimizer = LayerwiseSGD([0.1], nesterov=False)
    optimizer.restart(weight_decay=0.0)
    optimizer.learning_rate = 0.4
    theirs = keras.optimizers.SGD(0.04, momentum=0.9)
    expected = steps_of(theirs, [gradient] * 2, start)
    np.testing.assert_allclose(steps_of(optimizer, [gradient] * 2, start), expected, rtol=1e-6)


def test_rates_of_the_batch_are_not_scaled():
    images, _ = data()
    batches = views_of(images)(np.arange(60), 16, 0)
    settings = {"batch_size": 16, "preprocess": preprocess, "layer_decay": 1.0}
    model = add_classifier(encoder(), 3)
    assert Trainer(model, batches, **settings).rate_factor == 16 / 256
    assert Trainer(model, batches, **settings, per_256=False).rate_factor == 1.0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"epochs": (0,)}, "epochs"),
        ({"temperatures": (-1.0,)}, "temperatures"),
        ({"temperatures": (0.1,)}, "no Simplicial Embedding"),
        ({"encoder_rate": 0.0}, "encoder_rate"),
        ({"validation": [60]}, "validation must be numbers"),
        ({"validation": []}, "validation must be numbers"),
    ],
)
def test_a_mistake_of_the_search_is_answered_by_what_came(options, message):
    with pytest.raises(UserError, match=message):
        tuned(**options)
