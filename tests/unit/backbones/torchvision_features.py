"""Weights under torchvision's names, and the features that torchvision computes with them.

    python tests/unit/backbones/torchvision_features.py

writes data/torchvision_features.npz again, where torch and torchvision are installed. The weights
follow from a seed, so that the file holds features only. `reference_features` computes the same
with NumPy, for networks of any width.
"""

from pathlib import Path

import numpy as np

PATH = Path(__file__).parent / "data" / "torchvision_features.npz"
DEPTHS = {"resnet18": ((2, 2, 2, 2), 2), "resnet50": ((3, 4, 6, 3), 3)}
CASES = [(name, stem) for name in DEPTHS for stem in ("imagenet", "solo-learn")]


def shapes(name, stem, width=64):
    """{torchvision's name: shape} of the arrays of a ResNet without its classifier."""
    depths, convolutions = DEPTHS[name]
    side, found = (7 if stem == "imagenet" else 3), {}

    def conv_norm(conv, norm, outputs, inputs, kernel):
        found[f"{conv}.weight"] = (outputs, inputs, kernel, kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{norm}.{part}"] = (outputs,)
        found[f"{norm}.num_batches_tracked"] = ()

    conv_norm("conv1", "bn1", width, 3, side)
    inputs = width
    for stage, depth in enumerate(depths, 1):
        inner = width * 2 ** (stage - 1)
        outer = inner if convolutions == 2 else 4 * inner
        sizes = {2: [(inner, 3), (outer, 3)], 3: [(inner, 1), (inner, 3), (outer, 1)]}[convolutions]
        for block in range(depth):
            at, here = f"layer{stage}.{block}", inputs
            for index, (outputs, kernel) in enumerate(sizes, 1):
                conv_norm(f"{at}.conv{index}", f"{at}.bn{index}", outputs, here, kernel)
                here = outputs
            if block == 0 and (stage > 1 or inputs != outer):
                conv_norm(f"{at}.downsample.0", f"{at}.downsample.1", outer, inputs, 1)
            inputs = outer
    return found


def state(name, stem, width=64, seed=0):
    """Arrays for `shapes`: kernels that keep the size of the signal, statistics that matter."""
    draw = np.random.RandomState(seed)
    arrays = {}
    for key, shape in shapes(name, stem, width).items():
        if len(shape) == 4:
            value = draw.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif key.endswith(("running_var", "weight")):
            value = draw.uniform(0.5, 1.5, shape)
        else:
            value = draw.normal(size=shape) * 0.3
        arrays[key] = np.asarray(value, "float32" if shape else "int64")
    return arrays


def images(height=40, width=33, seed=1):
    """Two images, (2, height, width, 3); an odd side shows which way padding goes."""
    return np.random.RandomState(seed).normal(size=(2, height, width, 3)).astype("float32")


def reference_features(weights, batch, stem_padding=1):
    """What the network computes for (batch, height, width, 3), written out in NumPy."""

    def conv(x, name, stride, padding):
        kernel = weights[f"{name}.weight"].astype("float64")
        size = kernel.shape[-1]
        x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
        windows = windows[:, :, ::stride, ::stride]
        return np.einsum("bihwyx,oiyx->bohw", windows, kernel, optimize=True)

    def norm(x, name):
        scale, shift, mean, variance = (
            weights[f"{name}.{part}"].astype("float64")[:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return scale * (x - mean) / np.sqrt(variance + 1e-5) + shift

    def pool(x):
        x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
        return windows[:, :, ::2, ::2].max(axis=(-2, -1))

    def block(x, at, stride):
        three = f"{at}.conv3.weight" in weights
        plan = [(1, 0), (stride, 1), (1, 0)] if three else [(stride, 1), (1, 1)]
        y = x
        for index, (step, padding) in enumerate(plan, 1):
            y = norm(conv(y, f"{at}.conv{index}", step, padding), f"{at}.bn{index}")
            y = np.maximum(y, 0) if index < len(plan) else y
        if f"{at}.downsample.0.weight" in weights:
            x = norm(conv(x, f"{at}.downsample.0", stride, 0), f"{at}.downsample.1")
        return np.maximum(x + y, 0)

    x = batch.transpose(0, 3, 1, 2).astype("float64")
    large = weights["conv1.weight"].shape[-1] == 7
    x = conv(x, "conv1", 2 if large else 1, 3 if large else stem_padding)
    x = np.maximum(norm(x, "bn1"), 0)
    x = pool(x) if large else x
    for at in dict.fromkeys(k.rsplit(".conv1", 1)[0] for k in weights if ".conv1." in k):
        first = at.endswith(".0") and not at.startswith("layer1")
        x = block(x, at, 2 if first else 1)
    return x.mean(axis=(2, 3))


def _torchvision_features(name, stem):
    import torch
    import torchvision

    network = getattr(torchvision.models, name)()
    network.fc = torch.nn.Identity()
    if stem == "solo-learn":
        network.conv1 = torch.nn.Conv2d(3, 64, 3, stride=1, padding=2, bias=False)
        network.maxpool = torch.nn.Identity()
    weights = {key: torch.from_numpy(array) for key, array in state(name, stem).items()}
    network.load_state_dict(weights)  # refuses names and shapes that are not its own
    with torch.no_grad():
        return network.eval()(torch.from_numpy(images().transpose(0, 3, 1, 2))).numpy()


if __name__ == "__main__":
    np.savez_compressed(PATH, **{" ".join(case): _torchvision_features(*case) for case in CASES})
