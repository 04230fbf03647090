"""What layers leave by `add_loss` in a step, told apart by replica."""

import threading


class AddedLosses:
    """Losses that layers added in this step, apart for each replica.

    Replicas are threads, and share the list in which Keras keeps a layer's losses: what one of them
    took belongs to no other.
    """

    def __init__(self):
        self._own = threading.local()
        self._taken = []  # by any replica; held, so that no other loss gets the same identity

    def clear(self):
        """Begin a step of this replica."""
        self._own.losses = []
        self._taken.clear()

    def extend(self, losses):
        """Add to this replica's those of `losses` that no replica has taken yet."""
        fresh = [loss for loss in losses if all(loss is not taken for taken in self._taken)]
        self._taken.extend(fresh)
        self._own.losses = [*getattr(self._own, "losses", []), *fresh]

    def total(self):
        """The sum of this replica's losses in this step: a scalar, 0 without any."""
        return sum(self._own.losses)
