"""Pretrain an image encoder without labels, judge it, and export it.

    python run.py --method=sem_byol                         on the embedded digits
    python run.py --method=simclr --dataset=npz:images.npz  on images of your own
    python run.py --mode=list                               what there is to choose from

Every setting can be reached by --set; --show_recipe prints them all.
"""

import contextlib
import importlib
import logging
import os
import signal
import sys
import tempfile
import threading
import types
from pathlib import Path

from absl import flags

from pipelines.lazy import stand_in

stand_in("keras_ssl")

import keras_ssl.config as config  # noqa: E402
from keras_ssl.core import environment  # noqa: E402
from keras_ssl.core.errors import UserError, did_you_mean, lookup  # noqa: E402
from keras_ssl.core.files import remove_leftovers  # noqa: E402
from keras_ssl.core.streams import open_streams  # noqa: E402
from pipelines.data.names import check_exists, check_name  # noqa: E402
from pipelines.views.policies import POLICIES, ViewPolicy, policy_for  # noqa: E402

# Flags for the settings that are wanted most; --set reaches all of them.
SETTING_FLAGS = {
    "dataset": (
        "data.dataset",
        "digits (the default), npz:PATH, folder:PATH, tfrecord:PATTERN, or a TFDS name",
    ),
    "data_dir": ("data.data_dir", "where TensorFlow Datasets keeps its files"),
    "backbone": ("backbone.name", "the network, such as resnet18"),
    "epochs": ("training.epochs", "passes over the training images"),
    "batch_size": ("training.batch_size", "images of a step, over all replicas"),
    "learning_rate": ("optimizer.learning_rate", "peak, per 256 images of a batch"),
    "seed": ("training.seed", "of weights, order and augmentation"),
    "precision": ("training.precision", "auto, float32, mixed_bfloat16 or mixed_float16"),
    "augment": ("augment.where", "auto, host or device: where views are drawn"),
    "strategy": ("training.strategy", "auto, none or mirrored"),
    "deterministic": ("training.deterministic", "the same bits every time on a GPU; slower"),
}
OTHER_FLAGS = {
    "mode": "pretrain (the default), preview, evaluate, finetune, transfer, export, codes, compare "
    "or list",
    "method": "what to train, such as sem_byol; --mode=list shows all",
    "recipe": "the settings to start from, such as digits; by default those of the data set",
    "workdir": "directory of the run; by default a new one in runs/",
    "resume": "go on with the run in --workdir",
    "out": "where --mode=codes writes; by default the folder codes of the run",
    "set": "section.field=value, any other setting; may be repeated",
    "show_recipe": "print every setting and where it comes from, and stop",
    "help": "print this and stop",
}
MODES = ("pretrain", "preview", "evaluate", "finetune", "transfer", "export", "codes", "compare")
MODES += ("list",)
SWITCHES = ("resume", "show_recipe", "help", "deterministic")
FLAGS = {**OTHER_FLAGS, **{name: text for name, (_, text) in SETTING_FLAGS.items()}}
# What a finished run has, in the order of writing.
MODELS, RESULTS = ("model.keras", "encoder.keras"), "results.json"
EXPORTS = "export/encoder/[0-9]*/saved_model.pb"
INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


def parse_flags(argv):
    """Read the command line: -> namespace with a value per flag, None where it was not given."""
    values = flags.FlagValues()
    for name, text in FLAGS.items():
        if name in SWITCHES:
            given = None if name in SETTING_FLAGS else False
            flags.DEFINE_boolean(name, given, text, flag_values=values)
        elif name == "set":
            flags.DEFINE_multi_string(name, [], text, flag_values=values)
        else:
            flags.DEFINE_string(name, None, text, flag_values=values)
    try:
        rest = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        hint = did_you_mean(error.flagname, values)
        raise UserError(f"Unknown flag '{error.flagname}'.{hint} --help lists all.") from error
    except flags.Error as error:
        raise UserError(str(error)) from error
    if rest and values.mode != "compare":
        raise UserError(f"Unexpected argument '{rest[0]}': write --flag=value. --help lists all.")
    return types.SimpleNamespace(**values.flag_values_dict(), runs=rest)


def read_catalog():
    """What there is to choose from."""
    return config.Catalog(tuple(POLICIES), config.declared(ViewPolicy))


def overrides_of(options):
    """The settings that the command line asks for: flags, then --set."""
    given = {name: getattr(options, name) for name in SETTING_FLAGS}
    return [
        config.Override(SETTING_FLAGS[name][0], value, f"--{name}")
        for name, value in given.items()
        if value is not None
    ] + [config.parse_set(text) for text in options.set]


