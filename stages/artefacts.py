"""What a finished run leaves: its encoder read back, and exported."""

import json
from pathlib import Path

import keras_ssl
from export import export_encoder
from keras_ssl.core.checks import UserError
from stages.errors import plain_errors
from stages.inputs import Preprocessing


def export(recipe, preprocessing, encoder, workdir):
    """Write the SavedModel of the encoder and print how to load what the run leaves."""
    with plain_errors():
        version = export_encoder(
            encoder,
            preprocessing.function,
            Path(workdir) / "export" / "encoder",
            downstream_temperature=recipe.evaluation.downstream_temperature,
        )
    shape = (1, preprocessing.image_size, preprocessing.image_size, preprocessing.channels)
    print(SNIPPETS.format(workdir=workdir, version=version, shape=shape))


def load_trained(workdir):
    """The trained encoder of a finished run, in float32, and its preprocessing.

    Raises:
        UserError: if the training has not ended, or a file is damaged.
    """
    path = Path(workdir) / "encoder.keras"
    if not path.exists():
        raise UserError(
            f"'{workdir}' has no encoder.keras yet: its training has not ended. "
            f"Go on with --resume --workdir={workdir}."
        )
    try:
        encoder = keras_ssl.load_encoder(path)
        stored = json.loads((Path(workdir) / "preprocessing.json").read_text(encoding="utf-8"))
        return encoder, Preprocessing(**stored)
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"Cannot read the encoder of '{workdir}': {reason}") from error


SNIPPETS = """
To go on training:    import keras, keras_ssl
                      method = keras.saving.load_model("{workdir}/model.keras")
To fine-tune:         import keras_ssl
                      encoder = keras_ssl.load_encoder("{workdir}/encoder.keras")
To serve:             import tensorflow as tf
                      serve = tf.saved_model.load("{version}").signatures["serving_default"]
                      serve(images=tf.zeros({shape}, tf.uint8))
"""
