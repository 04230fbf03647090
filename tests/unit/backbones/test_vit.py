"""Vision Transformers: their size, their positions, and images of other sizes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.backbones import create_backbone
from keras_ssl.backbones.tokens import SelfAttention, Tokens, bicubic_matrix, resize_positions
from keras_ssl.backbones.vit import resolve_patch_size
from keras_ssl.core.errors import UserError


def small(shape=(16, 16, 3), **options):
    return create_backbone("vit_tiny", shape, **{"width": 8, "depth": 2, **options})


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def grid_of(model):
    tokens = model.get_layer("tokens")
    return tokens.rows, tokens.columns


def strengthen(model, factor=20.0):
    """Weights at which tokens differ and attend; fresh ones are almost zero."""
    for variable in model.trainable_variables:
        if variable.path.endswith(("kernel", "positions")):
            variable.assign(factor * variable)
    return model


@pytest.mark.parametrize(
    "name, count",
    [
        # timm: deit_tiny_patch16_224 5,717,416 and deit_small_patch16_224 22,050,664, less the
        # classifier.
        ("vit_tiny", 5_717_416 - 1000 * (192 + 1)),
        pytest.param("vit_small", 22_050_664 - 1000 * (384 + 1), marks=pytest.mark.slow),
    ],
)
def test_parameter_counts_are_those_of_deit(name, count):
    model = create_backbone(name, (224, 224, 3))
    assert parameters(model) == count
    assert grid_of(model) == (14, 14)


def test_the_patch_follows_the_size_of_the_images_unless_told():
    assert [resolve_patch_size(size) for size in (8, 32, 64, 65, 224)] == [4] * 3 + [16] * 2
    grids = [
        grid_of(small(shape, depth=0, **options))
        for shape, options in [
            ((32, 32, 3), {}),
            ((96, 96, 3), {}),
            ((32, 32, 3), {"patch_size": 8}),
            ((18, 12, 1), {}),
        ]
    ]
    assert grids == [(8, 8), (6, 6), (4, 4), (4, 3)]


def test_a_head_of_attention_is_64_wide():
    heads = [
        create_backbone("vit_tiny", (8, 8, 3), width=width, depth=1)
        .get_layer("block1_attention")
        .num_heads
        for width in (8, 64, 192, 384)
    ]
    assert heads == [1, 1, 3, 6]


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_one_model_takes_images_of_any_size_known_to_the_graph_or_not(pooling):
    model = strengthen(small(pooling=pooling, depth=1))
    unknown = tf.TensorSpec((None, None, None, 3))
    dynamic = tf.function(lambda x: model(x), input_signature=[unknown])
    for shape in [(16, 16), (8, 8), (12, 20)]:
        x = images(2, *shape, 3)
        assert model(x).shape == (2, 8)
        np.testing.assert_allclose(dynamic(x), model(x), atol=1e-4)


def test_small_crops_give_the_same_eager_and_compiled_by_xla():
    model, x = strengthen(small(depth=1)), images(2, 8, 8, 3)
    compiled = tf.function(lambda x: model(x), jit_compile=True)
    np.testing.assert_allclose(compiled(x), model(x), atol=1e-4)


def test_positions_learn_from_images_of_another_size():
    model = small()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images(2, 8, 8, 3)) * images(2, 8, seed=1))
    gradient = tape.gradient(loss, model.get_layer("tokens").positions.value)
    assert np.all(np.isfinite(gradient)) and np.all(np.any(gradient, axis=-1))


def test_positions_are_added_untouched_at_the_size_built_for():
    layer = Tokens(3, 5)
    tokens = layer(tf.zeros((2, 3, 5, 4)))
    wanted = np.reshape(layer.positions, (15, 4))
    np.testing.assert_array_equal(tokens[:, 1:], np.stack([wanted, wanted]))
    np.testing.assert_array_equal(tokens[0, 0], (layer.token + layer.token_position)[0])


def test_resizing_keeps_constants_and_symmetry_and_is_the_identity_at_the_same_size():
    np.testing.assert_array_equal(bicubic_matrix(7, 7), np.eye(7))
    for size, new_size in [(14, 6), (6, 14), (1, 3), (3, 1)]:
        matrix = np.asarray(bicubic_matrix(size, new_size))
        np.testing.assert_allclose(matrix.sum(1), 1.0, atol=1e-6)
        np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-5)


def interpolated_by_loops(values, new_size, parameter=-0.75):
    def kernel(x):
        x = abs(x)
        if x <= 1:
            return (parameter + 2) * x**3 - (parameter + 3) * x**2 + 1
        return parameter * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    result = []
    for i in range(new_size):
        place = (i + 0.5) * len(values) / new_size - 0.5
        taps = range(int(np.floor(place)) - 1, int(np.floor(place)) + 3)
        inside = [min(max(tap, 0), len(values) - 1) for tap in taps]
        result.append(sum(kernel(place - t) * values[j] for t, j in zip(taps, inside, strict=True)))
    return np.array(result)


@pytest.mark.parametrize("size, new_size", [(14, 6), (4, 9), (5, 2)])
def test_resizing_is_keys_cubic_convolution_row_by_row(size, new_size):
    values = images(size, 3, 2)
    wanted = [[interpolated_by_loops(values[:, c, d], new_size) for d in (0, 1)] for c in range(3)]
    resized = resize_positions(tf.constant(values), new_size, 3)
    np.testing.assert_allclose(resized, np.transpose(wanted, (2, 0, 1)), atol=1e-5)


def test_attention_is_the_softmax_of_scaled_products_head_by_head():
    layer, x = SelfAttention(2), images(1, 5, 6)
    y = layer(x)
    q, k, v = np.split(x[0] @ np.asarray(layer.query_key_value.kernel), 3, axis=-1)
    heads = []
    for part in (slice(0, 3), slice(3, 6)):
        weights = tf.nn.softmax(q[:, part] @ k[:, part].T / np.sqrt(3.0))
        heads.append(weights @ v[:, part])
    wanted = np.concatenate(heads, axis=-1) @ np.asarray(layer.output_map.kernel)
    np.testing.assert_allclose(y[0], wanted, atol=1e-6)


def swap_left_and_right(x):
    return np.concatenate([x[:, :, 8:], x[:, :, :8]], axis=2)  # whole patches of 4 pixels


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_without_positions_the_order_of_patches_does_not_matter(pooling):
    model, x = strengthen(small(pooling=pooling)), images(2, 16, 16, 3)
    moved = swap_left_and_right(x)
    assert np.max(np.abs(model(x) - model(moved))) > 1e-2
    positions = model.get_layer("tokens").positions
    positions.assign(ops.zeros_like(positions))
    np.testing.assert_allclose(model(x), model(moved), atol=1e-4)
    assert np.max(np.abs(model(x) - model(x[::-1]))) > 1e-2  # and yet images differ


def test_mean_pooling_has_no_class_token():
    by_token, by_mean = small(pooling="token"), small(pooling="mean")
    assert parameters(by_token) - parameters(by_mean) == 2 * 8


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_features_are_float32_and_normalised_under_every_policy(pooling):
    for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        model = strengthen(small(pooling=pooling, depth=1))
        assert model.get_layer("block1_attention").compute_dtype == policy.split("_")[-1]
        features = model(images(4, 16, 16, 3), training=True)
        assert features.dtype == "float32" and np.all(np.isfinite(features))
    if pooling == "token":
        np.testing.assert_allclose(np.mean(features, axis=1), 0.0, atol=1e-3)
        np.testing.assert_allclose(np.std(features, axis=1), 1.0, atol=1e-2)


@pytest.mark.parametrize("pooling", ["token", "mean"])
def test_saved_transformers_load_with_the_same_features_at_every_size(pooling, tmp_path):
    model = small(pooling=pooling)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for size in (16, 8):
        x = images(2, size, size, 3)
        np.testing.assert_array_equal(loaded(x), model(x))


def test_optimizers_can_tell_matrices_from_biases_by_their_axes():
    for variable in small().trainable_variables:
        one_axis = variable.path.endswith(("bias", "gamma", "beta"))
        assert (len(variable.shape) == 1) == one_axis, variable.path


@pytest.mark.parametrize(
    "options, message",
    [
        ({"patch_size": 0}, "patch_size must be"),
        ({"patch_size": 17}, "at most the side of the images. Received 17"),
        ({"patch_size": 2.5}, "patch_size must be"),
        ({"pooling": "tokn"}, "Did you mean 'token'"),
        ({"width": 200}, "multiple of 64"),
        ({"stem": "cifar"}, "no option 'stem'"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        small(**options)
