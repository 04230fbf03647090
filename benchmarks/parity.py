"""Compare an exported encoder with the evaluation, on files of every common kind.

    python -m benchmarks.parity RUN [--images=64]

RUN is the folder of a finished run with an export. Test images of its data become JPEG and PNG
files: as they are, stretched to 50 x 41 pixels, gray, and with an alpha channel. The newest version
in RUN/export/encoder reads them by `image_bytes`, the evaluation by its own way of reading files.
Prints the largest difference of the features and the share of codes that differ.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.common import Attempts, table


def files_of(images):
    """Files of color images: {kind: list of bytes}."""
    import tensorflow as tf

    def encoded(encode, turn=lambda image: image):
        return [encode(turn(tf.constant(image))).numpy() for image in images]

    def stretched(image):
        return tf.cast(tf.image.resize(image, (41, 50)), tf.uint8)

    def with_alpha(image):
        return tf.concat([image, tf.fill((*image.shape[:2], 1), tf.constant(128, tf.uint8))], -1)

    jpeg, png, gray = tf.io.encode_jpeg, tf.io.encode_png, tf.image.rgb_to_grayscale
    return {
        "JPEG": encoded(jpeg),
        "PNG": encoded(png),
        "JPEG, 50 x 41": encoded(jpeg, stretched),
        "PNG, 50 x 41": encoded(png, stretched),
        "gray JPEG": encoded(jpeg, gray),
        "gray PNG": encoded(png, gray),
        "RGBA PNG": encoded(png, with_alpha),
    }


def compare(encoder, preprocessing, serve, files, attempt):
    """{kind: (largest difference of features, share of codes that differ or None), or None}."""
    from export.signatures import readouts_of

    readouts = readouts_of(encoder, 0.1)
    return {
        kind: attempt(kind, differences, readouts, preprocessing, serve, contents)
        for kind, contents in files.items()
    }


def differences(readouts, preprocessing, serve, contents):
    """Largest difference of features, and the share of codes that differ or None."""
    import numpy as np
    import tensorflow as tf

    from pipelines.images.decoding import square_of
    from pipelines.images.headers import read_header

    side = preprocessing.image_size
    squares = np.stack([square_of(read_header(c), c, side) for c in contents])
    live = readouts(preprocessing.function(squares), training=False)
    served = serve(image_bytes=tf.constant(contents))
    difference = float(np.abs(served["features"] - live["features"]).max())
    codes = None
    if "codes" in served:
        codes = float(np.mean(served["codes"].numpy() != live["codes"].numpy()))
    return difference, codes


def format_table(rows):
    """The markdown table."""
    lines = []
    for kind, found in rows.items():
        if found is None:
            lines.append([kind, "failed"])
            continue
        difference, codes = found
        share = "" if codes is None else f"{codes:.1%}"
        lines.append([kind, f"{difference:.1e}", share])
    return table(["file", "features, largest difference", "codes that differ"], lines)


def main():
    """Compare the newest export of the run with its evaluation, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--images", type=int, default=64)
    options = parser.parse_args()
    import tensorflow as tf

    from stages.commands import open_run

    run = open_run(options.run)
    images = run.inputs.data.evaluation_images[: options.images]
    if images.shape[-1] != 3:
        sys.exit("error: the comparison takes a run on color images.")
    versions = [path for path in (options.run / "export/encoder").iterdir() if path.is_dir()]
    newest = max(versions, key=lambda path: int(path.name))
    serve = tf.saved_model.load(newest).signatures["image_bytes"]
    attempt, files = Attempts(), files_of(images)
    found = compare(run.encoder, run.inputs.preprocessing, serve, files, attempt)
    print(format_table(found))
    attempt.finish()


if __name__ == "__main__":
    main()
