"""Time the augmentation, next to Keras's layers and torchvision, and each operator alone.

    python -m benchmarks.augmentation [--peer_python=PATH] [--dataset=npz:images.npz] \
        [--seconds=3] [--workers=2] [--operator_size=224]

All rows draw the same policy of two views from the same images, one row after the other, each in a
process of its own. `--peer_python` is a Python that has torch, torchvision and Pillow. Without
`--dataset` the images are smooth colors with a little noise, from a fixed seed. It takes about
four minutes on two cores, and wants an idle machine. docs/augmentation.md explains the columns.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import Attempts, table
from pipelines.views.policies import policy_for

HERE = Path(__file__).resolve().parent

BATCHES = {32: 256, 64: 128, 96: 64, 224: 32}  # images of a batch by the side of the views
IMAGES = {32: 512, 64: 512, 96: 256, 256: 128}  # by their own side
JPEGS, JPEG_SHAPE = 128, (375, 500)
ROWS = {
    "`train_views`": "ours",
    "the same without XLA": "without XLA",
    "Keras's random layers": "Keras layers",
    "torchvision, {workers} workers": "torchvision",
}
COLUMNS = {
    "32 px": (32, 32),
    "64 px": (64, 64),
    "96 px": (96, 96),
    "224 px of 256": (256, 224),
    "224 px of JPEG": ("jpeg", 224),
}
_NOTHING = {
    "crop_scale": (1.0, 1.0),
    "jitter_probability": 0.0,
    "grayscale": 0.0,
    "blur": 0.0,
    "flip": 0.0,
}
_WITHOUT = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
OPERATORS = {
    "none, only normalized": {},
    "crop, bilinear": {"crop_scale": (0.08, 1.0)},
    "crop, bicubic": {"crop_scale": (0.08, 1.0), "interpolation": "bicubic"},
    "flip": {"flip": 0.5},
    "affine": {"rotation": 15.0, "shear": 15.0, "translate": 0.1, "zoom": (0.8, 1.2)},
    "quarter_turn": {"quarter_turn": 1.0},
    **{
        name: {"jitter_probability": 1.0, **_WITHOUT, name: strength}
        for name, strength in (("brightness", 0.8), ("contrast", 0.8), ("saturation", 0.8))
    },
    "hue": {"jitter_probability": 1.0, **_WITHOUT, "hue": 0.2},
    "grayscale": {"grayscale": 1.0},
    "blur": {"blur": 1.0},
    "sobel": {"sobel": 1.0},
    "solarize": {"solarize": 1.0},
    "noise": {"noise": 0.1},
    "cutout": {"cutout": 1.0},
    "erase": {"erase": 1.0},
}


def policy_at(size):
    """SimCLR's two views: those of CIFAR, with the blur of ImageNet at 224 pixels."""
    return policy_for("cifar_symmetric" if size < 224 else "imagenet_symmetric")


def case(source, size, policy, folder):
    """What a row is asked for, as JSON can say it."""
    found = {
        "size": size,
        "batch_size": BATCHES.get(size, 64),
        "policy": [dataclasses.asdict(view) for view in policy],
    }
    if source == "jpeg":
        return {**found, "folder": str(folder / "jpeg")}
    return {**found, "array": str(folder / f"{source}.npy")}


def write_images(folder, dataset, sides):
    """Write the images of every source below `folder`."""
    for side in sides:
        np.save(folder / f"{side}.npy", images_of(dataset, IMAGES.get(side, 128), (side, side)))
    import tensorflow as tf

    for part in ("train", "test"):
        (folder / "jpeg" / part).mkdir(parents=True)
    for row, image in enumerate(images_of(dataset, JPEGS + 1, JPEG_SHAPE)):
        content = tf.io.encode_jpeg(image, quality=90).numpy()
        part = "train" if row < JPEGS else "test"
        (folder / "jpeg" / part / f"{row:03}.jpg").write_bytes(content)


