"""Fine-tune the encoder of a run on shares of the labels, beside the same network from scratch."""

import json
from dataclasses import asdict
from pathlib import Path

import keras_ssl
from keras_ssl.core.detection import detect
from keras_ssl.core.errors import UserError
from keras_ssl.core.files import save_model, write_text
from keras_ssl.core.hardware import xla_for
from keras_ssl.evaluation.finetune import finetune as finetune_network
from keras_ssl.evaluation.finetune_training import add_classifier
from keras_ssl.evaluation.rows import Row, format_table, write_results
from keras_ssl.layers.necks import simplices_of
from pipelines.data.image_array import as_images
from pipelines.views.policy import ViewPolicy
from pipelines.views.stream import train_views
from stages.build import encoder_in
from stages.devices import set_determinism
from stages.errors import translate_tf_errors
from stages.tables import write_tables

SEARCHED = ("learning_rates", "weight_decays", "steps", "batch_size", "schedule", "layer_decay")
STARTS = ("pretrained, fine-tuned", "from scratch")


def finetune(recipe, inputs, encoder, workdir):
    """Write and print the accuracy at every share of the labels; -> the rows.

    The network that learnt from the largest share is left as `classifier.keras`.
    """
    set_determinism(recipe)
    if compiled(recipe):
        print("XLA compiles each network before its first step: this may take minutes.")
    settings = recipe.finetune
    starts = STARTS if settings.from_scratch else STARTS[:1]
    rows, kept = [], None
    workdir = Path(workdir)
    for share in sorted(settings.shares):
        for start in starts:
            weights = encoder.get_weights() if start == STARTS[0] else None
            result = finetuned(recipe, inputs, settings, weights, share)
            print(describe_result(start, share, result))
            as_images(inputs.data.train_images).report_lost()
            rows.append(row_of(recipe, inputs, settings, start, share, result))
            write_results(workdir / "results.json", rows[-1:], {"method": recipe.name})
            kept = result if start == STARTS[0] else kept
    save_classifier(recipe, inputs, settings, kept, workdir / "classifier.keras")
    write_tables(workdir)
    print(format_table(rows))
    return rows


def compiled(recipe):
    """Whether XLA compiles the training step."""
    return xla_for(detect(), deterministic=recipe.training.deterministic).value


def finetuned(recipe, inputs, settings, weights, share):
    """Fine-tune from `weights`, or from random ones for None, on a share of the labels.

    Args:
        settings: a `recipes.schema.Finetune`.

    Raises:
        UserError: if the data have no labels.
    """
    data = inputs.data
    if data.train_labels is None or data.test_labels is None:
        raise UserError(f"Fine-tuning needs labels for train and test images: '{data.name}'.")
    with translate_tf_errors():
        return finetune_network(
            starting_network(recipe, inputs, settings, weights),
            data.train_images,
            data.train_labels,
            data.test_images,
            data.test_labels,
            views=labelled_views(inputs, settings),
            preprocess=inputs.preprocessing.function,
            share=share,
            seed=recipe.training.seed,
            jit_compile=compiled(recipe),
            **{name: getattr(settings, name) for name in SEARCHED},
        )


def starting_network(recipe, inputs, settings, weights=None):
    """The network that fine-tuning starts with, in the run's precision."""
    encoder = encoder_in(recipe.training.precision, recipe, inputs.preprocessing, weights)
    if simplices_of(encoder) is None:
        return encoder
    return keras_ssl.at_temperature(encoder, settings.temperature)


def view_policy(settings):
    """How a training image is drawn: a crop and a flip."""
    return ViewPolicy(
        crop_scale=settings.crop_scale,
        interpolation="bicubic",
        jitter_probability=0.0,
        grayscale=0.0,
        flip=settings.flip,
    )


def labelled_views(inputs, settings):
    """What draws the batches of `finetune` out of the training images."""
    images, preprocessing = inputs.data.train_images, inputs.preprocessing

    def views(rows, batch_size, seed):
        batches = train_views(
            as_images(images).take(rows),
            policy=(view_policy(settings),),
            batch_size=batch_size,
            seed=seed,
            mean=preprocessing.mean,
            std=preprocessing.std,
            image_size=preprocessing.image_size,
            with_index=True,
        )
        return batches.map(lambda batch: (batch["global"][:, 0], batch["index"]))

    return views


def row_of(recipe, inputs, settings, start, share, result):
    """The row of results of one fine-tuning."""
    sem = f", SEM tau_d={settings.temperature:g}" if recipe.neck.kind == "sem" else ""
    protocol = {**result.protocol, "share": share, "view": asdict(view_policy(settings))}
    task = f"{100 * share:g} % of labels"
    return Row(start + sem, task, "accuracy", result.accuracy, inputs.data.name, "test", protocol)


def describe_result(start, share, result):
    """What was chosen, in a line."""
    chosen = result.details
    return (
        f"{start}, {100 * share:g} % of labels ({result.protocol['train_images']} images): "
        f"{result.accuracy:.1f} % at learning rate {chosen['learning_rate']:g}, weight decay "
        f"{chosen['weight_decay']:g}"
    )


def save_classifier(recipe, inputs, settings, result, path):
    """Write the fine-tuned network in float32, whatever it was trained in."""
    recipe = recipe.with_({"training.precision": "float32"}, origin="--mode=finetune")
    model = add_classifier(
        starting_network(recipe, inputs, settings), len(result.details["classes"])
    )
    model.set_weights(result.details["model"].get_weights())
    save_model(model.save, path)
    names = inputs.data.class_names
    labels = [int(label) for label in result.details["classes"]]
    classes = {"labels": labels, "names": [names[label] for label in labels] if names else None}
    write_text(path.with_suffix(".json"), json.dumps(classes, indent=1) + "\n")
