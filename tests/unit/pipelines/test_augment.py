import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines import ops
from pipelines.views import augment
from pipelines.views.augment import make_augment
from pipelines.views.policies import POLICIES, ViewPolicy, policy_for
from pipelines.views.random import DRAWS, draw, noise_of, noise_seed, seed_of
from pipelines.views.stream import device_views, train_views
from pipelines.views.view import one_view

SEED = tf.constant([3, 7])
PROBABILITIES = ("jitter_probability", "grayscale", "channel_drop", "blur", "sobel", "solarize")
PROBABILITIES += ("cutout", "erase", "flip", "quarter_turn")
STILL = {
    "crop_scale": (1.0, 1.0),
    "jitter_probability": 0.0,
    "grayscale": 0.0,
    "flip": 0.0,
}


def random_images(batch=4, size=8, channels=3):
    rng = np.random.default_rng(0)
    return tf.constant(rng.integers(0, 256, (batch, size, size, channels)), tf.uint8)


def augment_with(size=8, channels=3, num_views=1, **settings):
    views = num_views * (ViewPolicy(**(STILL | settings)),)
    augment = make_augment(views, size, mean=channels * [0.0], std=channels * [1.0])
    return lambda images, seed: augment(images, seed)["global"]


def as_floats(images):
    return tf.cast(images, tf.float32) / 255.0


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_keeps_plain_images_finite_and_in_range(name):
    channels = 1 if name in ("digits", "digits_mild", "gray") else 3
    levels = tf.constant([0.0, 0.3, 1.0])
    images = tf.broadcast_to(levels[:, None, None, None], (3, 8, 8, channels))
    draws = {name: rows[..., 0] for name, rows in draw(3, 1, SEED, None).items()}
    for policy in set(POLICIES[name]):
        always = {name: 1.0 for name in PROBABILITIES if getattr(policy, name) > 0}
        policy = dataclasses.replace(policy, **always)
        views = one_view(images, policy, 8, draws, noise_of(3, 1, SEED, None)).numpy()
        assert views.shape == (3, 8, 8, channels) and np.isfinite(views).all()
        assert views.min() >= -1e-6 and views.max() <= 1.0 + 1e-6


@pytest.fixture(scope="module")
def everything():
    """A function with every operator that gray images have, compiled once."""
    settings = {"blur": 0.5, "solarize": 0.2, "noise": 0.1, "erase": 0.5, "rotation": 10.0}
    return make_augment(policy_for("gray", **settings), 8, mean=[0.5], std=[0.25])


@pytest.mark.slow
@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_gives_finite_views_in_range(name):
    channels = 1 if name in ("digits", "digits_mild", "gray") else 3
    augment = make_augment(POLICIES[name], 8, mean=channels * [0.5], std=channels * [0.25])
    views = augment(random_images(channels=channels), SEED)["global"]
    assert views.shape == (4, 2, 8, 8, channels)
    assert np.abs(views).max() <= 2.0 + 1e-5 and np.isfinite(views).all()


def test_views_have_the_stated_shape_type_and_range(everything):
    views = everything(random_images(channels=1), SEED)["global"]
    assert views.shape == (4, 2, 8, 8, 1) and views.dtype == tf.float32
    assert np.abs(views).max() <= 2.0 + 1e-5 and np.isfinite(views).all()


def test_the_seed_decides_every_bit(everything):
    images = random_images(channels=1)
    first = everything(images, SEED)["global"].numpy()
    np.testing.assert_array_equal(first, everything(images, SEED)["global"])
    assert np.any(first != everything(images, SEED + 1)["global"])


def test_images_and_views_draw_for_themselves(everything):
    images = tf.repeat(random_images(1, channels=1), 4, axis=0)
    views = everything(images, SEED)["global"].numpy()
    different = {views[i, j].tobytes() for i in range(4) for j in range(2)}
    assert len(different) == 8


