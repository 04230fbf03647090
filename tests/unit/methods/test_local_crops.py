"""Local crops in the losses and methods that take them."""

import numpy as np
import pytest
from keras import ops

from keras_ssl.losses.byol import byol_loss, multi_crop_byol_loss
from keras_ssl.losses.simclr import nt_xent
from keras_ssl.losses.simsiam import multi_crop_simsiam_loss, simsiam_loss
from keras_ssl.ops.linalg import cosine
from tests.descriptors import make_method
from tests.unit.support import crops, normal


def test_two_views_have_the_value_they_had_without_local_crops():
    p1, p2, z1, z2 = normal(4, 8, 6)
    halves = ops.mean(cosine(p1, z2)) + ops.mean(cosine(p2, z1))
    assert float(simsiam_loss(p1, p2, z1, z2)) == float(-0.5 * halves)
    each = (2 - 2 * cosine(p1, z2)) + (2 - 2 * cosine(p2, z1))
    assert float(byol_loss(p1, p2, z1, z2)) == float(ops.mean(each))


def test_local_crops_predict_every_global_view_and_are_not_predicted():
    predictions, targets = normal(4, 8, 6), normal(2, 8, 6, seed=2)
    pairs = [(0, 1), (1, 0), (2, 0), (2, 1), (3, 0), (3, 1)]
    cosines = [float(ops.mean(cosine(predictions[v], targets[g]))) for v, g in pairs]
    lists = [*predictions], [*targets]
    np.testing.assert_allclose(multi_crop_simsiam_loss(*lists), -np.mean(cosines), rtol=1e-5)
    wanted = np.sum(2 - 2 * np.array(cosines))
    np.testing.assert_allclose(multi_crop_byol_loss(*lists), wanted, rtol=1e-5)


@pytest.mark.parametrize("name, key", [("byol", "targets"), ("simsiam", "projections")])
def test_local_crops_have_predictions_and_no_targets(name, key):
    outputs = make_method(name).embed(crops(), training=True)
    assert (len(outputs["predictions"]), len(outputs[key])) == (4, 2)


def test_simclr_contrasts_local_crops_like_views():
    method = make_method("simclr")
    outputs = method.embed(crops(), training=True)
    assert len(outputs) == 4
    wanted = nt_xent(*outputs, temperature=0.5)
    np.testing.assert_array_equal(method.loss_terms(outputs)["contrastive"], wanted)
