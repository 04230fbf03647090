"""CPC: patches, contexts and the loss."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.layers.patches import patch_grid, row_context
from keras_ssl.losses.cpc import infonce, row_prediction_loss
from tests.descriptors import BATCH, make_method, make_views
from tests.unit.support import changed, normal, random_unit


def test_patches_are_the_squares_that_overlap_by_half():
    images = normal(2, 8, 11, 3)
    patches = patch_grid(images, 4)
    assert patches.shape == (2, 3, 4, 4, 4, 3)
    for row in range(3):
        for column in range(4):
            square = images[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4]
            np.testing.assert_array_equal(patches[:, row, column], square)


def test_infonce_lies_between_zero_and_the_logarithm_of_the_candidates():
    z = 3.0 * random_unit(6, 3)
    same = np.repeat(z[:1], 6, axis=0)
    np.testing.assert_allclose(infonce(z[:4], same), np.log(6), rtol=1e-6)
    np.testing.assert_allclose(infonce(100 * np.eye(6), np.eye(6)), 0.0, atol=1e-6)
    assert infonce(z, z) < infonce(z, z[::-1])


def test_row_prediction_is_its_loop_over_patches():
    batch, rows, columns, dim = 2, 4, 3, 5
    latents = np.asarray(normal(batch, rows, columns, dim))
    predictions = [np.asarray(normal(*latents.shape, seed=k)) for k in (5, 6)]
    everything = latents.reshape(-1, dim)
    steps = []
    for k, prediction in enumerate(predictions, 1):
        terms = []
        for place in np.ndindex(batch, rows - k, columns):
            b, r, c = place
            logits = everything @ prediction[place]
            positive = latents[b, r + k, c] @ prediction[place]
            terms.append(np.log(np.exp(logits).sum()) - positive)
        steps.append(np.mean(terms))
    found = row_prediction_loss(predictions, latents)
    np.testing.assert_allclose(found, np.mean(steps), rtol=1e-5)
    order = [1, 0]
    mixed = row_prediction_loss([p[order] for p in predictions], latents[order])
    np.testing.assert_allclose(found, mixed, rtol=1e-6)


def test_rows_without_a_row_below_are_not_predicted():
    with pytest.raises(ValueError, match="from 1 to 1 to predict: 2"):
        row_prediction_loss(2 * [normal(2, 2, 3, 4)], normal(2, 2, 3, 4))


def test_the_context_sees_its_row_and_those_above_only():
    context = row_context(4, width=6, num_blocks=3)
    grid = np.array(normal(1, 5, 5, 4))
    before = np.asarray(context(grid))
    grid[0, 2, 2] += 1.0
    seen = np.any(np.asarray(context(grid)) != before, axis=-1)[0]
    assert not seen[:2].any()
    assert seen[2, 1:4].all() and seen[3, 2] and seen[4, 2]


@pytest.mark.parametrize("side, size", [(16, 4), (32, 8), (224, 56), (256, 64)])
def test_patches_are_a_quarter_of_the_side_by_default(side, size):
    method = changed("cpc", patch_size=0)
    patches = patch_grid(tf.zeros((1, side, side, 1)), method._patch_size(side))
    assert patches.shape == (1, 7, 7, size, size, 1)


def test_cpc_predicts_the_features_of_patches():
    method = make_method("cpc")
    views = make_views(method)
    outputs = method.embed(views, training=False)
    patches = ops.reshape(patch_grid(views["global"][:, 0], 4), (-1, 4, 4, 3))
    latents = ops.reshape(method.encoder(patches, training=False), (BATCH, 3, 3, 8))
    np.testing.assert_allclose(outputs["latents"], latents, rtol=1e-5, atol=1e-6)
    kernel = method.predictors[1].kernel
    wanted = method.context(latents) @ ops.convert_to_tensor(kernel.value)
    np.testing.assert_allclose(outputs["predictions"][1], wanted, rtol=1e-4, atol=1e-5)
    assert len(outputs["predictions"]) == 2


def test_grids_that_are_too_small_are_refused_with_what_fits():
    method = changed("cpc", num_steps=3)
    with pytest.raises(UserError, match="there are 3. Set method.num_steps to 2"):
        method.embed(make_views(method), training=True)
    with pytest.raises(UserError, match="Received patch_size=5: try 6"):
        changed("cpc", patch_size=5)
