"""Updates on several replicas: clipped and accumulated as on one with the whole batch."""

import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError


class AcrossReplicas:
    """Mixin for Keras optimizers that takes the sum of all replicas' gradients first.

    Keras clips what each replica has, and cannot accumulate gradients under `tf.distribute`: its
    condition lies within a replica, where the branch that updates may not talk to the others. Here
    gradients are summed over the replicas, then accumulated and clipped, so that all replicas hold
    the same accumulators, which are saved as those of one. Put it before the Keras base class; on
    one replica it changes nothing.

    Raises:
        UserError: on several replicas with `use_ema`, which Keras cannot do there.
    """

    def _backend_apply_gradients(self, grads, trainable_variables):
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        if self.use_ema:
            raise UserError(
                "use_ema cannot average the weights of several replicas: leave it out, or train "
                "on one."
            )
        pairs = self._all_reduce_sum_gradients(zip(grads, trainable_variables, strict=True))
        grads = [gradient for gradient, _ in pairs]
        if self.gradient_accumulation_steps:
            context.merge_call(self._accumulate_or_update, args=(grads, trainable_variables))
        else:
            self._update_with(grads, trainable_variables)

    def _accumulate_or_update(self, strategy, grads, variables):
        """The condition, outside of the replicas, as in Keras's `LossScaleOptimizer`."""
        steps = self.gradient_accumulation_steps
        slots = [self._accumulated_gradients[self._get_variable_index(v)] for v in variables]

        def update(grads, variables):
            totals = [(g + slot) / steps for g, slot in zip(grads, slots, strict=True)]
            self._update_with(totals, variables)
            self._backend_reset_gradient_accumulators()

        def accumulate(grads, _):
            self._backend_increment_gradient_accumulators(grads, slots)

        def everywhere(function):
            return lambda: strategy.extended.call_for_each_replica(
                function, args=(grads, variables)
            )

        last = ops.equal((self._iterations + 1) % steps, 0)
        ops.cond(last, everywhere(update), everywhere(accumulate))

    def _update_with(self, grads, variables):
        """Update by gradients that are the same on all replicas."""
        grads = self._clip_gradients(grads)
        # The variables of TensorFlow, as Keras's own step takes them.
        pairs = list(zip(grads, [v.value for v in variables], strict=True))
        tf.distribute.get_replica_context().merge_call(
            self._updated_everywhere, args=(pairs, self.learning_rate)
        )

    def _updated_everywhere(self, strategy, pairs, learning_rate):
        self._distributed_tf_update_step(strategy, pairs, learning_rate)
