import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.backbones import BACKBONES, create_backbone
from keras_ssl.backbones.parts import conv
from keras_ssl.backbones.stems import resolve_stem
from keras_ssl.config.schema import Backbone
from keras_ssl.core.errors import UserError
from keras_ssl.layers.norm import BatchNormalization

NAMES = sorted(BACKBONES)
CONVOLUTIONAL = [name for name in NAMES if not name.startswith("vit_")]
NORMALIZED = [name for name in CONVOLUTIONAL if name != "resnet8"]


@pytest.fixture
def mixed_bfloat16():
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(previous)


def _images(shape=(4, 8, 8, 3), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _trainable_parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def _small(name, shape=(8, 8, 3), **options):
    return create_backbone(name, shape, width=4, **options)


def _outputs(model, names, images):
    """What the layers of these names give for `images`."""
    return keras.Model(model.input, [model.get_layer(name).output for name in names])(images)


def _convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


@pytest.mark.parametrize(
    "name, stem, parameters",
    [
        # torchvision: resnet18 11,689,512 and resnet50 25,557,032, less the classifier.
        ("resnet18", "imagenet", 11_689_512 - 1000 * (512 + 1)),
        ("resnet50", "imagenet", 25_557_032 - 1000 * (2048 + 1)),
        # A 3x3 first kernel in place of a 7x7 one.
        ("resnet18", "cifar", 11_689_512 - 1000 * (512 + 1) - 64 * 3 * (49 - 9)),
    ],
)
def test_parameter_counts_are_those_of_torchvision(name, stem, parameters):
    model = create_backbone(name, (32, 32, 3), stem=stem)
    assert _trainable_parameters(model) == parameters


@pytest.mark.parametrize(
    "name, size",
    [("resnet8", 128), ("resnet14", 128), ("resnet18", 512), ("resnet50", 2048), ("tiny", 8)],
)
def test_default_feature_sizes(name, size):
    model = create_backbone(name, (8, 8, 3))
    assert model.output_shape == (None, size)
    assert model.name == name


def test_doubling_the_width_doubles_the_features():
    narrow, wide = (create_backbone("resnet18", (8, 8, 3), width=w) for w in (16, 32))
    assert (narrow.output_shape, wide.output_shape) == ((None, 128), (None, 256))


@pytest.mark.parametrize("name", NAMES)
def test_features_are_finite_float32_and_every_weight_gets_a_gradient(name):
    model = _small(name, (16, 16, 3))
    with tf.GradientTape() as tape:
        features = model(_images((4, 16, 16, 3)), training=True)
        loss = tf.reduce_sum(features**2)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert features.dtype == tf.float32 and np.isfinite(features).all()
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


@pytest.mark.parametrize("name", NAMES)
def test_features_are_float32_under_a_mixed_policy(name, mixed_bfloat16):
    model = _small(name)
    assert all(layer.compute_dtype == "bfloat16" for layer in _convolutions(model))
    features = model(_images(), training=True)
    assert features.dtype == tf.float32 and np.isfinite(features).all()


@pytest.mark.parametrize("name", NAMES)
def test_odd_sizes_and_any_number_of_channels_work(name):
    assert np.isfinite(_small(name, (9, 13, 1))(_images((2, 9, 13, 1)))).all()


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_size_built_for_changes_no_weight_and_no_feature(name):
    one, other = _small(name, (8, 8, 3)), _small(name, (32, 24, 3))
    other.set_weights(one.get_weights())
    for shape in [(2, 8, 8, 3), (2, 32, 24, 3)]:
        np.testing.assert_array_equal(one(_images(shape)), other(_images(shape)))


@pytest.mark.parametrize(
    "policy", [pytest.param("float32", marks=pytest.mark.slow), "mixed_bfloat16"]
)
@pytest.mark.parametrize(
    "name, options",
    [
        ("resnet8", {}),
        ("resnet14", {"stem": "cifar"}),
        ("resnet14", {"stem": "imagenet"}),
        ("tiny", {}),
    ],
)
def test_views_and_smaller_crops_share_one_compiled_step(name, options, policy):
    keras.config.set_dtype_policy(policy)
    model = _small(name, (16, 16, 3), **options)
    views, crops = _images((4, 16, 16, 3)), _images((8, 8, 8, 3), seed=1)

    @tf.function
    def gradients(views, crops):
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_sum(model(x, training=True) ** 2) for x in (views, crops))
        return loss, tape.gradient(loss, [v.value for v in model.trainable_variables])

    loss, found = gradients(tf.constant(views), tf.constant(crops))
    assert np.isfinite(loss) and all(np.isfinite(g).all() and np.any(g) for g in found)


@pytest.mark.parametrize("name", ["resnet8", "resnet18"])
def test_saved_backbones_load_with_the_same_features(name, tmp_path):
    model = _small(name)
    model(_images(), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(_images()), model(_images()))


@pytest.mark.parametrize("name", NAMES)
def test_layer_names_do_not_depend_on_what_was_built_before(name):
    first, second = _small(name), _small(name)
    assert [w.path for w in first.weights] == [w.path for w in second.weights]


def test_layers_are_named_by_their_place():
    names = {layer.name for layer in _small("resnet50").layers}
    assert {"stem_conv", "stem_bn", "stage1_block1_conv1", "stage4_block3_bn3"} <= names
    assert "stage1_block1_shortcut_conv" in names
    assert "stage1_block2_shortcut_conv" not in names


