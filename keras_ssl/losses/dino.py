"""DINO: predict the centered and sharpened output of a teacher on another view."""

from collections.abc import Sequence

from keras import ops

from keras_ssl.losses.swav import swapped_prediction_loss
from keras_ssl.ops.precision import Tensor, at_least_float32


def dino_loss(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    *,
    teacher_temperature: float | Tensor = 0.04,
    student_temperature: float = 0.1,
) -> Tensor:
    """Cross-entropy of the teacher's softmax with the student's, over all pairs of other views.

    Args:
        student: sequence of V tensors (batch, num_prototypes). Logits of all views, global ones
            first.
        teacher: sequence of G <= V tensors (batch, num_prototypes). Logits of the global views
            minus the center as it was before this step (`keras_ssl.layers.centering.Centering`).
            No gradient.
        teacher_temperature: float or scalar tensor > 0. Smaller is sharper; warmed up from 0.04 to
            0.07 in the paper's long runs.
        student_temperature: float > 0.

    Returns:
        A scalar >= 0 in at least float32: the mean over the batch and the `G (V - 1)` pairs.

    Raises:
        ValueError: for fewer than two views of the student, no teacher, or more of these.

    Example:

    >>> logits = keras.random.normal((2, 4, 8), seed=1)
    >>> loss = dino_loss(list(logits), list(logits))
    >>> bool(loss > 0)
    True

    Reference: Caron et al., Emerging properties in self-supervised vision transformers, 2021,
    eqs. 2 and 3, algorithm 1.
    """
    targets = [_sharpened(logits, teacher_temperature) for logits in teacher]
    return swapped_prediction_loss(student, targets, temperature=student_temperature)


def _sharpened(logits, temperature):
    logits = at_least_float32(logits)
    # Converted, because schedules give their values in float64.
    temperature = ops.convert_to_tensor(temperature, dtype=logits.dtype)
    return ops.softmax(logits / temperature, axis=-1)
