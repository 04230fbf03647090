"""A grid of overlapping patches, and a network that reads it row by row from the top."""

import keras
from keras import layers, ops

from keras_ssl.ops.precision import DType, Tensor


def patch_grid(images: Tensor, size: int) -> Tensor:
    """Cut images into square patches, each half over the next one in its row and column.

    Args:
        images: (batch, height, width, channels).
        size: int, even. Pixels of a patch's side; what does not fill a patch is left out.

    Returns:
        (batch, rows, columns, size, size, channels).

    Example:

    >>> patch_grid(keras.ops.zeros((2, 32, 32, 3)), 8).shape
    TensorShape([2, 7, 7, 8, 8, 3])
    """
    patches = ops.image.extract_patches(images, size, strides=size // 2, padding="valid")
    _, rows, columns, _ = patches.shape
    return ops.reshape(patches, (-1, rows, columns, size, size, images.shape[-1]))


def row_context(
    dim: int, *, width: int = 256, num_blocks: int = 5, name: str = "context", dtype: DType = None
) -> keras.Model:
    """Summarize, at every place of a grid, its row and the rows above: a small PixelCNN.

    Residual blocks of a 1x1, a 1x3 (within the row), a 2x1 (this row and the one above) and a 1x1
    convolution. The more blocks, the farther they see up and aside.

    Args:
        dim: int > 0. Channels of the grid, and of the summary.
        width: int > 0. Channels inside of a block.
        num_blocks: int > 0.
        name: str.
        dtype: dtype policy of the layers; None for the global one.

    Returns:
        A built `keras.Model`: (batch, rows, columns, dim) -> the same.

    Example:

    >>> context = row_context(dim=4, width=8, num_blocks=2)
    >>> context(keras.ops.zeros((1, 7, 7, 4))).shape
    TensorShape([1, 7, 7, 4])

    Reference: van den Oord et al., 2018, sec. 3.3 ("PixelCNN-style"); layout as in Henaff et al.,
    Data-efficient image recognition with contrastive predictive coding, 2020, appendix.
    """
    inputs = keras.Input((None, None, dim), name="grid")
    x = inputs
    for block in range(num_blocks):
        x = _context_block(x, width, name=f"block{block}", dtype=dtype)
    return keras.Model(inputs, x, name=name)


def _context_block(x, width, *, name, dtype):
    def conv(y, channels, kernel, part, padding="valid"):
        options = {"padding": padding, "name": f"{name}_{part}", "dtype": dtype}
        return layers.Conv2D(channels, kernel, **options)(y)

    y = conv(x, width, (1, 1), "in")
    y = layers.ReLU(name=f"{name}_relu1", dtype=dtype)(y)
    y = conv(y, width, (1, 3), "row", padding="same")
    y = layers.ZeroPadding2D(((1, 0), (0, 0)), name=f"{name}_above", dtype=dtype)(y)
    y = conv(y, width, (2, 1), "column")
    y = layers.ReLU(name=f"{name}_relu2", dtype=dtype)(y)
    y = layers.Add(name=f"{name}_add", dtype=dtype)([x, conv(y, x.shape[-1], (1, 1), "out")])
    return layers.ReLU(name=f"{name}_relu3", dtype=dtype)(y)
