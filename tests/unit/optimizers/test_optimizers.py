import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.optimizers import LARS, OPTIMIZERS, SGD, Adam, AdamW
from keras_ssl.optimizers.lars import VARIANTS
from keras_ssl.schedules import Cosine, WarmupCosine

DECAYS = pytest.mark.parametrize("decay", [0.1, Cosine(0.1, total_steps=5, final=0.4)])
WEIGHT = np.array([[3.0, 0.0], [0.0, 4.0]])  # norm 5
GRADIENT = np.array([[0.0, 0.6], [0.8, 0.0]])  # norm 1


def _variables(*arrays):
    return [keras.Variable(np.asarray(array, "float32")) for array in arrays]


def _values(variables):
    return [ops.convert_to_numpy(variable) for variable in variables]


def _run(optimizer, start, gradients, rates=None):
    """Values of one variable after each step."""
    (variable,) = _variables(start)
    values = []
    for step, gradient in enumerate(gradients):
        if rates is not None:
            optimizer.learning_rate = rates[step]
        optimizer.apply([ops.convert_to_tensor(gradient, "float32")], [variable])
        values.append(ops.convert_to_numpy(variable))
    return values


def _gradients(steps=5, shape=(3, 2), seed=0):
    return np.random.default_rng(seed).normal(size=(steps, *shape))


def _model(seed=0):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((4,)),
        # A bias before the normalization has a zero gradient up to rounding, which Adam blows up.
        keras.layers.Dense(3, use_bias=False, name="hidden"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dense(2, name="predictor"),
    ]
    return keras.Sequential(layers)


def _batches(steps=3):
    generator = np.random.default_rng(1)
    return generator.normal(size=(4 * steps, 4)), generator.normal(size=(4 * steps, 2))


def _fit(model, steps=3):
    model.fit(*_batches(steps), batch_size=4, shuffle=False, verbose=0)


def _slots(model):
    return [ops.convert_to_numpy(variable) for variable in model.optimizer.variables]


# SGD


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_decays_before_momentum_and_applies_the_rate_after_it(nesterov):
    gradients, rates = _gradients(), [0.5, 0.1, 0.4, 0.0, 0.2]
    optimizer = SGD(1.0, momentum=0.9, nesterov=nesterov, weight_decay=0.1)
    computed = _run(optimizer, np.ones((3, 2)), gradients, rates)
    weight, buffer = np.ones((3, 2)), 0.0
    for gradient, rate, actual in zip(gradients, rates, computed, strict=True):
        gradient = gradient + 0.1 * weight
        buffer = 0.9 * buffer + gradient
        weight = weight - rate * (gradient + 0.9 * buffer if nesterov else buffer)
        np.testing.assert_allclose(actual, weight, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"nesterov": True}, {"momentum": 0.0}])
def test_sgd_is_that_of_keras_without_decay_at_a_constant_rate(options):
    options = {"momentum": 0.9, **options}
    ours = _run(SGD(0.1, **options), np.ones((3, 2)), _gradients())
    theirs = _run(keras.optimizers.SGD(0.1, **options), np.ones((3, 2)), _gradients())
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


# LARS


@pytest.mark.parametrize(
    ("variant", "first", "second"),
    [
        # trust 0.01 * 5 / 1 = 0.05, then rate 0.5: the step is 0.025 times the gradient; the second
        # gradient is zero, so momentum 0.9 alone moves: 0.9 * 0.05 at rate 0.1 ...
        ("original", 0.025, 0.0045),
        ("simclr", 0.025, 0.0225),  # ... or 0.9 * 0.025, with the first step's rate
        ("larc", 0.025, 0.0045),
        # trust / rate = 0.1: the step is 0.5 * 0.1, and then 0.9 * 0.1 at rate 0.1.
        ("larc_clip", 0.05, 0.009),
    ],
)
def test_lars_steps_computed_by_hand(variant, first, second):
    optimizer = LARS(1.0, variant=variant, trust_coefficient=0.01)
    one, two = _run(optimizer, WEIGHT, [GRADIENT, 0 * GRADIENT], rates=[0.5, 0.1])
    np.testing.assert_allclose(WEIGHT - one, first * GRADIENT, atol=5e-7)
    np.testing.assert_allclose(one - two, second * GRADIENT, atol=5e-7)


