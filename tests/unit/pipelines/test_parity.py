"""Whole policies against torchvision's semantics: distributions of what views show, over many."""

import colorsys
import math

import numpy as np
import pytest
import tensorflow as tf

from pipelines.views import augment, random, view
from pipelines.views.policies import ViewPolicy

SEED = tf.constant([5, 9])
STILL = {"crop_scale": (1.0, 1.0), "jitter_probability": 0.0, "grayscale": 0.0, "flip": 0.0}
N = 4000
RATIO = (3 / 4, 4 / 3)


# Compiled, as in the views: outside of XLA the same seed draws other numbers.
_draw = tf.function(random.draw, jit_compile=True, autograph=False)


def draws_of(count=N, seed=SEED, view=0):
    drawn = _draw(N, 2, tf.constant(seed), None)
    return {name: rows[..., :count, view] for name, rows in drawn.items()}


def views_of(images, **settings):
    """One view of each image, with this policy and nothing else."""
    images = tf.cast(images, tf.float32)
    policy = ViewPolicy(**(STILL | settings))
    noise = random.noise_of(len(images), 1, SEED, None)
    return view.one_view(images, policy, images.shape[1], draws_of(len(images)), noise).numpy()


def boxes_of(height, width, *, scale, count=N, boxes=augment.crop_boxes):
    sides = [tf.fill((count,), side) for side in (height, width)]
    found = boxes((ViewPolicy(crop_scale=scale),), "global", *sides, SEED, None, count)
    return [x[:, 0].numpy() for x in found]


def distance(sample, other=None):
    """Kolmogorov and Smirnov's, times the root of the size: below 1.95 for one law (p 0.001)."""
    sample = np.sort(np.asarray(sample, float))
    other = np.linspace(0, 1, 10 * len(sample)) if other is None else np.sort(other)
    both = np.concatenate([sample, other])
    parts = [np.searchsorted(part, both, side="right") / len(part) for part in (sample, other)]
    size = len(sample) * len(other) / (len(sample) + len(other))
    return np.abs(parts[0] - parts[1]).max() * math.sqrt(size)


def within(sample, low, high):
    return (np.asarray(sample, float) - low) / (high - low)


def largest_correlation(first, second):
    """Over the rows of one and the rows of the other, times the root of the number of columns."""
    first, second = (
        (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True) for x in (first, second)
    )
    return np.abs(first @ second.T).max() / math.sqrt(first.shape[1])


def stacked(draws):
    """(numbers, images), of all draws."""
    return np.concatenate([np.atleast_2d(rows) for rows in draws.values()]).astype(float)


# Crops.


def torchvision_box(rng, height, width, scale, ratio):
    """RandomResizedCrop.get_params: top, left, height, width."""
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w
    h, w = height, width
    if width / height < ratio[0]:
        h = round(w / ratio[0])
    elif width / height > ratio[1]:
        w = round(h * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("shape", [(32, 32), (48, 64), (200, 90)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.2, 1.0)])
def test_boxes_have_the_laws_of_ten_tries(shape, scale):
    rng = np.random.default_rng(1)
    ours = boxes_of(*shape, scale=scale)[0].astype(float)
    theirs = np.array([torchvision_box(rng, *shape, scale, RATIO) for _ in range(N)], float)
    for side in range(4):  # top, left, height and width
        assert distance(ours[:, side], theirs[:, side]) < 1.95
    area, expected = (boxes[:, 2] * boxes[:, 3] / np.prod(shape) for boxes in (ours, theirs))
    assert distance(area, expected) < 1.95
    assert abs(area.mean() - expected.mean()) < 4 * expected.std() * math.sqrt(2 / N)
    assert abs(area.var() / expected.var() - 1) < 0.1
    assert distance(ours[:, 3] / ours[:, 2], theirs[:, 3] / theirs[:, 2]) < 1.95


def test_where_every_box_fits_areas_are_uniform_and_ratios_log_uniform():
    boxes = boxes_of(3000, 3000, scale=(0.08, 0.5))[0].astype(float)
    height, width = boxes[:, 2], boxes[:, 3]
    area, aspect = height * width / 3000**2, np.log(width / height)
    assert distance(within(area, 0.08, 0.5)) < 1.95
    assert distance(within(aspect, math.log(RATIO[0]), math.log(RATIO[1]))) < 1.95
    assert largest_correlation(area[None], aspect[None]) < 4


