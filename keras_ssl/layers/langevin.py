"""Langevin dynamics: images that an energy model finds likely, kept and improved over the steps."""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

from keras_ssl.core.bounds import Count, Pixels, Seed, Share, Weight
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather, num_replicas
from keras_ssl.core.serialization import Configured, register
from keras_ssl.ops.precision import Tensor
from keras_ssl.ops.random import normal, uniform


def langevin_step(
    energy: Callable[[Tensor], Tensor], images: Tensor, noise: Tensor, *, step_size: float
) -> Tensor:
    """Move every image down its energy, and by `noise`: `x - step_size dE/dx + noise`.

    Args:
        energy: function of images -> (batch,). The energy of an image may depend on no other.
        images: (batch, ...).
        noise: as `images`. Of standard deviation `sqrt(2 step_size)`, the images come to follow
            `exp(-energy)` as the steps get small; energy models train with less noise.
        step_size: float > 0.

    Returns:
        As `images`.

    Example:

    >>> images = keras.ops.ones((2, 3))
    >>> energy = lambda x: keras.ops.sum(x**2, axis=-1)
    >>> langevin_step(energy, images, 0 * images, step_size=0.25).numpy().tolist()
    [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]

    Reference: Welling and Teh, Bayesian learning via stochastic gradient Langevin dynamics, 2011.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = ops.sum(energy(images))
    return images - step_size * tape.gradient(total, images) + noise


@register
class LangevinSampler(Configured, keras.layers.Layer):
    """A buffer of images; a batch of them takes some Langevin steps at every call.

    The chains continue from call to call (persistent contrastive divergence), and some restart
    from uniform noise. What is drawn follows from the seed and from how often was drawn before,
    which is saved with the images. Replicas share the buffer: each moves its part of the batch.

    Args:
        image_shape: (height, width, channels).
        buffer_size: int > 0. Number of chains; the global batch at least.
        num_steps: int > 0. Langevin steps of a call.
        step_size: float > 0. Of the gradient, in units of the images.
        noise: float >= 0. Standard deviation that every step adds, in units of the images.
        reinit: float in [0, 1]. Probability that a chain starts anew.
        seed: int >= 0.

    Attributes:
        images: (buffer_size, height, width, channels) float32, uniform in [-1, 1] at first.
        draws: integer scalar. Calls of `sample` so far.

    Example:

    >>> sampler = LangevinSampler((8, 8, 1), buffer_size=6, num_steps=2)
    >>> def energy(images):
    ...     return ops.sum(ops.square(images), axis=(1, 2, 3))
    >>> sampler.sample(energy, like=keras.ops.ones((4, 8, 8, 1))).shape
    TensorShape([4, 8, 8, 1])

    Reference: Du and Mordatch, Implicit generation and modeling with energy-based models, 2019,
    sec. 3.2 (buffer, bounded pixels); Grathwohl et al., Your classifier is secretly an energy
    based model, 2020, algorithm 1.
    """

    def __init__(
        self,
        image_shape: tuple[Pixels, Pixels, Pixels],
        buffer_size: Count = 10000,
        num_steps: Count = 20,
        step_size: Weight = 1.0,
        noise: Weight = 0.01,
        reinit: Share = 0.05,
        seed: Seed = 0,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.image_shape = image_shape
        self.buffer_size = buffer_size
        self.num_steps = num_steps
        self.step_size = step_size
        self.noise = noise
        self.reinit = reinit
        self.seed = seed
        self.images = self.add_weight(
            name="images",
            shape=(buffer_size, *image_shape),
            dtype="float32",
            initializer=keras.initializers.RandomUniform(-1.0, 1.0),
            trainable=False,
            autocast=False,
        )
        self.draws = self.add_weight(
            name="draws", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self.built = True

    def check_batch(self, size):
        """Refuse a global batch of more images than there are chains.

        Raises:
            UserError: with a size of the buffer that fits.
        """
        if size > self.buffer_size:
            raise UserError(
                f"The buffer of {self.buffer_size} samples is smaller than the batch of {size}: "
                f"set method.buffer_size to {10 * size}."
            )

    def sample(self, energy, like):
        """Draw as many images as there are in `like`, with its range of pixels.

        Args:
            energy: function of images -> (batch,).
            like: (batch, height, width, channels). This replica's real images.

        Returns:
            (batch, height, width, channels) float32, without gradient.

        Raises:
            UserError: if the images have another shape than the buffer, or are more.
        """
        self._check(like)
        count = ops.shape(like)[0] * num_replicas()
        low, high = _range(ops.cast(like, "float32"))
        seeds = tf.random.experimental.stateless_split(
            ops.stack([ops.cast(self.seed, "int64"), ops.cast(self.draws, "int64")]),
            4,
            alg="philox",
        )
        # A sort, since TensorFlow's shuffle cannot be compiled by XLA.
        order = tf.argsort(uniform((self.buffer_size,), seeds[0]), stable=True)
        chains = order[:count]
        shape = (count, *self.image_shape)
        fresh = low + (high - low) * uniform(shape, seeds[1])
        anew = uniform((count, 1, 1, 1), seeds[2]) < self.reinit
        start = ops.where(anew, fresh, ops.take(self.images, chains, axis=0))

        def step(index, images):
            index = ops.cast(index, "int64")
            seed = tf.random.experimental.stateless_fold_in(seeds[3], index, alg="philox")
            noise = _own_rows(self.noise * normal(shape, seed))
            moved = langevin_step(energy, images, noise, step_size=self.step_size)
            return ops.clip(moved, low, high)

        samples = ops.fori_loop(0, self.num_steps, step, _own_rows(start))
        self.images.assign(ops.scatter_update(self.images, chains[:, None], all_gather(samples)))
        self.draws.assign(self.draws + 1)
        return samples

    def _check(self, like):
        if tuple(like.shape[1:]) != tuple(self.image_shape):
            raise UserError(
                f"The buffer of samples holds images of {_text(self.image_shape)}. Received images "
                f"of {_text(like.shape[1:])}: make it for images of that shape."
            )
        if like.shape[0] is not None:
            self.check_batch(like.shape[0] * num_replicas())


def _range(images):
    """The smallest and the largest value in the images of all replicas."""
    return ops.min(all_gather(ops.min(images)[None])), ops.max(all_gather(ops.max(images)[None]))


def _own_rows(x):
    """This replica's rows of a tensor that is the same on all replicas."""
    if num_replicas() == 1:
        return x
    count = ops.shape(x)[0] // num_replicas()
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * count
    return x[first : first + count]


def _text(shape):
    return "x".join(map(str, shape))
