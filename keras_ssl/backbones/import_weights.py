"""Turn a ResNet that PyTorch trained into an `encoder.keras`.

    python -m keras_ssl.backbones.import_weights CHECKPOINT OUT.keras [--prefix=backbone.]
        [--stem_padding=2]

Prints what was found. Where PyTorch is installed it also computes the features of random images
there, and writes nothing if they differ by more than 1e-4 of the largest.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from keras_ssl.backbones.state_dict import read_state_dict
from keras_ssl.backbones.torch_resnet import find_resnet, some
from keras_ssl.backbones.torch_weights import architecture, build_encoder
from keras_ssl.core.environment import open_streams
from keras_ssl.core.errors import UserError
from keras_ssl.core.files import save_model

TOLERANCE = 1e-4


def torch_features(weights, images, *, stem_padding):
    """Features that PyTorch computes from torchvision's names, without torchvision.

    Args:
        weights: {torchvision's name: float32 array} of a ResNet.
        images: float32 (batch, height, width, channels).
        stem_padding: int. Zeros around the images of a 3x3 stem.

    Returns:
        float32 array (batch, features).
    """
    import torch
    from torch.nn import functional

    weights = {name: torch.from_numpy(array) for name, array in weights.items()}

    def conv_norm(x, conv, norm, **options):
        x = functional.conv2d(x, weights[f"{conv}.weight"], **options)
        mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        return functional.batch_norm(
            x, mean, variance, weights[f"{norm}.weight"], weights[f"{norm}.bias"], eps=1e-5
        )

    def block(x, name, stride):
        last = 3 if f"{name}.conv3.weight" in weights else 2
        y = x
        for i in range(1, last + 1):
            kernel = weights[f"{name}.conv{i}.weight"].shape[-1]
            options = {"padding": kernel // 2, "stride": stride if i == last - 1 else 1}
            y = conv_norm(y, f"{name}.conv{i}", f"{name}.bn{i}", **options)
            y = functional.relu(y) if i < last else y
        if f"{name}.downsample.0.weight" in weights:
            x = conv_norm(x, f"{name}.downsample.0", f"{name}.downsample.1", stride=stride)
        return functional.relu(x + y)

    with torch.no_grad():
        x = torch.from_numpy(np.transpose(images, (0, 3, 1, 2)).copy())
        if weights["conv1.weight"].shape[-1] == 7:
            x = functional.relu(conv_norm(x, "conv1", "bn1", stride=2, padding=3))
            x = functional.max_pool2d(x, 3, stride=2, padding=1)
        else:
            x = functional.relu(conv_norm(x, "conv1", "bn1", padding=stem_padding))
        for stage in range(1, 5):
            index = 0
            while f"layer{stage}.{index}.conv1.weight" in weights:
                x = block(x, f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1)
                index += 1
        return x.mean(dim=(2, 3)).numpy()


def parity(found, encoder, stem_padding):
    """Largest difference of the features from PyTorch's, as a share of the largest; or None."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return None
    channels = encoder.input_shape[-1]
    images = np.random.RandomState(0).normal(size=(2, 65, 64, channels)).astype("float32")
    theirs = torch_features(found.weights, images, stem_padding=stem_padding)
    ours = np.asarray(encoder(images, training=False))
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def convert(checkpoint, out, *, prefix=None, stem_padding=None):
    """Import `checkpoint`, print what it is, and write the encoder to `out`.

    Raises:
        UserError: for a file that cannot be imported, or features that differ from PyTorch's.
    """
    if Path(out).suffix != ".keras":
        raise UserError(f"'{out}' must end in .keras.")
    found = find_resnet(read_state_dict(checkpoint), prefix)
    built = architecture(found, stem_padding)
    encoder = build_encoder(found, stem_padding)
    print(describe(found, built))
    difference = parity(found, encoder, built["stem_padding"])
    if difference is None:
        print("parity      not measured: PyTorch is not installed")
    else:
        print(f"parity      features differ from PyTorch's by {difference:.1e} of the largest")
        if not difference < TOLERANCE:
            raise UserError(f"The features differ by more than {TOLERANCE:g}: nothing is written.")
    save_model(encoder.save, out)
    print(f"written     {out}")


def describe(found, built):
    """What was found, in lines."""
    origin = "a solo-learn checkpoint" if found.solo_learn else found.naming.what
    padding = f", padding {built['stem_padding']}" if built["stem"] == "cifar" else ""
    lines = {
        "origin": f"{origin}, prefix '{found.prefix}'",
        "network": f"{built['name']}, width {built['width']}",
        "stem": f"{built['stem']}{padding}, {built['input_shape'][-1]} channels",
        "left out": some(found.left_out) or "nothing",
    }
    return "\n".join(f"{name:<11} {text}" for name, text in lines.items())


def main(argv=None):
    open_streams()
    parser = argparse.ArgumentParser(prog="python -m keras_ssl.backbones.import_weights")
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--prefix", help="what the names of the network begin with")
    parser.add_argument("--stem_padding", type=int, help="zeros around the images of a 3x3 stem")
    options = parser.parse_args(argv)
    try:
        convert(
            options.checkpoint,
            options.out,
            prefix=options.prefix,
            stem_padding=options.stem_padding,
        )
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