def test_one_shape_is_compiled_once(everything):
    before = everything.experimental_get_tracing_count()
    for step in range(3):
        everything(random_images(channels=1), tf.constant([0, step]))
    assert everything.experimental_get_tracing_count() - before <= 1


def test_a_policy_without_operators_only_normalizes():
    images = random_images()
    augment = make_augment((ViewPolicy(**STILL),), 8, mean=[0.1, 0.2, 0.3], std=[0.5, 1.0, 2.0])
    expected = (as_floats(images) - [0.1, 0.2, 0.3]) / [0.5, 1.0, 2.0]
    np.testing.assert_allclose(augment(images, SEED)["global"][:, 0], expected, atol=1e-6)


def test_floats_in_the_unit_range_and_their_bytes_give_the_same_views():
    images = random_images()
    augment = augment_with(crop_scale=(0.3, 0.9))
    np.testing.assert_allclose(augment(images, SEED), augment(as_floats(images), SEED), atol=1e-6)


def test_a_flip_comes_for_half_of_the_images():
    images = random_images(batch=200)
    views = augment_with(flip=0.5)(images, SEED)[:, 0].numpy()
    floats = as_floats(images).numpy()
    kept = np.isclose(views, floats, atol=1e-5).all(axis=(1, 2, 3))
    flipped = np.isclose(views, floats[:, :, ::-1], atol=1e-5).all(axis=(1, 2, 3))
    assert (kept ^ flipped).all() and 70 < flipped.sum() < 130


def test_grayscale_comes_as_often_as_its_probability():
    views = augment_with(grayscale=0.2)(random_images(batch=400), SEED).numpy()
    gray = np.isclose(views.max(-1), views.min(-1)).all(axis=(1, 2, 3))
    assert 50 < gray.sum() < 110


def test_the_jitter_changes_as_many_images_as_its_probability():
    views = augment_with(jitter_probability=0.8, hue=0.0)(tf.repeat(random_images(1), 400, 0), SEED)
    changed = ~np.isclose(views[:, 0], as_floats(random_images(1)), atol=1e-4).all(axis=(1, 2, 3))
    assert 290 < changed.sum() < 350


def test_sizes_may_change_and_images_need_not_be_square():
    images = tf.zeros((2, 12, 20, 1), tf.uint8)
    assert augment_with(size=8, channels=1)(images, SEED).shape == (2, 1, 8, 8, 1)


def test_noise_has_its_standard_deviation():
    images = tf.fill((16, 8, 8, 1), tf.constant(128, tf.uint8))
    views = augment_with(channels=1, noise=0.05)(images, SEED)
    assert abs(np.std(views) - 0.05) < 0.005


def test_geometry_of_digits_uncovers_nothing_but_black():
    digit = np.zeros((4, 16, 16, 1), np.uint8)
    digit[:, 4:12, 7:9] = 255
    policy = policy_for("digits", crop_scale=(1.0, 1.0), jitter_probability=0.0, blur=0.0)
    augment = make_augment(policy, 16, mean=[0.0], std=[1.0])
    views = augment(tf.constant(digit), SEED)["global"].numpy()
    assert views.min() == 0.0 and (views.sum(axis=(2, 3, 4)) > 4.0).all()
    assert not views[:, :, 0, 0].any()


def test_images_of_other_channels_are_refused():
    with pytest.raises(UserError, match="1 or 3"):
        augment_with()(tf.zeros((2, 8, 8, 4), tf.uint8), SEED)
    with pytest.raises(UserError, match="one value per channel"):
        augment_with(channels=3)(tf.zeros((2, 8, 8, 1), tf.uint8), SEED)


def draws_of(count):
    compiled = tf.function(draw, jit_compile=True, autograph=False)
    with tf.device("/cpu:0"):
        drawn = compiled(count, 1, SEED, None)
    return {name: rows[..., 0].numpy() for name, rows in drawn.items()}


