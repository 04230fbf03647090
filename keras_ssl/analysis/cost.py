"""What a network costs: parameters, multiply-adds, activations, and the memory of a step.

All of it is read from a traced graph, in which nothing is computed or allocated.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf


@dataclass(frozen=True)
class Cost:
    """What a network costs for one image.

    Attributes:
        parameters: int. Trainable numbers.
        multiply_adds: int. Of convolutions and matrix products in a forward pass; "FLOPs" in the
            tables of many papers, where others count each of them twice.
        activations: int. Numbers that convolutions and matrix products give in a forward pass.

    Example:

    >>> Cost(parameters=402, multiply_adds=4176, activations=146).activations
    146
    """

    parameters: int
    multiply_adds: int
    activations: int


@dataclass(frozen=True)
class StepCost:
    """What a training step costs, for the whole batch.

    Attributes:
        multiply_adds: int. Of the forward and the backward pass, loops included; the body of a
            loop whose number of steps the graph does not tell counts once.
        state: int. Bytes of all variables: weights, targets, queues, and what the optimizer keeps.
        gradients: int. Bytes of the gradients, as large as the trainable weights.
        activations: int. Bytes of what the forward pass leaves for the backward pass.
        views: int. Bytes of the images in float32.

    Example:

    >>> StepCost(multiply_adds=0, state=300, gradients=100, activations=50, views=10).memory
    460
    """

    multiply_adds: int
    state: int
    gradients: int
    activations: int
    views: int

    @property
    def memory(self) -> int:
        """Bytes of all of it: an estimate, without what libraries use in between."""
        return self.state + self.gradients + self.activations + self.views


def model_cost(model: keras.Model, shape: tuple[int, ...] | None = None) -> Cost:
    """The cost of a built model of one input, in inference mode.

    Args:
        model: built `keras.Model`.
        shape: (height, width, channels) of an image; None for the input shape of the model, if
            it takes one only.

    Returns:
        `Cost` for one image.

    Example:

    >>> layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    >>> model_cost(keras.Sequential([*layers, keras.layers.Dense(2)]))
    Cost(parameters=402, multiply_adds=4176, activations=146)

    Reference: the columns of Lavoie et al., Simplicial Embeddings, table 17.
    """
    spec = tf.TensorSpec((1, *(shape or model.input_shape[1:])), tf.float32)
    traced = _traced(lambda images: model(images, training=False), spec)
    products = [(op, times) for op, times in _executed(traced.graph) if op.type in _PRODUCTS]
    return Cost(
        _size(model.trainable_variables),
        sum(times * multiply_adds(op) for op, times in products),
        sum(times * _elements(op.outputs[0]) for op, times in products),
    )


def step_cost(method: keras.Model, views: dict[str, tuple[int, ...]]) -> StepCost:
    """The cost of a training step of a method, found by tracing its forward and backward pass.

    Args:
        method: compiled `Method` with a built optimizer.
        views: {name: shape} of a batch, such as {"global": (256, 2, 32, 32, 3)}.

    Returns:
        `StepCost`.

    Example:

    >>> method = keras_ssl.create("simclr", backbone="tiny", input_shape=(8, 8, 3))
    >>> method.compile("sgd", jit_compile=False)
    >>> method.optimizer.build(method.trainable_variables)
    >>> small = step_cost(method, {"global": (4, 2, 8, 8, 3)})
    >>> large = step_cost(method, {"global": (8, 2, 8, 8, 3)})
    >>> small.state == large.state, large.activations > 1.9 * small.activations
    (True, True)
    """
    specs = {
        name: tf.TensorSpec(shape, tf.int64 if name == "index" else tf.float32)
        for name, shape in views.items()
    }
    forward = []

    def step(views):
        variables = [variable.value for variable in method.trainable_variables]
        with tf.GradientTape() as tape:
            outputs = method.embed(method.prepare(views), training=True)
            loss = sum(method.loss_terms(outputs).values())
        forward.extend(tf.compat.v1.get_default_graph().get_operations())
        return tape.gradient(loss, variables)

    traced = _traced(step, specs)
    operations, before = traced.graph.get_operations(), {op.name for op in forward}
    later = [op for op in operations if op.name not in before]
    kept = {x.name: x for op in later for x in op.inputs if x.op.name in before and _is_kept(x)}
    trained = _bytes(method.trainable_variables)
    state = [*method.variables, *method.optimizer.variables]
    return StepCost(
        _all_multiply_adds(traced.graph),
        _bytes({id(variable): variable for variable in state}.values()),
        trained,
        sum(_elements(x) * x.dtype.size for x in kept.values()),
        sum(4 * math.prod(shape) for name, shape in views.items() if name != "index"),
    )


def multiply_adds(op: tf.Operation) -> int:
    """Those of an operation of a graph with known shapes; 0 for all but the products."""
    return _PRODUCTS[op.type](op) if op.type in _PRODUCTS else 0


def _all_multiply_adds(graph):
    return sum(times * multiply_adds(op) for op, times in _executed(graph))


def _executed(graph):
    """Yield (operation, how often) of a graph and of the functions that it calls."""
    for op in graph.get_operations():
        yield op, 1
        for inner, often in _called(op):
            for each, times in _executed(inner):
                yield each, often * times


def _called(op):
    """[(graph, how often)] of what an operation calls; of branches the one that costs most."""
    if op.type in ("PartitionedCall", "StatefulPartitionedCall"):
        return [(_function(op, "f"), 1)]
    if op.type in ("If", "StatelessIf"):
        branches = [_function(op, name) for name in ("then_branch", "else_branch")]
        return [(max(branches, key=_all_multiply_adds), 1)]
    if op.type in ("While", "StatelessWhile"):
        return [(_function(op, "body"), _steps(op))]
    return []


def _function(op, name):
    return op.graph._get_function(op.get_attr(name).name).graph


def _steps(loop):
    """How often the body of a `While` is called; 1 where that depends on what is computed."""
    condition, body = _function(loop, "cond"), _function(loop, "body")
    names = [one.name for one in condition.inputs]
    test = _source(condition.outputs[0])
    tests = map(_source, test.op.inputs) if test.op.type == "LogicalAnd" else [test]
    found = []
    for less in tests:
        if less.op.type != "Less" or less.op.inputs[0].name not in names:
            continue
        index = names.index(less.op.inputs[0].name)
        outer = dict(zip(names, loop.inputs, strict=True))
        start, stop = (tf.get_static_value(outer.get(x.name, x)) for x in less.op.inputs)
        moved = _source(body.outputs[index])
        step = tf.get_static_value(moved.op.inputs[1]) if moved.op.type == "AddV2" else None
        if None not in (start, stop, step) and step > 0:
            found.append(max(0, math.ceil((stop - start) / step)))
    return min(found, default=1)


def _source(tensor):
    return _source(tensor.op.inputs[0]) if tensor.op.type == "Identity" else tensor


def _traced(function: Callable, spec):
    """The traced function, which has to be kept: without it its graph forgets the shapes."""
    return tf.function(function, autograph=False).get_concrete_function(spec)


def _elements(tensor):
    return math.prod(tensor.shape.as_list()) if tensor.shape.is_fully_defined() else 0


def _is_kept(tensor):
    """Whether a tensor takes memory of its own: not a variable, a constant or another's shape."""
    return tensor.op.type not in _NOT_KEPT and tensor.dtype.is_floating


