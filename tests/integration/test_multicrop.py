"""Local crops and facts of the run on their way from the recipe to a method."""

import json

import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.config import parse_set, resolve
from stages import evaluation, training
from stages.describe import describe
from stages.inputs import view_settings
from stages.request import read_catalog
from tests.program import start

OVERRIDES = [
    "data.image_size=16",
    "backbone.name=tiny",
    "training.batch_size=400",
    "training.epochs=4",
    "training.accumulate=2",
    "training.seed=5",
    "training.precision=float32",
    "augment.policy=gray",
    "augment.local_views=3",
]


class Asking(keras_ssl.SimCLR):
    """SimCLR that wants to know everything."""

    needs_index = True
    run_facts = ("num_images",)

    def __init__(self, encoder, *, num_images, **kwargs):
        super().__init__(encoder, **kwargs)
        self.num_images = num_images


class Plain(keras_ssl.SimCLR):
    multi_crop = False


def prepare(*overrides):
    catalog = read_catalog()
    overrides = [parse_set(text) for text in (*OVERRIDES, *overrides)]
    return training.prepare(resolve(catalog, "simclr", overrides, "digits"))


@pytest.fixture
def session(monkeypatch):
    monkeypatch.setitem(keras_ssl.METHODS, "simclr", Asking)
    return prepare()


def test_a_batch_holds_views_local_crops_and_what_the_method_asks_for(session):
    assert training.batches_from(session, 0).element_spec == {
        "global": tf.TensorSpec((400, 2, 16, 16, 1), tf.float32),
        "local": tf.TensorSpec((400, 3, 8, 8, 1), tf.float32),
        "index": tf.TensorSpec((400,), tf.int64),
    }


def test_a_method_is_told_the_facts_of_its_run(session):
    method = session.method
    assert (session.per_epoch, method.steps_per_epoch) == (3, 3)
    assert (method.seed, method.num_images) == (5, len(session.inputs.data.train_images))


def test_the_block_that_says_what_will_run_names_the_local_crops(session, tmp_path):
    said = describe(session, tmp_path, 0)
    assert "400 images (global) x 2 views + 3 local of 8x8, 3 steps" in said
    said = describe(prepare("augment.local_views=0"), tmp_path, 0)
    assert "400 images (global) x 2 views, 3 steps" in said


def test_local_crops_have_their_own_scale_and_the_other_overrides():
    session = prepare(
        "augment.crop_scale=1,1",
        "augment.local_scale=1,1",
        "augment.local_size=16",
        "augment.jitter_probability=0",
        "augment.flip=0",
    )
    batch = next(iter(training.batches_from(session, 0)))  # nothing is left to draw
    np.testing.assert_allclose(batch["local"][:, 0], batch["global"][:, 0], atol=1e-5)


def test_local_crops_may_have_a_policy_of_their_own():
    session = prepare("augment.local_policy=only_crop", "augment.local_scale=0.1,0.2")
    settings = view_settings(session.recipe, session.inputs.preprocessing)
    [crop] = set(settings["local_policy"])
    assert (crop.jitter_probability, crop.flip, crop.crop_scale) == (0.0, 0.0, (0.1, 0.2))
    assert {view.jitter_probability for view in settings["policy"]} == {0.8}  # of "gray"
    with pytest.raises(keras_ssl.UserError, match="Did you mean 'imagenet_local'"):
        prepare("augment.local_policy=imagenet_locl")


def test_crops_larger_than_views_are_refused_before_the_run_begins():
    with pytest.raises(keras_ssl.UserError, match="more than the 16 pixels of a view"):
        prepare("augment.local_size=24")


def test_a_method_without_local_crops_refuses_them(monkeypatch):
    monkeypatch.setitem(keras_ssl.METHODS, "simclr", Plain)
    with pytest.raises(keras_ssl.UserError, match="takes no local crops.*augment.local_views"):
        prepare()


@pytest.mark.slow
def test_a_run_with_local_crops_trains_and_leaves_an_encoder(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluation, "evaluate", lambda *arguments, **options: None)
    overrides = [f"--set={text}" for text in OVERRIDES if "accumulate" not in text]
    flags = ["--method=sem_simclr", "--epochs=2", "--set=neck.num_simplices=4", *overrides]
    flags += ["--set=analysis.enabled=false"]
    assert start(*flags, f"--workdir={tmp_path / 'run'}") == 0
    assert "+ 3 local of 8x8" in capsys.readouterr().out
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    encoder = keras_ssl.load_encoder(tmp_path / "run" / "encoder.keras")
    for size in (8, 16, 24):
        assert np.isfinite(encoder(np.ones((2, size, size, 1), "float32"))).all()
