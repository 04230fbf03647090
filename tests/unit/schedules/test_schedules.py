import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.schedules import (
    Cosine,
    CosineEMA,
    WarmupCosine,
    cosine,
    linear_then_constant,
    warmup_cosine,
)

SCHEDULES = {
    "warmup_cosine": WarmupCosine(
        0.4, 60, 15, warmup_start=0.1, warmup_inclusive=True, final=0.01, hold_steps=5
    ),
    "cosine": Cosine(0.04, total_steps=60, final=0.4),
    "cosine_ema": CosineEMA(0.996, total_steps=60, final=0.9999),
}


def test_cosine_is_point_symmetric_about_its_middle():
    steps = np.arange(11)
    values = np.asarray(cosine(steps, 0.4, 0.1, 10))
    np.testing.assert_allclose(values + values[::-1], 0.5, rtol=1e-15)


def test_curves_give_float64_of_the_shape_of_the_steps():
    steps = np.arange(6).reshape(2, 3)
    for curve in (
        cosine(steps, 1.0, 0.0, 5),
        linear_then_constant(steps, 1.0, 0.0, 5),
        warmup_cosine(steps, 1.0, 5, warmup_steps=2),
    ):
        assert curve.dtype == "float64"
        assert curve.shape == (2, 3)


def test_linear_ramp_is_linspace_when_inclusive_and_one_step_longer_when_not():
    inclusive = linear_then_constant(np.arange(6), 0.04, 0.07, 4)
    np.testing.assert_allclose(inclusive, [*np.linspace(0.04, 0.07, 4), 0.07, 0.07])
    exclusive = linear_then_constant(np.arange(6), 0.0, 1.0, 4, inclusive=False)
    np.testing.assert_allclose(exclusive, [0, 0.25, 0.5, 0.75, 1, 1])


@pytest.mark.parametrize("inclusive", [True, False])
def test_a_ramp_of_no_steps_is_constant(inclusive):
    values = linear_then_constant(np.arange(3), 0.04, 0.07, 0, inclusive=inclusive)
    np.testing.assert_array_equal(values, 0.07)


def test_a_ramp_of_one_step_starts_at_the_start():
    values = linear_then_constant(np.arange(3), 0.04, 0.07, 1)
    np.testing.assert_array_equal(values, [0.04, 0.07, 0.07])


def test_warmup_rises_to_the_peak_and_the_cosine_falls_to_the_final_value():
    values = np.asarray(warmup_cosine(np.arange(31), 0.4, 30, warmup_steps=10, final=0.01))
    assert values[0] == 0
    assert values[10] == 0.4
    np.testing.assert_allclose(values[30], 0.01, rtol=1e-12)
    assert np.all(np.diff(values[:11]) > 0)
    assert np.all(np.diff(values[10:]) < 0)


def test_inclusive_warmup_has_the_peak_twice():
    values = np.asarray(
        warmup_cosine(np.arange(30), 0.4, 30, warmup_steps=10, warmup_inclusive=True)
    )
    np.testing.assert_allclose(values[9:11], 0.4, rtol=1e-15)
    assert np.all(np.delete(values, [9, 10]) < 0.4)


def test_without_warmup_the_first_step_has_the_peak():
    assert float(warmup_cosine(0, 0.4, 30, warmup_start=0.1)) == 0.4


def test_the_value_stays_final_after_the_last_step():
    assert float(WarmupCosine(0.4, 30, 10, final=0.125)(1000)) == 0.125
    assert float(CosineEMA(0.99, total_steps=30)(1000)) == 1.0
    assert float(Cosine(0.04, total_steps=30, final=0.375)(1000)) == 0.375


def test_hold_keeps_the_rate_of_each_epoch():
    held = np.asarray(warmup_cosine(np.arange(60), 0.4, 60, hold_steps=5)).reshape(12, 5)
    assert np.all(held == held[:, :1])
    np.testing.assert_array_equal(held[:, 0], cosine(np.arange(12), 0.4, 0.0, 12))


def test_held_warmup_steps_through_whole_epochs():
    # The schedule of early solo-learn, stepped once per epoch: peak at epochs w - 1 and w.
    options = {"warmup_start": 3e-5, "warmup_inclusive": True}
    held = warmup_cosine(np.arange(60), 0.4, 60, warmup_steps=15, hold_steps=5, **options)
    epochs = warmup_cosine(np.arange(12), 0.4, 12, warmup_steps=3, **options)
    np.testing.assert_allclose(np.asarray(held)[::5], epochs, rtol=1e-12)


def test_momentum_of_the_average_starts_at_its_base_and_rises():
    momentum = CosineEMA(0.99, total_steps=20)
    values = np.array([float(momentum(step)) for step in range(21)])
    assert values[0] == np.float32(0.99)
    assert values[-1] == 1.0
    assert np.all(np.diff(values) > 0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_give_float32_scalars(name):
    value = SCHEDULES[name](keras.Variable(3, dtype="int64"))
    assert keras.ops.is_tensor(value)
    assert value.dtype == "float32"
    assert value.shape == ()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_schedules_compile_to_the_values_they_have_outside(name, jit_compile):
    schedule = SCHEDULES[name]
    compiled = tf.function(schedule, jit_compile=jit_compile)
    for step in (0, 3, 14, 15, 40, 60, 99):
        inside = float(compiled(tf.constant(step, tf.int64)))
        np.testing.assert_allclose(inside, float(schedule(step)), rtol=1e-6)
    assert compiled.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_survive_serialization(name):
    schedule = SCHEDULES[name]
    config = keras.saving.serialize_keras_object(schedule)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(schedule)
    assert copy.get_config() == schedule.get_config()
    assert float(copy(17)) == float(schedule(17))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WarmupCosine(0.1, 10, 10), "less than total_steps"),
        (lambda: WarmupCosine(0.1, 10, -1), "at least 0"),
        (lambda: WarmupCosine(0.1, 10, hold_steps=0), "hold_steps"),
        (lambda: CosineEMA(1.5, total_steps=10), "base must be a number from 0 to 1"),
        (lambda: CosineEMA(0.9, total_steps=0), "total_steps"),
        (lambda: Cosine(0.04, total_steps=0, final=0.4), "total_steps"),
    ],
)
def test_impossible_numbers_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
