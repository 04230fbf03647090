"""What features and projections still know of how an image was changed: SimCLR's table 3."""

import math
from collections.abc import Iterator

import numpy as np
from keras import ops

from keras_ssl.analysis.sections import Plot, Section, Table
from keras_ssl.analysis.transformations import random_projection, transformation_accuracy
from keras_ssl.core.errors import UserError
from keras_ssl.ops.rows import some_rows
from pipelines.corruptions import corrupt
from pipelines.ops import extended_box_blur, grayscale, quarter_turns, sobel
from stages.analysis.subject import Subject

NUM_TRANSFORMED = 1000  # images, each in all transformations
FEWEST = 40  # images of which something can be said
NARROW = 1024  # columns that are left of more than `analysis.max_width`
_SIGMA = 1 / 32  # of the Gaussian blur, as a share of the shorter side
_SEVERITY = 3  # of the Gaussian noise, of 1 to 5
_NEAR = 0.05  # of accuracy: what is no difference, whatever the number of images


def known_transformations(subject: Subject) -> Section | None:
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
        note=_expected(found),
    )
    title, head = "Transformation named correctly, %", ("transformation", *names)
    table = Table(title, head, table_rows, _conditions(found, images))
    words, values = tuple(_compared(found)), {"transformations": values}
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


def _compared(found):
    """Sentences on what the projections know less of than the features, and on what none knows."""
    known = {task: each["features"] for task, each in found.items()}
    lost = {
        task: each["features"].accuracy - each["projections"].accuracy
        for task, each in found.items()
        if "projections" in each and _differ(each["features"], each["projections"])
    }
    if lost and max(lost.values()) > 0:
        task = max(lost, key=lost.get)
        yield (
            f"What the projector forgets most is {task}: a linear probe tells it from the features "
            f"for {known[task].accuracy:.0%} of held-out images, from the projections for "
            f"{found[task]['projections'].accuracy:.0%} (chance {known[task].chance:.0%})."
        )
    elif all("projections" in each for each in found.values()):
        yield "The projections know no less of the transformations than the features."
    else:
        task = max(known, key=lambda task: known[task].accuracy - known[task].chance)
        yield (
            f"Of the transformations the features tell {task} best: "
            f"{known[task].accuracy:.0%} of held-out images (chance {known[task].chance:.0%})."
        )
    unknown = [task for task, one in known.items() if one.accuracy < one.chance + _unsure(one)]
    if unknown:
        yield f"At chance from the features, which ignore it: {', '.join(unknown)}."


def _expected(found):
    """What the plot should show, and where it does not."""
    both = {task: each for task, each in found.items() if "projections" in each}
    if not both:
        return "The more the features know, the less they ignore the change."
    text = (
        "Projections should know less than features of what the loss asks to be ignored, and be "
        "near chance where the views vary so (SimCLR, table 3)."
    )
    against = [
        task
        for task, each in both.items()
        if each["projections"].accuracy > each["features"].accuracy
        and _differ(each["features"], each["projections"])
    ]
    alike = [task for task, each in both.items() if not _differ(*each.values())]
    text += f" Here they know more of: {', '.join(against)}." if against else ""
    return text + (f" Here they know as much of: {', '.join(alike)}." if alike else "")


def _unsure(*accuracies):
    """What an accuracy, or a difference of two, must exceed to count."""
    return max(_NEAR, 2.0 * math.hypot(*(one.error for one in accuracies)))


def _differ(one, other):
    return abs(one.accuracy - other.accuracy) > _unsure(one, other)


# How rows are read.


def _read(subject, images, features=None):
    """{"features", "projections": rows} of images, and of their features if those are known."""
    features = subject.features_of(images) if features is None else features
    both = by_representation(features, subject.projections_of(features))
    return {name: narrow(subject, rows, name) for name, rows in both}


def by_representation(features, projections) -> list[tuple]:
    """(name, rows) of the two, without what there is none of."""
    pairs = (("features", features), ("projections", projections))
    return [(name, rows) for name, rows in pairs if rows is not None]


def narrow(subject: Subject, rows: np.ndarray, name: str) -> np.ndarray:
    """The rows, or random projections of them where they are wider than `analysis.max_width`."""
    if rows.shape[1] > subject.recipe.analysis.max_width:
        rows = random_projection(rows, NARROW)
    if not np.all(np.isfinite(rows)):
        raise UserError(f"The {name} of some images are not finite numbers: the run diverged.")
    return rows


def too_wide(subject: Subject) -> list[str]:
    """The names of what `narrow` narrows."""
    both = by_representation(subject.view_features[0], (subject.view_projections or [None])[0])
    return [name for name, rows in both if rows.shape[1] > subject.recipe.analysis.max_width]
