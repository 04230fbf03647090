"""What discrete codes cost and reach, next to the dense features that they come from.

    python -m benchmarks.codes --run=runs/sem_byol [--workdir=runs/codes]
        [--num_simplices=5000 --simplex_size=13] [--images=10000] [--strengths=45]
        [--temperatures=0.1,1] [--scikit_learn]

One table of linear classifiers by the transfer protocol, each in a process of its own, and one of
nearest neighbors. --num_simplices attaches an embedder of that size with random weights to the
backbone of the run: for time and memory at that size, not for what training would reach there.
--strengths=9 tries fewer regularizations, for all rows. --scikit_learn adds rows of
`sklearn.linear_model.LogisticRegression` by the same protocol.
"""

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.common import ROOT, Attempts, resident_memory

HEADER = ("features", "solver", "bytes / image", "accuracy", "C", "seconds", "peak MiB")
PARTS = ("train", "test")


def prepare(task):
    """Write codes, dense features and labels of both parts; -> what the table says of them."""
    options = argparse.Namespace(**task)
    import numpy as np

    from keras_ssl.layers.necks import at_temperature, bottleneck_of
    from stages.commands import open_run

    run = open_run(options.run, dataset=options.dataset)
    encoder, data, preprocess = run.encoder, run.inputs.data, run.preprocess
    images = {"train": data.train_images[: options.images], "test": data.test_images}
    if options.num_simplices:
        sizes = {"num_simplices": options.num_simplices, "simplex_size": options.simplex_size}
        encoder = random_neck(encoder, preprocess, images["train"][:1000], sizes)
    folder = Path(options.workdir)
    folder.mkdir(parents=True, exist_ok=True)
    for part, labels in zip(PARTS, (data.train_labels, data.test_labels), strict=True):
        np.save(folder / f"labels_{part}.npy", labels[: len(images[part])])
        for tau in options.temperatures:
            path = folder / f"tau_{tau}_{part}.npy"
            write_dense(at_temperature(encoder, float(tau)), images[part], preprocess, path)
    seconds = write_codes(encoder, images, preprocess, folder)
    count = sum(len(part) for part in images.values())
    sizes = bottleneck_of(encoder)
    return sizes.num_simplices, sizes.simplex_size, count / seconds


def random_neck(encoder, preprocess, images, sizes):
    """The backbone of `encoder` with an untrained embedder of outputs of mean 0, variance 1."""
    import keras

    import keras_ssl
    from keras_ssl.evaluation.representation import extract
    from keras_ssl.layers.necks import bottleneck_of

    keras.utils.set_random_seed(0)
    encoder = keras_ssl.sem_neck(keras_ssl.backbone_of(encoder), **sizes)
    norm = encoder.layers[encoder.layers.index(bottleneck_of(encoder)) - 1]
    values = extract(keras.Model(encoder.input, norm.input), images, preprocess)
    norm.moving_mean.assign(values.mean(axis=0))
    norm.moving_variance.assign(values.var(axis=0))
    return encoder


def write_dense(model, images, preprocess, path, batch_size=256):
    """Features of all images as a `.npy` file, a batch at a time."""
    import numpy as np

    from keras_ssl.evaluation.representation import FeatureExtractor

    extract = FeatureExtractor(model, preprocess, batch_size=batch_size)
    shape = (len(images), model.output_shape[-1])
    file = np.lib.format.open_memmap(path, "w+", "float32", shape)
    for start in range(0, len(images), batch_size):
        file[start : start + batch_size] = extract(images[start : start + batch_size])
    file.flush()


def write_codes(encoder, images, preprocess, folder):
    """Codes of both parts by `export.codes.encode`; -> seconds."""
    import shutil

    from export.codes import encode

    began = time.perf_counter()
    for part in PARTS:
        where = folder / f"codes_{part}"
        shutil.rmtree(where, ignore_errors=True)
        encode(encoder, images[part], preprocess, where, made_from={"part": part})
    return time.perf_counter() - began


def measure_probe(task):
    """Bytes of an image, accuracy, C, seconds and MiB of a linear classifier."""
    import numpy as np

    from keras_ssl.evaluation.probes import transfer

    before = resident_memory(peak=True)  # of the libraries
    folder, is_codes = Path(task["folder"]), task["features"] == "codes"
    names = [f"codes_{p}/codes" if is_codes else f"{task['features']}_{p}" for p in PARTS]
    train, test = (np.load(folder / f"{name}.npy") for name in names)
    train_labels, test_labels = (np.load(folder / f"labels_{part}.npy") for part in PARTS)
    parts = (train, train_labels, test, test_labels)
    options = {"simplex_size": task["simplex_size"]} if is_codes else {}
    began = time.perf_counter()
    if task["solver"] == "scikit-learn":
        accuracy, c = scikit_learn_probe(*parts, task["strengths"], **options)
    else:
        probe = transfer.codes_probe if is_codes else transfer.dense_probe
        result = probe(*parts, strengths=task["strengths"], **options)
        accuracy, c = result.accuracy, result.details["c"][0]
    seconds = time.perf_counter() - began
    return train[0].nbytes, accuracy, c, seconds, (resident_memory(peak=True) - before) / 2**20