_NOT_KEPT = ("ReadVariableOp", "Const", "Placeholder")


def _convolved(images, kernel):
    """Numbers of the outputs times what each sums over."""
    return _elements(images) * math.prod(kernel.shape.as_list()[:3])


def _matrix_product(op):
    rows = op.inputs[0].shape.as_list()
    transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return _elements(op.outputs[0]) * (rows[-2] if transposed else rows[-1])


def _einsum(op):
    labels = op.get_attr("equation").decode().split("->")[0].split(",")
    sizes = {}
    for names, tensor in zip(labels, op.inputs, strict=True):
        if "." in names:
            return 0
        sizes.update(zip(names, tensor.shape.as_list(), strict=True))
    return math.prod(sizes.values()) if None not in sizes.values() else 0


_PRODUCTS = {
    "Conv2D": lambda op: _convolved(op.outputs[0], op.inputs[1]),
    "Conv2DBackpropInput": lambda op: _convolved(op.inputs[2], op.inputs[1]),
    "Conv2DBackpropFilter": lambda op: _convolved(op.inputs[2], op.outputs[0]),
    "MatMul": _matrix_product,
    "BatchMatMulV2": _matrix_product,
    "Einsum": _einsum,
}


def _size(variables):
    return sum(math.prod(variable.shape) for variable in variables)


def _bytes(variables):
    return sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)
