"""The same encoder, computing in another precision."""

import copy

import keras


def in_precision(encoder, policy):
    """A copy of `encoder` that computes under another dtype policy; its weights stay float32.

    To serve faster where the hardware multiplies bfloat16; features are off by about 1 %.

    Args:
        encoder: functional `keras.Model`.
        policy: str. "float32" or "mixed_bfloat16".

    Returns:
        `keras.Model` of the same structure, with the same weights.

    Example:

    >>> backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> in_precision(backbone, "mixed_bfloat16").layers[-1].compute_dtype
    'bfloat16'
    """
    config = copy.deepcopy(encoder.get_config())
    _set_policy(config, keras.dtype_policies.serialize(keras.dtype_policies.DTypePolicy(policy)))
    twin = encoder.__class__.from_config(config)
    twin.set_weights(encoder.get_weights())
    return twin


def _set_policy(config, policy):
    """Replace every dtype policy in a configuration; plain types, of inputs, stay."""
    items = config.items() if isinstance(config, dict) else enumerate(config)
    for key, value in items:
        if isinstance(value, dict) and value.get("class_name") == "DTypePolicy":
            config[key] = policy
        elif isinstance(value, (dict, list)):
            _set_policy(value, policy)
