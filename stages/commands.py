"""The commands, a function for each: what is computed for one, written and printed.

Those about a run take its recipe, in which settings of the evaluation may be overridden, and its
directory. What is computed is on disk before the next thing begins.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras

import keras_ssl.config as config
from keras_ssl.analysis.verdict import verdict_words
from keras_ssl.core.errors import UserError
from keras_ssl.core.files import REPORT, RESULTS, remove_leftovers
from stages import artifacts, comparison, cost, evaluation, finetuning, inputs, training
from stages.analysis.analyze import analyze as analyze_run
from stages.analysis.analyze import read_analysis
from stages.devices import resolve_auto
from stages.request import INTERRUPTED, MODELS, check_mode, is_trained, read_catalog
from stages.transfer import evaluate_transfer


@dataclass(frozen=True)
class Run:
    """A run whose training has ended.

    Attributes:
        workdir: its directory.
        recipe: `Recipe`, perhaps with other settings of the evaluation.
        encoder: float32.
        inputs: the data of the recipe, as the encoder takes them.
    """

    workdir: Path
    recipe: config.Recipe
    encoder: keras.Model
    inputs: inputs.Inputs

    @property
    def preprocess(self) -> Callable:
        """uint8 images of any size -> what the encoder takes."""
        return self.inputs.preprocessing.function


def open_run(
    workdir: str | Path, recipe: config.Recipe | None = None, *, dataset: str | None = None
) -> Run:
    """Read a run and its data; a line says it where the data are not those of the training.

    Args:
        workdir: directory of the run.
        recipe: by default that of the run.
        dataset: name of other data than those of the recipe.

    Raises:
        UserError: if there is no run, its training has not ended, or its data cannot be read.
    """
    recipe = recipe or config.load(workdir, read_catalog())
    if dataset is not None:
        recipe = recipe.with_({"data.dataset": dataset}, "dataset")
    encoder, preprocessing = artifacts.load_trained(workdir)
    data = inputs.load_inputs(recipe, preprocessing)
    inputs.print_changes(data.data, workdir)
    return Run(Path(workdir), recipe, encoder, data)


def open_labeled(workdir: Path, recipe: config.Recipe, what: str) -> Run:
    """`open_run`, if its data have the labels that `what` needs.

    Raises:
        UserError: if they have none.
    """
    run = open_run(workdir, recipe)
    if run.inputs.data.train_labels is None or run.inputs.data.test_labels is None:
        raise UserError(
            f"{what} needs labels for train and test images: '{recipe.data.dataset}' lacks them. "
            "Give labeled images of the same kind by --dataset, such as --dataset=folder:PATH with "
            "a folder for each class."
        )
    return run


def pretrain(recipe: config.Recipe, workdir: Path, resume: bool = False) -> int | None:
    """Train, save, evaluate, analyze and export, or what is missing of that; -> exit status."""
    if resume and is_trained(workdir):
        return complete(recipe, workdir)
    session = training.prepare(resolve_auto(recipe))  # a mistake leaves no directory
    config.save(session.recipe, workdir)
    if not training.fit(session, workdir, resume):
        return INTERRUPTED
    recipe, data = session.recipe, session.inputs
    encoder = artifacts.save_models(session, workdir)
    again = f"--resume --workdir={workdir} measures what is missing."
    images, preprocessing = data.data.evaluation_images, data.preprocessing
    steps = [lambda: evaluation.evaluate(recipe, data, encoder, workdir, resume, again=again)]
    if recipe.analysis.enabled:
        steps.append(lambda: analyze_run(recipe, data, encoder, workdir, brief=True))
    if not (resume and artifacts.exports_of(workdir)):
        steps.append(lambda: artifacts.export(recipe, preprocessing, images, encoder, workdir))
    each_of(steps)
    print_verdict(workdir)


def complete(recipe: config.Recipe, workdir: Path):
    """Do what a run lacks whose training has ended, and nothing twice."""
    exports, results = artifacts.exports_of(workdir), sorted(workdir.glob(RESULTS))
    files = [workdir / name for name in MODELS] + results + exports
    there = [str(path.relative_to(workdir)) for path in files]
    print(f"The training in '{workdir}' has ended; there are {', '.join(there)}.", flush=True)
    for folder in (workdir, workdir / "export" / "encoder"):
        remove_leftovers(folder)

    def evaluate_missing():
        if evaluation.is_evaluated(workdir, recipe):
            if exports:
                print(
                    "--mode=evaluate evaluates the encoder again, --mode=export writes another "
                    "version."
                )
            return
        check_mode("evaluate", recipe, workdir)
        run = open_run(workdir, recipe)
        evaluation.evaluate(recipe, run.inputs, run.encoder, workdir, resume=True)

    steps = [evaluate_missing]
    if recipe.analysis.enabled and not (workdir / REPORT).exists():
        steps.append(lambda: analyze(recipe, workdir))
    if not exports:
        steps.append(lambda: export(recipe, workdir))
    each_of(steps)


def print_verdict(workdir: Path):
    """Print the sentence that a person looks for, and where the page is; nothing without a page."""
    verdicts = [words for section in read_analysis(workdir) for words in verdict_words(section)]
    if verdicts and (workdir / REPORT).exists():
        print(f"{verdicts[0]} See {workdir / REPORT}.")


def each_of(steps: list[Callable[[], None]]):
    """Do all, whatever mistake ends one of them; the first mistake is raised in the end."""
    mistakes = []
    for step in steps:
        try:
            step()
        except (UserError, OSError) as error:
            mistakes.append(error)
    if mistakes:
        raise mistakes[0]


def preview(recipe: config.Recipe, workdir: Path):
    """Write a picture of the views that the first images of a run would get."""
    path = inputs.preview(recipe, workdir)
    print(f"Wrote {path}: a row for each image, the image and then its views.")


def evaluate(recipe: config.Recipe, workdir: Path):
    """Evaluate the encoder of a run, on its own data or on those of --dataset.

    Raises:
        UserError: if the data have no labels to evaluate by.
    """
    run = open_labeled(workdir, recipe, "The evaluation")
    evaluation.evaluate(recipe, run.inputs, run.encoder, workdir)


def analyze(recipe: config.Recipe, workdir: Path):
    """Look at what a run has learned, and write `analysis.json` and `report.html`."""
    run = open_run(workdir, recipe)
    analyze_run(recipe, run.inputs, run.encoder, workdir)


def finetune(recipe: config.Recipe, workdir: Path):
    """Fine-tune the encoder of a run on shares of the labels, and the same network from scratch."""
    run = open_labeled(workdir, recipe, "Fine-tuning")
    finetuning.finetune(recipe, run.inputs, run.encoder, workdir)


def transfer(recipe: config.Recipe, workdir: Path):
    """Evaluate the encoder of a run on each of transfer.datasets."""
    encoder, preprocessing = artifacts.load_trained(workdir)
    preprocessing = replace(preprocessing, crop_fraction=1.0)  # SEM, appendix B.4
    evaluate_transfer(recipe, preprocessing, encoder, workdir)


def export(recipe: config.Recipe, workdir: Path):
    """Write the next version of the SavedModel of a run's encoder."""
    encoder, preprocessing = artifacts.load_trained(workdir)
    preprocessing = replace(preprocessing, crop_fraction=recipe.data.test_crop)
    images = artifacts.images_of(recipe, preprocessing)
    artifacts.export(recipe, preprocessing, images, encoder, workdir)


def codes(recipe: config.Recipe, workdir: Path, directory: str | None = None):
    """Write the discrete codes of a data set, by the encoder of a run."""
    run = open_run(workdir, recipe)
    artifacts.write_codes(run.inputs, run.encoder, directory or workdir / "codes")


def show_cost(recipe: config.Recipe):
    """Print what a run would cost; its data are not read."""
    cost.show(recipe)


def compare(folders: list[str], out: str | None = None):
    """Print the results of runs next to each other, and write a page of all that is known of them.

    Args:
        folders: directories of two runs or more.
        out: path of the page, by default `compare.html`.
    """
    page = functools.partial(comparison.compare, folders, out or "compare.html", read_catalog())
    each_of([lambda: evaluation.compare(folders), page])
