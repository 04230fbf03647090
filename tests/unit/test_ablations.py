"""Parts of methods that papers leave out, or that can be read in two ways."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.config import parse_set, resolve
from keras_ssl.losses.byol import byol_loss
from keras_ssl.losses.simsiam import multi_crop_simsiam_loss
from stages.request import read_catalog
from tests.descriptors import INPUT_SHAPE, METHODS, make_views

ABLATIONS = {"simsiam": {"stop_gradient": False}, "byol": {"use_predictor": False}}
every_ablation = pytest.mark.parametrize("name", ABLATIONS)


def make(name, **options):
    keras.utils.set_random_seed(0)
    arguments = {**METHODS[name], **options}
    return keras_ssl.create(name, backbone="tiny", input_shape=INPUT_SHAPE, **arguments)


def cosine_gradient(a, b):
    """d cos(a, b) / d b per row: `(a/|a| - cos(a, b) b/|b|) / |b|`."""
    norm = np.linalg.norm(b, axis=-1, keepdims=True)
    a, b = a / np.linalg.norm(a, axis=-1, keepdims=True), b / norm
    return (a - np.sum(a * b, axis=-1, keepdims=True) * b) / norm


def random_views(count=2):
    return [keras.random.normal((4, 6), seed=seed) for seed in range(count)]


# SimSiam.


def test_simsiam_without_stop_gradient_pulls_the_projections_too():
    predictions, projections = random_views(4)[:2], random_views(4)[2:]
    with tf.GradientTape() as tape:
        tape.watch(projections)
        loss = multi_crop_simsiam_loss(predictions, projections, stop_gradient=False)
    pairs = zip(tape.gradient(loss, projections), reversed(predictions), projections, strict=True)
    for gradient, prediction, z in pairs:
        # The mean over 4 rows and 2 directions, with the sign of the loss.
        wanted = -cosine_gradient(np.array(prediction), np.array(z)) / 8
        np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-7)


def test_stop_gradient_changes_the_gradient_and_not_the_loss():
    p, z, other, crop = random_views(4)
    arguments = [p, z, crop], [other, z]
    free = multi_crop_simsiam_loss(*arguments, stop_gradient=False)
    assert float(free) == float(multi_crop_simsiam_loss(*arguments))


def test_simsiam_adds_the_targets_gradient_to_that_through_the_predictor():
    gradients, outputs = {}, None
    for stop_gradient in (True, False):
        method = make("simsiam", stop_gradient=stop_gradient)
        z = [keras.random.normal((4, 16), seed=seed) for seed in (1, 2)]
        with tf.GradientTape() as tape:
            tape.watch(z)
            predictions = [method.predictor(each, training=False) for each in z]
            outputs = {"predictions": predictions, "projections": z}
            loss = sum(method.loss_terms(outputs).values())
        gradients[stop_gradient] = tape.gradient(loss, z)
    for view in (0, 1):
        target = -cosine_gradient(np.array(outputs["predictions"][1 - view]), np.array(z[view])) / 8
        assert np.abs(target).max() > 1e-3
        difference = gradients[False][view] - gradients[True][view]
        np.testing.assert_allclose(difference, target, rtol=1e-4, atol=1e-6)


# BYOL.


def test_byol_without_predictor_compares_the_projections_with_the_targets():
    method = make("byol", use_predictor=False)
    views = make_views(method)
    outputs = method.embed(views, training=False)
    encoder, projector = method.encoder, method.projector
    images = [views["global"][:, view] for view in (0, 1)]
    projections = [projector(encoder(x, training=False), training=False) for x in images]
    for prediction, projection in zip(outputs["predictions"], projections, strict=True):
        np.testing.assert_allclose(prediction, projection, rtol=1e-5, atol=1e-6)
    loss = sum(method.loss_terms(outputs).values())
    assert float(loss) == pytest.approx(
        float(byol_loss(*projections, *outputs["targets"])), rel=1e-5
    )


@pytest.mark.parametrize("use_predictor", [False, True])
def test_equal_views_cost_nothing_at_the_start_only_without_a_predictor(use_predictor):
    method = make("byol", use_predictor=use_predictor)
    image = make_views(method)["global"][:, :1]
    views = {"global": np.repeat(image, 2, axis=1)}
    loss = float(sum(method.loss_terms(method.embed(views, training=True)).values()))
    assert (loss > 0.1) if use_predictor else (abs(loss) < 1e-5)


def test_byol_without_predictor_starts_from_the_same_other_weights():
    whole, part = make("byol"), make("byol", use_predictor=False)
    kept = [v for v in whole.variables if "predictor" not in v.path]
    assert len(kept) < len(whole.variables)
    for a, b in zip(kept, part.variables, strict=True):
        assert a.path == b.path
        np.testing.assert_array_equal(a, b)


# Both.


@every_ablation
def test_every_parameter_gets_a_gradient(name):
    method = make(name, **ABLATIONS[name])
    with tf.GradientTape() as tape:
        outputs = method.embed(make_views(method), training=True)
        loss = sum(method.loss_terms(outputs).values())
    gradients = tape.gradient(loss, method.trainable_variables)
    missing = zip(method.trainable_variables, gradients, strict=True)
    assert not [variable.path for variable, gradient in missing if gradient is None]


@every_ablation
def test_ablation_is_saved_with_the_method(name, tmp_path):
    method = make(name, **ABLATIONS[name])
    method.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert {option: getattr(loaded, option) for option in ABLATIONS[name]} == ABLATIONS[name]
    for a, b in zip(method.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@every_ablation
def test_ablation_can_be_set_from_the_command_line_and_is_off_by_default(name):
    (option,) = ABLATIONS[name]
    catalog = read_catalog()
    override = parse_set(f"method.{option}=false")
    assert resolve(catalog, name, [override]).method[option] is False
    assert resolve(catalog, name).method[option] is True


# Projectors.


def test_the_linear_projector_of_cosentino_is_a_product_and_no_more():
    """Proposition 3.1: g(h) = W^T h."""
    method = make("simclr", hidden_dim=0, projection_bias=False)
    [weights] = method.projector.weights
    features = np.ones((2, weights.shape[0]), "float32")
    np.testing.assert_allclose(method.projector(features), features @ weights, rtol=1e-6)


@pytest.mark.parametrize("name", ["simclr", "simmer"])
def test_a_method_saved_before_its_last_layer_could_be_chosen_is_what_it_was(name):
    config = make(name).get_config()
    for setting in ("projection_bias", "output_norm"):
        config.pop(setting, None)
    shapes = [weight.shape for weight in make(name).projector.weights]
    again = keras_ssl.METHODS[name].from_config(config)
    assert [weight.shape for weight in again.projector.weights] == shapes


def test_simmer_may_end_in_the_normalisation_that_simsiam_ends_in():
    plain, normalized, simsiam = (
        make("simmer"),
        make("simmer", output_norm="plain"),
        make("simsiam"),
    )
    assert "norm_out" not in [layer.name for layer in plain.projector.layers]
    ours, theirs = (m.projector.get_layer("norm_out") for m in (normalized, simsiam))
    assert (ours.center, ours.scale) == (theirs.center, theirs.scale) == (False, False)
    with pytest.raises(keras_ssl.UserError, match="output_norm"):
        make("simmer", output_norm="affine")


@pytest.mark.parametrize("name", ["dino", "self_classifier"])
def test_heads_of_their_own_have_the_blocks_of_the_embedder_too(name):
    neck = {"num_simplices": 4, "simplex_size": 4, "num_blocks": 2}
    settings = {"backbone": "tiny", "input_shape": INPUT_SHAPE, "neck": neck, **METHODS[name]}
    assert keras_ssl.create(name, **settings).projector.layers[0].num_blocks == 2
