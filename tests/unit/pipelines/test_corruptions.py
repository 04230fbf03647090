import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from keras_ssl.core.errors import UserError
from pipelines.corruptions import CORRUPTIONS, SEVERITIES, corrupt, table_for
from pipelines.corruptions.camera import _shuffled, defocus, disk, smear
from pipelines.corruptions.digital import _affine_sources
from pipelines.corruptions.resampling import (
    along_axes,
    box_matrix,
    gaussian_matrix,
    mirrored,
    sample,
    zoom_matrix,
)
from pipelines.corruptions.severities import TABLES
from pipelines.corruptions.weather import plasma_fractal

RANDOM = ("gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "motion_blur")
RANDOM += ("snow", "frost", "fog", "elastic_transform")


def _images(count=3, height=32, width=32, channels=3, seed=0):
    """Smooth colors with an edge, as uint8."""
    draw = np.random.RandomState(seed)
    noise = draw.uniform(size=(count, height, width, channels))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3, 0), mode="wrap")
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    smooth[:, : height // 2, : width // 2] *= 0.5
    return (255 * smooth).astype("uint8")


def _change(images, name, severity):
    return np.abs(corrupt(images, name, severity).astype(float) - images).mean()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_changes_the_images_and_is_worse_at_the_end(name):
    images = _images(8)
    weak, strong = (_change(images, name, severity) for severity in (1, 5))
    assert 0.3 < weak < 80 and strong < 120
    if name not in ("frost", "elastic_transform"):  # published so that others grow in their stead
        assert strong > weak


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(32, 24, 1), (8, 9, 3)])
def test_images_of_any_size_keep_shape_and_type(name, shape):
    images = _images(2, *shape)
    result = corrupt(images, name, 5)
    assert result.shape == images.shape and result.dtype == np.uint8


@pytest.mark.slow
@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_large_images_get_the_constants_of_imagenet(name, severity):
    images = _images(1, 128, 130)
    result = corrupt(images, name, severity)
    assert result.shape == images.shape and not np.array_equal(result, images)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_gives_the_same_bits_and_another_others(name):
    images = _images()
    first = corrupt(images, name, 3)
    assert np.array_equal(first, corrupt(images, name, 3))
    assert np.array_equal(first, corrupt(images, name, 3, seed=1)) == (name not in RANDOM)


@pytest.mark.parametrize("name", RANDOM)
def test_every_image_is_drawn_for_anew(name):
    images = np.repeat(_images(1), 2, axis=0)
    first, second = corrupt(images, name, 3)
    assert not np.array_equal(first, second)


def test_blocks_have_draws_of_their_own_and_keep_the_order(monkeypatch):
    monkeypatch.setattr("pipelines.corruptions._BLOCK_PIXELS", 2 * 32 * 32)
    images = np.repeat(_images(1), 5, axis=0)
    result = corrupt(images, "gaussian_noise", 3)
    assert len({image.tobytes() for image in result}) == 5
    bright = corrupt(_images(5), "brightness", 3)
    monkeypatch.undo()
    assert np.array_equal(bright, corrupt(_images(5), "brightness", 3))


def test_there_are_fifteen_corruptions_with_five_severities_each():
    assert len(CORRUPTIONS) == 15
    for table in TABLES.values():
        assert {name: len(constants) for name, constants in table.items()} == dict.fromkeys(
            CORRUPTIONS, 5
        )


def test_the_size_chooses_the_table():
    assert [table_for(size) for size in [(32, 32), (64, 200), (224, 224)]] == [
        "cifar",
        "cifar",
        "imagenet",
    ]


def test_noise_has_the_published_strength():
    gray = np.full((40, 32, 32, 3), 128, "uint8")
    noisy = corrupt(gray, "gaussian_noise", 3) / 255
    assert noisy.std() == pytest.approx(0.08, rel=0.02)
    photons = corrupt(gray, "shot_noise", 5) / 255
    assert photons.mean() == pytest.approx(128 / 255, abs=0.01)
    assert photons.std() == pytest.approx(np.sqrt(128 / 255 / 50), rel=0.02)
    broken = corrupt(gray, "impulse_noise", 5)
    assert (broken == 0).mean() == pytest.approx(0.035, abs=0.004)
    assert (broken == 255).mean() == pytest.approx(0.035, abs=0.004)


