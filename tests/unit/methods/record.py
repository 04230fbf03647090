"""What a method computes in several steps, with a stop and a resume between them."""

import numpy as np
import tensorflow as tf

from keras_ssl.training import checkpoints
from tests.descriptors import METHODS, make_method, make_views

STEPS = 5


class Record:
    """What a method computed in each of `STEPS` steps, and its state before and after.

    It is stopped after the second step and continues as another object that read its checkpoint.
    """

    def __init__(self, name, state, tmp_path, **options):
        self.outputs, self.before, self.after, self.losses = [], [], [], []
        method = self.make(name, **options)
        for step in range(STEPS):
            if step == 2:
                checkpoints.save(method, tmp_path, step)
                method = self.make(name, seed=7, **options)
                checkpoints.restore(method, tmp_path, step)
            self.before.append([np.array(value) for value in state(method)])
            data = tf.data.Dataset.from_tensors(self.views(method, step))
            history = method.fit(data, verbose=0, shuffle=False)
            self.losses.append(history.history["loss"][0])
            self.after.append([np.array(value) for value in state(method)])

    def make(self, name, seed=0, **options):
        defaults = METHODS[name]
        METHODS[name] = {**defaults, **options}
        try:
            method = make_method(name, seed=seed, run_eagerly=True)
        finally:
            METHODS[name] = defaults
        embed = method.embed

        def spy(views, training):
            outputs = embed(views, training)
            self.outputs.append(tf.nest.map_structure(np.array, outputs))
            return outputs

        object.__setattr__(method, "embed", spy)
        return method

    @staticmethod
    def views(method, step):
        views = make_views(method, seed=step + 1)
        if "index" in views:
            views["index"] = (views["index"] + 4 * step) % 12  # images come again
        return views

    def steps(self):
        return zip(self.outputs, self.before, self.after, self.losses, strict=True)
