"""Fine-tuning from end to end: plain Keras, the stage of a run, and the table of the benchmark."""

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from benchmarks import finetune as benchmark
from benchmarks.common import new_recipe
from keras_ssl.config.schema import Finetune
from keras_ssl.core.errors import UserError
from keras_ssl.layers.necks import simplices_of
from pipelines.data.encoded import EncodedImages
from pipelines.data.image_data import ImageData
from pipelines.data.load import load
from stages.build import encoder_in
from stages.finetuning import (
    describe,
    finetuned,
    has_pooling,
    labelled_views,
    results_of,
    save_classifier,
    starting_network,
)
from stages.inputs import Inputs, Preprocessing

ROOT = Path(__file__).resolve().parents[2]

PREPROCESSING = Preprocessing(8, 3, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def recipe_of(*settings):
    flags = [f"--set={text}" for text in ("backbone.width=4", "training.precision=float32")]
    return new_recipe(*flags, *settings)


def images(count, seed=0):
    """Images of three classes, each of another colour."""
    draw = np.random.RandomState(seed)
    labels = np.arange(count) % 3
    pixels = draw.randint(0, 60, (count, 8, 8, 3))
    pixels[np.arange(count), :, :, labels] += 150
    return pixels.astype("uint8"), labels


@pytest.fixture
def inputs():
    return Inputs(ImageData("colours", *images(60), *images(30, seed=1)), PREPROCESSING)


def settings(**changes):
    found = benchmark.settings_of(benchmark.read_arguments(["run"]))
    chosen = {"learning_rates": (0.5,), "steps": 15, "batch_size": 16, **changes}
    return Finetune(**{**vars(found), **chosen})


def saved_run(path, encoder):
    encoder.save(path / "encoder.keras")
    stored = {"mean": PREPROCESSING.mean, "std": PREPROCESSING.std}
    (path / "preprocessing.json").write_text(json.dumps(stored))


@pytest.mark.parametrize("neck", [None, {"num_simplices": 3, "simplex_size": 4}])
def test_an_encoder_is_a_functional_model_that_keras_loads_in_safe_mode(neck, tmp_path):
    encoder = keras_ssl.create_backbone("tiny", (8, 8, 3), width=4)
    encoder = encoder if neck is None else keras_ssl.sem_neck(encoder, **neck)
    encoder.save(tmp_path / "encoder.keras")
    ours = keras_ssl.load_encoder(tmp_path / "encoder.keras")
    theirs = keras.saving.load_model(tmp_path / "encoder.keras", safe_mode=True)
    batch = np.random.RandomState(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert type(ours) is type(theirs) is type(keras.Model(ours.input, ours.output))
    for loaded in (ours, theirs):
        assert loaded.trainable_variables
        np.testing.assert_array_equal(loaded(batch), encoder(batch))


def test_the_worked_example_is_ten_lines_and_runs(tmp_path, monkeypatch):
    path = ROOT / "examples" / "finetune.py"
    lines = path.read_text().split("\n\n")[-1].strip().splitlines()
    assert len(lines) <= 10 and lines[0].startswith("encoder = keras_ssl.load_encoder(")
    saved_run(tmp_path, keras_ssl.create_backbone("tiny", (8, 8, 3), width=4))
    (x, y), (x_test, y_test) = images(60), images(30, seed=1)
    np.savez(tmp_path / "images.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    monkeypatch.setattr(sys, "argv", ["finetune.py", str(tmp_path), str(tmp_path / "images.npz")])
    model = runpy.run_path(str(path))["model"]
    loaded = keras.saving.load_model(tmp_path / "finetuned.keras")
    batch = (x_test / 255 - PREPROCESSING.mean) / PREPROCESSING.std
    logits = [np.asarray(network(batch, training=False)) for network in (loaded, model)]
    np.testing.assert_allclose(*logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", [pytest.param("simclr", marks=pytest.mark.slow), "sem_simclr"])
def test_a_run_is_fine_tuned_and_leaves_a_classifier_of_the_same_accuracy(method, inputs, tmp_path):
    small = ("--backbone=tiny", "--set=neck.num_simplices=4", "--set=neck.simplex_size=3")
    recipe = recipe_of(f"--method={method}", *small[: 3 if "sem" in method else 1])
    result = finetuned(recipe, inputs, settings(steps=40), None, 0.5)
    assert result.accuracy > 60
    assert result.protocol["train_images"] == 30
    (row,) = results_of(recipe, settings(), "blobs", "scratch", 0.5, result)
    assert row.task == "finetune" and row.protocol["view"]["crop_scale"] == (0.2, 1.0)
    assert row.protocol["share"] == 0.5
    soft = ("simplices", 1.0) if "sem" in method else (None, None)
    assert row.representation == ("scratch", *soft)
    save_classifier(recipe, inputs, settings(), result, tmp_path / "classifier.keras")
    model = keras.saving.load_model(tmp_path / "classifier.keras")
    logits = np.asarray(model(PREPROCESSING.function(inputs.data.test_images)))
    accuracy = 100 * np.mean(logits.argmax(axis=1) == inputs.data.test_labels)
    assert accuracy == pytest.approx(result.accuracy)


def test_training_views_are_of_the_rows_asked_for_and_come_with_their_positions(inputs):
    plain = settings(crop_scale=(1.0, 1.0), flip=0.0)
    rows = np.array([3, 10, 20, 31])
    views, positions = next(iter(labelled_views(inputs, plain)(rows, 4, seed=0)))
    assert sorted(positions.numpy()) == [0, 1, 2, 3]
    expected = PREPROCESSING.function(inputs.data.train_images[rows[positions.numpy()]])
    np.testing.assert_allclose(views, expected, atol=1e-5)


def test_rows_of_images_that_stay_encoded_stay_encoded(inputs, monkeypatch):
    taken = []
    encoded = EncodedImages(None, *[np.arange(60)] * 5, side=8)
    monkeypatch.setattr(EncodedImages, "take", lambda self, rows: taken.append(rows) or self)
    monkeypatch.setattr("stages.finetuning.train_views", lambda part, **_: Recorded(part))
    inputs = Inputs(ImageData("files", encoded), PREPROCESSING)
    assert labelled_views(inputs, settings())(np.arange(5), 4, seed=0) is encoded
    assert taken[0].tolist() == [0, 1, 2, 3, 4]


def test_a_search_over_tau_d_leaves_the_classifier_at_the_chosen_one(inputs, tmp_path):
    small = ("--backbone=tiny", "--set=neck.num_simplices=4", "--set=neck.simplex_size=3")
    recipe = recipe_of("--method=sem_simclr", *small)
    searched = settings(steps=20, temperatures=(0.1, 2.0), labels_per_class=10)
    result = finetuned(recipe, inputs, searched, None, 1.0)
    chosen = result.details["temperature"]
    (row,) = results_of(recipe, searched, "blobs", "scratch", 1.0, result)
    assert row.tau == chosen and row.protocol["labels_per_class"] == 10
    assert "share" not in row.protocol
    said = describe("fine-tuned", result, 30)
    assert f"30 labels, 6 of them to choose, 30 test images: {result.accuracy:.1f} %" in said
    assert f"tau_d {chosen:g}" in said
    save_classifier(recipe, inputs, searched, result, tmp_path / "classifier.keras")
    model = keras.saving.load_model(tmp_path / "classifier.keras")
    assert simplices_of(model.layers[1]).temperature == chosen
    logits = np.asarray(model(PREPROCESSING.function(inputs.data.test_images)))
    accuracy = 100 * np.mean(logits.argmax(axis=1) == inputs.data.test_labels)
    assert accuracy == pytest.approx(result.accuracy)


def test_the_validation_split_of_the_data_chooses(inputs):
    own = Inputs(replace(inputs.data, validation_rows=np.arange(15)), PREPROCESSING)
    two = settings(learning_rates=(0.1, 0.5), steps=2)
    result = finetuned(recipe_of("--method=simclr", "--backbone=tiny"), own, two, None, 1.0)
    assert result.details["chosen_by"] == result.protocol["validation_images"] == 15


def test_only_the_stem_of_imagenet_loses_its_pooling():
    preprocessing = replace(PREPROCESSING, image_size=96)
    recipe = recipe_of("--method=simclr", "--backbone=resnet18")
    plain = encoder_in("float32", recipe, preprocessing)
    images = Inputs(None, preprocessing)
    start = starting_network(recipe, images, settings(stem_pooling=False), plain.get_weights())
    names = [[one.name for one in model.layers if "stem" in one.name] for model in (plain, start)]
    assert names[0] == [*names[1], "stem_pool_pad", "stem_pool"]
    assert all(map(np.array_equal, plain.get_weights(), start.get_weights()))
    small = replace(preprocessing, image_size=32)
    assert has_pooling(plain) and not has_pooling(start)
    assert not has_pooling(encoder_in("float32", recipe, small))  # the stem of CIFAR has none


def test_views_of_the_whole_are_the_middle_square_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))
    pixels = np.random.RandomState(0).randint(0, 256, (8, 12, 3)).astype("uint8")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "0.png").write_bytes(tf.io.encode_png(pixels).numpy())
    data = load(f"folder:{tmp_path}/files", image_size=8, in_memory=False, log=lambda _: None)
    whole = settings(crop_scale=(1.0, 1.0), flip=0.0)
    views = labelled_views(Inputs(data, PREPROCESSING), whole)(np.array([0]), 1, seed=0)
    expected = PREPROCESSING.function(pixels[None, :, 2:10])
    np.testing.assert_allclose(next(iter(views))[0], expected, atol=1e-5)


class Recorded:
    """In the place of a data set: gives the images that it would be made of."""

    def __init__(self, images):
        self.images = images

    def map(self, _):
        return self.images


def test_data_without_labels_are_refused(inputs):
    bare = Inputs(ImageData("bare", inputs.data.train_images), PREPROCESSING)
    with pytest.raises(UserError, match="needs labels for train and test images: 'bare'"):
        finetuned(recipe_of("--method=simclr"), bare, settings(), None, 1.0)


def test_other_settings_have_another_file():
    paths = {
        benchmark.path_of("run", data, found, start, share)
        for data in ("a", "b")
        for found in (settings(), settings(steps=16))
        for start in benchmark.STARTS
        for share in (0.1, 1.0)
    }
    assert len(paths) == 16


def test_the_table_has_a_line_for_each_start():
    found = {
        "simclr": {
            ("pretrained", 0.1): {"accuracy": 61.25, "learning_rate": 0.2},
            ("from scratch", 0.1): {"accuracy": 40.0, "learning_rate": 0.8},
        }
    }
    assert benchmark.format_table(found, (0.1,)).splitlines() == [
        "| run | start | 10 % of labels |",
        "| --- | --- | ---: |",
        "| simclr | pretrained | 61.2 (lr 0.2) |",
        "| simclr | from scratch | 40.0 (lr 0.8) |",
    ]