def test_contrast_and_brightness_are_the_printed_formulas():
    images = _images()
    x = images / 255
    mean = x.mean(axis=(1, 2), keepdims=True)
    low = corrupt(images, "contrast", 5) / 255
    np.testing.assert_allclose(low, (x - mean) * 0.15 + mean, atol=1.01 / 255)
    bright = tf.image.rgb_to_hsv(corrupt(images, "brightness", 3) / 255.0).numpy()
    hsv = tf.image.rgb_to_hsv(x).numpy()
    np.testing.assert_allclose(bright[..., 2], np.minimum(hsv[..., 2] + 0.15, 1), atol=1.01 / 255)


def test_brightness_lifts_black_to_gray():
    assert np.unique(corrupt(np.zeros((1, 8, 8, 3), "uint8"), "brightness", 2)).tolist() == [25]


@pytest.mark.parametrize(
    "sigma, mode, theirs", [(1.5, "edge", "nearest"), (2, "symmetric", "reflect")]
)
def test_gaussians_are_those_of_scipy(sigma, mode, theirs):
    image = _images(1)[0, ..., 0] / 255
    matrix = gaussian_matrix(32, sigma, truncate=3.0, mode=mode)
    expected = ndimage.gaussian_filter(image, sigma, mode=theirs, truncate=3.0)
    np.testing.assert_allclose(matrix @ image @ matrix.T, expected, atol=1e-10)


@pytest.mark.parametrize("side", [32, 33])
@pytest.mark.parametrize("factor", [1, 1.05, 1.25, 1.75, 3])
def test_zooms_are_those_of_scipy(side, factor):
    image = np.random.RandomState(0).uniform(size=(side, side))
    inner = int(np.ceil(side / factor))
    top = (side - inner) // 2
    zoomed = ndimage.zoom(image[top : top + inner, top : top + inner], factor, order=1)
    trim = (len(zoomed) - side) // 2
    expected = zoomed[trim : trim + side, trim : trim + side]
    matrix = zoom_matrix(side, factor)
    np.testing.assert_allclose(matrix @ image @ matrix.T, expected, atol=1e-10)


@pytest.mark.parametrize("constants", [c for t in TABLES.values() for c in t["defocus_blur"]])
def test_defocus_is_a_convolution_that_nearly_keeps_the_mean_brightness(constants):
    images = (_images(1) / 255).astype("float32")
    kernel = disk(*constants)
    assert kernel.sum() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1].T, atol=1e-12)
    blurred = defocus(tf.constant(images), None, constants).numpy()
    expected = ndimage.correlate(images[0], kernel[..., None], mode="mirror")
    np.testing.assert_allclose(blurred[0], expected, atol=1e-5)


def test_motion_smears_to_one_side_along_the_angle():
    image = np.zeros((2, 9, 9, 1), "float32")
    image[:, 4, 4] = 1
    right, down = smear(tf.constant(image), np.array([0.0, 90.0]), 3, 2.0).numpy()[..., 0]
    taps = np.exp(-0.5 * (np.arange(7) / 2.0) ** 2)
    taps /= taps.sum()
    np.testing.assert_allclose(right[4, 4::-1], taps[:5], atol=1e-6)
    np.testing.assert_allclose(right[4, 5:], 0)
    np.testing.assert_allclose(down[4::-1, 4], taps[:5], atol=1e-6)
    constant = smear(tf.ones((1, 9, 9, 3)), np.array([33.0]), 3, 2.0)
    np.testing.assert_allclose(constant, 1, atol=1e-6)


