"""What a stage says and logs of the settings of a run."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.config import parse_set, resolve, save
from keras_ssl.config.schema import Backbone
from stages import request
from stages.artifacts import images_of
from stages.describe import describe_backbone, describe_rates
from stages.inputs import (
    Preprocessing,
    check_unchanged,
    load_inputs,
    preview,
    print_changes,
    save_fingerprint,
)
from stages.request import read_catalog
from stages.training import batches_from, prepare
from tests.descriptors import make_method, make_views


@pytest.mark.parametrize(
    "backbone, image_size, line",
    [
        (Backbone("resnet18"), 32, "resnet18, cifar stem"),
        (Backbone("resnet50", width=128), 224, "resnet50, width 128, imagenet stem"),
        (Backbone("resnet18", stem="imagenet"), 32, "resnet18, imagenet stem"),
        (Backbone("resnet8"), 32, "resnet8"),
        (Backbone("vit_tiny"), 32, "vit_tiny, patches of 4x4"),
        (Backbone("vit_small"), 224, "vit_small, patches of 16x16"),
        (Backbone("vit_small", patch_size=8), 224, "vit_small, patches of 8x8"),
    ],
)
def test_a_backbone_is_told_with_what_the_image_size_chose(backbone, image_size, line):
    assert describe_backbone(backbone, image_size) == line


def test_an_export_goes_without_images_that_are_gone_and_says_so(tmp_path, capsys):
    preprocessing = Preprocessing(8, 3, (0.5,) * 3, (0.25,) * 3)
    asked = ["run.py", "--mode=pretrain", "--method=simclr", f"--dataset=npz:{tmp_path}/gone.npz"]
    recipe = request.recipe_of(request.parse_flags(asked), read_catalog())
    assert images_of(recipe, preprocessing) is None
    said = capsys.readouterr().out
    assert "checked with noise" in said and "gone.npz" in said


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])  # float16 wraps the optimizer
def test_a_weight_decay_that_moves_is_logged_and_a_constant_one_is_not(policy):
    keras.config.set_dtype_policy(policy)
    method = make_method("simclr", run_eagerly=True)
    views = tf.data.Dataset.from_tensors(make_views(method)).repeat()
    settings = {"steps_per_epoch": 1, "epochs": 3, "verbose": 0, "shuffle": False}
    assert "weight_decay" not in method.fit(views, **settings).history
    decay = keras_ssl.Cosine(0.1, total_steps=2, final=0.3)
    method.compile(keras_ssl.AdamW(1e-3, weight_decay=decay), run_eagerly=True)
    logged = method.fit(views, **settings).history["weight_decay"]
    assert logged == pytest.approx([0.1, 0.2, 0.3])  # that of each update, from the first on


def recipe(name, *overrides, family=None):
    return resolve(read_catalog(), name, [parse_set(text) for text in overrides], family)


def test_a_constant_learning_rate_is_told_beside_the_peak():
    rates = ("optimizer.learning_rate=0.5", "optimizer.constant_lr=8")
    asked = recipe("simsiam", *rates, "training.batch_size=128", family="digits")
    line = "sgd, 0.5 per 256 images, so 0.25; predictor: 8 per 256, so always 4"
    assert describe_rates(asked) == line
    assert describe_rates(asked, ["predictor"]) == line.partition(";")[0]
    assert describe_rates(recipe("simclr", family="digits")).count("per 256") == 1


def prepared(*overrides):
    small = ("backbone.name=tiny", "training.precision=float32", "training.epochs=3")
    return prepare(recipe("byol", *small, *overrides, family="digits"))


def test_layers_that_are_not_there_are_refused_before_the_run_begins():
    with pytest.raises(keras_ssl.UserError, match="'predicter'.*Did you mean 'predictor'"):
        prepared("optimizer.constant_lr_layers=predicter")


def test_a_batch_larger_than_the_data_names_who_chose_it():
    with pytest.raises(keras_ssl.UserError, match=r"training.batch_size=2000 \(--set\).*1437"):
        prepared("training.batch_size=2000")


def test_an_optimizer_that_is_ready_before_the_run_trains_the_same():
    early, late = prepared().method, prepared().method
    assert early.optimizer.built
    late.compile(type(late.optimizer).from_config(late.optimizer.get_config()))
    assert not late.optimizer.built
    images = keras.random.uniform((4, 2, 8, 8, 1), seed=1)
    views = tf.data.Dataset.from_tensors({"global": images}).repeat()
    for method in (early, late):
        method.fit(views, steps_per_epoch=2, verbose=0, shuffle=False)
    for a, b in zip(early.weights, late.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_method_is_told_the_batches_of_an_epoch_whatever_is_accumulated():
    session = prepared("training.batch_size=256", "training.accumulate=4")  # 3 updates in 3 epochs
    assert session.method.steps_per_epoch == session.per_epoch == 5


def weights_after(session, steps=2):
    session.method.fit(batches_from(session, 0), steps_per_epoch=steps, verbose=0, shuffle=False)
    return session.method.get_weights()


def test_views_drawn_on_the_device_train_as_those_of_the_host_bit_for_bit():
    keras.utils.set_random_seed(0)
    host = weights_after(prepared("augment.where=host"))
    device = weights_after(prepared("augment.where=device"))
    for a, b in zip(host, device, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_preview_shows_every_view_beside_its_image(tmp_path):
    few = recipe("simclr", "augment.num_views=3", "augment.local_views=2", family="digits")
    path = preview(few, tmp_path / "new")
    shown = tf.io.decode_png(path.read_bytes())
    assert shown.shape == (8 * 98, (1 + 3 + 2) * 98, 1)
    assert len(np.unique(shown[:98, :98])) > 2  # an image, not a blank


def test_the_normalization_is_that_of_the_recipe():
    with pytest.raises(ValueError, match="3 channels"):
        load_inputs(recipe("byol", "data.normalization=imagenet", family="digits"))


def test_a_crop_of_test_images_says_where_it_changes_nothing(tmp_path, capsys):
    wanted = recipe("byol", npz_of(tmp_path / "a.npz"), "data.test_crop=0.875", family="digits")
    inputs = load_inputs(wanted)
    assert "data.test_crop=0.875 changes nothing here" in capsys.readouterr().out
    assert inputs.preprocessing.crop_fraction == 0.875
    assert inputs.at_crop(1.0).preprocessing.crop_fraction == 1.0


def test_preprocessing_that_is_not_cropped_is_told_as_before():
    plain = Preprocessing(8, 1, (0.5,), (0.25,))
    assert Preprocessing(**plain.facts()) == plain and len(plain.facts()) == 4
    cropped = dataclasses.replace(plain, crop_fraction=0.875)
    assert Preprocessing(**cropped.facts()) == cropped


def npz_of(path, count=40, test=False):
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1)).astype(np.uint8)
    labels = np.arange(count) % 2
    own = {"x_test": images[:10], "y_test": labels[:10]} if test else {}
    np.savez(path, x_train=images, y_train=labels, **own)
    return f"data.dataset=npz:{path}"


def test_data_that_changed_are_refused_in_training_and_told_of_afterwards(tmp_path, capsys):
    wanted = recipe("byol", npz_of(tmp_path / "a.npz"), family="digits")
    save_fingerprint(load_inputs(wanted).data, tmp_path)
    check_unchanged(load_inputs(wanted).data, tmp_path)
    npz_of(tmp_path / "a.npz", 38)
    data = load_inputs(wanted).data
    with pytest.raises(keras_ssl.UserError, match="of 40 images 2 gone.*new run in another"):
        check_unchanged(data, tmp_path)
    capsys.readouterr()
    print_changes(data, tmp_path)
    assert "has changed since the training: of 40 images 2 gone" in capsys.readouterr().out
    print_changes(load_inputs(recipe("byol", family="digits")).data, tmp_path)
    assert not capsys.readouterr().out  # other data are no change


def test_changed_data_may_be_trained_on_only_where_the_test_part_is_their_own(tmp_path):
    for own in (False, True):
        wanted = recipe("byol", npz_of(tmp_path / "a.npz", test=own), family="digits")
        save_fingerprint(load_inputs(wanted).data, tmp_path)
        npz_of(tmp_path / "a.npz", 38, test=own)
        with pytest.raises(keras_ssl.UserError, match="has changed") as refused:
            check_unchanged(load_inputs(wanted).data, tmp_path)
        assert ("remove" in str(refused.value)) == own


def test_a_run_of_an_earlier_version_held_out_other_images(tmp_path, capsys):
    wanted = recipe("byol", npz_of(tmp_path / "a.npz"), family="digits")
    save(wanted, tmp_path)
    data = load_inputs(wanted).data
    with pytest.raises(keras_ssl.UserError, match=r"no fingerprint\.npz.*new run in another"):
        check_unchanged(data, tmp_path)
    capsys.readouterr()
    for name in (data.name, f"npz:{tmp_path}/../{tmp_path.name}/a.npz"):
        print_changes(dataclasses.replace(data, name=name), tmp_path)
        assert "Most test images" in capsys.readouterr().out
    other = recipe("byol", npz_of(tmp_path / "b.npz"), family="digits")
    print_changes(load_inputs(other).data, tmp_path)
    assert "Most test images" not in capsys.readouterr().out  # none of these were trained on


def test_a_test_part_of_its_own_is_the_same_in_every_version(tmp_path, capsys):
    wanted = recipe("byol", npz_of(tmp_path / "a.npz", test=True), family="digits")
    save(wanted, tmp_path)
    data = load_inputs(wanted).data
    check_unchanged(data, tmp_path)
    capsys.readouterr()
    print_changes(data, tmp_path)
    assert not capsys.readouterr().out