def is_new(options):
    """Whether the flags describe a run, or --workdir has one that they are about."""
    if options.mode == "preview":
        return options.method is not None or options.workdir is None
    return options.mode == "pretrain" and not options.resume


def recipe_of(options, catalog):
    """The recipe of a new run, or that of the run in --workdir."""
    overrides = overrides_of(options)
    if is_new(options):
        if options.method is None:
            raise UserError("Which method? Try --method=sem_byol; --mode=list shows all.")
        return config.resolve(catalog, options.method, overrides, options.recipe)
    if options.workdir is None:
        what = "--resume" if options.resume else f"--mode={options.mode}"
        raise UserError(f"{what} needs --workdir=DIRECTORY, that of a run.")
    recipe = config.load(options.workdir, catalog)
    for name, has in (("method", recipe.name), ("recipe", recipe.family)):
        if getattr(options, name) not in (None, has):
            raise UserError(f"The run in '{options.workdir}' has --{name}={has}. Leave it out.")
    also = ("data.dataset",) if options.mode in ("evaluate", "finetune", "codes") else ()
    return config.override(recipe, overrides, also)


def workdir_of(options, recipe):
    """--workdir, or the next free directory in runs/."""
    if options.workdir is None:
        return config.new_workdir(recipe)
    path = Path(options.workdir)
    if options.mode == "pretrain" and not options.resume and (path / "recipe.json").exists():
        raise UserError(
            f"'{path}' already holds a run. Go on with it by --resume, or choose another."
        )
    return path


