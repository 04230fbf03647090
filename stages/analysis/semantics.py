"""Which features the classes share, and whether related classes do: SEM's graph and coherence."""

from pathlib import Path

import numpy as np

from keras_ssl.analysis.cifar100 import cifar100_classes, cifar100_superclasses
from keras_ssl.analysis.linear import affordable_rows, independent_components, ridge_classifier
from keras_ssl.analysis.sections import Plot, Section, Table
from keras_ssl.analysis.semantics import chance_coherence, class_graph, coherence_readings
from keras_ssl.core.errors import UserError
from keras_ssl.ops.rows import some_rows
from stages.analysis.subject import Subject

KEPT = (1, 2, 5, 10, 20, 50, 100)  # K
DRAWN = 5  # K of the graphs, as in the paper
_BETTER = 1.5  # times chance, from which related classes are said to share features
LITERAL = "magnitude_set_zero"  # of the readings of eq. 2
_COMPONENTS, _COMPONENT_IMAGES = 128, 1000  # of the ICA
_OPERATIONS = 5e10  # of a classifier
_SCORED = 1 << 25  # numbers


def section(subject: Subject) -> Section | None:
    """Graph and coherence of the weights of a linear classifier; None without three classes."""
    if subject.labels is None or subject.train_labels is None or len(subject.classes) < 3:
        return None
    groups, missing = superclasses_of(subject)
    width = subject.embeddings.shape[1]
    train_rows = some_rows(len(subject.train_features), affordable_rows(width, _OPERATIONS))
    rows = some_rows(len(subject.features), max(50, min(2000, _SCORED // width)))
    labels = subject.train_labels[train_rows], subject.labels[rows]
    found = {
        name: _look_at(groups, *arrays, *labels)
        for name, *arrays in _read(subject, train_rows, rows)
    }
    words = tuple(_words(name, each) for name, each in found.items())
    words += (_said_of_classes(*next(iter(found.items())), groups), *missing)
    lines = tuple((name, *each["row"]) for name, each in found.items())
    head = ("representation", "features", "accuracy", "classes that share")
    head += ("components", "largest", f"coherence, K = {DRAWN}")
    note = f"Ridge classifiers of {len(train_rows)} training images, scored on {len(rows)} images. "
    note += "The embedding is read before the softmax." if subject.sizes else ""
    table = Table(f"Features that classes share, K = {DRAWN}", head, lines, note)
    values = {"images": len(train_rows), **{name: each["values"] for name, each in found.items()}}
    plots = _coherence_plot(found, groups) + _graphs(subject, found)
    if groups is not None:
        values["chance"] = chance_coherence(groups)
    return Section("semantics", "Features and classes", words, values, (table,), plots)


def superclasses_of(subject: Subject) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The superclass of each class, or None and a sentence that says why.

    Raises:
        UserError: for a file that cannot be read or has another number of lines.
    """
    setting, classes = subject.recipe.analysis.superclasses, subject.classes
    if setting == "auto":
        names = cifar100_classes()
        if set(classes) == set(names):
            return cifar100_superclasses()[[names.index(name) for name in classes]], ()
        if len(classes) == len(names) and "cifar100" in str(subject.recipe.data.dataset):
            return cifar100_superclasses(), ()
    if setting == "none":
        return None, ()
    if setting == "auto":
        return None, (
            "Coherence is left out: these classes have no superclasses (a file of them: --set "
            "analysis.superclasses=PATH).",
        )
    return _read_superclasses(setting, len(classes)), ()


def _read_superclasses(path, count):
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(
            f"analysis.superclasses is 'auto', 'none' or a text file. '{path}' cannot be read: "
            f"{error}."
        ) from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != count:
        raise UserError(
            f"{path} must have a line for each of the {count} classes, in their order: the name of "
            f"its superclass. It has {len(lines)}."
        )
    return np.unique(lines, return_inverse=True)[1]


def _read(subject, train_rows, rows):
    """Yield (name, features of train images, of test images) of what is compared."""
    train, test = subject.train_features[train_rows], subject.features[rows]
    if subject.embeddings is not subject.features:
        name = "embedding" if subject.sizes is None else "simplices"
        yield name, subject.embeddings_of(train), subject.embeddings[rows]
    if subject.sizes is not None:
        yield "embedding", subject.logits_of(train), subject.logits[rows]
    yield "backbone", train, test
    matrix, mean = independent_components(train[:_COMPONENT_IMAGES], _COMPONENTS)
    if matrix.shape[1]:
        sources = (((x - mean) @ matrix).astype(np.float32) for x in (train, test))
        yield "backbone, linear ICA", *sources


def _look_at(groups, train, test, train_labels, labels):
    fitted = ridge_classifier(train, train_labels)
    accuracy = 100.0 * float((fitted.predict(test) == labels).mean())
    width = train.shape[1]
    graph = class_graph(fitted.weights, min(DRAWN, width))
    kept = [k for k in KEPT if k <= width]
    values = {
        "features": width,
        "accuracy": accuracy,
        "linked_classes": graph.linked,
        "components": len(graph.groups),
        "largest_component": graph.largest,
    }
    readings = None
    if groups is not None:
        readings = coherence_readings(fitted.weights, groups[fitted.classes], kept)
        values["coherence"] = {
            name: dict(zip(map(str, kept), each, strict=True)) for name, each in readings.items()
        }
    literal = readings[LITERAL][kept.index(DRAWN)] if readings and DRAWN in kept else None
    row = (width, accuracy, graph.linked, len(graph.groups), graph.largest, literal)
    return {
        "graph": graph,
        "classes": fitted.classes,
        "kept": kept,
        "readings": readings,
        "values": values,
        "row": row,
    }


def _words(name, found):
    _, accuracy, linked, components, largest, coherence = found["row"]
    count = len(found["classes"])
    text = f"{name[0].upper()}{name[1:]}: "
    if not linked:
        text += f"none of the {count} classes shares one of its {DRAWN} most predictive features"
    else:
        plural = "s" if components > 1 else ""
        text += (
            f"{linked} of the {count} classes share one of their {DRAWN} most predictive features "
            f"with another, in {components} connected component{plural}, the largest of {largest}"
        )
    if coherence is not None:
        text += f"; on average {coherence:.1%} of a class's neighbors are of its superclass"
    return text + f" (ridge classifier, accuracy {accuracy:.1f} %)."


def _said_of_classes(name, found, groups):
    """What is good or bad about the first representation, the encoder's own."""
    *_, linked, _, largest, coherence = found["row"]
    if coherence is not None:
        better = coherence > _BETTER * chance_coherence(groups)
        return (
            f"That is good: in the {name}, related classes share features more than others."
            if better
            else f"That is bad: in the {name}, related classes share features no more than others."
        )
    if largest == len(found["classes"]):
        return f"That is bad: features of the {name} link all classes, and tell little of one."
    return f"That is good: features of the {name} are shared within groups of classes, if at all."


def _coherence_plot(found, groups):
    if groups is None:
        return ()
    series = {
        name: {"x": each["kept"], "y": each["readings"][LITERAL]} for name, each in found.items()
    }
    ends = [min(KEPT), max(each["kept"][-1] for each in found.values())]
    series["all classes alike"] = {"x": ends, "y": [chance_coherence(groups)] * 2}
    note = (
        "Share of the neighbors of a class that are of its superclass; classes are neighbors if "
        "they share one of their K features of largest weight (SEM, eq. 2 and fig. 6c)."
    )
    return (
        Plot(
            "coherence",
            "Semantic coherence",
            "lines",
            series,
            x_label="K",
            y_label="coherence",
            log_x=True,
            note=note,
        ),
    )


def _graphs(subject, found):
    plots = []
    for name in ("simplices", "backbone"):
        if name in found and len(found[name]["graph"].features):
            plots.append(_graph(subject, name, found[name]))
    return tuple(plots)


def _graph(subject, name, found):
    graph = found["graph"]
    classes = [subject.classes[label] for label in found["classes"][graph.classes]]
    features = list(map(str, graph.features))
    if name == "simplices":
        size = subject.sizes[1]
        features = [f"{feature // size}:{feature % size}" for feature in graph.features]
    return Plot(
        f"graph_{name}",
        f"Classes and the features they share, {name}",
        "network",
        {name: {"from": classes, "to": features, "weight": graph.weights}},
        x_label="classes",
        y_label="simplex:vertex" if name == "simplices" else "features",
        note=f"Each class with its {DRAWN} features of largest weight; features of one class are "
        "left out (SEM, figs. 6a, 6b and 9). Small components of related classes speak for "
        "features with a meaning.",
    )