def test_boxes_of_a_size_lie_anywhere():
    boxes = boxes_of(32, 32, scale=(0.08, 1.0))[0]
    spread = np.random.default_rng(0).random((2, N))  # whole numbers -> the unit interval
    places = 33 - boxes[:, 2:].T
    position = (boxes[:, :2].T + spread) / places
    for axis in range(2):
        for some in (places[axis] > 8, places[axis] <= 8):
            assert distance(position[axis, some]) < 1.95
    assert largest_correlation(position[:1], position[1:]) < 4
    assert largest_correlation(position, boxes[:, 2:].T.astype(float)) < 4


def test_a_flip_is_independent_of_the_crop():
    boxes, flips = boxes_of(32, 32, scale=(0.08, 1.0))
    assert largest_correlation(boxes.T.astype(float), flips[None].astype(float)) < 4


def test_views_show_the_boxes_flipped_where_they_should_be():
    side, count = 32, 200
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1) + 0.5
    probe = np.concatenate([grid, grid[..., :1]], axis=-1) / side  # pixels say where they are
    policy = ViewPolicy(**(STILL | {"crop_scale": (0.2, 1.0), "flip": 0.5}))
    draw = augment.make_augment((policy,), side, 3 * [0.0], 3 * [1.0])
    views = draw(tf.constant(np.repeat(probe[None], count, 0), tf.float32), SEED)["global"]
    views = views[:, 0].numpy() * side
    compiled = tf.function(augment.crop_boxes, jit_compile=True, autograph=False)
    boxes, flips = boxes_of(side, side, scale=(0.2, 1.0), count=count, boxes=compiled)
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    np.testing.assert_allclose(views[..., :2].mean(axis=(1, 2)), centre, atol=1e-3)
    middle = views[:, side // 2]
    slope = (middle[:, side * 3 // 4, 1] - middle[:, side // 4, 1]) * 2
    np.testing.assert_allclose(slope, np.where(flips, -1, 1) * boxes[:, 3], atol=1e-3)


# Rates and factors.


def textured(count=N, size=8):
    one = np.random.default_rng(2).uniform(0.1, 0.9, (1, size, size, 3))
    return np.repeat(one, count, axis=0)


@pytest.mark.parametrize(
    "name, probability",
    [
        ("flip", 0.5),
        ("quarter_turn", 0.3),
        ("jitter_probability", 0.8),
        ("grayscale", 0.2),
        ("channel_drop", 0.1),
        ("blur", 0.1),
        ("sobel", 0.4),
        ("solarize", 0.2),
        ("cutout", 0.6),
        ("erase", 0.25),
    ],
)
def test_an_operator_comes_as_often_as_its_probability(name, probability):
    images = textured()
    changed = np.abs(views_of(images, **{name: probability}, blur_sigma=(1.0, 2.0)) - images) > 1e-3
    count = changed.any(axis=(1, 2, 3)).sum()
    assert abs(count - probability * N) < 4 * math.sqrt(N * probability * (1 - probability))


def jittered(pixels, arithmetic="torchvision", **strengths):
    """Views of images that show `pixels`, (count, channels), with the jitter alone."""
    neutral = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
    images = np.broadcast_to(np.array(pixels)[None, None], (N, 1, len(pixels), 3))
    images = np.repeat(images, len(pixels), axis=1)
    settings = {"jitter_probability": 1.0, "arithmetic": arithmetic, **neutral, **strengths}
    return views_of(images, **settings)[:, 0]


@pytest.mark.parametrize("arithmetic", ["torchvision", "tensorflow", "tensorflow_scaled"])
def test_factors_are_uniform(arithmetic):
    bright = jittered([[0.5] * 3] * 2, arithmetic, brightness=0.4)[:, 0, 0]
    change = bright - 0.5 if arithmetic == "tensorflow" else bright / 0.5 - 1.0
    assert distance(within(change, -0.4, 0.4)) < 1.95
    two = jittered([[0.4] * 3, [0.6] * 3], arithmetic, contrast=0.8)
    assert distance(within((two[:, 1, 0] - two[:, 0, 0]) / 0.2, 0.2, 1.8)) < 1.95
    pixel = jittered([[0.5, 0.6, 0.7]] * 2, arithmetic, saturation=0.4)[:, 0]
    assert distance(within((pixel[:, 2] - pixel[:, 0]) / 0.2, 0.6, 1.4)) < 1.95
    red = jittered([[0.6, 0.2, 0.2]] * 2, arithmetic, hue=0.1)[:, 0].astype(float)
    turned = np.array([colorsys.rgb_to_hsv(*rgb)[0] for rgb in red])
    assert distance(within((turned + 0.5) % 1 - 0.5, -0.1, 0.1)) < 1.95


def test_a_strength_above_one_makes_no_negative_factor():
    factor = jittered([[0.25] * 3] * 2, brightness=1.5)[:, 0, 0] / 0.25
    assert distance(within(factor, 0.0, 2.5)) < 1.95


def test_the_sigma_of_the_blur_is_uniform():
    line = np.zeros((N, 1, 33, 1))
    line[:, :, 16] = 1.0
    images = np.repeat(line, 33, axis=1)
    spread = views_of(images, blur=1.0, blur_sigma=(0.5, 2.0))[:, 16, :, 0]
    sigma = np.sqrt((spread * (np.arange(33) - 16) ** 2).sum(axis=1))
    assert distance(within(sigma, 0.5, 2.0)) < 1.95


def test_the_24_orders_of_the_jitter_are_equally_frequent(monkeypatch):
    seen = []

    def jitter(images, *, position, **factors):
        seen.extend(map(tuple, position.numpy()))
        return images

    monkeypatch.setitem(view._JITTERS, "torchvision", jitter)
    views_of(textured(size=1), jitter_probability=1.0)
    orders, counts = np.unique(seen, axis=0, return_counts=True)
    assert len(orders) == 24 and (np.sort(orders, axis=1) == np.arange(4)).all()
    assert ((counts - N / 24) ** 2 / (N / 24)).sum() < 49.7  # chi-square of 23 degrees, p 0.001


def test_quarter_turns_and_kept_channels_are_equally_frequent():
    images = textured(3 * 400, size=4)
    turns = [np.rot90(images, k, axes=(1, 2)) for k in (1, 2, 3)]
    kept = [images * np.eye(3)[channel] for channel in range(3)]
    for name, outcomes in (("quarter_turn", turns), ("channel_drop", kept)):
        views = views_of(images, **{name: 1.0})
        counts = [np.isclose(views, one, atol=1e-6).all((1, 2, 3)).sum() for one in outcomes]
        assert sum(counts) == 1200
        assert sum((count - 400) ** 2 / 400 for count in counts) < 13.8  # 2 degrees, p 0.001


def test_cutouts_lie_around_every_pixel_alike():
    black = views_of(np.ones((N, 8, 8, 1)), cutout=1.0, cutout_size=0.5)[..., 0] == 0
    assert set(black.sum(axis=(1, 2))) <= {a * b for a in range(1, 5) for b in range(1, 5)}
    # A square of 4 around one of 8 pixels: the pixels that it covers, along one axis.
    along = np.array([min(i + 2, 7) - max(i - 1, 0) + 1 for i in range(8)]) / 8
    expected = np.outer(along, along)
    bound = 5 * np.sqrt(expected * (1 - expected) / N)
    assert (np.abs(black.mean(axis=0) - expected) < bound).all()


# Independence.


def test_numbers_drawn_for_a_view_are_uniform_and_independent():
    rows = stacked(draws_of())
    assert len(rows) == sum(random.DRAWS.values())
    assert max(map(distance, rows)) < 2.6  # of 80 rows
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 5 / math.sqrt(N)


def test_views_images_steps_and_kinds_draw_independently():
    rows = stacked(draws_of())
    local = random.seed_of("local", SEED)
    others = {
        "the other view": draws_of(view=1),
        "the next step": draws_of(seed=SEED + [0, 1]),
        "another seed": draws_of(seed=SEED + [1, 0]),
        "seed and step exchanged": draws_of(seed=SEED[::-1]),
        "local crops": draws_of(seed=local),
    }
    for other in others.values():
        assert largest_correlation(rows, stacked(other)) < 5.5
    for distance_between in (1, 2, 64):
        other = np.roll(rows, distance_between, axis=1)
        assert largest_correlation(rows, other) < 5.5


def test_the_noise_of_views_and_images_is_independent():
    noise = random.noise_of(64, 2, SEED, None)((16, 16, 3)).numpy().reshape(128, -1)
    correlation = np.corrcoef(noise) - np.eye(128)
    assert np.abs(correlation).max() < 5.5 / math.sqrt(noise.shape[1])
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
