"""What every neck must keep, whatever it is made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.layers.necks import backbone_output, bottleneck_of, projector_blocks, simplices_of
from keras_ssl.layers.target import copy_for_target, parameter_pairs
from keras_ssl.training import checkpoints
from tests.descriptors import BATCH, INPUT_SHAPE, METHODS, NECKS, make_views

every_neck = pytest.mark.parametrize("name", NECKS)
every_policy = pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])


def make_encoder(name, seed=0):
    keras.utils.set_random_seed(seed)
    backbone = keras_ssl.create_backbone("tiny", INPUT_SHAPE)
    return keras_ssl.add_neck(backbone, **NECKS[name])


def make_method(method, neck, *, seed=0, eager=False):
    keras.utils.set_random_seed(seed)
    method = keras_ssl.create(
        method, backbone="tiny", input_shape=INPUT_SHAPE, neck=NECKS[neck], **METHODS[method]
    )
    optimizer = keras_ssl.SGD(0.05, momentum=0.9)
    method.compile(optimizer, jit_compile=False, run_eagerly=eager)
    return method


def images(seed=1):
    return keras.random.uniform((BATCH, *INPUT_SHAPE), seed=seed)


def fit(method, steps):
    data = tf.data.Dataset.from_tensors(make_views(method)).repeat()
    history = method.fit(data, steps_per_epoch=steps, verbose=0, shuffle=False)
    return history.history["loss"]


def sizes_of(name):
    """Width of the neck's output, and number of its simplices or codebooks."""
    neck = NECKS[name]
    return neck["num_simplices"] * neck.get("code_dim", neck["simplex_size"]), neck["num_simplices"]


@every_neck
def test_neck_gives_float32_of_its_width_and_survives_a_file(name, tmp_path):
    encoder = make_encoder(name)
    encoder(images(), training=True)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras_ssl.load_encoder(tmp_path / "encoder.keras")
    assert encoder(images()).dtype == "float32"
    assert encoder.output_shape == loaded.output_shape == (None, sizes_of(name)[0])
    np.testing.assert_array_equal(encoder(images()), loaded(images()))
    assert type(bottleneck_of(loaded)) is type(bottleneck_of(encoder))
    assert bottleneck_of(loaded).get_config() == bottleneck_of(encoder).get_config()


@every_neck
def test_the_backbone_below_a_neck_is_found_also_after_a_file(name, tmp_path):
    encoder = make_encoder(name)
    encoder.save(tmp_path / "encoder.keras")
    for model in (encoder, keras_ssl.load_encoder(tmp_path / "encoder.keras")):
        backbone = keras_ssl.backbone_of(model)
        assert backbone.name == "tiny" and backbone.output_shape == (None, 8)
        below = keras.Model(model.input, backbone_output(model))
        np.testing.assert_array_equal(below(images()), backbone(images()))
        assert keras_ssl.backbone_of(backbone) is backbone


@every_neck
def test_readings_fit_the_neck(name):
    encoder, count = make_encoder(name), sizes_of(name)[1]
    codes = keras_ssl.codes_of(encoder)(images())
    assert codes.shape == (BATCH, count) and codes.dtype == "int32"
    assert np.min(codes) >= 0 and np.max(codes) < NECKS[name]["simplex_size"]
    assert (simplices_of(encoder) is not None) == (NECKS[name]["kind"] == "sem")
    assert projector_blocks(encoder) == NECKS[name].get("num_blocks", 1)
    if NECKS[name]["kind"] == "vq":
        with pytest.raises(keras_ssl.UserError, match="no Simplicial Embedding"):
            keras_ssl.at_temperature(encoder, 0)
    else:
        hard = np.reshape(keras_ssl.at_temperature(encoder, 0)(images()), (BATCH, count, -1))
        np.testing.assert_array_equal(hard.argmax(-1), codes)


@every_neck
def test_codes_survive_a_file(name, tmp_path):
    codes = keras_ssl.codes_of(make_encoder(name))
    codes.save(tmp_path / "codes.keras")
    loaded = keras.saving.load_model(tmp_path / "codes.keras")
    np.testing.assert_array_equal(codes(images()), loaded(images()))


@every_neck
@every_policy
def test_every_parameter_of_a_neck_gets_a_finite_gradient(name, policy):
    keras.config.set_dtype_policy(policy)
    encoder = make_encoder(name)
    weights = keras.random.normal((BATCH, sizes_of(name)[0]), seed=2)
    with tf.GradientTape() as tape:
        features = encoder(images(), training=True)
        loss = tf.reduce_sum(features * weights) + sum(encoder.losses)
    gradients = tape.gradient(loss, [v.value for v in encoder.trainable_variables])
    assert np.isfinite(loss)
    for variable, gradient in zip(encoder.trainable_variables, gradients, strict=True):
        assert gradient is not None and np.all(np.isfinite(gradient)), variable.path
    assert len(encoder.losses) == (NECKS[name]["kind"] == "vq")


@every_neck
def test_a_target_copy_is_frozen_adds_no_loss_and_normalises_by_its_own_batch(name):
    encoder = make_encoder(name)
    target = copy_for_target(encoder)
    assert not target.trainable_variables
    followed = [copy for _, copy in parameter_pairs(encoder, target)]
    assert len(followed) == len(encoder.trainable_variables)
    before = [np.asarray(w) for w in target.weights if "moving_mean" in w.path]
    target(images(), training=True)
    after = [np.asarray(w) for w in target.weights if "moving_mean" in w.path]
    assert all(np.any(a != b) for a, b in zip(after, before, strict=True))
    assert not target.losses


@pytest.mark.parametrize(
    ("name", "method"),
    [
        *((name, "simclr") for name in NECKS),
        *(  # with a target; what a copy of each neck is, is tested above
            pytest.param(name, "byol", marks=[] if name in ("sem", "vq") else [pytest.mark.slow])
            for name in NECKS
        ),
    ],
)
def test_methods_train_with_every_neck(name, method):
    method = make_method(method, name, eager=True)
    before = [np.asarray(v) for v in method.trainable_variables]
    assert np.all(np.isfinite(fit(method, steps=1)))
    moved = [
        np.any(np.asarray(v) != old)
        for v, old in zip(method.trainable_variables, before, strict=True)
    ]
    assert all(np.all(np.isfinite(v)) for v in method.trainable_variables)
    assert np.mean(moved) > 0.9
    assert bottleneck_of(method.encoder) is not None


@pytest.mark.parametrize("name", ["gumbel", "vq"])
def test_resumed_checkpoint_equals_the_run_that_was_not_interrupted(name, tmp_path):
    whole = make_method("byol", name, eager=True)
    fit(whole, steps=2)
    checkpoints.save(whole, tmp_path, step=2)
    fit(whole, steps=2)
    # Other weights and noise, all to be replaced.
    resumed = make_method("byol", name, seed=7, eager=True)
    checkpoints.restore(resumed, tmp_path, checkpoints.latest_step(tmp_path))
    fit(resumed, steps=2)
    for a, b in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gumbel_trains_on_two_replicas(two_replicas):
    with two_replicas.scope():
        method = make_method("simclr", "gumbel")
    assert np.all(np.isfinite(fit(method, steps=2)))


def test_vq_on_two_replicas_equals_one_of_twice_the_batch(two_replicas):
    single = make_method("simclr", "vq")
    with two_replicas.scope():
        double = make_method("simclr", "vq")
        double.set_weights(single.get_weights())
    np.testing.assert_allclose(fit(single, steps=2), fit(double, steps=2), rtol=1e-4)
    for a, b in zip(single.weights, double.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