@pytest.mark.parametrize(
    ("variant", "norm"),
    [("original", np.sqrt(1.0 + 0.5**2)), ("larc", 1.0 + 0.5)],  # gradient and decay orthogonal
)
def test_decay_enters_the_trust_ratio_as_each_convention_says(variant, norm):
    optimizer = LARS(1.0, variant=variant, trust_coefficient=0.01, weight_decay=0.1)
    (value,) = _run(optimizer, WEIGHT, [GRADIENT])
    expected = 0.05 / norm * (GRADIENT + 0.1 * WEIGHT)
    np.testing.assert_allclose(WEIGHT - value, expected, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_lars_steps_do_not_depend_on_the_size_of_the_gradient(variant):
    gradients = _gradients()
    small = _run(LARS(0.3, variant=variant), np.ones((3, 2)), gradients)
    large = _run(LARS(0.3, variant=variant), np.ones((3, 2)), 1000 * gradients)
    np.testing.assert_allclose(small, large, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_zero_gradient_moves_nothing_but_what_momentum_carries(variant):
    start, decay_free = np.ones((3, 2)), LARS(0.3, variant=variant)
    np.testing.assert_array_equal(_run(decay_free, start, np.zeros((2, 3, 2)))[-1], start)
    first, second = _run(LARS(0.3, variant=variant), start, [_gradients()[0], np.zeros((3, 2))])
    np.testing.assert_allclose(first - second, 0.9 * (start - first), atol=3e-7)


@pytest.mark.parametrize("variant", ["larc", "larc_clip"])
def test_larc_does_not_decay_at_a_zero_gradient(variant):
    optimizer = LARS(0.3, variant=variant, weight_decay=0.1)
    np.testing.assert_array_equal(_run(optimizer, np.ones((3, 2)), np.zeros((1, 3, 2)))[0], 1.0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_zero_weights_take_the_plain_gradient(variant):
    optimizer = LARS(0.5, variant=variant, weight_decay=0.1)
    (value,) = _run(optimizer, np.zeros((2, 2)), [GRADIENT])
    np.testing.assert_allclose(value, -0.5 * GRADIENT, rtol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("gradient", [0.0, 1e-30, 1.0])
@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_lars_stays_finite(variant, weight, gradient, rate):
    optimizer = LARS(rate, variant=variant, weight_decay=1e-6)
    values = _run(optimizer, np.full((2, 2), weight), np.full((2, 2, 2), gradient))
    assert np.all(np.isfinite(values))


def test_norms_of_half_precision_weights_do_not_overflow():
    weight = keras.Variable(np.full((8, 8), 1000.0), dtype="float16")  # squares exceed 65504
    gradient = ops.convert_to_tensor(np.full((8, 8), 300.0), "float16")
    LARS(1.0, trust_coefficient=0.01).apply([gradient], [weight])
    np.testing.assert_allclose(weight, 990.0, rtol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_excluded_tensors_have_neither_decay_nor_trust_ratio(variant):
    optimizer = LARS(0.5, variant=variant, weight_decay=0.1)
    (value,) = _run(optimizer, np.ones(3), [np.full(3, 0.2)])
    np.testing.assert_allclose(value, 1 - 0.5 * 0.2, rtol=1e-6)


def test_without_exclusion_vectors_are_scaled_like_matrices():
    vector = _run(LARS(0.5, exclude_1d=False), np.ones(6), _gradients(shape=(6,)))
    matrix = _run(LARS(0.5), np.ones((3, 2)), _gradients(shape=(6,)).reshape(-1, 3, 2))
    np.testing.assert_allclose(np.reshape(vector, (-1, 3, 2)), matrix, rtol=1e-6)


# Adam and AdamW


def torch_adam(value, gradients, rate, decay=0.0, epsilon=1e-8, betas=(0.9, 0.999), penalty=0.0):
    """The loops of `torch.optim.AdamW` and, by `penalty`, `Adam`, in float64: values by step."""
    mean, square, values = 0.0, 0.0, []
    for step, gradient in enumerate(gradients, 1):
        gradient = gradient + penalty * value
        value = value * (1 - rate * decay)
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        root = np.sqrt(square) / np.sqrt(1 - betas[1] ** step)
        value = value - rate / (1 - betas[0] ** step) * mean / (root + epsilon)
        values.append(value)
    return np.array(values)


@pytest.mark.parametrize("size", [1.0, 1e-5, 1e-8])
def test_adamw_is_that_of_torch_whatever_the_size_of_the_gradients(size):
    gradients = size * _gradients(steps=20, shape=(3,))
    ours = _run(AdamW(0.01, weight_decay=0.04, exclude_1d=False), np.ones(3), gradients)
    expected = torch_adam(np.ones(3), gradients, 0.01, 0.04)
    np.testing.assert_allclose(np.ravel(ours), expected.ravel(), rtol=2e-6)


@pytest.mark.parametrize("size", [1.0, 1e-5, 1e-8])
def test_adam_averages_the_gradient_of_the_penalty(size):
    gradients = size * _gradients(steps=20, shape=(3,))
    ours = _run(Adam(0.01, weight_decay=0.04, exclude_1d=False), np.ones(3), gradients)
    expected = torch_adam(np.ones(3), gradients, 0.01, penalty=0.04)
    np.testing.assert_allclose(np.ravel(ours), expected.ravel(), rtol=2e-6)


def test_adam_is_that_of_torch_with_l2_for_matrices_alone():
    # weight = torch.tensor([[1.0, -2.0], [0.5, 0.0]], dtype=torch.float64, requires_grad=True)
    # bias = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    # groups = [{"params": [weight], "weight_decay": 0.1}, {"params": [bias]}]
    # optimizer = torch.optim.Adam(groups, lr=0.01)
    # for step in range(4):
    #     weight.grad = torch.tensor([[1.0, 1e-3], [-0.2, 0.0]]).double() * (step - 1)
    #     bias.grad = torch.tensor([1e-7], dtype=torch.float64)
    #     optimizer.step()
    # print(weight.detach().reshape(-1).tolist(), bias.tolist())
    theirs = [1.0079867314035336, -1.9600238184002086, 0.4833179238423975, 0.0]
    weight, bias = _variables([[1.0, -2.0], [0.5, 0.0]], [0.3])
    optimizer = Adam(0.01, weight_decay=0.1)
    for step in range(4):
        gradient = ops.convert_to_tensor([[1.0, 1e-3], [-0.2, 0.0]]) * (step - 1.0)
        optimizer.apply([gradient, ops.convert_to_tensor([1e-7])], [weight, bias])
    np.testing.assert_allclose(np.ravel(weight), theirs, rtol=2e-6)
    np.testing.assert_allclose(bias, [0.2636363636363637], rtol=2e-6)


def test_adam_and_adamw_differ_by_the_decay_alone():
    gradients = _gradients(steps=3)
    coupled, decoupled = (_run(cls(0.01), np.ones((3, 2)), gradients) for cls in (Adam, AdamW))
    np.testing.assert_array_equal(coupled, decoupled)
    decayed = [
        _run(cls(0.01, weight_decay=0.1), np.ones((3, 2)), gradients)[-1] for cls in (Adam, AdamW)
    ]
    assert np.abs(decayed[0] - decayed[1]).max() > 1e-4


def test_adamw_has_the_epsilon_it_is_told():
    gradients = 1e-3 * _gradients(steps=3, shape=(3,))
    ours = _run(AdamW(0.01, weight_decay=0.0, epsilon=1e-3), np.ones(3), gradients)
    expected = torch_adam(np.ones(3), gradients, 0.01, epsilon=1e-3)
    np.testing.assert_allclose(np.ravel(ours), expected.ravel(), rtol=2e-6)


# All of them


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_moves_matrices_and_leaves_vectors(name):
    matrix, vector = _variables(np.ones((3, 2)), np.ones(3))
    optimizer = OPTIMIZERS[name](0.1, weight_decay=0.5)
    optimizer.apply([ops.zeros((3, 2)), ops.zeros(3)], [matrix, vector])
    assert np.all(np.asarray(matrix) < 1)
    np.testing.assert_array_equal(vector, 1.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_decay_of_float64_weights_is_not_rounded_to_float32(name):
    variable = keras.Variable(np.ones((3, 2)), dtype="float64")
    optimizer = OPTIMIZERS[name](0.5, weight_decay=0.1)
    optimizer.build([variable])
    rate = optimizer.decay_of(variable)
    assert rate.dtype == "float64" and float(rate) == 0.1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_scheduled_decay_is_that_of_each_update(name):
    schedule, gradients = Cosine(0.1, total_steps=5, final=0.4), _gradients()
    scheduled = _run(OPTIMIZERS[name](0.1, weight_decay=schedule), np.ones((3, 2)), gradients)
    optimizer, (weight,) = OPTIMIZERS[name](0.1, weight_decay=0.0), _variables(np.ones((3, 2)))
    for step, gradient in enumerate(gradients):
        optimizer.weight_decay = float(schedule(step))
        optimizer.apply([ops.convert_to_tensor(gradient, "float32")], [weight])
        np.testing.assert_allclose(scheduled[step], weight, rtol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_named_layers_keep_a_constant_rate(name):
    options = {"weight_decay": 0.1, "exclude_1d": False}

    def trained(rate, **rules):
        model = _model()
        model.compile(OPTIMIZERS[name](rate, **options, **rules), "mse", run_eagerly=True)
        _fit(model, steps=1)
        return _values(model.trainable_variables)

    ruled = trained(0.0, constant_lr_layers=("predictor",), constant_lr=0.1)
    start, everywhere = _values(_model().trainable_variables), trained(0.1)
    for index, value in enumerate(ruled):  # hidden: 0; norm: 1, 2; predictor: 3, 4
        np.testing.assert_array_equal(value, (everywhere if index > 2 else start)[index])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_config_holds_every_argument(name):
    optimizer = OPTIMIZERS[name](
        WarmupCosine(0.4, 60, 15),
        weight_decay=1e-6,
        exclude_1d=False,
        constant_lr_layers=("predictor",),
        constant_lr=0.05,
        clipnorm=3.0,
        gradient_accumulation_steps=2,
    )
    config = keras.saving.serialize_keras_object(optimizer)
    copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(copy) is type(optimizer)
    assert keras.saving.serialize_keras_object(copy) == config
    for argument in ("weight_decay", "exclude_1d", "constant_lr_layers", "constant_lr", "clipnorm"):
        assert getattr(copy, argument) == getattr(optimizer, argument)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_config_holds_a_schedule_of_the_decay(name):
    schedule = Cosine(0.04, total_steps=10, final=0.4)
    optimizer = OPTIMIZERS[name](0.1, weight_decay=schedule)
    config = keras.saving.serialize_keras_object(optimizer)
    copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert keras.saving.serialize_keras_object(copy) == config
    assert copy.weight_decay.get_config() == schedule.get_config()
    assert OPTIMIZERS[name].from_config(optimizer.get_config()).weight_decay(5) == schedule(5)


def test_lars_keeps_its_own_arguments_in_the_config():
    optimizer = LARS(0.1, variant="larc", momentum=0.8, trust_coefficient=0.02)
    copy = LARS.from_config(optimizer.get_config())
    assert (copy.variant, copy.momentum, copy.trust_coefficient) == ("larc", 0.8, 0.02)


@pytest.mark.parametrize("name", OPTIMIZERS)
@DECAYS
def test_a_saved_model_goes_on_bit_for_bit(name, decay, tmp_path):
    model = _model()
    rules = {"constant_lr_layers": ("predictor",), "constant_lr": 0.05}
    schedule = WarmupCosine(0.1, 12, 2)
    model.compile(OPTIMIZERS[name](schedule, weight_decay=decay, **rules), "mse")
    _fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for saved, kept in zip(_slots(loaded), _slots(model), strict=True):
        np.testing.assert_array_equal(saved, kept)
    for each in (model, loaded):
        _fit(each)
    for after, expected in zip(_values(loaded.weights), _values(model.weights), strict=True):
        np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_exclusion_from_decay_survives_loading(name, tmp_path):
    model = _model()
    model.compile(OPTIMIZERS[name](0.1, weight_decay=0.5), "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    variables = loaded.trainable_variables
    before = _values(variables)
    loaded.optimizer.apply([ops.zeros(variable.shape) for variable in variables])
    for variable, start in zip(variables, before, strict=True):
        decays = len(variable.shape) > 1
        assert np.array_equal(variable, start) != decays, variable.path


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loss_scaling_by_a_power_of_two_changes_nothing(name):
    def trained(scaled):
        optimizer = OPTIMIZERS[name](0.1, weight_decay=0.1)
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1024.0)
        model = _model()
        model.compile(optimizer, "mse", run_eagerly=True)
        _fit(model)
        return _values(model.weights)

    for scaled, plain in zip(trained(True), trained(False), strict=True):
        np.testing.assert_allclose(scaled, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_that_are_not_finite_are_skipped_under_loss_scaling(name):
    (variable,) = _variables(np.ones((2, 2)))
    optimizer = keras.optimizers.LossScaleOptimizer(OPTIMIZERS[name](0.1, weight_decay=0.1))
    optimizer.apply([ops.convert_to_tensor(np.full((2, 2), np.nan), "float32")], [variable])
    np.testing.assert_array_equal(variable, 1.0)
    assert int(optimizer.iterations) == 0


@pytest.mark.parametrize("name", OPTIMIZERS)
@DECAYS
def test_accumulated_gradients_make_the_step_of_their_mean(name, decay):
    gradients = _gradients(steps=4)
    options = {"learning_rate": 0.1, "weight_decay": decay}
    accumulated = OPTIMIZERS[name](gradient_accumulation_steps=2, **options)
    by_halves = _run(accumulated, np.ones((3, 2)), gradients)
    np.testing.assert_array_equal(by_halves[0], 1.0)
    means = gradients.reshape(2, 2, 3, 2).mean(axis=1)
    whole = _run(OPTIMIZERS[name](**options), np.ones((3, 2)), means)
    np.testing.assert_allclose(by_halves[1::2], whole, rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_schedules_count_updates_and_not_micro_batches(name):
    schedule = WarmupCosine(1.0, 10)
    optimizer = OPTIMIZERS[name](schedule, gradient_accumulation_steps=2)
    _run(optimizer, np.ones((3, 2)), _gradients(steps=5))
    assert int(optimizer.iterations) == 2
    assert float(optimizer.learning_rate) == float(schedule(2))


@pytest.mark.parametrize("name", OPTIMIZERS)
@DECAYS
def test_steps_under_xla_are_those_without(name, decay):
    def stepped(jit_compile):
        variables = _variables(np.ones((3, 2)), np.ones(3))
        optimizer = OPTIMIZERS[name](WarmupCosine(0.1, 6, 2), weight_decay=decay)
        optimizer.build(variables)
        step = tf.function(optimizer.apply, jit_compile=jit_compile)
        for matrix, vector in zip(_gradients(), _gradients(shape=(3,)), strict=True):
            step([tf.constant(matrix, tf.float32), tf.constant(vector, tf.float32)])
        return np.concatenate([value.ravel() for value in _values(variables)])

    np.testing.assert_allclose(stepped(True), stepped(False), rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"constant_lr_layers": "predictor", "constant_lr": 0.1}, r"Write \('predictor',\)"),
        ({"constant_lr_layers": ("predictor",)}, "both or neither"),
        ({"constant_lr": 0.1}, "both or neither"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        OPTIMIZERS[name](0.1, **options)


def test_an_unknown_variant_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'larc_clip'"):
        LARS(0.1, variant="lars_clip")


def test_a_constant_rate_for_a_layer_that_is_not_there_is_refused():
    optimizer = SGD(0.1, constant_lr_layers=("predicter",), constant_lr=0.1)
    with pytest.raises(UserError, match="Did you mean 'predictor'"):
        optimizer.build(_model().trainable_variables)


TWO_REPLICAS = """
import keras, numpy as np, tensorflow as tf
from tests.unit.optimizers.test_optimizers import OPTIMIZERS, Cosine, WarmupCosine, _batches

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

def trained(strategy, name):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        dense = keras.layers.Dense
        layers = [keras.Input((4,)), dense(3, name="hidden"), dense(2, name="predictor")]
        model = keras.Sequential(layers)
        rules = {"constant_lr_layers": ("predictor",), "constant_lr": 0.05}
        decay = Cosine(0.1, total_steps=12, final=0.4)
        optimizer = OPTIMIZERS[name](WarmupCosine(0.1, 12, 2), weight_decay=decay, **rules)
        model.compile(optimizer, "mse", jit_compile=False)
    model.fit(*_batches(), batch_size=4, shuffle=False, verbose=0)
    return [keras.ops.convert_to_numpy(v) for v in (*model.weights, *optimizer.variables)]

for name in OPTIMIZERS:
    two = trained(tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]), name)
    for a, b in zip(two, trained(tf.distribute.get_strategy(), name), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
"""


@pytest.mark.slow
def test_two_replicas_step_like_one_with_the_whole_batch():
    # Virtual devices must be set up before TensorFlow starts, hence a process of its own.
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", TWO_REPLICAS], check=True, cwd=root)