@pytest.mark.parametrize("name", NORMALIZED)
def test_convolutions_have_no_bias_and_are_followed_by_the_projects_normalization(name):
    model = _small(name)
    normalizations = [layer for layer in model.layers if isinstance(layer, BatchNormalization)]
    assert len(_convolutions(model)) == len(normalizations)
    assert not any(layer.use_bias for layer in _convolutions(model))


@pytest.mark.parametrize("size, kernel_size", [(8, 3), (9, 3), (16, 7), (8, 1)])
def test_strided_convolution_is_the_centred_one_subsampled(size, kernel_size):
    inputs = keras.Input((size, size, 2))
    model = keras.Model(
        inputs, [conv(inputs, 3, kernel_size, stride=s, name=f"stride{s}") for s in (1, 2)]
    )
    model.get_layer("stride2").set_weights(model.get_layer("stride1").get_weights())
    dense, strided = model(_images((1, size, size, 2)))
    np.testing.assert_allclose(strided, dense[:, ::2, ::2], rtol=1e-5, atol=1e-5)


def test_kernels_start_he_normal_by_the_outgoing_connections():
    kernel = create_backbone("resnet18", (8, 8, 3)).get_layer("stage2_block1_conv1").kernel
    assert np.std(kernel) == pytest.approx(np.sqrt(2 / (128 * 9)), rel=0.02)


def test_stem_is_chosen_by_the_image_size():
    assert [resolve_stem(size) for size in (8, 32, 64, 65, 224)] == ["cifar"] * 3 + ["imagenet"] * 2
    for shape, size in [((32, 32, 3), 3), ((96, 96, 3), 7), ((32, 96, 3), 7)]:
        assert _small("resnet18", shape).get_layer("stem_conv").kernel_size == (size, size)


def test_imagenet_stem_quarters_the_sides_and_cifar_stem_keeps_them():
    for stem, sides in [("imagenet", [16, 8, 4, 2]), ("cifar", [64, 32, 16, 8])]:
        model = _small("resnet18", (64, 64, 3), stem=stem)
        names = [f"stage{stage}_block2_out" for stage in (1, 2, 3, 4)]
        ends = _outputs(model, names, _images((1, 64, 64, 3)))
        assert [end.shape[1] for end in ends] == sides


def test_stem_padding_two_enlarges_the_maps_by_two_pixels():
    model = _small("resnet18", (32, 32, 3), stem_padding=2)
    ends = _outputs(model, ["stem_conv", "stem_relu"], _images((1, 32, 32, 3)))
    assert [end.shape[1:3] for end in ends] == [(34, 34), (34, 34)]


@pytest.mark.parametrize("name, last", [("resnet18", "bn2"), ("resnet50", "bn3")])
def test_zero_init_residual_starts_blocks_as_the_identity(name, last):
    model = _small(name, zero_init_residual=True)
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            assert np.all(layer.gamma.numpy() == (0 if layer.name.endswith(last) else 1))
    before, after = _outputs(model, ["stage3_block1_out", "stage3_block2_out"], _images())
    np.testing.assert_array_equal(before, after)


def test_resnet8_has_eight_convolutions_on_the_main_path_and_one_beside_it():
    model = create_backbone("resnet8", (32, 32, 3))
    kernels = [layer.kernel_size for layer in _convolutions(model)]
    assert sorted(kernels) == [(1, 1)] + [(3, 3)] * 8
    assert not any(isinstance(layer, BatchNormalization) for layer in model.layers)


def test_resnet8_halves_the_sides_in_the_first_two_blocks_only():
    model = create_backbone("resnet8", (32, 32, 3), width=4)
    ends = _outputs(model, [f"block{i}_add" for i in (1, 2, 3, 4)], _images((1, 32, 32, 3)))
    assert [end.shape[1] for end in ends] == [16, 8, 8, 8]


def test_resnet8_keeps_the_scale_of_its_input_within_a_factor_of_ten():
    features = create_backbone("resnet8", (16, 16, 3))(_images((4, 16, 16, 3)))
    assert 0.1 < np.std(features) < 10


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_that_says_nothing_of_the_backbone_suits_every_one(name):
    assert create_backbone(name, (8, 8, 3), **Backbone(name).options).name == name


@pytest.mark.parametrize("width", [0, -1, 2.5, "wide"])
@pytest.mark.parametrize("name", NAMES)
def test_impossible_widths_are_refused(name, width):
    with pytest.raises(UserError, match="width must be a positive integer"):
        create_backbone(name, (8, 8, 3), width=width)


@pytest.mark.parametrize("shape", [(7, 8, 3), (8, 7, 3), (0, 8, 3), (None, None, 3), (8, 8)])
@pytest.mark.parametrize("name", NAMES)
def test_impossible_images_are_refused(name, shape):
    with pytest.raises(UserError, match="Received"):
        create_backbone(name, shape)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("resnet81", {}, "Did you mean 'resnet8"),
        ("resnet18", {"stem": "imagnet"}, "Did you mean 'imagenet'"),
        ("resnet18", {"widht": 16}, "Did you mean 'width'"),
        ("tiny", {"stem": "cifar"}, "no option 'stem'"),
        ("resnet18", {"stem": "imagenet", "stem_padding": 2}, "belongs to the CIFAR stem"),
    ],
)
def test_wrong_names_and_options_are_answered_with_the_right_ones(name, options, message):
    with pytest.raises(UserError, match=message):
        create_backbone(name, (8, 8, 3), **options)
