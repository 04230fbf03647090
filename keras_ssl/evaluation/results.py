"""Results: what an evaluation found, as fields; written to and read from a run's directory.

`results.json` holds a row for each number. `results.npz` holds, for every row whose predictions are
known, which test images it got right: a matrix of bits with a line for each repetition (seed,
subset of labels), 625 bytes for 5,000 images. With them two runs are compared image by image.
"""

import functools
import hashlib
import json
import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.core.files import RESULTS, write_text, written_aside

_IMAGES = "images"  # the name under which results.npz says which images it is about
# Classifiers by their names in earlier versions: the same objective and rule, so the same numbers.
_RENAMED = {
    "multinomial logistic regression, L2, L-BFGS (scikit-learn)": (
        "multinomial logistic regression, L2, L-BFGS"
    )
}


@dataclass(frozen=True)
class Measurement:
    """What one evaluation of features found, before it is said of which encoder and data.

    Attributes:
        metrics: {name: percent}, such as {"accuracy": 97.5, "top5": 99.9}.
        protocol: dict of every setting of the evaluation (JSON values).
        std: {name: standard deviation over repetitions}, for metrics that have one.
        correct: bool (repetitions, test images), which predictions are correct; None where there
            are no predictions.
        details: {name: value} of what else was found, such as the strengths that were chosen.
        classifier: weights (classes, F) and biases (classes,) of a linear classifier that was
            trained, the last one of several, or None; it is not written.

    Example:

    >>> Measurement({"accuracy": 97.5}, {"k": 20}).accuracy
    97.5
    """

    metrics: dict
    protocol: dict
    std: dict = field(default_factory=dict)
    correct: np.ndarray | None = field(default=None, compare=False, repr=False)
    details: dict = field(default_factory=dict)
    classifier: tuple | None = field(default=None, compare=False, repr=False)

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, in percent."""
        return self.metrics["accuracy"]

    def results(
        self,
        task: str,
        dataset: str,
        *,
        source: str,
        readout: str | None = None,
        tau: float | None = None,
        split: str = "test",
    ) -> list["Result"]:
        """A `Result` for each metric, that of the accuracy with the predictions: a list.

        Args:
            task, dataset, source, readout, tau, split: as in `Result`.

        Example:

        >>> found = Measurement({"accuracy": 97.5, "top5": 99.9}, {"k": 20})
        >>> [one.metric for one in found.results("knn", "digits", source="pixels")]
        ['accuracy', 'top5']
        """
        return [
            Result(
                *(source, readout, tau, task, metric, value, dataset, split, self.protocol),
                std=self.std.get(metric),
                correct=self.correct if metric == "accuracy" else None,
            )
            for metric, value in self.metrics.items()
        ]


@dataclass(frozen=True)
class Result:
    """One number and what it takes to compare it.

    Attributes:
        source: where the features come from: "pixels", "random" (an untrained encoder),
            "pretrained", "fine-tuned", or "scratch" (trained with labels from random weights).
        readout: what is read of the encoder: "backbone", "embedding", "simplices", "codes", a kind
            of neck, a head of the method; None for the output of an encoder that has no neck.
        tau: temperature of the simplices, or None.
        task: "knn", "linear", "k-means", "transfer", ...; how it was set is in the protocol.
        metric: "accuracy" (top-1), "top5", ... in percent.
        value: float; None where there is no finite number.
        dataset: name of the data.
        split: the part that was scored, such as "test".
        protocol: dict of every setting of the evaluation (JSON values).
        std: standard deviation over repetitions, or None.
        correct: bool (repetitions, test images), which predictions are correct, or None.
        chosen: dict of what validation images chose, such as a learning rate (JSON values); an
            outcome, so no part of what numbers must share to be compared.

    Example:

    >>> result = Result("pixels", None, None, "knn", "accuracy", 97.5, "digits", "test", {"k": 20})
    >>> result.column[:2], len(result.key)
    (('knn', 'accuracy'), 12)
    """

    source: str
    readout: str | None
    tau: float | None
    task: str
    metric: str
    value: float | None
    dataset: str
    split: str
    protocol: dict
    std: float | None = None
    correct: np.ndarray | None = field(default=None, compare=False, repr=False)
    chosen: dict = field(default_factory=dict, compare=False)

    @property
    def representation(self) -> tuple:
        """What was evaluated: (source, readout, tau)."""
        return self.source, self.readout, self.tau

    @functools.cached_property
    def column(self) -> tuple:
        """What numbers must share to be compared: all but the representation and the value."""
        return self.task, self.metric, self.dataset, self.split, protocol_hash(self.protocol)

    @functools.cached_property
    def key(self) -> str:
        """Twelve digits of all but the value: what is measured again replaces what has its key."""
        return protocol_hash({"representation": self.representation, "column": self.column})


@dataclass(frozen=True)
class RunResults:
    """All results of a run.

    Attributes:
        results: list of `Result`.
        meta: dict of JSON values about the run as a whole.
        images: str or None. Digest of the test images that `correct` of the results is about.
    """

    results: list
    meta: dict
    images: str | None = None


def read_results(workdir: str | Path) -> RunResults:
    """What `write_results` left in a run's directory; nothing where nothing was measured.

    Rows of earlier versions, which named representation and task in words or the classifier by its
    library, are converted. A damaged `results.npz` counts as none, and a printed line says so.

    Raises:
        UserError: if `results.json` is damaged or holds something else.

    Example:

    >>> read_results(".").results  # a folder in which nothing was measured
    []
    """
    path = Path(workdir) / RESULTS
    correct, images = _read_correct(path.with_suffix(".npz"))
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        rows, meta = list(table["rows"]), dict(table.get("meta", {}))
        return RunResults([_result(row, correct) for row in rows], meta, images)
    except FileNotFoundError:
        return RunResults([], {}, images)
    except UserError as error:
        raise UserError(f"'{path}': {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"'{path}' is not a table of results: move it away.") from None


def write_results(
    workdir: str | Path, results: Iterable[Result], meta: dict, images: str | None = None
) -> None:
    """Add results to `results.json` and `results.npz` of a run's directory.

    What is there stays, unless it is measured again. An interrupted write leaves the old files.

    Args:
        workdir: folder, which must exist.
        results: iterable of `Result`. Values without a finite number become null.
        meta: dict of JSON values about the run as a whole, added to those that are there.
        images: str or None. `digest_of_images` of the test part that `correct` is about. Correct
            predictions on other images are dropped, and new ones where it is None.

    Raises:
        UserError: if predictions are not booleans, or not all of the same number of images.

    Example:

    >>> result = Result("pixels", None, None, "knn", "accuracy", 97.5, "digits", "test", {"k": 20})
    >>> write_results(".", [result], {"method": "byol"})
    >>> [one.value for one in read_results(".").results]
    [97.5]
    """
    old, results = read_results(workdir), list(results)
    kept = old.results
    if images is None:
        results = [replace(result, correct=None) for result in results]
    elif images != old.images:
        kept = [replace(result, correct=None) for result in kept]
    merged = list({result.key: result for result in [*kept, *results]}.values())  # in old places
    path = Path(workdir) / RESULTS
    # The predictions first: a note of what has been measured covers them.
    _write_correct(path.with_suffix(".npz"), merged, images or old.images)
    table = {"meta": {**old.meta, **meta}, "rows": [_row(result) for result in merged]}
    write_text(path, to_json(table, indent=2) + "\n")


def _row(result):
    names = ("source", "readout", "tau", "task", "metric", "value", "dataset", "split", "protocol")
    row = {name: getattr(result, name) for name in (*names, "std")}
    row |= {name: finite_or_none(row[name]) for name in ("value", "std")}
    row |= {"chosen": result.chosen} if result.chosen else {}
    return {**row, "protocol_hash": result.column[-1]}


def _result(row, correct):
    """The `Result` of a row of results.json, with its predictions."""
    old = None if "source" in row else _hash_of_words(row)
    row = row if old is None else _from_words(row)
    names = ("task", "metric", "value", "dataset", "split", "protocol")
    representation = (row["source"], row["readout"], row["tau"])
    result = Result(*representation, *(row[name] for name in names), std=row.get("std"))
    found = correct.get(result.key, correct.get(old))
    chosen = row.get("chosen", {})
    return replace(result, correct=found, chosen=chosen, protocol=_renamed(result.protocol))


def _renamed(protocol):
    """A protocol with the words that this version has for what earlier ones called otherwise."""
    classifier = protocol.get("classifier")
    return {**protocol, "classifier": _RENAMED[classifier]} if classifier in _RENAMED else protocol


def _write_correct(path, results, images):
    correct = {r.key: np.atleast_2d(r.correct) for r in results if r.correct is not None}
    counts = {one.shape[1] for one in correct.values()}
    if len(counts) > 1 or any(one.dtype != bool for one in correct.values()):
        raise UserError(
            f"Correct predictions must be booleans of the same images. Received {sorted(counts)}."
        )
    if not correct:
        return path.unlink(missing_ok=True)
    bits = {key: np.packbits(one, axis=1) for key, one in correct.items()}
    with written_aside(path) as aside:
        np.savez(aside, **bits, **{_IMAGES: np.array([images, str(next(iter(counts), 0))])})


def _read_correct(path):
    """({key: bool (repetitions, images)}, digest of the images); ({}, None) without any."""
    try:
        with np.load(path) as stored:
            images, count = (str(x) for x in stored[_IMAGES])
            correct = {
                key: np.unpackbits(stored[key], axis=1, count=int(count)).astype(bool)
                for key in stored.files
                if key != _IMAGES
            }
        return correct, images
    except FileNotFoundError:
        return {}, None
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile):
        _say_once(
            f"'{path}' is damaged or holds no predictions: there are no intervals for what it was "
            "about until that is measured again."
        )
        return {}, None


@functools.cache
def _say_once(text):
    print(text)


def _hash_of_words(row):
    """The key of a row of an earlier version in results.npz."""
    names = ("representation", "task", "metric", "dataset", "split", "protocol")
    return protocol_hash({name: row[name] for name in names})


def _from_words(row):
    """A row of an earlier version, whose representation and task are words of its table.

    Words such as "pretrained, SEM tau_d=0.1" and "linear, 10 labels/class" become fields; what the
    words of a task say is in the protocol too, or put there.

    Raises:
        UserError: for the name of a representation that no version wrote.
    """
    words, protocol, task = row["representation"], row["protocol"], row["task"]
    sources = {
        **{"raw pixels": "pixels", "random weights": "random", "from scratch": "scratch"},
        **{"pretrained, fine-tuned": "fine-tuned", "pretrained": "pretrained"},
    }
    name = next((name for name in sources if words == name or words.startswith(name + ", ")), None)
    if name is None:
        raise UserError(
            f"the row of '{words}' cannot be read by this version. Move the file away, and measure "
            "again with --mode=evaluate."
        )
    readout, tau = words[len(name) + 2 :] or None, None
    if readout is not None and readout.startswith("SEM tau_d="):
        readout, tau = "simplices", float(readout.removeprefix("SEM tau_d="))
    head, _, rest = task.partition(", ")
    if "among_classes" in protocol:
        task = f"shifted {head}"
    elif task.startswith("knn k="):
        task = "knn sweep"
    elif task.endswith(" % of labels"):
        share = float((rest or head).removesuffix(" % of labels")) / 100
        protocol = {"share": share, **protocol}
        task = "label fraction" if rest else "finetune"
    elif rest.endswith(" labels/class"):
        protocol = {"per_class": int(rest.removesuffix(" labels/class")), **protocol}
        task = "few labels"
    elif rest:
        task = rest  # the name of a probe
    readout = "backbone" if name == "random weights" else readout
    fields = {"source": sources[name], "readout": readout, "tau": tau, "task": task}
    return {**row, **fields, "protocol": protocol}


def protocol_hash(protocol: dict) -> str:
    """Twelve hexadecimal digits; equal for equal settings in whatever order.

    Example:

    >>> protocol_hash({"k": 20, "metric": "cosine"}) == protocol_hash({"metric": "cosine", "k": 20})
    True
    """
    canonical = to_json(protocol, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def finite_or_none(value: object) -> float | None:
    """`value` as a float, or None where JSON has no number for it (NaN, infinite, not a number).

    Example:

    >>> finite_or_none(np.float32(0.5)), finite_or_none(float("nan"))
    (0.5, None)
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def to_json(value: object, **options) -> str:
    """Strict JSON of plain values, NumPy scalars and arrays."""
    plain = lambda x: x.tolist() if isinstance(x, (np.generic, np.ndarray)) else str(x)  # noqa: E731
    return json.dumps(value, default=plain, allow_nan=False, **options)
