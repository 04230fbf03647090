"""Evaluate the encoder of a run, next to raw pixels and random weights."""

import functools
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np

import keras_ssl
from keras_ssl.core.detection import machine_memory
from keras_ssl.core.errors import UserError
from keras_ssl.core.files import remove_leftovers
from keras_ssl.evaluation.clustering import code_clusters, head_clusters
from keras_ssl.evaluation.compare import compare_runs, load_run
from keras_ssl.evaluation.evaluators import Evaluation, LeftOut, by_features, evaluate_all
from keras_ssl.evaluation.feature_cache import digest_of_images, key_of_images, scratch_in
from keras_ssl.evaluation.representation import Features, Representation, representations_of
from keras_ssl.evaluation.results import protocol_hash, read_results, write_results
from keras_ssl.evaluation.rows import VIEWS_SHARE, gib
from keras_ssl.evaluation.tables import format_published, format_tables
from keras_ssl.ops.precision import full_float32
from pipelines.corruptions import CORRUPTIONS, SEVERITIES, corrupt, table_for
from pipelines.data.names import members
from stages.augmented import PROBE_VIEW, augmented_features
from stages.build import float32_encoder
from stages.other_data import shifted_part
from stages.published import write_run_tables

CLUSTERS, TABLES = "clusters", "tables"  # what an evaluation ends with
UNKNOWN_MEMORY = 16 * 2**30  # bytes of a machine that does not say how many it has
# Settings that notes of earlier evaluations lack; at their defaults these are of the same settings.
_ADDED = ("probe_temperatures", "probe_epochs", "probe_nesterov")


@full_float32()
def evaluate(
    recipe, inputs, encoder, workdir, resume=False, *, again="Run the same command again."
):
    """Evaluate the encoder, raw pixels and random weights; write and print the tables.

    Results are written as they come, with a note of what they complete, and what cannot be measured
    is reported and left out. With `resume` only what has no such note is measured.

    Args:
        again: str. How to get what is missing at another time, for the message.

    Raises:
        UserError: in the end, where something is missing that another attempt may get.
    """
    data, workdir = inputs.data, Path(workdir)
    if data.train_labels is None or data.test_labels is None:
        print("No table: it needs labels for train and test images.")
        return note_evaluated(workdir, data.name, recipe, [TABLES])
    memory = evaluation_memory(recipe)
    print(f"The evaluation holds {gib(memory)} at most (evaluation.memory).", flush=True)
    directory = workdir / "features"
    remove_leftovers(directory)
    images, kept = digest_of_images(data.test_images, data.test_labels), {}
    if recipe.evaluation.keep_features:
        keys = (key_of_images(data.train_images), key_of_images(data.test_images, images))
        kept = {"kept_in": directory, "digests": keys}
    results, left_out = [], []
    done = evaluated(workdir, data.name, recipe) if resume else []
    for title, measure in tasks_of(recipe, inputs, encoder, workdir):
        if title in done:
            continue
        print(f"Evaluating {title} ...", flush=True)
        evaluation = evaluation_of(recipe, inputs, memory=memory, **kept)
        with evaluation.skipped(title), scratch_in(directory):
            measure(evaluation)
        evaluation.results[:] = at_crop(evaluation.results, recipe.data.test_crop)
        done = done if any(each.retry for each in evaluation.left_out) else [*done, title]
        found = [of_all_test_images(result, data) for result in evaluation.results]
        note_evaluated(workdir, data.name, recipe, done, found, images)
        results += evaluation.results
        left_out += evaluation.left_out
    target = write_run_tables(recipe, workdir)
    results = read_results(workdir).results if resume else results
    texts = dict.fromkeys(each.text for each in left_out)
    print(format_tables(results), *(f"Left out: {text}" for text in texts), sep="\n")
    if target:
        print(f"\n{format_published(results, target)}")
    to_retry = [each.text.rstrip(".") for each in left_out if each.retry]
    if to_retry:
        raise UserError(
            f"The table is not complete, for a reason that can be mended: {to_retry[0]}. {again}",
            retry=True,
        )
    note_evaluated(workdir, data.name, recipe, [*done, TABLES])


def at_crop(results, crop_fraction):
    """Results with the crop in their protocol, if images were cropped."""
    if crop_fraction == 1:
        return results
    return [replace(r, protocol={**r.protocol, "test_crop": crop_fraction}) for r in results]


def of_all_test_images(result, data):
    """The result without its predictions, if they are not about all test images of a run."""
    correct = result.correct
    whole = correct is not None and np.shape(correct)[-1] == len(data.test_images)
    return result if whole and result.dataset == data.name else replace(result, correct=None)


def tasks_of(recipe, inputs, encoder, workdir):
    """(title, function of an `Evaluation`) of everything that is measured at a time."""
    every = [*baselines(recipe, inputs), *trained(encoder, recipe, inputs.preprocessing.function)]
    tasks = []
    for group in by_features(every):
        title = group[0].name
        tasks.append((title, functools.partial(evaluate_all, group)))
    if recipe.evaluation.clusters:
        tasks.append((CLUSTERS, functools.partial(own_clusters, workdir, encoder, inputs)))
    return tasks


