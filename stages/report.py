"""The page of a run, and the page of several runs: composed of what they left."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import keras_ssl
from keras_ssl.analysis.cost import model_cost
from keras_ssl.analysis.sections import Section, Table
from keras_ssl.analysis.transformations import random_projection
from keras_ssl.config import Recipe
from keras_ssl.core.files import REPORT, WARNINGS, json_lines
from keras_ssl.evaluation.published import Target
from keras_ssl.evaluation.results import Result
from keras_ssl.evaluation.tables import cells_of, published_cells
from keras_ssl.report import Report, training_section, write_projector, write_report
from stages.analysis import certificate, geometry_curves
from stages.analysis.subject import Subject
from stages.analysis.transformed import NARROW
from stages.describe import describe_backbone, describe_neck, describe_rates, read_description
from stages.inputs import describe_data
from stages.legend import legend_of
from stages.published import target_of

VERDICT = "collapse"  # the section whose sentences a page begins with
# Lines of a training's description by group of the page.
_GROUPS = {
    "The run": ("method", "neck", "backbone", "data", "batch", "learning", "resumed"),
    "The machine": ("device", "precision", "compiled", "replicas", "views", "memory"),
}
_CURVES = {"geometry": geometry_curves.CURVES, "codes": certificate.CURVES}
_ROWS = 512  # of wide embeddings that are narrowed at a time
_PAUSE = 20  # times the usual epoch: between two epochs the run was not running


def write_run_report(
    subject: Subject, sections: Sequence[Section], left_out: Sequence[str] = ()
) -> Path:
    """Write `report.html` of a run and the files of TensorBoard's projector; -> the page's path.

    Args:
        subject: the run.
        sections: what was found, in order; the words of "collapse" become the verdict.
        left_out: sentences on what could not be looked at.
    """
    path = subject.workdir / REPORT
    write_report(path, report_of(subject, sections, left_out))
    write_run_projector(subject)
    return path


def report_of(
    subject: Subject, sections: Sequence[Section], left_out: Sequence[str] = ()
) -> Report:
    """What the page of a run says."""
    terms = () if subject.method is None else tuple(subject.method.terms)
    warnings = json_lines(subject.workdir / WARNINGS)
    training = training_section(subject.log, terms, warnings, drawn_by(sections))
    target = target_of(subject.recipe, subject.workdir)
    return Report(
        title=f"{subject.recipe.name} on {subject.inputs.data.name}",
        verdict=verdict_of(sections, left_out),
        alarm=is_bad(sections),
        facts=facts_of(subject),
        results=result_tables(subject.results, target),
        sections=[*([training] if training else []), *without_verdict(sections)],
    )


def verdict_of(sections: Sequence[Section], left_out: Sequence[str] = ()) -> list[str]:
    """The sentences that a page begins with."""
    words = [words for section in sections if section.name == VERDICT for words in section.words]
    return [*words, *(f"Left out: {text}" for text in left_out)]


def drawn_by(sections: Sequence[Section]) -> set[str]:
    """Metrics of the training whose curves these sections draw."""
    return {
        metric
        for section in sections
        for plot in section.plots
        for metric in _CURVES.get(section.name, {}).get(plot.name, ())
    }


def is_bad(sections: Sequence[Section]) -> bool:
    """Whether a verdict is that of a collapse."""
    verdicts = [section.values.get("verdict") or {} for section in sections]
    return any("collapsed" in verdict.get("state", "") for verdict in verdicts)


def without_verdict(sections: Sequence[Section]) -> list[Section]:
    """Sections without the sentences that the page begins with."""
    return [
        replace(section, words=()) if section.name == VERDICT else section for section in sections
    ]


def result_tables(results: Sequence[Result], target: Target | None = None) -> list[Table]:
    """Every table of what was evaluated, with published values where there are any."""
    tables = [
        Table(title, tuple(lines[0]), tuple(map(tuple, lines[1:])), legend_of(title, results))
        for title, lines, _ in cells_of(results)
    ]
    if target is not None:
        lines, notes = published_cells(results, target)
        if len(lines) > 1:
            rows = tuple(map(tuple, lines[1:]))
            tables.append(Table("Measured and published", tuple(lines[0]), rows, " ".join(notes)))
    return tables


def facts_of(subject: Subject) -> dict[str, dict[str, str]]:
    """What ran and what it cost, by group."""
    recipe = subject.recipe
    lines = _of_recipe(recipe, subject) | read_description(subject.workdir)
    facts = {
        group: {name: lines[name] for name in names if name in lines}
        for group, names in _GROUPS.items()
    }
    facts["Cost"] = cost_of(subject)
    facts["Settings of the command line"] = set_by_hand(recipe)
    return {group: lines for group, lines in facts.items() if lines}


def set_by_hand(recipe: Recipe) -> dict[str, str]:
    """Settings that were asked for by flags: {name: value and flag}."""
    return {
        name: f"{value} ({origin})"
        for name, (value, origin) in recipe.settings.items()
        if origin.startswith("--")
    }


def _of_recipe(recipe: Recipe, subject: Subject):
    """What can be said of a run that did not write its description."""
    lines = {
        "method": recipe.name,
        "backbone": describe_backbone(recipe.backbone, subject.inputs.preprocessing.image_size),
        "data": describe_data(subject.inputs),
        "batch": f"{recipe.training.batch_size} images (global) x {recipe.augment.num_views} "
        f"views, {recipe.training.epochs} epochs",
        "learning": describe_rates(recipe),
    }
    return lines | ({"neck": describe_neck(recipe.neck)} if recipe.neck.kind != "none" else {})


def cost_of(subject: Subject) -> dict[str, str]:
    """What a run cost: time, speed, and the size of its encoder."""
    lines = time_of(subject.log)
    backbone = keras_ssl.backbone_of(subject.encoder)
    side, channels = subject.inputs.preprocessing.image_size, subject.inputs.preprocessing.channels
    for name, model in {"backbone": backbone, "encoder": subject.encoder}.items():
        if name == "encoder" and model is backbone:
            continue
        cost = model_cost(model, (side, side, channels))
        lines[name] = (
            f"{cost.parameters:,} parameters, {cost.multiply_adds / 1e6:,.1f}M multiply-adds and "
            f"{cost.activations:,} activations an image"
        )
    if subject.method is not None:
        count = sum(int(np.prod(v.shape)) for v in subject.method.trainable_variables)
        lines["trained"] = f"{count:,} parameters, heads included"
    return lines


def time_of(log: Sequence[Mapping]) -> dict[str, str]:
    """Time and speed of a training, out of the rows of `metrics.jsonl`.

    Pauses between a stop and a resume do not count; the first epoch is taken to last as long as the
    others, as nothing says when it began.
    """
    lines = {}
    times = np.array([row["time"] for row in log if row.get("time")], float)
    speeds = [row["images_per_second"] for row in log if row.get("images_per_second")]
    if len(times) > 1:
        epochs = np.diff(times)
        epochs = epochs[epochs <= _PAUSE * max(np.median(epochs), 1e-3)]
        each = float(epochs.mean())
        lines["time"] = (
            f"about {_duration(each * len(log))} of training, {_duration(each)} an epoch"
        )
    if speeds:
        lines["speed"] = f"{np.median(speeds):,.0f} images/s, median over epochs"
    return lines


def _duration(seconds):
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def write_run_projector(subject: Subject):
    """Write the features of a run, and wider embeddings, for TensorBoard's projector.

    Those wider than `analysis.max_width` are narrowed by random projections, as their name says.
    """
    tensors = {"features": subject.features}
    if subject.features.shape[1] < subject.embeddings.shape[1]:
        tensors["embeddings"] = subject.embeddings
    max_width = subject.recipe.analysis.max_width
    tensors = dict(_narrow(name, rows, max_width) for name, rows in tensors.items())
    labels = None
    if subject.labels is not None:
        labels = [subject.class_name(label) for label in subject.labels]
    write_projector(subject.workdir / "tensorboard", tensors, subject.images, labels)


def _narrow(name, rows, max_width):
    """(name, rows) as they are, or random projections of them if they are too wide."""
    if rows.shape[1] <= max_width:
        return name, rows
    width = min(NARROW, max_width)
    blocks = (rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS))
    narrow = np.concatenate([random_projection(block, width) for block in blocks])
    return f"{name}, {width} random projections", narrow
