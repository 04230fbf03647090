"""The views of a policy drawn by torchvision in worker processes; `augmentation.py` runs it.

It is run by another Python, which has torch, torchvision and Pillow, and imports nothing of the
project but `common.py`.
"""

import importlib.util
import json
import random
import sys
from pathlib import Path

import torch


def declare_operators():
    """Stand in for compiled operators that torchvision asks for when it is imported.

    Its transforms need none of them. Where it has brought them, two of one name end the process.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or any(Path(spec.origin).parent.glob("_C*")):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


LIBRARY = declare_operators()  # what it declares goes with it

import numpy as np  # noqa: E402
from common import private_to_workers, stream_speed  # noqa: E402
from PIL import Image, ImageFilter  # noqa: E402
from torchvision import transforms  # noqa: E402


class Blur:
    def __init__(self, low, high):
        self.low, self.high = low, high

    def __call__(self, image):
        return image.filter(ImageFilter.GaussianBlur(random.uniform(self.low, self.high)))


def transform_of(policy, size):
    """A `ViewPolicy`, given as a dictionary, in the words of torchvision."""
    jitter = [policy[name] for name in ("brightness", "contrast", "saturation", "hue")]
    steps = [
        transforms.RandomResizedCrop(
            size,
            scale=policy["crop_scale"],
            ratio=policy["crop_ratio"],
            interpolation=transforms.InterpolationMode(policy["interpolation"]),
        ),
        transforms.RandomHorizontalFlip(policy["flip"]),
        transforms.RandomApply([transforms.ColorJitter(*jitter)], policy["jitter_probability"]),
        transforms.RandomGrayscale(policy["grayscale"]),
    ]
    if policy["blur"]:
        steps.append(transforms.RandomApply([Blur(*policy["blur_sigma"])], policy["blur"]))
    last = [transforms.ToTensor(), transforms.Normalize(3 * [0.5], 3 * [0.25])]
    return transforms.Compose(steps + last)


class Views(torch.utils.data.Dataset):
    """Endless pairs of views of the images of a case."""

    def __init__(self, case):
        self.policies = [transform_of(policy, case["size"]) for policy in case["policy"]]
        self.files = sorted(Path(case["folder"]).glob("*/*.jpg")) if "folder" in case else None
        self.images = None if self.files else np.load(case["array"])

    def __len__(self):
        return 10**7

    def __getitem__(self, place):
        if self.files:
            image = Image.open(self.files[place % len(self.files)]).convert("RGB")
        else:
            image = Image.fromarray(self.images[place % len(self.images)])
        return [draw(image) for draw in self.policies]


def run(case, seconds, workers):
    loader = torch.utils.data.DataLoader(
        Views(case), batch_size=case["batch_size"], num_workers=workers
    )
    batches = iter(loader)
    found = stream_speed(
        lambda: batches,
        seconds,
        views=len(case["policy"]) * case["batch_size"],
        bytes_of=lambda batch: sum(view.numel() * view.element_size() for view in batch),
    )
    found["memory"] = private_to_workers()
    return found


def main():
    """Time the cases of the task on the command line, and print a line of JSON for each."""
    task = json.loads(sys.argv[1])
    for name, case in task["cases"].items():
        print(json.dumps({name: run(case, task["seconds"], task["workers"])}), flush=True)


if __name__ == "__main__":
    main()
