"""Record while training how many directions a linear projector keeps."""

from pathlib import Path

import keras

from keras_ssl.analysis.projector import linear_weights, ranks_of, weight_spectrum
from keras_ssl.evaluation.results import finite_or_none
from keras_ssl.training.callbacks import append_line, begin_lines

_MOST = 4096  # of the smaller side of the weights: a spectrum of more takes minutes


class ProjectorRank(keras.callbacks.Callback):
    """Add the rank of a linear projector's weights to the logs of every epoch.

    `projector_rank` counts the singular values of at least a tenth of the largest,
    `projector_rankme` weighs them evenly (`weight_rank`, `weight_rankme`). A projector that loses
    rank makes features invariant by dropping directions. Does nothing for a model without a linear
    `projector`, or with one of more than 4096 features on its smaller side.

    Args:
        path: file or None. It gets a line of JSON with `epoch` (0 before training) and
            `singular_values` for every epoch, so that ranks at other thresholds can be counted.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = keras_ssl.SimCLR(encoder, num_layers=1, projection_dim=4)
    >>> method.compile(keras_ssl.SGD(0.1), jit_compile=False)
    >>> views = tf.data.Dataset.from_tensors({"global": tf.random.normal((4, 2, 8, 8, 1))})
    >>> fit = method.fit(views, verbose=0, callbacks=[ProjectorRank()])
    >>> fit.history["projector_rank"]
    [4]

    Reference: Cosentino et al., Toward a geometrical understanding of self-supervised contrastive
    learning, eq. 2 and fig. 1.
    """

    def __init__(self, path: str | Path | None = None):
        super().__init__()
        self.path = None if path is None else Path(path)

    def on_train_begin(self, logs: dict | None = None):
        self._started = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None):
        if self.path and not self._started and begin_lines(self.path, self.model, epoch):
            self._append(0, self._spectrum())
        self._started = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        values = self._spectrum()
        if values is not None:
            logs["projector_rank"], logs["projector_rankme"] = ranks_of(values)
            self._append(epoch + 1, values)

    def _spectrum(self):
        weights = linear_weights(self.model)
        small = weights is not None and min(weights.shape) <= _MOST
        return weight_spectrum(weights) if small else None

    def _append(self, epoch, values):
        if self.path and values is not None:
            values = [finite_or_none(value) for value in values.round(6)]
            append_line(self.path, {"epoch": epoch, "singular_values": values})
