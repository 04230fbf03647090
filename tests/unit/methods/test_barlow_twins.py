"""Barlow Twins: its terms and temperatures."""

import numpy as np
from keras import ops

from keras_ssl.losses.barlow_twins import barlow_twins_loss
from keras_ssl.methods.barlow_twins import BarlowTwins
from tests.descriptors import make_method, make_views
from tests.unit.support import features_as_images, random, total


def test_barlow_twins_terms_add_up_to_the_scaled_loss():
    method = features_as_images(
        BarlowTwins, 4, redundancy_weight=0.3, loss_scale=0.1, hidden_dim=5, projection_dim=6
    )
    outputs = [random(8, 6, seed=seed) for seed in range(3)]
    wanted = 0.1 * float(barlow_twins_loss(*outputs, redundancy_weight=0.3))
    np.testing.assert_allclose(total(method, outputs), wanted, rtol=1e-5)


def test_the_cluster_of_an_image_is_the_largest_entry_of_its_projection():
    method = make_method("barlow_twins")
    images = make_views(method)["global"][:, 0]
    projection = method.projector(method.encoder(images, training=False), training=False)
    np.testing.assert_array_equal(method.cluster_scores(images), projection)
    assert method.cluster_head == "projection"  # not "prototypes": nothing learned to cluster


def test_barlow_twins_reads_view_2_at_the_target_temperature_and_vicreg_does_not():
    for name, differs in (("sem_barlow_twins", True), ("sem_vicreg", False)):
        method = make_method(name)
        views = make_views(method)
        views["global"] = ops.repeat(views["global"][:, :1], 2, axis=1)
        first, second = method.embed(views, training=True)
        assert np.any(np.abs(first - second) > 1e-3) == differs