def evaluation_memory(recipe):
    """Bytes that an evaluation may take beyond the images: what is set, or an eighth of all."""
    given = recipe.evaluation.memory
    return (machine_memory() or UNKNOWN_MEMORY) / 8 if given is None else given * 2**30


def evaluation_of(recipe, inputs, **kept):
    """The `Evaluation` of a run, with images corrupted, augmented, and of other data sets.

    Args:
        kept: `memory` of `Evaluation`; `kept_in` and `digests`, where features are kept.
    """
    return Evaluation(
        inputs.data,
        recipe.evaluation,
        corruptions=corruptions,
        augmented=functools.partial(augmented, inputs, memory=kept.get("memory", float("inf"))),
        shifted_part=lambda dataset: shifted_part(dataset, recipe.data, inputs.data),
        members=members,
        **kept,
    )


def augmented(inputs, model, memory):
    """The features of augmented train images that a probe trains on, and the protocol."""
    views = augmented_features(model, inputs, memory=VIEWS_SHARE * memory)
    return views, {"view": asdict(PROBE_VIEW)}


def corruptions(images):
    """Every corruption of images at every severity, one at a time, and the protocol."""
    protocol = {"corruptions": len(CORRUPTIONS), "severities": len(SEVERITIES)}
    protocol["constants"] = table_for(images.shape[1:3])
    return ((c, s, corrupt(images, c, s)) for c in CORRUPTIONS for s in SEVERITIES), protocol


def trained(encoder, recipe, preprocess):
    """The representations of a run's encoder: a list of `Representation`."""
    wanted = recipe.evaluation
    kind = recipe.neck.kind
    return representations_of(encoder, kind, wanted.temperatures, wanted.embedding, preprocess)


def baselines(recipe, inputs):
    """What the trained encoder has to surpass: a list of `Representation`."""
    preprocess = inputs.preprocessing.function
    untrained = keras_ssl.backbone_of(float32_encoder(recipe, inputs.preprocessing))
    return [
        Representation(Features(None, preprocess), "pixels"),
        Representation(Features(untrained, preprocess), "random", "backbone"),
    ]


def own_clusters(workdir, encoder, inputs, evaluation):
    """Add the clusters of a run to `evaluation`: those of its codes and of its method.

    Nothing for a method without clusters, a run without `model.keras`, an encoder without a neck.
    """
    data, preprocess = inputs.data, inputs.preprocessing.function
    evaluation.results.extend(code_clusters(encoder, data, preprocess, evaluation.memory))
    try:
        method = float32_method(workdir, encoder)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        text = f"the method's clusters: model.keras cannot be read: {reason}"
        evaluation.left_out.append(LeftOut(text))
    else:
        if method is not None:
            evaluation.results.extend(head_clusters(method, data, preprocess))


def float32_method(workdir, encoder):
    """The trained method of a run in float32, whatever it was trained in.

    Args:
        workdir: directory of the run.
        encoder: its encoder in float32, which becomes the method's.

    Returns:
        `Method`, not compiled; None if there is no `model.keras`.
    """
    path = Path(workdir) / "model.keras"
    if not path.exists():
        return None
    trained = keras.saving.load_model(path, compile=False)
    keras.config.set_dtype_policy("float32")
    settings = {**trained.get_config(), "encoder": encoder, "dtype": "float32"}
    method = type(trained).from_config(settings)
    method.set_weights(trained.get_weights())
    return method


def is_evaluated(workdir, recipe):
    """Whether everything that the recipe asks for has been measured."""
    return TABLES in evaluated(workdir, recipe.data.dataset, recipe)


def evaluated(workdir, dataset, recipe):
    """Titles of what has been measured of a data set by an evaluation with these settings."""
    notes = read_results(workdir).meta.get("evaluated", {})
    return notes.get(_settings_hash(dataset, recipe), [])


def note_evaluated(workdir, dataset, recipe, done, results=(), images=None):
    """Write results, and that `done` of the evaluation with these settings is; in one go."""
    notes = read_results(workdir).meta.get("evaluated", {})
    notes = {**notes, _settings_hash(dataset, recipe): done}
    write_results(workdir, results, {"method": recipe.name, "evaluated": notes}, images)


def _settings_hash(dataset, recipe):
    settings = asdict(recipe.evaluation)
    settings.pop("memory")  # it changes no result
    defaults = asdict(type(recipe.evaluation)())
    settings = {k: v for k, v in settings.items() if k not in _ADDED or v != defaults[k]}
    settings["gradient_probe"] = settings.pop("probe")  # as earlier notes name it
    crop = {} if recipe.data.test_crop == 1 else {"test_crop": recipe.data.test_crop}
    return protocol_hash({"data": dataset, **crop, **settings})


def compare(folders):
    """Print runs side by side, and what could not be compared."""
    table, left_out = compare_runs([load_run(folder) for folder in folders])
    print("\n".join([table, *left_out]))
