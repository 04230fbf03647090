"""What a finished run leaves: its encoder read back, and exported."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np

import keras_ssl
from export import encode, export_encoder
from keras_ssl.config import Recipe
from keras_ssl.core.errors import UserError, translate_tf_errors
from keras_ssl.core.files import ENCODER, MODEL, PREPROCESSING, save_model
from keras_ssl.evaluation.results import protocol_hash
from keras_ssl.ops.precision import full_float32
from pipelines.data.image_array import Images
from stages.build import float32_encoder
from stages.inputs import Inputs, Preprocessing, load_inputs
from stages.training import Session

EXPORTS = "export/encoder/[0-9]*/saved_model.pb"
_CHECKED = 16  # images that an export is checked with


def save_models(session: Session, workdir: Path) -> keras.Model:
    """Write `model.keras` to train on and `encoder.keras` to fine-tune; -> the latter's model."""
    weights = session.method.encoder.get_weights()
    encoder = float32_encoder(session.recipe, session.inputs.preprocessing, weights)
    for model, name in ((session.method, MODEL), (encoder, ENCODER)):
        save_model(model.save, Path(workdir) / name)
    return encoder


def export(
    recipe: Recipe,
    preprocessing: Preprocessing,
    images: Images | np.ndarray | None,
    encoder: keras.Model,
    workdir: Path,
):
    """Write the SavedModel of the encoder and print how to load what the run leaves.

    It is checked on the first of `images`, or on noise where they are None.
    """
    settings = {name: value for name, (value, _) in recipe.settings.items()}
    with translate_tf_errors():
        version = export_encoder(
            encoder,
            preprocessing.function,
            Path(workdir) / "export" / "encoder",
            downstream_temperature=recipe.evaluation.downstream_temperature,
            decode=preprocessing.decode,
            images=images,
            one_hot=recipe.export.one_hot,
            facts={
                "method": recipe.name,
                "data": recipe.data.dataset,
                "recipe": protocol_hash(settings),
                "preprocessing": preprocessing.facts(),
            },
        )
    shape = (1, preprocessing.image_size, preprocessing.image_size, preprocessing.channels)
    print(SNIPPETS.format(workdir=workdir, version=version, shape=shape))


def images_of(recipe: Recipe, preprocessing: Preprocessing) -> Images | np.ndarray | None:
    """Images to check an export of a finished run with; None, and a line, if they are gone."""
    try:
        return load_inputs(recipe, preprocessing).data.evaluation_images[:_CHECKED]
    except (UserError, OSError) as error:
        print(f"The export is checked with noise, as its images cannot be read: {error}")
        return None


@full_float32()
def write_codes(inputs: Inputs, encoder: keras.Model, directory: str | Path):
    """Write the discrete codes of all images of a data set, or resume it."""
    data, preprocessing = inputs.data, inputs.preprocessing
    for part, images in (("train", data.train_images), ("test", data.test_images)):
        if images is None:
            continue
        made_from = {"data": data.name, "part": part, "preprocessing": preprocessing.facts()}
        where = Path(directory) / part
        with translate_tf_errors():
            codes = encode(encoder, images, preprocessing.function, where, made_from=made_from)
        rows, width = codes.array.shape
        size = codes.array.nbytes / rows
        print(f"{where}: {rows:,} codes of {width} simplices, {size:g} bytes each")


def load_trained(workdir: str | Path) -> tuple[keras.Model, Preprocessing]:
    """The trained encoder of a finished run, in float32, and its preprocessing.

    Raises:
        UserError: if the training has not ended, or a file is damaged.
    """
    path = Path(workdir) / ENCODER
    if not path.exists():
        raise UserError(
            f"'{workdir}' has no encoder.keras: its training has not ended, or the file is gone. "
            f"Resume it by --resume --workdir={workdir}, which writes it."
        )
    try:
        encoder = keras_ssl.load_encoder(path)
        stored = json.loads((Path(workdir) / PREPROCESSING).read_text(encoding="utf-8"))
        return encoder, Preprocessing(**stored)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"Cannot read the encoder of '{workdir}': {reason}") from error


def exports_of(workdir: str | Path) -> list[Path]:
    """The folders of a run's exports that are whole."""
    return [path.parent for path in sorted(Path(workdir).glob(EXPORTS))]


SNIPPETS = """
To continue training: import keras, keras_ssl
                      method = keras.saving.load_model("{workdir}/model.keras")
To fine-tune:         import keras_ssl
                      encoder = keras_ssl.load_encoder("{workdir}/encoder.keras")
To serve:             import tensorflow as tf
                      serve = tf.saved_model.load("{version}").signatures["serving_default"]
                      serve(images=tf.zeros({shape}, tf.uint8))
"""
