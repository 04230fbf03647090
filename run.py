"""Pretrain an image encoder without labels, evaluate it, and export it.

    python run.py --method=sem_byol                         on the embedded digits
    python run.py --method=simclr --dataset=npz:images.npz  on images of your own
    python run.py --mode=list                               what there is to choose from

Every setting can be reached by --set; --show_recipe prints them all.
"""

import contextlib
import os
import signal
import sys
import threading

from pipelines.lazy import stand_in

stand_in("keras_ssl")

import keras_ssl.config as config  # noqa: E402
from keras_ssl.core import environment  # noqa: E402
from keras_ssl.core.errors import UserError, lookup  # noqa: E402
from stages import request  # noqa: E402


def import_commands():
    """The commands, and TensorFlow with them, on hardware that it can use."""
    environment.import_quietly("stages.devices").check_hardware()
    return environment.import_quietly("stages.commands")


def run(options):
    """Do what the flags ask for; -> exit status, None for 0."""
    if options.help:
        text = config.read_docstring(__file__), config.format_flags(request.FLAGS)
        return print(*text, sep="\n")
    catalog, mode = request.read_catalog(), options.mode
    if options.method is not None:
        lookup(dict.fromkeys(catalog.method_names), options.method, "method")
    if mode == "list" and not (options.show_cost and options.method):
        listed = config.format_catalog(catalog)
        if options.method is not None:
            listed = config.format_method(catalog, options.method)
        return print(listed)
    if mode == "compare":
        if len(options.runs) < 2:
            raise UserError("--mode=compare takes the directories of two runs or more.")
        return import_commands().compare(options.runs, options.out)
    if options.show_cost:  # of a new run, by whatever mode it is asked for
        options.mode = "pretrain"
    recipe = request.recipe_of(options, catalog)
    request.check_recipe(recipe)
    if options.show_recipe:
        return print(config.format_recipe(recipe))
    if options.show_cost:
        return import_commands().show_cost(recipe)
    workdir = request.workdir_of(options, recipe)
    if not (options.resume and request.is_trained(workdir)):
        request.check_mode(mode, recipe, workdir)
    more = {"pretrain": [options.resume], "codes": [options.out]}.get(mode, [])
    return getattr(import_commands(), mode)(recipe, workdir, *more)


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

    2 after a user's mistake, which is explained in a line or two; 130 where a signal ended the run.
    """
    environment.open_streams()
    try:
        with terminated_as_interrupted():
            status = run(request.parse_flags(sys.argv if argv is None else argv)) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read the output has enough of it: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        again = "a training resumes with --resume --workdir=..., other modes by the same command."
        print(f"Stopped: {again}", file=sys.stderr)
        return request.INTERRUPTED
    except UserError as error:
        message = str(error)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = reason + (f": '{error.filename}'" if error.filename else "")
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
