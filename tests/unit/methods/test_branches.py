"""Two branches that share their weights, or do not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.losses.vicreg import vicreg_loss
from keras_ssl.methods.vicreg import VICReg
from tests.descriptors import INPUT_SHAPE, METHODS, NECK, make_views
from tests.unit.support import changed, fit

NAMES = ["vicreg", "simclr", "barlow_twins"]
every_name = pytest.mark.parametrize("name", NAMES)


@every_name
@pytest.mark.parametrize("shared", ["projector", "none"])
def test_each_view_goes_through_its_own_branch(name, shared):
    method = changed(name, shared=shared)
    images = make_views(method)["global"]
    method.encoder.trainable = method.branch.trainable = True
    outputs = method.embed({"global": images}, training=False)
    head = method.projector if shared == "projector" else method.second_projector
    first = method.projector(method.encoder(images[:, 0], training=False), training=False)
    second = head(method.branch(images[:, 1], training=False), training=False)
    np.testing.assert_allclose(outputs[0], first, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs[1], second, rtol=1e-4, atol=1e-5)


@every_name
def test_branches_begin_apart_and_both_learn(name):
    method = changed(name, shared="none")
    pairs = zip(method.encoder.trainable_variables, method.branch.trainable_variables, strict=True)
    assert any(np.any(np.asarray(a) != np.asarray(b)) for a, b in pairs)
    parts = (method.encoder, method.branch, method.projector, method.second_projector)
    before = [[np.array(v) for v in part.trainable_variables] for part in parts]
    fit(method, make_views(method), 1)
    for part, old in zip(parts, before, strict=True):
        changes = zip(old, part.trainable_variables, strict=True)
        assert all(np.any(a != np.asarray(v)) for a, v in changes if a.ndim > 1), part.name


@every_name
def test_what_is_shared_has_no_second_network(name):
    method = changed(name)
    assert not hasattr(method, "branch") and not hasattr(method, "second_projector")
    assert not hasattr(changed(name, shared="projector"), "second_projector")


def test_what_is_evaluated_is_the_first_branch():
    method = changed("vicreg", shared="none")
    images = make_views(method)["global"][:, 0]
    np.testing.assert_array_equal(method(images), method.encoder(images, training=False))


def test_the_loss_of_equal_branches_is_that_of_one():
    method, whole = changed("vicreg", shared="none"), changed("vicreg")
    for own, theirs in (
        (method.encoder, whole.encoder),
        (method.branch, whole.encoder),
        (method.projector, whole.projector),
        (method.second_projector, whole.projector),
    ):
        own.set_weights(theirs.get_weights())
    views = make_views(method)
    ours, theirs = (m.embed(views, training=True) for m in (method, whole))
    np.testing.assert_allclose(vicreg_loss(*ours), vicreg_loss(*theirs), rtol=1e-5)


@pytest.mark.parametrize("shared, own", [("both", False), ("projector", False), ("none", True)])
def test_branches_that_share_nothing_have_a_predictor_each(shared, own):
    method = changed("vicreg", shared=shared, predictor_kind="mlp")
    assert hasattr(method, "second_predictor") == own
    views = make_views(method)
    first, second, *predictions = method.embed(views, training=False)
    reader = method.second_predictor if own else method.predictor
    np.testing.assert_allclose(predictions[0], method.predictor(first, training=False), rtol=1e-5)
    np.testing.assert_allclose(predictions[1], reader(second, training=False), rtol=1e-5)
    before = [np.array(v) for v in reader.trainable_variables]
    fit(method, views, 1)
    pairs = zip(before, reader.trainable_variables, strict=True)
    assert all(np.any(a != np.asarray(v)) for a, v in pairs if a.ndim > 1)


def other(width=4):
    images = keras.Input(INPUT_SHAPE)
    features = keras.layers.Dense(width)(keras.layers.Flatten()(images))
    return keras.Model(images, features)


def tiny():
    return keras_ssl.create_backbone("tiny", INPUT_SHAPE)


def test_branches_may_have_different_architectures(tmp_path):
    method = VICReg(tiny(), second_encoder=other(), shared="none", **METHODS["vicreg"])
    method.compile(keras_ssl.SGD(0.01), jit_compile=False)
    assert method.branch is method.second_encoder
    assert method.second_projector.input_shape == (None, 4)
    fit(method, make_views(method), 2)
    method.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(method.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(method.branch.weights) == len(loaded.branch.weights) == 2


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"shared": "both"}, "has no second encoder: take 'projector' or 'none'"),
        ({"shared": "projector"}, r"one width. The encoders give \[4, 8\]: take shared='none'"),
        ({"shared": "nothing"}, "shared"),
    ],
)
def test_a_second_encoder_that_does_not_fit_is_refused_in_words(settings, words):
    with pytest.raises(keras_ssl.UserError, match=words):
        VICReg(tiny(), second_encoder=other(), **settings)


def test_features_of_two_widths_are_not_compared_without_a_head():
    with pytest.raises(keras_ssl.UserError, match="num_layers=0 compares features of one width"):
        keras_ssl.SimCLR(tiny(), second_encoder=other(), shared="none", num_layers=0)


def test_local_crops_go_through_the_first_branch():
    method = changed("simclr", shared="none")
    local = keras.random.uniform((8, 2, 12, 12, 3), seed=2)
    with tf.GradientTape() as tape:
        outputs = method.embed({**make_views(method), "local": local}, training=True)
        crop = tf.reduce_sum(outputs[2])
    assert len(outputs) == 4
    gradients = tape.gradient(crop, [method.branch.trainable_variables[0].value])
    assert gradients == [None]


def test_the_second_branch_is_read_at_the_second_temperature():
    """SEM, tables 7 and 12: methods without a momentum copy read view 2 at tau'_p."""
    options = {"backbone": "tiny", "input_shape": INPUT_SHAPE, "neck": NECK, "shared": "none"}
    method = keras_ssl.create("sem_simclr", num_layers=0, **options)
    method.branch.set_weights(method.encoder.get_weights())
    images = make_views(method)["global"][:, :1]
    first, second = method.embed({"global": np.repeat(images, 2, axis=1)}, training=False)
    assert np.any(np.abs(first - second) > 1e-3)
    cold = keras_ssl.at_temperature(method.encoder, NECK["target_temperature"])
    np.testing.assert_allclose(second, cold(images[:, 0]), rtol=1e-5, atol=1e-6)
