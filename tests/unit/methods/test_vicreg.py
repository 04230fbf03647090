"""VICReg: its weights."""

import numpy as np

from keras_ssl.methods.vicreg import VICReg
from tests.unit.support import features_as_images, random, total


def test_twice_the_variance_weight_of_vicreg_is_solo_learns_sum():
    method = features_as_images(VICReg, 4, variance_weight=50.0, hidden_dim=5, projection_dim=6)
    a, b = (random(8, 6, seed=seed, dtype="float64") * 0.5 for seed in range(2))
    std = [np.sqrt(np.var(z, axis=0, ddof=1) + 1e-4) for z in (a, b)]
    variance = sum(np.mean(np.maximum(1 - s, 0)) for s in std)
    covariances = [np.cov(z, rowvar=False) for z in (a, b)]
    covariance = sum((np.sum(c**2) - np.sum(np.diag(c) ** 2)) / 6 for c in covariances)
    wanted = 25 * np.mean((a - b) ** 2) + 25 * variance + covariance
    np.testing.assert_allclose(total(method, [a, b]), wanted, rtol=1e-9)
