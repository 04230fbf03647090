"""What the programs of this folder share: rows that fail alone, tables, memory, kept measurements.

The program for torchvision runs this file by a Python that has neither TensorFlow nor the project,
so that everything else is imported where it is needed.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
_WARM_UP = 4  # batches of a stream that do not count

# Rows and tables.


class Attempts:
    """Calls what measures a row, and says at the end which rows have no number.

    Attributes:
        failed: list of str. Names of the rows that failed.

    Example:

    >>> attempt = Attempts()
    >>> attempt("half", lambda x: x / 2, 3), attempt.failed
    (1.5, [])
    """

    def __init__(self):
        self.failed = []

    def __call__(self, name, measure, *arguments):
        """What `measure(*arguments)` gives; `None` where it fails, with the reason on stderr."""
        try:
            return measure(*arguments)
        except (Exception, SystemExit) as error:
            self.fail(name, f"{type(error).__name__}: {error}")

    def fail(self, name, reason):
        """Count a row as failed."""
        print(f"{name}: {reason}", file=sys.stderr, flush=True)
        self.failed.append(name)

    def finish(self):
        """End the program with status 1 and the names of the rows that failed, if there are any."""
        if self.failed:
            sys.exit(f"Failed: {', '.join(self.failed)}. The other rows are whole.")


def table(head, rows, *, texts=1):
    """The markdown table of cells, the first `texts` columns to the left; rows may lack the last.

    Example:

    >>> print(table(["method", "k-NN"], [["byol", 50], ["simclr"]]))
    | method | k-NN |
    | --- | ---: |
    | byol | 50 |
    | simclr |  |
    """
    from keras_ssl.evaluation.tables import markdown_table

    lines = [[*map(str, row), *[""] * (len(head) - len(row))] for row in [head, *rows]]
    return markdown_table(lines, texts=texts)


def parse(parser):
    """The command line as options of `parser`; what follows `--` is in their `rest`."""
    ours, rest = sys.argv[1:], []
    if "--" in ours:
        ours, rest = ours[: ours.index("--")], ours[ours.index("--") + 1 :]
    options = parser.parse_args(ours)
    options.rest = rest
    return options


# Time and memory; the latter is known on Linux only.


def stream_speed(start, seconds, *, views, bytes_of):
    """Read a stream for `seconds`, once it has gone through its first batches.

    Args:
        start: function that makes an iterator of batches.
        seconds: float.
        views: number of views in a batch.
        bytes_of: function from a batch to its size in bytes.

    Returns:
        {"views": views a second, "bytes": of a batch, "memory": growth of the peak of the process
        in bytes, or `None` where the system does not say}.
    """
    before = resident_memory(reset=True)
    batches = start()
    for _ in range(_WARM_UP):
        batch = next(batches)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        batch = next(batches)
        count += 1
    speed = views * count / (time.perf_counter() - begin)
    peak = resident_memory(peak=True)
    growth = None if before is None else max(peak - before, 0)
    return {"views": speed, "bytes": bytes_of(batch), "memory": growth}


def resident_memory(*, peak=False, reset=False):
    """Memory of this process in bytes, now or at its peak since the last reset, or `None`."""
    # Not ru_maxrss: it begins with what the process held that started this one.
    try:
        if reset:
            with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        return _field("/proc/self/status", "VmHWM:" if peak else "VmRSS:")
    except OSError:
        return None


def private_to_workers():
    """Memory that each child of this process has to itself, in bytes, at most; or `None`."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            children = file.read().split()
        return max((_private(child) for child in children), default=None)
    except OSError:
        return None


def _private(process):
    rollup = f"/proc/{process}/smaps_rollup"
    return sum(_field(rollup, name) for name in ("Private_Clean:", "Private_Dirty:"))


def _field(path, name):
    with open(path, encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))


# Comparisons of runs: train what is missing, keep what was measured.


def train(name, options):
    """Train the method to its end, or resume it; -> whether it came to its end.

    Args:
        name: str. The method.
        options: with `workdir`, the directory that holds the run; `dataset`; and `rest`, a list of
            other flags of `run.py`.

    Raises:
        UserError: if there is a run already that another recipe made.
    """
    workdir = Path(options.workdir) / name
    asked = [f"--method={name}", f"--dataset={options.dataset}", *options.rest]
    if (workdir / "recipe.json").exists():
        check_recipe(workdir, asked)
        asked = ["--resume"]
    if (workdir / "results.json").exists():
        return True
    command = [sys.executable, str(ROOT / "run.py"), f"--workdir={workdir}", *asked]
    Path(options.workdir).mkdir(parents=True, exist_ok=True)
    print(f"{name}: training, see {workdir}.log", file=sys.stderr, flush=True)
    with open(f"{workdir}.log", "a", encoding="utf-8") as log:
        status = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    if status:
        print(f"{name}: exit status {status}, see {workdir}.log", file=sys.stderr)
    return status == 0


def check_recipe(workdir, flags):
    """Refuse a run whose recipe is not the one that `flags` ask for."""
    import keras_ssl.config as config
    from keras_ssl.core.errors import UserError
    from stages.request import read_catalog

    made, asked = config.load(workdir, read_catalog()).settings, new_recipe(*flags).settings
    values = {key: [s.get(key, ("unset",))[0] for s in (made, asked)] for key in {**made, **asked}}
    for key in ("training.precision", "augment.where"):
        if values[key][1] == "auto":  # the hardware chose what the run has
            del values[key]
    other = [f"{key}={has}, not {wanted}" for key, (has, wanted) in values.items() if has != wanted]
    if other:
        raise UserError(
            f"The run in '{workdir}' has another recipe: {'; '.join(other)}. Give the options "
            "that it was made with, or another --workdir."
        )


def new_recipe(*flags):
    """The recipe of a run that `run.py` would start with these flags."""
    from stages import request

    options = request.parse_flags(["run.py", *flags])
    return request.recipe_of(options, request.read_catalog())


def accuracies_of(results, source, recipe):
    """Accuracies of features on the data of a run: {"knn", "linear" or "few labels": percent}.

    Args:
        results: iterable of `Result`, perhaps of other data sets and settings too.
        source: "random" or "pretrained", the encoder whose features were evaluated.
        recipe: `Recipe` of the run.

    Raises:
        UserError: if a task has two numbers, as of two settings of the evaluation.
    """
    from keras_ssl.core.errors import UserError

    dataset, few, found = recipe.data.dataset, recipe.evaluation.labels_per_class, {}
    for one in results:
        features = one.source == source and one.readout in (None, "backbone")
        number = one.task in ("knn", "linear", "few labels") and one.metric == "accuracy"
        own = one.dataset == dataset and one.protocol.get("per_class", few) == few
        if not (features and number and own):
            continue
        if one.task in found:
            raise UserError(
                f"The results have two accuracies of the task '{one.task}' on '{dataset}': move "
                "results.json away and evaluate the run again by --mode=evaluate."
            )
        found[one.task] = one.value
    return found


def kept(path, measure, is_current=lambda found: True):
    """What `measure()` says of a run: read from `path`, or measured once and kept there.

    It is measured again where `is_current` of what `path` holds is false.
    """
    from keras_ssl.core.files import write_text

    if not path.exists() or not is_current(json.loads(path.read_text(encoding="utf-8"))):
        write_text(path, json.dumps(measure()))
    return json.loads(path.read_text(encoding="utf-8"))


def exit_if_missing(names):
    """End with the names of the runs that did not come to their end, if there are any."""
    if names:
        sys.exit(f"Missing: {', '.join(names)}. Give the command again to resume.")