def images_of(dataset, count, shape):
    """`count` images of `shape`, uint8 RGB: those of the data set resized, or smooth ones."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    if dataset:
        from pipelines.data.load import load

        images = load(dataset).train_images
        small = images[np.arange(count) % len(images)].astype("float32")
        small = np.repeat(small, 3, axis=-1) if small.shape[-1] == 1 else small
    else:
        small = 255.0 * rng.random((count, 8, 8, 3), dtype="float32")
    large = tf.image.resize(small, shape, method="bicubic", antialias=True).numpy()
    if not dataset:
        large += 8.0 * rng.standard_normal(large.shape, dtype="float32")
    return np.clip(np.round(large), 0, 255).astype("uint8")


def measured(kind, cases, options, attempt):
    """{name of the case: what the clock says}, or `None` where the peer is not installed.

    A case that ends its process is left out, and the others continue in a new one.
    """
    task = {"kind": kind, "seconds": options.seconds, "workers": options.workers}
    program = [sys.executable, "-m", "benchmarks.augmentation_streams"]
    if kind == "torchvision":
        program = [options.peer_python, str(HERE / "augmentation_torchvision.py")]
        if not options.peer_python:
            return None
    print(f"{kind}: {len(cases)} to measure", file=sys.stderr, flush=True)
    found, left = {}, dict(cases)
    while left:
        command = [*program, json.dumps({**task, "cases": left})]
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            if line.startswith("{"):  # not what a library says
                found |= json.loads(line)
        left = {name: case for name, case in left.items() if name not in found}
        if left:
            name = next(iter(left))
            del left[name]
            reason = f"ended with status {done.returncode}:\n{done.stderr[-2000:]}"
            attempt.fail(f"{kind}, {name}", reason)
    return found


def speed_table(rows):
    """The markdown table of {row: {column: what the clock says} or `None`}: views a second."""
    return table(
        ["views/s", *COLUMNS],
        [
            [name, *("not installed" if found is None else _speed(found.get(c)) for c in COLUMNS)]
            for name, found in rows.items()
        ],
    )


def _speed(clock):
    return "failed" if clock is None else f"{clock['views']:,.0f}"


def memory_table(rows):
    """The markdown table of what a batch holds, and what each row takes."""
    rows = {name: [(found or {}).get(c, {}) for c in COLUMNS] for name, found in rows.items()}
    ours = next(iter(rows.values()))
    lines = [["one batch", *(_mebibytes(clock.get("bytes")) for clock in ours)]]
    for name, clocks in rows.items():
        if any(clocks):
            lines.append([name, *(_mebibytes(clock.get("memory")) for clock in clocks)])
    return table(["MiB", *COLUMNS], lines)


def _mebibytes(size):
    return "" if size is None else f"{size / 2**20:.0f}"


def operator_table(found, size):
    """The markdown table of {operator: what the clock says}: microseconds for a view."""
    rows = [[name, f"{1e6 / clock['views']:.0f}"] for name, clock in found.items()]
    return table([f"operator alone, {size} px", "us / view"], rows)


def operator_cases(size, folder):
    policies = {
        name: policy_for("cifar_symmetric", **{**_NOTHING, **fields})
        for name, fields in OPERATORS.items()
    }
    return {name: case(size, size, policy, folder) for name, policy in policies.items()}


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer_python", default="", help="a Python with torch and torchvision")
    parser.add_argument("--dataset", default="", help="as for run.py; smooth images by default")
    parser.add_argument("--seconds", type=float, default=3.0, help="that each cell is timed for")
    parser.add_argument("--workers", type=int, default=2, help="of torchvision's DataLoader")
    parser.add_argument("--operator_size", type=int, default=224, help="of the second table")
    return parser.parse_args()


def main():
    """Time all streams, and print the tables of their speed and memory and of the operators."""
    options, attempt = read_arguments(), Attempts()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        sides = {source for source, _ in COLUMNS.values()} - {"jpeg"}
        write_images(folder, options.dataset, sorted({*sides, options.operator_size}))
        cases = {
            column: case(source, size, policy_at(size), folder)
            for column, (source, size) in COLUMNS.items()
        }
        rows = {
            name.format(workers=options.workers): measured(kind, cases, options, attempt)
            for name, kind in ROWS.items()
        }
        alone = measured("ours", operator_cases(options.operator_size, folder), options, attempt)
    print(speed_table(rows), memory_table(rows), sep="\n\n")
    print("", operator_table(alone, options.operator_size), sep="\n")
    attempt.finish()


if __name__ == "__main__":
    main()