def test_glass_moves_pixels_no_further_than_its_reach_each_time():
    source = _shuffled(np.random.RandomState(0), 2, 16, 16, reach=1, iterations=1)
    y, x = np.divmod(source, 16)
    away = np.maximum(np.abs(y - np.arange(16)[:, None]), np.abs(x - np.arange(16)))
    # A pixel that was copied may be copied on by the ones that come later.
    assert 0.3 < (away > 0).mean() < 0.9 and np.median(away) <= 1
    assert (away[:, 0] == 0).all() and (away[:, :, 0] == 0).all()  # the border stays


def test_boxes_average_and_repeat():
    down, up = box_matrix(8, 4), box_matrix(4, 8)
    np.testing.assert_allclose(down @ np.arange(8.0), [0.5, 2.5, 4.5, 6.5])
    np.testing.assert_allclose(up @ np.arange(4.0), [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_allclose(box_matrix(32, 20).sum(axis=1), 1)


@pytest.mark.parametrize("mode, theirs", [("reflect", "mirror"), ("symmetric", "reflect")])
def test_sampling_is_that_of_scipy(mode, theirs):
    draw = np.random.RandomState(0)
    image = draw.uniform(size=(9, 7)).astype("float32")
    y, x = draw.uniform(-25, 25, (2, 1, 9, 7))
    result = sample(tf.constant(image[None, ..., None]), y, x, mode=mode).numpy()[0, ..., 0]
    expected = ndimage.map_coordinates(image, [y[0], x[0]], order=1, mode=theirs)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_mirrors_repeat_the_border_pixel_or_do_not():
    positions = np.arange(-3, 6)
    assert mirrored(positions, 3, "reflect").tolist() == [1, 2, 1, 0, 1, 2, 1, 0, 1]
    assert mirrored(positions, 3, "symmetric").tolist() == [2, 1, 0, 0, 1, 2, 2, 1, 0]


def test_points_that_do_not_move_leave_the_image_in_place():
    y, x = _affine_sources(np.random.RandomState(0), 2, 8, 10, shift=0.0)
    np.testing.assert_allclose(y[1], np.tile(np.arange(8.0)[:, None], (1, 10)), atol=1e-9)
    np.testing.assert_allclose(x[1], np.tile(np.arange(10.0), (8, 1)), atol=1e-9)


def test_clouds_span_zero_to_one_and_are_smoother_the_faster_the_decay():
    rough, smooth = (plasma_fractal(np.random.RandomState(0), 4, 32, d) for d in (1.4, 3))
    for clouds in (rough, smooth):
        assert clouds.shape == (4, 32, 32)
        assert (clouds.min(axis=(1, 2)) == 0).all() and (clouds.max(axis=(1, 2)) == 1).all()
    steps = [np.abs(np.diff(clouds, axis=1)).mean() for clouds in (rough, smooth)]
    assert steps[0] > 2 * steps[1]


def test_pixels_grow_to_boxes_of_one_color():
    images = _images(1, 16, 16)
    levels = corrupt(images, "pixelate", 5)[0, :, :, 0]
    assert len({tuple(row) for row in levels.tolist()}) == 10  # int(16 * 0.65)


def test_axes_have_matrices_of_their_own():
    images = tf.constant(np.random.RandomState(0).uniform(size=(2, 3, 4, 2)), tf.float32)
    rows, columns = np.random.RandomState(1).uniform(size=(5, 3)), np.ones((1, 4))
    expected = np.einsum("ij,bjkc->bic", rows, images)[:, :, None]
    np.testing.assert_allclose(along_axes(images, rows, columns), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "images, name, severity, message",
    [
        (_images(1), "frogs", 1, "Unknown corruption 'frogs'. Did you mean 'f"),
        (_images(1), "fog", 6, "severity=6"),
        (_images(1) / 255, "fog", 1, "uint8 images"),
        (_images(1)[0], "fog", 1, "uint8 images"),
        (_images(1)[..., :2], "fog", 1, "uint8 images"),
        (_images(1)[:, :7], "fog", 1, "8 pixels or more"),
    ],
)
def test_a_mistake_is_answered_by_what_came(images, name, severity, message):
    with pytest.raises(UserError, match=message):
        corrupt(images, name, severity)
