import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.layers.norm import BatchNormalization

AFFINE = [(True, True), (True, False), (False, True), (False, False)]
SHAPES = [(6, 5), (4, 3, 2, 5)]


def _input(shape=(4, 3, 2, 5), seed=0):
    generator = np.random.default_rng(seed)
    return (generator.normal(size=shape) * 3 + 2).astype("float32")


def _pair(shape, **options):
    """Our layer and Keras's, with the same weights, all of them off their initial values."""
    ours = BatchNormalization(**options)
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, **options)
    for layer in (ours, theirs):
        layer.build(shape)
    generator = np.random.default_rng(1)
    weights = [generator.uniform(0.5, 2.0, w.shape) for w in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def _run(layer, x, training):
    """Output, and gradients by the input and the trainable weights, of a non-trivial loss."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float32)))
    sources = [x, *[v.value for v in layer.trainable_variables]]
    return [y, *tape.gradient(loss, sources)]


def _assert_same(left, right, tolerance=1e-5):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("center, scale", AFFINE)
def test_outputs_gradients_and_statistics_are_those_of_keras(shape, center, scale, training):
    ours, theirs = _pair(shape, center=center, scale=scale)
    x = _input(shape)
    _assert_same(_run(ours, x, training), _run(theirs, x, training))
    _assert_same(ours.get_weights(), theirs.get_weights())


def test_weights_have_the_names_and_order_of_keras():
    ours, theirs = _pair((4, 5))
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.name for w in ours.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]


def test_running_variance_is_the_biased_one():
    x = _input((3, 5))
    layer = BatchNormalization(momentum=0.0)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_variance, x.var(axis=0), rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_steps_update_as_eager_ones(jit_compile):
    eager, compiled = BatchNormalization(), BatchNormalization()
    x = _input()
    for layer in (eager, compiled):
        layer.build(x.shape)
    step = tf.function(lambda batch: _run(compiled, batch, True), jit_compile=jit_compile)
    for seed in range(2):
        batch = _input(seed=seed)
        _assert_same(_run(eager, batch, True), step(tf.constant(batch)), 1e-4)
    _assert_same(eager.get_weights(), compiled.get_weights())
    assert not np.allclose(eager.moving_mean, 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(256, 64), (64, 8, 8, 16)])
def test_a_mean_far_above_the_spread_is_exact_compiled_or_not(shape, dtype):
    noise = 1e-3 * np.random.default_rng(0).normal(size=shape)
    policy = "float32" if dtype == "float32" else f"mixed_{dtype}"
    layers = [BatchNormalization(dtype=policy) for _ in range(2)]
    steps = [tf.function(_run, jit_compile=jit_compile) for jit_compile in (False, True)]
    for offset in (0.0, 10.0, 1e2, 1e3, 1e4, 1e5):
        x = tf.cast(tf.constant(offset + noise, "float32"), dtype)
        results = []
        for layer, step in zip(layers, steps, strict=True):
            results.append([tf.cast(value, "float32") for value in step(layer, x, True)])
            assert np.all(np.asarray(layer.moving_variance) >= 0)
        for plain, compiled in zip(*results, strict=True):
            size = max(1.0, np.abs(plain).max())
            # bfloat16 rounds what differs in the last bit to neighbors.
            tolerance = 1e-3 if dtype == "float32" else 2**-7
            np.testing.assert_allclose(compiled, plain, atol=tolerance * size)
        x = np.asarray(x, "float64")
        axes = tuple(range(len(shape) - 1))
        exact = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)
        np.testing.assert_allclose(results[1][0], exact, atol=1e-3 if dtype == "float32" else 0.01)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("shape", [(1, 5), (1, 1, 1, 5)])
def test_one_row_gives_the_offset_and_no_nan(shape, jit_compile):
    layer = BatchNormalization()
    layer.build(shape)
    step = tf.function(lambda x: layer(x, training=True), jit_compile=jit_compile)
    np.testing.assert_array_equal(step(tf.constant(_input(shape))), np.zeros(shape))
    np.testing.assert_allclose(layer.moving_variance, np.full(5, 0.9), rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_half_precision_keeps_float32_statistics(policy, shape, training):
    layer, reference = BatchNormalization(dtype=policy), BatchNormalization()
    x = _input(shape)
    y = layer(x, training=training)
    assert y.dtype == layer.compute_dtype
    assert {w.dtype for w in layer.weights} == {"float32"}
    np.testing.assert_allclose(
        tf.cast(y, tf.float32), reference(x, training=training), rtol=0.02, atol=0.05
    )
    _assert_same(layer.get_weights(), reference.get_weights(), 0.01)
    gradients = _run(layer, x, training)
    assert all(np.isfinite(tf.cast(g, tf.float32)).all() for g in gradients)


def test_half_precision_survives_a_large_mean():
    x = np.linspace(999.0, 1001.0, 32, dtype="float32")[:, None]
    layer = BatchNormalization(dtype="mixed_float16")
    y = np.asarray(layer(x, training=True), "float32")
    assert np.isfinite(y).all() and abs(y.std() - 1) < 0.01


def test_float64_stays_float64():
    x = _input().astype("float64")
    layer = BatchNormalization(dtype="float64")
    y = layer(x, training=True)
    expected = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    assert y.dtype == "float64"
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape, axis", [((4, 3, 5), -1), ((4, 3, 2, 5), 1), ((4, 3, 2, 5), 3)])
def test_other_ranks_and_axes_are_those_of_keras(shape, axis):
    ours, theirs = _pair(shape, axis=axis)
    x = _input(shape)
    # A pair of sums instead of centered squares: Keras's way of sharing statistics.
    _assert_same(_run(ours, x, True), _run(theirs, x, True), 1e-4)
    _assert_same(ours.get_weights(), theirs.get_weights())


def test_masked_rows_do_not_count():
    x = _input((2, 3, 5))
    x[:, 2] = 1e3
    layer = BatchNormalization(momentum=0.0)
    layer(x, training=True, mask=np.array([[True, True, False]] * 2))
    np.testing.assert_allclose(layer.moving_mean, x[:, :2].mean((0, 1)), rtol=1e-4)


def test_a_layer_that_is_not_trainable_runs_in_inference_mode():
    layer = BatchNormalization(trainable=False)
    x = _input()
    np.testing.assert_allclose(layer(x, training=True), x / np.sqrt(1 + 1e-5), rtol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(5))


def test_freezing_only_the_variables_keeps_the_batch_statistics():
    frozen, free = BatchNormalization(), BatchNormalization()
    x = _input()
    frozen.build(x.shape)
    for variable in frozen.trainable_variables:
        variable.trainable = False
    np.testing.assert_array_equal(frozen(x, training=True), free(x, training=True))
    np.testing.assert_array_equal(frozen.moving_mean, free.moving_mean)


def test_config_round_trip_keeps_every_argument():
    layer = BatchNormalization(momentum=0.5, epsilon=1e-3, synchronized=False, scale=False)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is BatchNormalization
    assert copy.get_config() == layer.get_config()
    assert (copy.momentum, copy.epsilon, copy.synchronized, copy.scale) == (0.5, 1e-3, False, False)


def test_defaults_are_the_papers():
    layer = BatchNormalization()
    assert (layer.momentum, layer.epsilon, layer.synchronized) == (0.9, 1e-5, True)


def test_saved_models_normalise_by_the_running_statistics(tmp_path):
    model = keras.Sequential([keras.Input((3, 2, 5)), BatchNormalization()])
    x = _input()
    model(x, training=True)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec((None, 3, 2, 5), tf.float32)],
    )
    archive.write_out(str(tmp_path / "saved"), verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    expected = model(x, training=False)
    np.testing.assert_allclose(saved.serve(tf.constant(x)), expected, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x, training=False), expected)


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_two_replicas_normalise_by_the_global_batch(two_replicas, offset):
    x = (np.random.default_rng(0).normal(size=(8, 3)) + offset).astype("float32")
    x[:4] += 1  # halves of unlike means
    alone = BatchNormalization()
    expected, by_input, *by_weights = _run(alone, x, True)
    with two_replicas.scope():
        shared = BatchNormalization()
        shared.build(x.shape)
    halves = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.constant(np.split(x, 2)[context.replica_id_in_sync_group])
    )
    step = tf.function(lambda values: two_replicas.run(lambda v: _run(shared, v, True), (values,)))
    results = [two_replicas.experimental_local_results(each) for each in step(halves)]
    np.testing.assert_allclose(tf.concat(results[0], 0), expected, atol=1e-4)
    np.testing.assert_allclose(tf.concat(results[1], 0), by_input, atol=1e-4)
    for summands, whole in zip(results[2:], by_weights, strict=True):
        np.testing.assert_allclose(sum(summands), whole, atol=1e-4)
    for a, b in zip(shared.weights, alone.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-4)
