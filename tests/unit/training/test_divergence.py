import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.training import checkpoints
from keras_ssl.training.divergence import Diverged, StopAtDivergence
from tests.descriptors import make_method, make_views


def batches(method, bad=(), count=6):
    """Batches of which those in `bad` have an infinite pixel."""
    views = make_views(method)
    spoiled = np.asarray(views["global"]).copy()
    spoiled[0, 0, 0, 0] = np.inf
    images = np.stack([spoiled if i in bad else views["global"] for i in range(count)])
    return tf.data.Dataset.from_tensor_slices({"global": images})


def fit(method, data, *callbacks, step=0, **options):
    callbacks = [StopAtDivergence(every=2, step=step), *callbacks]
    return method.fit(data, shuffle=False, verbose=0, callbacks=callbacks, **options).history


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    method = make_method("simsiam")
    saver = checkpoints.Checkpoints(tmp_path)
    data = batches(method).concatenate(batches(method, bad=[2]))
    with pytest.raises(Diverged, match=r"from step 9 \(epoch 2\) on. The learning"):
        fit(method, data, saver, steps_per_epoch=6, epochs=2)
    saver.restore_handlers()
    assert method.failed_steps() == (2, 4)  # not at each step, nor at the end only
    assert checkpoints.latest_step(tmp_path) == 6
    checkpoints.restore(method, tmp_path, 6)
    assert all(np.all(np.isfinite(v)) for v in method.weights)


def test_a_first_step_that_is_bad_does_not_blame_the_learning_rate():
    method = make_method("simsiam")
    with pytest.raises(Diverged, match=r"from step 1 \(epoch 1\) on. It began so: look for"):
        fit(method, batches(method, bad=[0], count=2))


def test_a_run_resumed_within_an_epoch_names_the_step_of_the_run():
    method = make_method("simsiam")
    with pytest.raises(Diverged, match=r"from step 24 \(epoch 3\) on"):
        fit(method, batches(method, bad=[3]), step=20, initial_epoch=2, epochs=3)


def test_the_end_of_an_epoch_is_looked_at_before_validation():
    method = make_method("simsiam")
    with pytest.raises(Diverged, match=r"from step 3 \(epoch 1\) on"):
        fit(method, batches(method, bad=[2], count=3), validation_data=batches(method, count=1))
    assert method.failed_steps() == (1, 3)


def test_steps_of_validation_are_not_counted():
    method = make_method("simsiam")
    method.evaluate(batches(method, count=2), verbose=0)
    assert method.failed_steps() == (0, 0)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    method = make_method("simsiam")
    method.compile("sgd", jit_compile=False)
    method.optimizer.build(method.trainable_variables)
    saver = checkpoints.Checkpoints(tmp_path)
    saver.set_model(method)
    saver.on_epoch_end(0)
    method.trainable_variables[0].assign(method.trainable_variables[0] * np.nan)
    with pytest.raises(Diverged, match="weights that are not finite"):
        saver.on_epoch_end(1)
    assert len(list(tmp_path.iterdir())) == 1


def test_loss_scaling_leaves_out_bad_steps_counts_them_and_keeps_the_loss_finite():
    keras.config.set_dtype_policy("mixed_float16")
    method = make_method("simsiam")
    method.optimizer.initial_scale = 1.0  # a scale that no gradient here overflows
    logs = fit(method, batches(method, bad=[1, 4]))
    assert logs["skipped_steps"] == [2.0] and np.isfinite(logs["loss"][0])
    assert int(method.step) == 4
    assert float(method.optimizer.dynamic_scale) == 0.25


def test_a_loss_scale_that_only_falls_stops_the_run():
    keras.config.set_dtype_policy("mixed_float16")
    method = make_method("simsiam")
    method.optimizer.initial_scale = 2.0**-12
    data = batches(method, bad=[0, 2, 3, 4, 5])  # one step that is fine: the loss is a number
    with pytest.raises(Diverged, match="not finite at any loss scale.*or float32"):
        fit(method, data)
