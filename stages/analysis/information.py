"""Information: what two views of an image share, and what is still known of how one was changed."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from keras import ops

from keras_ssl.analysis.critics import (
    best_temperature,
    cosine_scores,
    critic_bounds,
    train_critic,
)
from keras_ssl.analysis.sections import Plot, Section, Table
from keras_ssl.analysis.spectrum import alignment, uniformity
from keras_ssl.analysis.transformations import random_projection, transformation_accuracy
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.splits import some_rows
from pipelines.corruptions import corrupt
from pipelines.ops import extended_box_blur, grayscale, quarter_turns, sobel
from stages.analysis.subject import Subject

NUM_TRANSFORMED = 1000  # images, each in all transformations
FEWEST = 40  # pairs of views, or images, of which something can be said
NARROW = 1024  # columns that are left of more than `analysis.max_width`
CRITIC = {"kind": "concatenated", "hidden": 64, "learning_rate": 1e-3, "steps": 200}
BOUNDS = {"infonce": "InfoNCE", "tuba": "TUBA", "dv": "DV", "uba": "UBA"}
_SIGMA = 1 / 32  # of the Gaussian blur, as a share of the shorter side
_SEVERITY = 3  # of the Gaussian noise, of 1 to 5
_NEAR = 0.05  # of accuracy: what counts as chance


def section(subject: Subject) -> Section | None:
    """Bounds on the information of views, alignment and uniformity, probes of transformations."""
    parts = [part for part in (_shared(subject), _known(subject), _aligned(subject)) if part]
    if not parts:
        return None
    words = [words for part in parts for words in part.words]
    wide = _wide(subject)
    if wide:
        words.append(
            f"Of {' and '.join(wide)}, wider than analysis.max_width, {NARROW} random projections "
            "are read."
        )
    return Section(
        "information",
        "What views share, and what is known of their transformations",
        tuple(words),
        {name: value for part in parts for name, value in part.values.items()},
        tuple(table for part in parts for table in part.tables),
        tuple(plot for part in parts for plot in part.plots),
    )


# What two views share.


def _shared(subject):
    """Bounds on the mutual information of the projections of two views."""
    pairs = _pairs(subject, subject.view_projections)
    if pairs is None:
        return None
    train, validation, held_out = pairs
    critics = _critics(subject, train, validation)
    found = {key: critic_bounds(score, held_out, train[0]) for key, (_, score) in critics.items()}
    labels = {key: label for key, (label, _) in critics.items()}
    count = len(held_out[0])
    cap = f"log {count} = {math.log(count):.2f}"
    rows = tuple((labels[key], *(each[name] for name in BOUNDS)) for key, each in found.items())
    note = (
        f"InfoNCE (at most {cap}) and TUBA are lower bounds in expectation; DV and UBA take the "
        "logarithm of a mean over samples and may exceed the information. Views of training "
        "images; the critics were fitted to views of other images than these."
    )
    head = ("critic", *BOUNDS.values())
    plot = Plot(
        "mutual_information",
        "Bounds on the mutual information of two views",
        "bars",
        {label: {"x": head[1:], "y": each} for label, *each in rows},
        y_label="nats",
        note=f"InfoNCE cannot exceed {cap} nats (Poole et al., 2019).",
    )
    return Section(
        "information",
        "",
        tuple(_said_of_bounds(found, labels, count)),
        {"mutual_information": {**found, "pairs": count}},
        (Table("Mutual information of two views, nats", head, rows, note),),
        (plot,),
    )


def _said_of_bounds(found, labels, count):
    trained, cap = found["trained"]["infonce"], math.log(count)
    yield (
        f"Two views of an image share {max(trained, 0.0):.2f} nats or more in their projections "
        f"(InfoNCE of a small trained critic on {count} pairs, which can say at most log {count} = "
        f"{cap:.2f})."
    )
    if trained < 0.02 * cap:
        yield "So it cannot tell the views of one image from those of others."
    elif trained > 0.9 * cap:
        yield f"That is close to the most that {count} pairs can show: it may be far more."
    given = [f"{found[key]['infonce']:.2f} by {labels[key]}" for key in found if key != "trained"]
    yield f"Critics that are given find {' and '.join(given)}."


def _pairs(subject, views):
    """The rows of two views for a critic to learn, to stop by and to be measured on, or None."""
    if views is None or len(views) < 2 or len(views[0]) < FEWEST:
        return None
    first, second = (_narrow(subject, view, "projections") for view in views[:2])
    order = np.random.default_rng(0).permutation(len(first))
    ends = int(0.4 * len(first)), int(0.5 * len(first))
    parts = np.split(order, ends)
    train, validation, held_out = ((first[rows], second[rows]) for rows in parts)
    return train, validation, held_out


def _critics(subject, train, validation):
    """{name: (words for it, function of x and y -> scores)}: fitted to pairs, and given."""
    # Which view is the first is chance: every pair serves in both orders.
    both = np.concatenate(train), np.concatenate(train[::-1])
    critic = train_critic(*both, validation=validation, **CRITIC)
    critics = {"trained": ("a trained critic", lambda x, y: critic([x, y]))}
    own = _own_temperature(subject.method)
    if own is not None:
        label = f"the loss of {subject.recipe.name} (cosines over {own:g})"
        critics["own"] = label, _cosine(own)
    fitted = [np.concatenate(view) for view in zip(train, validation, strict=True)]
    best = best_temperature(*fitted)
    critics["cosine"] = f"cosines over the best temperature ({best:g})", _cosine(best)
    return critics


def _cosine(temperature) -> Callable:
    return lambda x, y: cosine_scores(x, y, temperature=temperature)


def _own_temperature(method):
    """Of a method whose loss is InfoNCE of cosines, or None."""
    contrastive = "mutual_information_bound" in method.diagnostic_names
    return getattr(method, "temperature", None) if contrastive else None


# Alignment and uniformity.


def _aligned(subject):
    """How near the views of an image are on the sphere, and how evenly images cover it."""
    values, rows = {}, []
    for name, views in _by_representation(subject.view_features, subject.view_projections):
        if len(views) < 2 or len(views[0]) < 2:
            continue
        first, second = (_narrow(subject, view, name) for view in views[:2])
        apart = float(alignment(first, second))
        spread = float((uniformity(first) + uniformity(second)) / 2.0)
        values[name] = {"alignment": apart, "uniformity": spread}
        rows.append((name, apart, spread))
    if not rows:
        return None
    text = " and ".join(f"{apart:.2f} ({name})" for name, apart, _ in rows)
    even = " and ".join(f"{spread:.2f} ({name})" for name, _, spread in rows)
    words = (
        f"Alignment of views is {text}, of 0 where they are equal; uniformity {even}, of 0 where "
        "all images have one direction, down to -4.",
    )
    note = "Mean squared distance of two views on the sphere; log of the mean Gaussian potential."
    head = ("representation", "alignment (0 to 4)", "uniformity (-8 to 0)")
    table = Table("Alignment and uniformity of two views", head, tuple(rows), note)
    return Section("information", "", words, {"views": values}, (table,))


# What is known of the transformation.


def _known(subject):
    """How well linear probes of features and of projections name the transformation."""
    if len(subject.images) < FEWEST:
        return None
    rows = some_rows(len(subject.images), NUM_TRANSFORMED)
    images = subject.images[rows]
    found = _probed(subject, images, subject.features[rows])
    values = {
        task: {"chance": each["features"].chance, **{name: each[name].accuracy for name in each}}
        for task, each in found.items()
    }
    names = tuple(next(iter(values.values())))
    table_rows = tuple(
        (task, *(100.0 * value for value in each.values())) for task, each in values.items()
    )
    columns = zip(*(row[1:] for row in table_rows), strict=True)
    plot = Plot(
        "transformations",
        "What is known of how an image was changed",
        "bars",
        {name: {"x": list(values), "y": each} for name, each in zip(names, columns, strict=True)},
        y_label="held-out accuracy, %",
        note="The projector throws away what the loss asks to be ignored: below the features, "
        "and near chance where the views vary so (SimCLR, table 3).",
    )
    title, head = "Transformation named correctly, %", ("transformation", *names)
    table = Table(title, head, table_rows, _conditions(found, images))
    words, values = tuple(_compared(values)), {"transformations": values}
    return Section("information", "", words, values, (table,), (plot,))


def _probed(subject, images, features):
    """{task: {"features", "projections": `TransformationAccuracy`}}."""
    original, found = _read(subject, images, features), {}
    for task, versions in _tasks(images):
        blocks = {"original": original}
        blocks |= {name: _read(subject, each) for name, each in versions}
        found[task] = {
            name: transformation_accuracy({key: block[name] for key, block in blocks.items()})
            for name in original
        }
    return found


def _conditions(found, images):
    """The note of the table."""
    accuracies = [one for each in found.values() for one in each.values()]
    note = (
        f"A linear probe on {accuracies[0].test_images} images that it was not trained on "
        f"(standard error up to {100.0 * max(one.error for one in accuracies):.1f}); SimCLR's "
        f"table 3 has MLPs, on ImageNet. Noise is that of severity {_SEVERITY} of the common "
        "corruptions, blur has a sigma of 1/32 of the side."
    )
    missing = _left_out(images)
    return f"{note} Left out: {missing}." if missing else note


def _tasks(images) -> Iterator:
    """(task, [(version, uint8 images)]) of the changes that these images have."""
    pixels = ops.cast(images, "float32") / 255.0
    if _has_color(images):
        yield "color or grayscale", [("grayscale", _as_uint8(grayscale(pixels)))]
    if _is_square(images):
        turns = ((f"{90 * k} degrees", ops.full((len(images),), k, "int32")) for k in (1, 2, 3))
        yield "rotation", [(name, np.asarray(quarter_turns(images, k))) for name, k in turns]
    if min(images.shape[1:3]) >= 8:
        noisy = corrupt(images, "gaussian_noise", _SEVERITY)
        yield "original or Gaussian noise", [("noise", noisy)]
    sigma = ops.full((len(images),), _SIGMA * min(images.shape[1:3]))
    yield "original or blurred", [("blur", _as_uint8(extended_box_blur(pixels, sigma)))]
    yield "original or Sobel filtered", [("sobel", _as_uint8(sobel(pixels)))]


def _left_out(images):
    """The names of the tasks that these images do not have, and why."""
    missing = []
    if not _has_color(images):
        missing.append("color (the images are gray)")
    if not _is_square(images):
        missing.append("rotation (the images are not square)")
    if min(images.shape[1:3]) < 8:
        missing.append("noise (sides below 8 pixels)")
    return ", ".join(missing)


def _has_color(images):
    return images.shape[-1] == 3 and bool(np.any(images != images[..., :1]))


def _is_square(images):
    return images.shape[1] == images.shape[2]


def _as_uint8(pixels):
    return np.rint(255.0 * np.clip(pixels, 0.0, 1.0)).astype("uint8")


def _compared(values):
    """Sentences on what the projections know less of than the features, and on what none knows."""
    lost = {
        task: each["features"] - each["projections"]
        for task, each in values.items()
        if "projections" in each
    }
    if lost:
        task = max(lost, key=lost.get)
        each = values[task]
        if lost[task] > _NEAR:
            yield (
                f"The projector forgets most of '{task}': a linear probe names it from the "
                f"features for {each['features']:.0%} of held-out images, from the projections for "
                f"{each['projections']:.0%} (chance {each['chance']:.0%})."
            )
        else:
            yield (
                "The projections know about as much of the transformations as the features (within "
                f"{_NEAR:.0%})."
            )
    unknown = [task for task, each in values.items() if each["features"] < each["chance"] + _NEAR]
    if unknown:
        yield f"The features are invariant to (at chance): {', '.join(unknown)}."
    if not lost:
        task = max(values, key=lambda task: values[task]["features"] - values[task]["chance"])
        each = values[task]
        yield (
            f"Of the transformations the features tell '{task}' best: {each['features']:.0%} of "
            f"held-out images (chance {each['chance']:.0%})."
        )


# How rows are read.


def _read(subject, images, features=None):
    """{"features", "projections": rows} of images, and of their features if those are known."""
    features = subject.features_of(images) if features is None else features
    both = _by_representation(features, subject.projections_of(features))
    return {name: _narrow(subject, rows, name) for name, rows in both}


def _by_representation(features, projections):
    pairs = (("features", features), ("projections", projections))
    return [(name, rows) for name, rows in pairs if rows is not None]


def _narrow(subject, rows, name):
    """The rows, or random projections of them where they are wider than `analysis.max_width`."""
    if rows.shape[1] > subject.recipe.analysis.max_width:
        rows = random_projection(rows, NARROW)
    if not np.all(np.isfinite(rows)):
        raise UserError(f"The {name} of some images are not finite numbers: the run diverged.")
    return rows


def _wide(subject):
    """The names of what `_narrow` narrows."""
    both = _by_representation(subject.view_features[0], (subject.view_projections or [None])[0])
    return [name for name, rows in both if rows.shape[1] > subject.recipe.analysis.max_width]
