"""What every method must keep, whatever it computes."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.training import checkpoints
from tests.descriptors import (
    BATCH,
    CLUSTERS,
    METHOD_NAMES,
    METHODS,
    SLOW_NAMES,
    make_method,
    make_views,
    method_of,
)

# In the scope of the module, pytest runs all tests of a name one after the other: they share a run.
every_name = pytest.mark.parametrize("name", METHOD_NAMES, scope="module")
# SEM is one neck for all methods: with two of them by default, with the others if there is time.
every_method = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_NAMES else [])
        for name in METHOD_NAMES
    ],
    scope="module",
)
# Two replicas take four seconds each: by default one method of each way to see the global batch:
# gathered rows, a queue, sums of scores, a center, and statistics of the batch.
REPLICATED = ("simclr", "moco", "swav", "dino", "barlow_twins")
some_methods = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in REPLICATED else [pytest.mark.slow])
        for name in METHOD_NAMES
    ],
)
MULTI_CROP = [
    name
    for name in METHOD_NAMES
    if keras_ssl.METHODS[method_of(name).removeprefix("sem_")].multi_crop
]
every_multi_crop_method = pytest.mark.parametrize("name", MULTI_CROP)
every_clustering_method = pytest.mark.parametrize(
    "name", [*CLUSTERS, *(pytest.param(f"sem_{name}", marks=pytest.mark.slow) for name in CLUSTERS)]
)


def fit(method, steps, epochs=1, **options):
    data = tf.data.Dataset.from_tensors(make_views(method)).repeat()
    options = {"steps_per_epoch": steps, "epochs": epochs, "verbose": 0, **options}
    history = method.fit(data, shuffle=False, **options)
    return history.history["loss"]


def embed(method, views):
    return method.embed(method.prepare(views), training=True)


def state(method):
    return [np.asarray(v) for v in [*method.variables, *method.optimizer.variables]]


def after_a_step(name):
    """A method whose statistics have moved, and images for it."""
    method = make_method(name)
    views = make_views(method)
    method.train_step((views,))
    return method, views["global"][:, 0]


def assert_same_state(one, other):
    one, other = state(one), state(other)
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_finite(method, losses):
    assert np.all(np.isfinite(losses))
    assert all(np.all(np.isfinite(v)) for v in method.variables if "float" in v.dtype)


@dataclass
class Run:
    """What a method did on a fixed batch.

    Attributes:
        losses: the mean loss of each epoch.
        mean_losses: the loss over the first one, two, three and four steps.
        states: {step: `state` after it} of the same.
        weights: how many arrays of a state are not the optimizer's.
        folder: where a checkpoint of step 2 lies.
        traces: how often the step was traced.
    """

    losses: list
    mean_losses: list
    states: dict
    weights: int
    folder: Path
    traces: int


def record(name, folder, *, steps, epochs, **options):
    """Fit a method and note what it does: -> Run."""
    keras.config.set_dtype_policy("float32")
    method, traces, states, means = make_method(name, **options), [], {}, []
    embed_views = method.embed
    object.__setattr__(method, "embed", lambda *a, **k: traces.append(1) or embed_views(*a, **k))

    def keep(batch, logs):
        if len(states) < 4:
            means.append(logs["loss"])
            states[len(states) + 1] = state(method)
            if len(states) == 2:
                checkpoints.save(method, folder, step=2)

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=keep)
    losses = fit(method, steps=steps, epochs=epochs, callbacks=[watch])
    return Run(losses, means, states, len(method.variables), folder, len(traces))


@pytest.fixture(scope="module")
def compiled_run(name, tmp_path_factory):
    """40 steps of a method: compiling it takes longer than all of them."""
    return record(name, tmp_path_factory.mktemp("compiled"), steps=10, epochs=4)


@pytest.fixture(scope="module")
def eager_run(name, tmp_path_factory):
    """Four eager steps of a method."""
    return record(name, tmp_path_factory.mktemp("eager"), steps=4, epochs=1, run_eagerly=True)


@every_name
def test_loss_is_finite_and_falls_on_a_fixed_batch(name, compiled_run):
    assert np.all(np.isfinite(compiled_run.losses))
    assert compiled_run.losses[-1] < compiled_run.losses[0]


@every_method
def test_train_step_is_traced_once(name, compiled_run):
    assert compiled_run.traces == 1


@every_method
def test_resumed_checkpoint_equals_the_run_that_was_not_interrupted(name, eager_run):
    resumed = make_method(name, seed=7, run_eagerly=True)  # other weights, all to be replaced
    checkpoints.restore(resumed, eager_run.folder, checkpoints.latest_step(eager_run.folder))
    fit(resumed, steps=2)
    for whole, part in zip(eager_run.states[4], state(resumed), strict=True):
        np.testing.assert_array_equal(whole, part)


@every_method
def test_compiled_step_equals_eager_step(name, compiled_run, eager_run):
    np.testing.assert_allclose(compiled_run.mean_losses[2], eager_run.mean_losses[2], rtol=1e-4)
    pairs = zip(compiled_run.states[3], eager_run.states[3], strict=True)
    for a, b in list(pairs)[: eager_run.weights]:
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@every_method
@pytest.mark.parametrize(
    ("policy", "eager"),
    [
        ("mixed_float16", True),
        pytest.param("float32", False, marks=pytest.mark.slow),
        pytest.param("mixed_float16", False, marks=pytest.mark.slow),
    ],
)
def test_saved_method_goes_on_as_if_it_had_never_been_saved(name, policy, eager, tmp_path):
    check_saved(name, policy, eager, tmp_path)


def test_saved_method_goes_on_compiled(tmp_path):
    check_saved("moco", "mixed_float16", False, tmp_path)


def check_saved(name, policy, eager, tmp_path):
    """A method that is saved and loaded trains on as it does itself."""
    keras.config.set_dtype_policy(policy)
    method = make_method(name, run_eagerly=eager)
    fit(method, steps=2)
    method.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")  # as in another process
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = eager  # no file keeps it
    assert type(loaded.optimizer) is type(method.optimizer)
    assert loaded.get_config().keys() == method.get_config().keys()
    assert_same_state(method, loaded)
    losses = fit(method, steps=1)
    fit(loaded, steps=1)
    assert_same_state(method, loaded)
    assert_finite(method, losses)


# A compiled step takes five to ten seconds each: by default one with batch statistics and a queue.
# Factorisations are compiled in unit/test_whitening.py.
COMPILED = ("moco",)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in COMPILED else [pytest.mark.slow]) for n in METHOD_NAMES],
)
def test_step_compiled_by_xla_equals_the_uncompiled_one(name):
    plain, compiled = make_method(name), make_method(name)
    views = make_views(plain)
    logs = []
    for method, jit_compile in ((plain, False), (compiled, True)):
        method.optimizer.build(method.trainable_variables)
        step = tf.function(method.train_step, jit_compile=jit_compile)
        logs.append(step(views))
    for key, value in logs[0].items():
        np.testing.assert_allclose(logs[1][key], value, rtol=1e-4, atol=1e-5)
    variables = [*plain.variables, *plain.optimizer.variables]
    for variable, a, b in zip(variables, state(compiled), state(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4, err_msg=variable.path)


@pytest.mark.parametrize("name", ["simsiam", "gedi"])
def test_evaluation_reports_the_loss_and_changes_nothing(name):
    method = make_method(name, run_eagerly=True)
    method.optimizer.build(method.trainable_variables)
    data = tf.data.Dataset.from_tensors(make_views(method))
    before = state(method)
    logs = method.evaluate(data, verbose=0, return_dict=True)
    assert set(logs) == {"loss", *method.terms} and np.isfinite(logs["loss"])
    for old, new in zip(before, state(method), strict=True):
        np.testing.assert_array_equal(old, new)
    fitted = method.fit(data, shuffle=False, validation_data=data, verbose=0)
    assert np.isfinite(fitted.history["val_loss"][0])


def test_a_loss_of_the_training_images_alone_is_not_evaluated():
    method = make_method("deepcluster", run_eagerly=True)
    with pytest.raises(keras_ssl.UserError, match="leave out validation_data"):
        method.evaluate(tf.data.Dataset.from_tensors(make_views(method)), verbose=0)


def test_data_without_an_end_are_refused_at_once():
    method = make_method("simsiam")
    endless = tf.data.Dataset.from_tensors(make_views(method)).repeat()
    with pytest.raises(keras_ssl.UserError, match="no end: give steps_per_epoch"):
        method.fit(endless)
    with pytest.raises(keras_ssl.UserError, match="no end: give validation_steps"):
        method.fit(endless, steps_per_epoch=1, validation_data=endless)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n == "simclr" else [pytest.mark.slow]) for n in METHOD_NAMES],
)
def test_a_short_last_batch_trains_or_is_refused_in_words(name):
    method = make_method(name)
    views = make_views(method)
    rows = {key: np.concatenate([value, value[:4]]) for key, value in views.items()}
    data = tf.data.Dataset.from_tensor_slices(rows).batch(BATCH)
    try:
        losses = method.fit(data, shuffle=False, epochs=2, verbose=0).history["loss"]
    except keras_ssl.UserError as error:
        assert "batch" in str(error)
    else:
        assert np.all(np.isfinite(losses))


@every_method
def test_targets_get_no_gradient_and_are_no_parameters(name):
    method = make_method(name)
    if not method._ema_pairs:
        pytest.skip("no targets")
    targets = [copy for _, copy in method._ema_pairs]
    parameters = {id(variable) for variable in method.trainable_variables}
    assert not any(id(copy) in parameters for copy in targets)
    with tf.GradientTape() as tape:
        tape.watch([copy.value for copy in targets])
        loss = sum(method.loss_terms(embed(method, make_views(method))).values())
    assert all(g is None for g in tape.gradient(loss, [copy.value for copy in targets]))


@every_method
def test_every_parameter_gets_a_gradient(name):
    method = make_method(name)
    with tf.GradientTape() as tape:
        loss = sum(method.loss_terms(embed(method, make_views(method))).values())
    gradients = tape.gradient(loss, [v.value for v in method.trainable_variables])
    missing = [
        v.path for v, g in zip(method.trainable_variables, gradients, strict=True) if g is None
    ]
    assert not missing


@every_method
def test_targets_follow_by_one_minus_momentum(name):
    method = make_method(name, run_eagerly=True)
    if not method._ema_pairs:
        pytest.skip("no targets")
    momentum = np.float32(method.ema_momentum(0))
    for _online, copy in method._ema_pairs:
        copy.assign(copy + 0.5)
    before = [np.asarray(copy) for _, copy in method._ema_pairs]
    fit(method, steps=1)
    for (online, copy), old in zip(method._ema_pairs, before, strict=True):
        wanted = momentum * old + (1 - momentum) * np.asarray(online)
        np.testing.assert_allclose(copy, wanted, rtol=1e-6, atol=1e-7)


@every_method
def test_targets_normalise_by_their_own_batch(name):
    method = make_method(name, run_eagerly=True)
    if not method._ema_pairs:
        pytest.skip("no targets")
    for target in [v for k, v in vars(method).items() if k.startswith("target_")]:
        moving = [w for w in target.weights if "moving_mean" in w.path]
        before = [np.asarray(w) for w in moving]
        fit(method, steps=1)
        after = [np.asarray(w) for w in moving]
        changed = [np.any(a != b) for a, b in zip(after, before, strict=True)]
        assert not moving or any(changed)


# What waits is the same for all methods: by default one without targets, and two with them.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n in ("simclr", "sem_byol", "dino") else [pytest.mark.slow])
        for n in METHOD_NAMES
    ],
)
def test_targets_wait_while_gradients_accumulate(name):
    compiled = name == "sem_byol"  # the counters are read around the update: a trap of graphs
    method = make_method(name, gradient_accumulation_steps=2, run_eagerly=not compiled)
    followers = [copy for _, copy in method._ema_pairs]
    before = [np.asarray(copy) for copy in followers]
    online = [np.asarray(v) for v in method.trainable_variables]
    fit(method, steps=1)
    for old, copy in zip(before, followers, strict=True):
        np.testing.assert_array_equal(copy, old)
    for old, variable in zip(online, method.trainable_variables, strict=True):
        np.testing.assert_array_equal(variable, old)
    fit(method, steps=1)
    assert any(
        np.any(np.asarray(v) != old)
        for v, old in zip(method.trainable_variables, online, strict=True)
    )


# What bfloat16 can break, types and rounding, breaks in float16 as well.
@every_method
@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"]
)
def test_mixed_precision_stays_finite_and_loss_scaling_leaves_out_a_bad_batch(name, policy):
    check_mixed_precision(name, policy)


@pytest.mark.parametrize("name", ["sem_byol", "swav", "wmse"])
def test_bfloat16_stays_finite(name):
    check_mixed_precision(name, "mixed_bfloat16")


def check_mixed_precision(name, policy):
    keras.config.set_dtype_policy(policy)
    method = make_method(name, run_eagerly=True)
    method.steps_per_epoch = 100  # so that none begins below
    assert_finite(method, fit(method, steps=4))
    if policy == "mixed_float16":
        before = state(method)
        logs = fit_spoiled(method)
        assert logs["skipped_steps"] == [1.0]
        assert_skipped(method, before)


@pytest.mark.parametrize("name", [pytest.param("sem_byol", marks=pytest.mark.slow), "moco"])
def test_a_batch_that_is_bad_on_the_second_replica_is_left_out_on_all(name, two_replicas):
    keras.config.set_dtype_policy("mixed_float16")
    with two_replicas.scope():
        method = make_method(name)
    fit(method, steps=2)
    before = state(method)
    logs = fit_spoiled(method, rows=slice(BATCH // 2, BATCH))
    assert logs["skipped_steps"] == [1.0]
    assert_skipped(method, before)


def fit_spoiled(method, rows=slice(None)):
    """One step of a batch with infinite pixels in some of its rows: -> logs."""
    views = make_views(method)
    images = np.asarray(views["global"]).copy()
    images[rows, ..., 0] = np.inf
    data = tf.data.Dataset.from_tensors({**views, "global": images})
    return method.fit(data, shuffle=False, verbose=0).history


def assert_skipped(method, before):
    """Nothing but the scale of the loss, and its counter, has changed."""
    scaler = {"dynamic_scale", "step_counter"}
    variables = [*method.variables, *method.optimizer.variables]
    for variable, old, new in zip(variables, before, state(method), strict=True):
        if variable.name == "dynamic_scale":
            assert new == old / 2
        elif variable.name not in scaler:
            np.testing.assert_array_equal(new, old, err_msg=variable.path)


@every_name
def test_no_variable_is_int32(name):
    # On a GPU they lie on the host, where a step compiled by XLA cannot read them.
    keras.config.set_dtype_policy("mixed_float16")
    method = make_method(name, optimizer="adamw", gradient_accumulation_steps=2)
    method.optimizer.build(method.trainable_variables)
    variables = [*method.variables, *method.metrics_variables, *method.optimizer.variables]
    assert not [v.path for v in variables if v.dtype == "int32"]


@every_method
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_degenerate_batches_give_finite_gradients(name, policy):
    keras.config.set_dtype_policy(policy)
    method = make_method(name)
    views = make_views(method)
    images = np.asarray(views["global"])
    batches = {
        "repeated rows": np.broadcast_to(images[:1], images.shape),
        "constant": np.full_like(images, 0.7),
        "zero": np.zeros_like(images),
    }
    for kind, batch in batches.items():
        with tf.GradientTape() as tape:
            outputs = embed(method, {**views, "global": tf.constant(batch)})
            loss = sum(method.loss_terms(outputs).values())
        gradients = tape.gradient(loss, [v.value for v in method.trainable_variables])
        assert np.isfinite(loss), kind
        assert all(np.all(np.isfinite(g)) for g in gradients), kind


@every_method
def test_other_numbers_of_views_are_right_or_clearly_refused(name):
    method = make_method(name)
    fewest, most = method.num_views
    for count in {1, 2, 3} - {fewest}:
        views = make_views(method, count)
        if fewest < count <= (most or count):
            losses = method.loss_terms(embed(method, views))
            assert all(np.isfinite(value) for value in losses.values())
        else:
            with pytest.raises(keras_ssl.UserError, match="num_views"):
                method.train_step((views,))


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(MULTI_CROP)))
def test_local_crops_are_refused_where_nothing_would_look_at_them(name):
    method = make_method(name)
    local = keras.random.uniform((BATCH, 2, 12, 12, 3), seed=2)
    with pytest.raises(keras_ssl.UserError, match="takes no local crops"):
        method.train_step(({**make_views(method), "local": local},))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])  # float16 wraps the optimizer
def test_epochs_are_those_of_the_data_whatever_is_accumulated(policy):
    keras.config.set_dtype_policy(policy)
    method = make_method("byol", gradient_accumulation_steps=2)
    method.steps_per_epoch = 5
    seen = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append((int(method.step), int(method.epoch)))
    )
    fit(method, steps=5, epochs=4, callbacks=[record])
    assert seen == [(updates, updates * 2 // 5) for updates, _ in seen]
    if policy == "float32":  # float16 leaves out an update while it looks for its scale
        assert [updates for updates, _ in seen] == [batches // 2 for batches in range(1, 21)]


@every_multi_crop_method
def test_local_crops_of_another_size_reach_the_loss_and_every_parameter(name):
    method = make_method(name)
    local = keras.random.uniform((BATCH, 2, 12, 12, 3), seed=2)
    with tf.GradientTape() as tape:
        tape.watch(local)
        outputs = embed(method, {**make_views(method), "local": local})
        loss = sum(method.loss_terms(outputs).values())
    parameters = [v.value for v in method.trainable_variables]
    to_local, *gradients = tape.gradient(loss, [local, *parameters])
    assert np.isfinite(loss)
    assert np.all(np.any(np.asarray(to_local) != 0, axis=(0, 2, 3, 4)))  # from each of the crops
    assert all(g is not None and np.all(np.isfinite(g)) for g in gradients)


@every_method
def test_call_is_the_encoder_in_inference_mode(name):
    method = make_method(name)
    images = make_views(method)["global"][:, 0]
    np.testing.assert_array_equal(method(images), method.encoder(images, training=False))


@every_clustering_method
def test_cluster_scores_are_finite_float32_and_change_nothing(name):
    keras.config.set_dtype_policy("mixed_float16")
    method, images = after_a_step(name)
    before = state(method)
    scores = method.cluster_scores(images)
    assert scores.shape == (BATCH, CLUSTERS[name.removeprefix("sem_")])
    assert scores.dtype == "float32" and np.all(np.isfinite(scores))
    np.testing.assert_array_equal(scores, method.cluster_scores(images))
    for old, new in zip(before, state(method), strict=True):
        np.testing.assert_array_equal(old, new)


@every_clustering_method
def test_cluster_scores_depend_on_the_image_alone_and_survive_saving(name, tmp_path):
    method, images = after_a_step(name)
    scores = np.asarray(method.cluster_scores(images))
    assert np.std(scores, axis=0).max() > 1e-6  # images differ
    alone = method.cluster_scores(images[:1])
    np.testing.assert_allclose(scores[:1], alone, rtol=1e-4, atol=1e-5)
    method.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(scores, loaded.cluster_scores(images))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_whether_it_finds_clusters(name):
    assert (keras_ssl.METHODS[name].cluster_head is not None) == (name in CLUSTERS)
    if name not in CLUSTERS:
        with pytest.raises(keras_ssl.UserError, match="finds no clusters"):
            make_method(name).cluster_scores(np.zeros((1, 8, 8, 3), "float32"))


@some_methods
def test_two_replicas_equal_one_of_twice_the_batch(name, two_replicas):
    single = make_method(name)
    with two_replicas.scope():
        double = make_method(name)
        double.set_weights(single.get_weights())
    np.testing.assert_allclose(fit(single, steps=2), fit(double, steps=2), rtol=1e-4)
    # CPLearn's sharp softmax multiplies rounding: by 5e-6 after one step, 1.5e-5 after two.
    atol = 3e-5 if name.endswith("cplearn") else 1e-5
    for a, b in zip(single.weights, double.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol)


def fit_different(method, steps, first=0):
    """Fit on batches that differ from each other: -> losses of all of them."""
    batches = [make_views(method, seed=seed) for seed in range(first, first + steps)]
    stacked = {name: keras.ops.stack([batch[name] for batch in batches]) for name in batches[0]}
    data = tf.data.Dataset.from_tensor_slices(stacked)
    return method.fit(data, shuffle=False, verbose=0).history["loss"]


# By default the method that has both a target that follows and a queue.
@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("moco", "sgd"),
        pytest.param("byol", "lars", marks=pytest.mark.slow),
        pytest.param("simclr", "adamw", marks=pytest.mark.slow),
    ],
)
def test_two_replicas_accumulate_like_one_of_twice_the_batch(
    name, optimizer, two_replicas, tmp_path
):
    options = {"optimizer": optimizer, "gradient_accumulation_steps": 4}
    single = make_method(name, **options)
    with two_replicas.scope():
        double = make_method(name, **options)
    double.set_weights(single.get_weights())
    for method in (single, double):
        method.optimizer.clipnorm = 0.05
        fit_different(method, steps=3)
    assert int(double.optimizer.iterations) == 0
    before = [np.array(weight) for weight in double.trainable_weights]
    np.testing.assert_array_equal(before[0], single.trainable_weights[0])
    checkpoints.save(double, tmp_path, step=3)
    for method in (single, double):
        fit_different(method, steps=6, first=3)
    assert int(double.optimizer.iterations) == int(single.optimizer.iterations) == 2
    # The accumulators too: that of the ninth batch is in them.
    pairs = zip(
        [*single.weights, *single.optimizer.variables],
        [*double.weights, *double.optimizer.variables],
        strict=True,
    )
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=a.path)
    # Resumed between two updates.
    with two_replicas.scope():
        resumed = make_method(name, seed=7, **options)
    resumed.optimizer.clipnorm = 0.05
    checkpoints.restore(resumed, tmp_path, step=3)
    fit_different(resumed, steps=6, first=3)
    assert_same_state(double, resumed)


def test_averaged_weights_are_refused_on_two_replicas(two_replicas):
    # Without a word they would stay those of the start.
    with two_replicas.scope():
        method = make_method("simclr")
        method.compile(keras_ssl.SGD(0.1, use_ema=True), jit_compile=False)
    with pytest.raises(keras_ssl.UserError, match="use_ema"):
        fit(method, steps=1)


def test_two_replicas_accumulate_in_float16_and_leave_out_a_bad_batch(two_replicas):
    keras.config.set_dtype_policy("mixed_float16")
    with two_replicas.scope():
        method = make_method("moco", gradient_accumulation_steps=2)
    assert_finite(method, fit(method, steps=4))
    assert int(method.optimizer.iterations) == 2
    before = state(method)
    logs = fit_spoiled(method, rows=slice(BATCH // 2, BATCH))
    assert logs["skipped_steps"] == [1.0]
    assert_skipped(method, before)
