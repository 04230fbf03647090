"""Record while training how many directions a linear projector keeps."""

from pathlib import Path

import keras

from keras_ssl.analysis.projector import (
    linear_weights,
    weight_rank,
    weight_rankme,
    weight_spectrum,
)
from keras_ssl.evaluation.results import finite_or_none, to_json
from keras_ssl.training.callbacks import drop_lines_after


class ProjectorRank(keras.callbacks.Callback):
    """Add the rank of a linear projector's weights to the logs of every epoch.

    `projector_rank` counts the singular values of at least a tenth of the largest,
    `projector_rankme` weighs them evenly (`weight_rank`, `weight_rankme`). A projector that loses
    rank makes features invariant by dropping directions. Does nothing for a model without a linear
    `projector`.

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
        if self.path and not self._started:
            fresh = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)) == 0
            drop_lines_after(self.path, -1 if fresh else epoch)
            if fresh:
                self._append(0)
        self._started = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        weights = linear_weights(self.model)
        if weights is not None:
            logs["projector_rank"] = weight_rank(weights)
            logs["projector_rankme"] = weight_rankme(weights)
            self._append(epoch + 1)

    def _append(self, epoch):
        weights = linear_weights(self.model)
        if self.path and weights is not None:
            values = [finite_or_none(value) for value in weight_spectrum(weights).round(6)]
            with self.path.open("a", encoding="utf-8") as file:
                file.write(to_json({"epoch": epoch, "singular_values": values}) + "\n")
