"""Sections and what they work out of their values."""

import pytest

from keras_ssl.config.schema import Augment
from keras_ssl.core.errors import UserError


def test_the_size_of_local_crops_follows_that_of_the_views():
    sizes = [Augment().local_pixels(size) for size in (8, 16, 32, 64, 96, 224)]
    assert sizes == [8, 8, 16, 24, 40, 96]
    assert Augment(local_size=20).local_pixels(32) == 20
    with pytest.raises(UserError, match="local_size=40 is more than the 32 pixels"):
        Augment(local_size=40).local_pixels(32)