def scikit_learn_probe(train, train_labels, test, test_labels, strengths, simplex_size=None):
    """The protocol of `dense_probe` with scikit-learn as solver: -> accuracy, C."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    from keras_ssl.evaluation.probes.code_products import one_hot_csr
    from keras_ssl.evaluation.probes.transfer import PROTOCOL
    from keras_ssl.evaluation.splits import stratified_parts

    if simplex_size:
        train, test = (one_hot_csr(part, simplex_size) for part in (train, test))
    rest, held = stratified_parts(train_labels, seed=0)[0]
    settings = {"tol": PROTOCOL["tolerance"], "max_iter": PROTOCOL["max_iterations"]}
    model = LogisticRegression(warm_start=True, **settings)
    parts = train[rest], train_labels[rest], train[held], train_labels[held]
    scores = {}
    for c in np.geomspace(*PROTOCOL["c_range"], strengths):
        model.set_params(C=c).fit(*parts[:2])
        scores[float(c)] = model.score(*parts[2:])
    c = max(scores, key=scores.get)
    model.set_params(C=c).fit(train, train_labels)
    return 100 * model.score(test, test_labels), c


def measure_search(task):
    """Seconds of `search` and of scikit-learn for the same queries, and whether they agree."""
    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    from export.code_search import search

    folder = Path(task["folder"])
    codes, queries = (np.load(folder / f"codes_{part}" / "codes.npy") for part in PARTS)
    queries, k = queries[: task["queries"]], min(20, len(codes))
    began = time.perf_counter()
    found = search(codes, queries, k, simplex_size=task["simplex_size"])
    ours = time.perf_counter() - began
    theirs = NearestNeighbors(n_neighbors=k, metric="hamming", algorithm="brute").fit(codes)
    began = time.perf_counter()
    distances, _ = theirs.kneighbors(queries)
    seconds = time.perf_counter() - began
    same = np.allclose(1 - found.agreements / codes.shape[1], distances, atol=1e-12)
    return {"queries": len(queries), "codes": len(codes), "k": k} | {
        "ours": ours,
        "scikit-learn": seconds,
        "same distances": bool(same),
    }


WORK = {"prepare": prepare, "probe": measure_probe, "search": measure_search}


def in_process(what, **task):
    """What `WORK[what](task)` gives in a process that holds nothing else."""
    task = json.dumps({**task, "what": what})
    command = [sys.executable, "-m", "benchmarks.codes", "--task", task]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def work(task):
    """Print what the task gives as JSON."""
    from keras_ssl.core.errors import UserError

    try:
        print(json.dumps(WORK[task["what"]](task)))
    except UserError as error:
        sys.exit(f"error: {error}")


def line_of(features, solver, found):
    """A line of the table; `found` is what `measure_probe` gave, or None where it failed."""
    cells = ["failed", *4 * [""]]
    if found is not None:
        forms = ("{}", "{:.1f}", "{:.2g}", "{:.1f}", "{:.0f}")
        cells = [form.format(value) for form, value in zip(forms, found, strict=True)]
    return "| " + " | ".join([features, solver, *cells]) + " |"


def main():
    """Measure what the command line asks for, and print a line as each is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--run", help="directory of a finished run with a SEM neck")
    parser.add_argument("--dataset", help="by default that of the run")
    parser.add_argument("--workdir", default="runs/codes")
    parser.add_argument("--num_simplices", type=int, default=0)
    parser.add_argument("--simplex_size", type=int, default=13)
    parser.add_argument("--images", type=int, help="train images; all by default")
    parser.add_argument("--strengths", type=int, default=45)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--temperatures", type=lambda text: text.split(","), default=["0.1", "1"])
    parser.add_argument("--scikit_learn", action="store_true")
    options = parser.parse_args()
    if options.task:
        return work(json.loads(options.task))
    if not Path("/proc/self/status").exists():
        parser.error("the peak of memory is read from /proc, which only Linux has")
    if options.run is None:
        parser.error("--run=DIRECTORY is needed, that of a finished run")
    num_simplices, simplex_size, speed = in_process("prepare", **vars(options))
    print(f"{num_simplices} simplices of {simplex_size}; {speed:.0f} images / s to codes\n")
    attempt = Attempts()
    task = {"folder": options.workdir, "simplex_size": simplex_size}
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER), flush=True)
    for solver in ("ours", "scikit-learn")[: 1 + options.scikit_learn]:
        for features in ("codes", *(f"tau_{tau}" for tau in options.temperatures)):
            asked = {"features": features, "solver": solver, "strengths": options.strengths}
            measure = partial(in_process, "probe", **task, **asked)
            print(line_of(features, solver, attempt(f"{features}, {solver}", measure)), flush=True)
    found = attempt("search", partial(in_process, "search", **task, queries=options.queries))
    if found is not None:
        print("\nsearch: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
    attempt.finish()


if __name__ == "__main__":
    main()
