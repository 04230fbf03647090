"""Let a loss look at the global batch: gather and mean over replicas, with gradients.

On one replica both are the identity. The gradient of a gather sums what every replica asks of a
row, so with the loss divided by the number of replicas (as the base class does) two replicas of B
images give the gradient of one replica of 2B.
"""

import tensorflow as tf


def num_replicas():
    """Number of replicas of the current `tf.distribute` strategy; 1 outside of any."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context is not None else 1


def all_gather(x, axis=0):
    """Concatenate `x` of every replica along `axis`, in replica order."""
    if num_replicas() == 1:
        return x
    return tf.distribute.get_replica_context().all_gather(x, axis)


def all_mean(x):
    """Mean of `x` over the replicas."""
    if num_replicas() == 1:
        return x
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, x)
