"""Fine-tune a run's encoder on fractions of the labels, and the same network from scratch."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import keras_ssl
from keras_ssl.core.detection import detect
from keras_ssl.core.errors import UserError, translate_tf_errors
from keras_ssl.core.files import save_model, write_text
from keras_ssl.core.hardware import xla_for
from keras_ssl.core.protocols import FINETUNING
from keras_ssl.evaluation.finetune_training import add_classifier
from keras_ssl.evaluation.finetuning import finetune as finetune_network
from keras_ssl.evaluation.results import write_results
from keras_ssl.evaluation.tables import format_table, representation_name
from keras_ssl.layers.necks import simplices_of
from pipelines.data.image_array import as_images
from pipelines.views.policy import ViewPolicy
from pipelines.views.stream import train_views
from stages.build import encoder_in
from stages.devices import set_determinism
from stages.published import write_run_tables

SEARCHED = ("learning_rates", "weight_decays", "steps", "batch_size", "schedule", "layer_decay")
SEARCHED += ("per_256", "encoder_rate", "nesterov", "epochs", "labels_per_class")
SOURCES = ("fine-tuned", "scratch")  # the pretrained encoder, and random weights


def finetune(recipe, inputs, encoder, workdir):
    """Write and print the accuracy at every number of labels; -> the results.

    The network that was fine-tuned on the largest fraction is left as `classifier.keras`.
    """
    set_determinism(recipe)
    if compiled(recipe):
        print("XLA compiles each network before its first step: this may take minutes.")
    settings = recipe.finetune
    print(f"Protocol {settings.protocol}: {FINETUNING[settings.protocol].source}.")
    results, kept = [], None
    for share in sorted(settings.shares) if settings.labels_per_class is None else (1.0,):
        for source in SOURCES if settings.from_scratch else SOURCES[:1]:
            weights = encoder.get_weights() if source == "fine-tuned" else None
            found = finetuned(recipe, inputs, settings, weights, share)
            print(describe(source, found, len(inputs.data.test_images)))
            as_images(inputs.data.train_images).report_lost()
            more = results_of(recipe, settings, inputs.data.name, source, share, found)
            write_results(workdir, more, {"method": recipe.name})
            results += more
            kept = found if source == "fine-tuned" else kept
    save_classifier(recipe, inputs, settings, kept, Path(workdir) / "classifier.keras")
    write_run_tables(recipe, workdir)
    print(format_table(results))
    return results


def compiled(recipe):
    """Whether XLA compiles the training step."""
    return xla_for(detect(), deterministic=recipe.training.deterministic).value


def finetuned(recipe, inputs, settings, weights, share):
    """Fine-tune from `weights`, or from random ones for None, on a fraction of the labels.

    Args:
        settings: the section `finetune` of the recipe.

    Raises:
        UserError: if the data have no labels.
    """
    if settings.test_crop is not None:
        inputs = inputs.at_crop(settings.test_crop)
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
            validation=data.validation_rows,
            temperatures=temperatures_of(recipe, settings),
            seed=recipe.training.seed,
            jit_compile=compiled(recipe),
            **{name: getattr(settings, name) for name in SEARCHED},
        )


def starting_network(recipe, inputs, settings, weights=None):
    """The network that fine-tuning starts with, in the run's precision."""
    encoder = encoder_in(recipe.training.precision, recipe, inputs.preprocessing, weights)
    if not settings.stem_pooling and has_pooling(encoder):  # SimMER, sec. 3.4
        recipe = recipe.with_({"backbone.stem": "imagenet_unpooled"}, "finetune.stem_pooling")
        encoder = encoder_in(recipe.training.precision, recipe, inputs.preprocessing, weights)
    if simplices_of(encoder) is None:
        return encoder
    return keras_ssl.at_temperature(encoder, settings.temperature)


def has_pooling(encoder):
    """Whether the stem of a network ends in max-pooling, as that of ImageNet does."""
    return any(layer.name == "stem_pool" for layer in keras_ssl.backbone_of(encoder).layers)


def temperatures_of(recipe, settings):
    """The values of tau_d to choose from; none where there are no simplices."""
    return settings.temperatures if recipe.neck.kind == "sem" else ()


def view_policy(settings):
    """How a training image is drawn: a crop and a flip."""
    whole = settings.crop_scale == (1.0, 1.0)
    return ViewPolicy(
        crop_scale=settings.crop_scale,
        crop_ratio=(1.0, 1.0) if whole else ViewPolicy.crop_ratio,
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


def results_of(recipe, settings, dataset, source, share, found):
    """The results of one fine-tuning: a list of `Result`."""
    view = asdict(view_policy(settings))
    labels = {"share": share}
    if settings.labels_per_class is not None:
        labels = {"labels_per_class": settings.labels_per_class}
    labels |= {} if settings.stem_pooling else {"stem_pooling": False}
    crop = recipe.data.test_crop if settings.test_crop is None else settings.test_crop
    labels |= {} if crop == 1 else {"test_crop": crop}
    found = replace(found, protocol={**found.protocol, **labels, "view": view})
    soft = {"readout": "simplices", "tau": temperature_of(settings, found)}
    return found.results(
        "finetune", dataset, source=source, **(soft if recipe.neck.kind == "sem" else {})
    )


def temperature_of(settings, found):
    """tau_d of the network that was trained in the end."""
    chosen = found.details["temperature"]
    return settings.temperature if chosen is None else chosen


def describe(source, found, tested):
    """How many images each part has, what was chosen, and what that gives, in a line."""
    details, count = found.details, found.protocol["train_images"]
    choosing = f", {details['chosen_by']:,} of them to choose" if details["chosen_by"] else ""
    top5 = f" (top-5 {found.metrics['top5']:.1f} %)" if "top5" in found.metrics else ""
    names = {"learning_rate": "learning rate", "weight_decay": "weight decay"}
    names |= {"epochs": "epochs", "temperature": "tau_d"}
    chosen = [f"{names[n]} {details[n]:g}" for n in names if details[n] is not None]
    return (
        f"{representation_name(source)}, {count:,} labels{choosing}, {tested:,} test images: "
        f"{found.accuracy:.1f} %{top5} at {', '.join(chosen)}"
    )


def save_classifier(recipe, inputs, settings, result, path):
    """Write the fine-tuned network in float32 and at its tau_d, whatever it was trained in."""
    settings = replace(settings, temperature=temperature_of(settings, result))
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