def import_stages():
    """Import the stages, and TensorFlow with them, without what it prints while it loads."""
    environment.set_up()
    environment.check_keras()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # later on, its errors come as exceptions
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            stages = importlib.import_module("stages")
            logging.getLogger("tensorflow").setLevel("ERROR")  # it warns of a trace for each model
        except Exception:
            chatter.seek(0)
            os.write(kept, chatter.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    stages.check_hardware()
    return stages


def pretrain(recipe, workdir, resume):
    """Train, save, evaluate and export; what was computed is on disk before the next stage."""
    stages = import_stages()
    session = stages.prepare(stages.settle_hardware(recipe))  # a mistake leaves no directory
    config.save(session.recipe, workdir)
    if not stages.fit(session, workdir, resume):
        return INTERRUPTED
    recipe, inputs = session.recipe, session.inputs
    encoder = stages.save_models(session, workdir)
    images = inputs.data.to_judge_by
    finish(
        lambda: stages.evaluate(
            recipe,
            inputs,
            encoder,
            workdir,
            resume,
            again=f"--resume --workdir={workdir} measures what is missing.",
        ),
        None
        if resume and exports_of(workdir)
        else lambda: stages.export(recipe, inputs.preprocessing, images, encoder, workdir),
    )


def finish(evaluate, export):
    """Do both, or what is not None of them; the second whatever mistake ends the first."""
    mistake = None
    try:
        if evaluate is not None:
            evaluate()
    except (UserError, OSError) as error:
        mistake = error
    if export is not None:
        export()
    if mistake is not None:
        raise mistake


def exports_of(workdir):
    """The folders of a run's exports that are whole."""
    return [path.parent for path in sorted(Path(workdir).glob(EXPORTS))]


def preview(recipe, workdir):
    """Write a picture of the views that the first images of a run would get."""
    path = import_stages().preview(recipe, Path(workdir or "."))
    print(f"Wrote {path}: a row for each image, the image and then its views.")


def complete(recipe, workdir):
    """Do what a run lacks whose training has ended, and nothing twice."""
    exports, results = exports_of(workdir), sorted(workdir.glob(RESULTS))
    files = [workdir / name for name in MODELS] + results + exports
    there = [str(path.relative_to(workdir)) for path in files]
    print(f"The training in '{workdir}' has ended; there are {', '.join(there)}.")
    for folder in (workdir, workdir / "export" / "encoder"):
        remove_leftovers(folder)
    evaluated = import_stages().is_evaluated(workdir, recipe)
    finish(
        None if evaluated else lambda: evaluate(recipe, workdir, resume=True),
        None if exports else lambda: export(recipe, workdir),
    )
    if evaluated and exports:
        print("--mode=evaluate judges the encoder again, --mode=export writes another version.")


def trained(recipe, workdir):
    """The stages, the trained encoder of a run, and the data of the recipe as it takes them."""
    stages = import_stages()
    encoder, preprocessing = stages.load_trained(workdir)
    inputs = stages.load_inputs(recipe, preprocessing)
    stages.tell_changes(inputs.data, workdir)
    return stages, encoder, inputs


def check_all(datasets):
    """Refuse names and paths of data sets that are none."""
    for name in datasets:
        check_name(name)
        check_exists(name)


def evaluate(recipe, workdir, resume=False):
    """Judge the trained encoder of a run, on its own data or on those of --dataset."""
    check_all(recipe.evaluation.shifted)
    stages, encoder, inputs = trained(recipe, workdir)
    stages.evaluate(recipe, inputs, encoder, workdir, resume)


def finetune(recipe, workdir):
    """Train the encoder of a run on shares of the labels, beside the same network from scratch."""
    stages, encoder, inputs = trained(recipe, workdir)
    stages.finetune(recipe, inputs, encoder, workdir)


def transfer(recipe, workdir):
    """Evaluate the encoder of a run on each of transfer.datasets."""
    if not recipe.transfer.datasets:
        raise UserError("Which data sets? Try --set transfer.datasets=cifar10,npz:images.npz.")
    check_all(recipe.transfer.datasets)
    stages = import_stages()
    encoder, preprocessing = stages.load_trained(workdir)
    stages.evaluate_transfer(recipe, preprocessing, encoder, workdir)


def export(recipe, workdir):
    """Write the next version of the SavedModel of a run's encoder."""
    stages = import_stages()
    encoder, preprocessing = stages.load_trained(workdir)
    images = stages.images_of(recipe, preprocessing)
    stages.export(recipe, preprocessing, images, encoder, workdir)


def codes(recipe, workdir, directory):
    """Write the discrete codes of a data set, by the encoder of a run."""
    stages, encoder, inputs = trained(recipe, workdir)
    stages.write_codes(inputs, encoder, directory or workdir / "codes")


def compare(folders):
    """Print the results of runs side by side."""
    if len(folders) < 2:
        raise UserError("--mode=compare takes the directories of two runs or more.")
    import_stages().compare(folders)


def run(options):
    """Do what the flags ask for."""
    if options.help:
        return print(config.read_docstring(__file__), config.format_flags(FLAGS), sep="\n")
    options.mode = options.mode or "pretrain"
    lookup(dict.fromkeys(MODES), options.mode, "mode")
    catalog = read_catalog()
    if options.method is not None:
        lookup(dict.fromkeys(catalog.method_names), options.method, "method")
    if options.mode == "list" and options.method is None:
        return print(config.format_catalog(catalog))
    if options.mode == "list":
        return print(config.format_method(catalog, options.method))
    if options.mode == "compare":
        return compare(options.runs)
    recipe = recipe_of(options, catalog)
    views = recipe.augment
    policy_for(views.policy, views.num_views, **views.overrides)  # refuses what does not fit
    check_name(recipe.data.dataset)  # likewise
    if recipe.export.one_hot and recipe.neck.kind == "none":
        raise UserError("export.one_hot: without a neck there are no codes. Leave it out.")
    if options.show_recipe:
        return print(config.format_recipe(recipe))
    if options.mode == "preview":
        check_exists(recipe.data.dataset)
        return preview(recipe, options.workdir)
    workdir = workdir_of(options, recipe)
    if options.mode != "pretrain":
        if options.mode == "codes":
            return codes(recipe, workdir, options.out)
        later = {"evaluate": evaluate, "finetune": finetune, "transfer": transfer, "export": export}
        return later[options.mode](recipe, workdir)
    if options.resume and all((workdir / name).exists() for name in MODELS):
        return complete(recipe, workdir)
    check_all((recipe.data.dataset, *recipe.evaluation.shifted))
    return pretrain(recipe, workdir, options.resume)


@contextlib.contextmanager
def terminated_as_interrupted():
    """Let SIGTERM end the program as Ctrl-C does, so that what is half written is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def main(argv=None):
    """Run the command line, by default that of this process; -> exit status.

    2 after a user's mistake, which is told in a line or two; 130 where a signal ended the run.
    """
    open_streams()
    try:
        with terminated_as_interrupted():
            status = run(parse_flags(sys.argv if argv is None else argv)) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read the output has enough of it: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("Stopped. A run that had begun goes on with --resume --workdir=...", file=sys.stderr)
        return INTERRUPTED
    except UserError as error:
        message = str(error)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = reason + (f": '{error.filename}'" if error.filename else "")
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
