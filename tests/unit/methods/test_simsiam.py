"""SimSiam: its predictors, and normalization in its heads."""

import numpy as np
import pytest

import keras_ssl
from keras_ssl.config import parse_set, resolve
from keras_ssl.losses.simsiam import simsiam_loss
from stages.build import build_optimizer
from stages.request import read_catalog
from tests.descriptors import make_views
from tests.unit.support import changed, fit, total


def test_a_fixed_predictor_keeps_its_weights_and_normalizes_by_the_batch():
    method = changed("simsiam", predictor_kind="fixed")
    before = {v.path: np.array(v) for v in method.predictor.variables}
    projector = [np.array(v) for v in method.projector.trainable_variables]
    fit(method, make_views(method), 3)
    for variable in method.predictor.variables:
        same = np.array_equal(before[variable.path], variable)
        assert same is not ("moving" in variable.path), variable.path
    for old, variable in zip(projector, method.projector.trainable_variables, strict=True):
        assert np.any(old != np.asarray(variable))
    assert not {v.path for v in method.trainable_variables} & set(before)


def test_without_a_predictor_the_projections_are_compared():
    method = changed("simsiam", predictor_kind="none")
    outputs = method.embed(make_views(method), training=True)
    z = outputs["projections"]
    assert not hasattr(method, "predictor")
    np.testing.assert_allclose(total(method, outputs), simsiam_loss(*z, *z), rtol=1e-5)


@pytest.mark.parametrize("kind", ["none", "fixed"])
def test_a_predictor_that_does_not_learn_has_the_same_other_weights(kind):
    whole, part = changed("simsiam"), changed("simsiam", predictor_kind=kind)
    kept = [v for v in whole.variables if "predictor" not in v.path]
    others = [v for v in part.variables if "predictor" not in v.path]
    for a, b in zip(kept, others, strict=True):
        assert a.path == b.path
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "head_norm, projector, predictor",
    [
        ("none", [], []),
        ("hidden", ["norm0", "norm1"], ["norm0"]),
        ("default", ["norm0", "norm1", "norm_out"], ["norm0"]),
        ("all", ["norm0", "norm1", "norm_out"], ["norm0", "norm_out"]),
    ],
)
def test_heads_normalize_where_table_3_says(head_norm, projector, predictor):
    method = changed("simsiam", head_norm=head_norm)
    for head, wanted in ((method.projector, projector), (method.predictor, predictor)):
        assert [layer.name for layer in head.layers if "norm" in layer.name] == wanted
        for dense in (layer for layer in head.layers if "dense" in layer.name):
            followed = dense.name.replace("dense", "norm") in wanted
            last = dense is [layer for layer in head.layers if "dense" in layer.name][-1]
            assert dense.use_bias is not (followed or (last and "norm_out" in wanted))


def recipe(*texts):
    return resolve(read_catalog(), "simsiam", [parse_set(t) for t in texts], "cifar10")


@pytest.mark.parametrize("kind", ["none", "fixed"])
def test_a_rate_that_the_recipe_gives_to_a_predictor_is_left_out_without_one(kind):
    method = changed("simsiam", predictor_kind=kind)
    optimizer = build_optimizer(recipe(f"method.predictor_kind={kind}"), 10, method)
    assert (optimizer.constant_lr_layers, optimizer.constant_lr) == ((), None)
    optimizer.build(method.trainable_variables)
    whole = changed("simsiam")
    optimizer = build_optimizer(recipe(), 10, whole)
    assert optimizer.constant_lr_layers == ("predictor",) and optimizer.constant_lr


def test_a_rate_that_the_user_gives_to_a_predictor_that_is_not_there_is_refused():
    method = changed("simsiam", predictor_kind="none")
    asked = recipe("method.predictor_kind=none", "optimizer.constant_lr=3")
    with pytest.raises(keras_ssl.UserError, match="names 'predictor'"):
        build_optimizer(asked, 10, method).build(method.trainable_variables)


def test_another_predictor_is_refused_with_those_that_there_are():
    with pytest.raises(keras_ssl.UserError, match="predictor_kind"):
        changed("simsiam", predictor_kind="linear")
