"""Variance and covariance of VICReg, as terms that other methods may add to their own."""

from collections.abc import Mapping
from typing import Any

from keras_ssl.core.bounds import Weight
from keras_ssl.core.replicas import all_gather
from keras_ssl.losses.vicreg import spread_terms
from keras_ssl.methods.base import Method
from keras_ssl.ops.precision import Tensor


class Regularized(Method):
    """A method that regularizes its projections by VICReg's terms, if their weights are not 0.

    Both see the projections of the global views as they are, before any predictor and without
    normalization, over the global batch. Each is logged where its weight is not 0.

    Args:
        variance_weight: float >= 0. Of the hinge that keeps standard deviations of the projections
            at 1, averaged over the views.
        covariance_weight: float >= 0. Of the covariances between different features, averaged over
            the views and doubled, as in VICReg.

    Reference: Bardes et al., VICReg, 2022, sec. 5.2 and table 4, which names no weights.
    """

    def __init__(
        self, encoder, *, variance_weight: Weight = 0.0, covariance_weight: Weight = 0.0, **kwargs
    ):
        super().__init__(encoder, **kwargs)
        self.variance_weight = variance_weight
        self.covariance_weight = covariance_weight
        self.add_terms(*self._weights)

    def regularize(self, outputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """The weighted terms that are on: {name: scalar}.

        Args:
            outputs: of `embed`; "projections" are those of the global views, each (batch, dim).
        """
        if not self._weights:
            return {}
        variance, covariance = spread_terms(*map(all_gather, outputs["projections"]))
        values = {"variance": variance, "covariance": covariance}
        return {name: weight * values[name] for name, weight in self._weights.items()}

    @property
    def _weights(self):
        weights = {"variance": self.variance_weight, "covariance": self.covariance_weight}
        return {name: weight for name, weight in weights.items() if weight}