def test_more_numbers_leave_those_before_them_as_they_were(monkeypatch):
    before = draws_of(5)
    monkeypatch.setitem(DRAWS, "something new", 3)
    after = draws_of(5)
    assert after.pop("something new").shape == (3, 5)
    for name, rows in before.items():
        np.testing.assert_array_equal(rows, after[name])


def test_the_draws_of_earlier_versions_stay():
    drawn = draws_of(2)
    expected = {
        "shift_x": [0.5564999580, 0.2916495800],
        "order": [0.5135241747, 0.2023634911],
        "flip": [0.0347151756, 0.6601154804],
    }
    for name, rows in expected.items():
        np.testing.assert_allclose(drawn[name], rows, atol=1e-7)


@pytest.mark.parametrize("kind", ["global", "local"])
def test_the_seed_of_the_noise_does_not_depend_on_the_compiler(kind):
    def seed(seed):
        return noise_seed(seed_of(kind, seed), 2)

    compiled = tf.function(seed, jit_compile=True, autograph=False)
    np.testing.assert_array_equal(compiled(SEED), seed(SEED))


def test_with_the_crop_last_the_colors_are_those_of_the_whole_image():
    # Contrast knows: it is about the mean of what it sees.
    images = as_floats(random_images(batch=6))
    settings = STILL | {"crop_scale": (0.2, 0.6), "jitter_probability": 1.0, "hue": 0.0}
    policy = ViewPolicy(**settings | {"brightness": 0.0, "saturation": 0.0, "flip": 0.5})
    draws = {name: tf.constant(rows) for name, rows in draws_of(6).items()}
    colored = ops.adjust_contrast(images, 0.6 + 0.8 * draws["contrast"])
    boxes = ops.random_boxes(draws["crop"], 8, 8, scale=(0.2, 0.6), ratio=policy.crop_ratio)
    expected = ops.crop_resize(colored, boxes, 8, mirror=draws["flip"] < 0.5)
    last, first = (
        one_view(images, dataclasses.replace(policy, crop_last=where), 8, draws, None)
        for where in (True, False)
    )
    np.testing.assert_allclose(last, expected, atol=1e-6)
    assert np.abs(last - first).max() > 0.01


def test_images_that_are_cut_out_already_cannot_have_the_crop_last():
    augment = make_augment((ViewPolicy(crop_last=True),), 8, 3 * [0.5], 3 * [0.5])
    with pytest.raises(UserError, match="crop_last=True needs whole images"):
        augment({"global": tf.zeros((2, 1, 8, 8, 3))}, SEED)


def test_compiling_does_not_change_the_operators():
    images = as_floats(random_images(batch=8))
    policy = ViewPolicy(
        **(STILL | {"crop_scale": (0.3, 0.9), "flip": 0.5}),
        quarter_turn=0.5,
        channel_drop=0.5,
        sobel=0.5,
        cutout=0.5,
        noise=0.1,
    )
    draws = {name: tf.constant(rows) for name, rows in draws_of(8).items()}

    def noise(shape):
        return tf.ones((8, *shape))

    compiled = tf.function(one_view, jit_compile=True, autograph=False)
    found, expected = (view(images, policy, 8, draws, noise) for view in (compiled, one_view))
    np.testing.assert_allclose(found, expected, atol=1e-6)


# Views drawn one by one, as those of large images are.


MANY = {"quarter_turn": 0.5, "channel_drop": 0.3, "blur": 0.5, "sobel": 0.3, "solarize": 0.4}
MANY |= {"noise": 0.1, "cutout": 0.5, "erase": 0.5}


@pytest.fixture
def one_by_one(monkeypatch):
    monkeypatch.setattr(augment, "_LARGE", 8)
    augment._augment.cache_clear()
    yield
    augment._augment.cache_clear()


