"""Information that discrete variables share, exactly, from the table of their joint counts."""

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.ops.counts import entropy_of_counts


def joint_table(*variables: np.ndarray) -> np.ndarray:
    """Count how often values of several discrete variables occur together.

    Args:
        *variables: (n,) integers or names each, such as labels and clusters of the same images.

    Returns:
        int64, an axis for each variable with its values in ascending order.

    Raises:
        UserError: if they differ in length, or are empty.

    Example:

    >>> joint_table([0, 0, 1], ["a", "b", "b"]).tolist()
    [[1, 1], [0, 1]]
    """
    lengths = {len(variable) for variable in variables}
    if len(lengths) != 1 or lengths == {0}:
        raise UserError(f"Variables have a value per image, all as many: {sorted(lengths)}.")
    values = [np.unique(variable, return_inverse=True) for variable in variables]
    table = np.zeros([len(names) for names, _ in values], "int64")
    np.add.at(table, tuple(numbers.reshape(-1) for _, numbers in values), 1)
    return table


def discrete_entropy(joint: np.ndarray) -> float:
    """`H = -sum p log p` in nats, of all axes together.

    Args:
        joint: counts or probabilities >= 0 of any shape; divided by their sum.

    Returns:
        In [0, log of the number of cells]. Of counts the plug-in estimate, too small by about
        (occupied cells - 1) / (2 n).

    Raises:
        UserError: for a negative cell, one that is not finite, or a table of zeros.

    Example:

    >>> round(discrete_entropy([1, 1, 2]), 3)  # 1.5 bits
    1.04

    Reference: Shannon, A mathematical theory of communication, 1948.
    """
    p = np.asarray(joint, "float64").reshape(-1)
    if not np.all(np.isfinite(p)) or np.any(p < 0) or p.sum() <= 0:
        raise UserError("A table holds counts or probabilities >= 0, and not zeros alone.")
    return float(entropy_of_counts(p))


def discrete_mutual_information(joint: np.ndarray) -> float:
    """`I(X; Y) = H(X) + H(Y) - H(X, Y)` in nats.

    Args:
        joint: (x, y) counts or probabilities.

    Returns:
        >= 0, and 0 where the variables are independent. Of counts too large by about
        (x - 1)(y - 1) / (2 n).

    Raises:
        UserError: unless the table has two axes.

    Example:

    >>> round(discrete_mutual_information(np.eye(2)), 3)  # Y = X: log 2
    0.693
    """
    joint = _with_axes(joint, 2)
    return max(0.0, _entropy(joint, 0) + _entropy(joint, 1) - _entropy(joint, 0, 1))


def conditional_mutual_information(joint: np.ndarray) -> float:
    """`I(X; Y | Z) = H(X, Z) + H(Y, Z) - H(Z) - H(X, Y, Z)` in nats.

    With Y the label and X, Z two views this is what view X alone tells of the label: multi-view
    redundancy says that it is small.

    Args:
        joint: (x, y, z) counts or probabilities.

    Returns:
        >= 0.

    Raises:
        UserError: unless the table has three axes.

    Example:

    >>> exclusive_or = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]  # Z = X xor Y
    >>> round(conditional_mutual_information(exclusive_or), 3)
    0.693

    Reference: Sridharan and Kakade, An information theoretic framework for multi-view learning,
    2008.
    """
    joint = _with_axes(joint, 3)
    both = _entropy(joint, 0, 2) + _entropy(joint, 1, 2)
    return max(0.0, both - _entropy(joint, 2) - _entropy(joint, 0, 1, 2))


def interaction_information(joint: np.ndarray) -> float:
    """`I(X; Y; Z) = I(Y; Z) - I(Y; Z | X)` in nats, the same for any order of the variables.

    The common part of the three circles of a Venn diagram, which may be below 0: of `Z = X xor Y`
    it is -log 2, of three copies of a bit log 2.

    Args:
        joint: (x, y, z) counts or probabilities.

    Returns:
        A number of either sign.

    Raises:
        UserError: unless the table has three axes.

    Example:

    >>> exclusive_or = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]
    >>> round(interaction_information(exclusive_or), 3)
    -0.693

    Reference: McGill, Multivariate information transmission, 1954, with the sign of Yeung 1991.
    """
    joint = _with_axes(joint, 3)
    single = sum(_entropy(joint, axis) for axis in range(3))
    double = _entropy(joint, 0, 1) + _entropy(joint, 0, 2) + _entropy(joint, 1, 2)
    return single - double + _entropy(joint, 0, 1, 2)


def _with_axes(joint, axes):
    joint = np.asarray(joint, "float64")
    if joint.ndim != axes:
        raise UserError(f"The table has an axis for each of {axes} variables. Got {joint.shape}.")
    return joint


def _entropy(joint, *kept):
    """Of the marginal of some axes."""
    away = tuple(axis for axis in range(joint.ndim) if axis not in kept)
    return discrete_entropy(joint.sum(axis=away))