@pytest.mark.parametrize("name", ["cifar_asymmetric", "imagenet_byol"])
@pytest.mark.parametrize("shape", [(3, 12, 12, 3), (3, 3, 8, 8, 3)])
def test_views_drawn_one_by_one_are_those_of_the_batch(name, shape):
    policy = policy_for(name, 3, **MANY if name == "cifar_asymmetric" else {})
    images = tf.constant(np.random.default_rng(0).integers(0, 256, shape), tf.uint8)
    together, alone = (
        drawer(images, policy, 8, SEED, None, None, normalize=lambda view: (view - 0.4) / 0.2)
        for drawer in (augment._views, augment._views_one_by_one)
    )
    assert alone.shape == (3, 3, 8, 8, 3)
    np.testing.assert_allclose(alone, together, atol=1e-4)


@pytest.mark.slow
def test_one_by_one_a_part_gets_what_the_whole_would_have_there_bit_for_bit(one_by_one):
    draw = make_augment(policy_for("cifar_asymmetric", **MANY), 8, 3 * [0.4], 3 * [0.2])
    images, places = random_images(batch=6, size=12), tf.constant([1, 4, 5])
    whole = draw(images, SEED)["global"].numpy()
    part = draw(tf.gather(images, places), SEED, places=places, total=6)["global"]
    np.testing.assert_array_equal(part, whole[[1, 4, 5]])


@pytest.mark.slow
def test_one_by_one_host_device_and_parallel_calls_agree_bit_for_bit(one_by_one):
    settings = {"policy": policy_for("moco_v2"), "batch_size": 4, "image_size": 8}
    settings |= {"mean": 3 * [0.5], "std": 3 * [0.25]}
    images = random_images(batch=9).numpy()
    streams = [
        train_views(images, seed=3, num_parallel_calls=calls, **settings) for calls in (1, 8)
    ]
    streams.append(train_views(images, seed=3, on_device=True, **settings))
    draw = device_views(**settings)
    for one, eight, raw in itertools.islice(zip(*streams, strict=True), 3):
        np.testing.assert_array_equal(one["global"], eight["global"])
        np.testing.assert_array_equal(one["global"], draw(raw)["global"])


@pytest.mark.parametrize("shape, size", [((4, 64, 64, 3), 64), ((4, 3, 32, 32, 3), 32)])
def test_views_of_small_images_are_drawn_together(shape, size):
    assert not augment._is_large(tf.TensorShape(shape), size)


@pytest.mark.parametrize("on_gpu, alone", [(False, True), (True, False)])
def test_large_views_are_drawn_one_by_one_but_where_a_gpu_draws_them(monkeypatch, on_gpu, alone):
    # Decided by where they are drawn: a GPU in the machine does not change what the host does.
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    monkeypatch.setattr(augment, "_augment", augment._augment.__wrapped__)  # what is not kept
    used = []
    nothing = tf.zeros((2, 1, 8, 8, 3))
    for name in ("_views", "_views_one_by_one"):
        monkeypatch.setattr(augment, name, lambda *_, name=name, **__: used.append(name) or nothing)
    draw = make_augment(policy_for("only_crop", 1), 8, 3 * [0.5], 3 * [0.5], on_gpu=on_gpu)
    draw(tf.zeros((2, 256, 256, 3), tf.uint8), SEED)
    assert used == ["_views_one_by_one" if alone else "_views"]


def test_the_same_settings_share_a_function_and_others_do_not():
    mean, std = [0.5], [0.25]
    first = make_augment(policy_for("gray"), 8, mean, std)
    assert make_augment(list(policy_for("gray")), 8, tuple(mean), np.array(std)) is first
    for other in (
        make_augment(policy_for("gray", flip=0.0), 8, mean, std),
        make_augment(policy_for("gray"), 16, mean, std),
        make_augment(policy_for("gray"), 8, mean, mean),
        make_augment(
            policy_for("gray"), 8, mean, std, local_views=policy_for("gray"), local_size=8
        ),
    ):
        assert other is not first
