"""`Method`: the one train step that every self-supervised method shares."""

import inspect
import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_ssl.core import replicas
from keras_ssl.core.bounds import Seed, Steps
from keras_ssl.core.cures import Cures, cure_of, settings_of
from keras_ssl.core.errors import UserError
from keras_ssl.core.serialization import Configured
from keras_ssl.core.telltales import COMMON, Telltale, of_entropy
from keras_ssl.layers.heads import mlp
from keras_ssl.layers.necks import at_temperature, check_encoder, projector_blocks, simplices_of
from keras_ssl.layers.simplicial import entropy_of_simplices
from keras_ssl.layers.target import copy_for_target, move_towards, parameter_pairs
from keras_ssl.ops.precision import Tensor, at_least_float32

ENTROPY = "simplicial_entropy"  # a name in the logs

Views = dict[str, Tensor]  # "global", perhaps "local", perhaps "index": a batch of views


class Method(Configured, keras.Model):
    """An encoder, the heads that train it, and the step that does it.

    A subclass builds its heads in `__init__` and says what is its own in `loss_terms` and, where
    needed, in the other hooks of the first section. Everything else is here.

    Args:
        encoder: built functional `keras.Model`, images -> (batch, features); kept as it is, so a
            neck (`sem_neck`) belongs to it.
        steps_per_epoch: int > 0 or None. Batches in an epoch, whatever the optimizer accumulates;
            for methods that count epochs.
        seed: int >= 0. Of whatever a method draws at random in a step.

    Class attributes:
        terms: names of the scalars that `loss_terms` returns; the loss is their sum.
        diagnostic_names: names of the scalars that `diagnostics` returns. They are logged, as is
            `simplicial_entropy` of an encoder that ends in simplices (`sem_neck`): the mean of
            their entropies, in nats, over the views that the encoder has read in the step at its
            own temperature; at most log(V), of uniform ones.
        num_views: (fewest, most or None) views that the method takes.
        joint_batch: whether all views go through encoder and projector as one batch, and so share
            the statistics of batch normalization, as in the codes of SimCLR, SwAV, DINO and
            Self-Classifier. Views that are read at different temperatures go one by one all the
            same, as in the code of SEM.
        multi_crop: whether the method takes local crops in addition to the global views.
        needs_index: whether a batch must say which images of the data set it holds.
        run_facts: arguments of `__init__`, without a default or an annotation, that follow from
            the run and not from a recipe: `num_images`, the number of training images;
            `image_size`, the pixels of a view's side; `batch_size`, the images of a step over all
            replicas; `second_encoder`, the network of a second branch or None.
        second_view_temperature: whether view 2 is read at the neck's target temperature
            (methods without a momentum copy; SEM, tables 7 to 13).
        takes_eigenvalues: whether the step takes eigenvalues, which XLA's code for a GPU does
            slowly; with some settings alone: see `takes_eigenvalues_with`.
        cluster_head: what `cluster_scores` are scores of, such as "prototypes", or None for a
            method that finds no clusters. The rows of results are named after it.
        asks_for_clusters: whether the loss asks for these clusters, so that few of them in use, or
            images that are one point in each, are a collapse.
        compares: what counts of the outputs of `project`, for the verdict on collapse: their
            "directions"; their "values", scale included; what is left when the mean of all images
            is taken off ("centered"); or the "scores" of clusters that they are.
        cures: {kind of collapse: ((setting, value or `Change`), ...)}, what usually helps against
            it, the first first; `keras_ssl.core.cures` has the kinds, and what helps elsewhere.

    Example:

    >>> class Invariance(Method):
    ...     terms = ("distance",)
    ...     def __init__(self, encoder, **kwargs):
    ...         super().__init__(encoder, **kwargs)
    ...         self.projector = self.head((8, 4))
    ...     def loss_terms(self, outputs):
    ...         first, second = outputs
    ...         return {"distance": ops.mean(ops.square(first - second))}
    >>> method = Invariance(keras_ssl.create_backbone("tiny", (8, 8, 1)))
    >>> method.compile("sgd", jit_compile=False)
    >>> views = {"global": np.zeros((4, 2, 8, 8, 1), "float32")}
    >>> history = method.fit(tf.data.Dataset.from_tensors(views), verbose=0)
    >>> history.history["distance"]
    [0.0]
    """

    terms = ()
    diagnostic_names = ()
    num_views = (2, 2)
    joint_batch = False
    multi_crop = False
    needs_index = False
    run_facts = ()
    second_view_temperature = False
    takes_eigenvalues = False
    cluster_head = None
    asks_for_clusters = True
    compares = "directions"
    cures: Cures = {}

    def __init__(self, encoder, *, steps_per_epoch: Steps | None = None, seed: Seed = 0, **kwargs):
        check_encoder(encoder)
        super().__init__(**kwargs)
        self.encoder = encoder
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self.seconds_waiting = 0.0  # for data, since it was last set to 0
        self.draw_views = None  # function batch -> views, of a batch that has none yet
        names = ["loss", *self.terms, *self.diagnostic_names]
        names += [ENTROPY] if simplices_of(encoder) else []
        self._means = {name: keras.metrics.Mean(name) for name in names}
        # See `failed_steps`; a mean, because its total and its count are read.
        self._failed = keras.metrics.Mean("failed_steps")
        # Kept out of Keras's tracking: these share or repeat what is tracked elsewhere.
        object.__setattr__(self, "_ema_pairs", [])
        object.__setattr__(self, "_added_losses", replicas.AddedLosses())
        object.__setattr__(self, "_entropies", replicas.Collected())
        object.__setattr__(self, "_second_view_encoder", self._read_second_view(encoder))
        if self._counts_epochs:
            self._last_epoch = self.add_weight(
                name="last_epoch", shape=(), dtype="int64", initializer="zeros", trainable=False
            )
        self.built = True  # every part is built in `__init__`

    # What a method says.

    @classmethod
    def takes_eigenvalues_with(cls, settings: Mapping[str, Any]) -> bool:
        """`takes_eigenvalues` of a method that is made with `settings`, {argument: value}."""
        return cls.takes_eigenvalues

    def embed(self, views: Views, training: bool) -> Any:
        """Map a batch of views to whatever `loss_terms` needs; any structure of tensors.

        By default the list of `self.projector`'s outputs: of the global views, then of the local
        crops.
        """
        features = self.encode(views, training=training)
        features += self.encode_local(views, training=training)
        if not self.joint_batch or self._second_view_encoder is not None:
            return [self.projector(feature, training=training) for feature in features]
        joint = self.projector(ops.concatenate(features), training=training)
        return ops.split(joint, len(features))

    def loss_terms(self, outputs: Any) -> dict[str, Tensor]:
        """Return `{name: scalar}` for the names in `terms`, from `embed`'s outputs."""
        raise NotImplementedError

    def prepare(self, views: Views) -> Views:
        """Add to a batch what the loss needs and no gradient goes through, such as samples."""
        return views

    def check_batch(self, size: int) -> None:
        """Refuse a global batch of `size` images that the method cannot take.

        Raises:
            UserError: with what fits.
        """

    def frozen_parameters(self) -> tuple[list[keras.Variable], bool | Tensor]:
        """Parameters that are frozen for a time, and whether they are so at this step.

        The optimizer is given their gradients all the same and only what it did to the parameters
        is undone: so its moments are those of so many steps, as Adam's bias correction assumes,
        when the parameters are let go. The code of SwAV and DINO keeps the parameters from the
        optimizer, whose moments for them then begin (with a count of steps of their own, which
        Keras does not have) at that moment.
        """
        return [], False

    def start_epoch(self, epoch: int) -> None:
        """Do what is done once per epoch (1, 2, ...), in Python; needs `steps_per_epoch`."""

    def after_step(self, outputs: Any) -> None:
        """Update state that has no gradient (queue, center), after the optimizer and the EMA."""

    def diagnostics(
        self, outputs: Any, terms: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return `{name: scalar}` for the names in `diagnostic_names`, without effect.

        What to log of a training step besides the loss. It is called before the optimizer and
        `after_step` change anything, and without a gradient.

        Args:
            outputs: what `embed` returned.
            terms: what `loss_terms` returned of the same outputs, so that it need not be computed
                a second time, or None. A subclass may leave this argument out.
        """
        return {}

    def telltales(self) -> list[Telltale]:
        """Values of the logs that say that a training has collapsed, or that it does not begin.

        `keras_ssl.training.Watcher` looks for them. Those of a subclass come in addition: numbers
        that it alone logs, at what they are for outputs which are constant or undecided.
        """
        simplices = simplices_of(self.encoder)
        return [*COMMON, *(of_entropy(ENTROPY, simplices.simplex_size) if simplices else ())]

    def cure_of(self, kind: str) -> str:
        """What usually helps against a kind of collapse, such as "a larger method.beta"; or ""."""
        own = [key.split(".", 1) for key in settings_of(kind, self.cures)]
        settings = {
            f"{section}.{name}": getattr(self, name, None) if section == "method" else None
            for section, name in own
        }
        return cure_of(kind, self.cures, settings)

    def cluster_scores(self, images: Tensor) -> Tensor:
        """Score images for the clusters that the method finds: the argmax is an image's cluster.

        In inference mode, by the encoder that `call` runs; with SEM at its training temperature.

        Args:
            images: float (batch, height, width, channels), as `call` takes them.

        Returns:
            (batch, clusters) in at least float32.

        Raises:
            UserError: for a method without clusters.
        """
        raise UserError(f"{type(self).__name__} finds no clusters that images could be put in.")

    def project(self, features: Tensor, training: bool = False) -> Tensor:
        """What the loss compares of images, from the features of their first view.

        By default the output of `self.projector`, or the features themselves of a method without
        one. It is what an analysis of a run calls its projections.

        Args:
            features: (batch, features), as `encoder` gives them.
            training: whether batches are normalized by their own statistics, which then move
                those of inference.

        Returns:
            (batch, width) in at least float32.
        """
        projector = getattr(self, "projector", None)
        if projector is None:
            return at_least_float32(features)
        return at_least_float32(projector(features, training=training))

    def ema_momentum(self, step: Tensor) -> Tensor | float | None:
        """Momentum of the targets at an optimizer step, or None for a method without targets."""
        momentum = getattr(self, "momentum", None)
        return momentum(step) if callable(momentum) else momentum

    # What a method uses.

    def add_terms(self, *names: str) -> None:
        """Add to `terms` what `loss_terms` returns only with some settings."""
        self.terms = (*self.terms, *names)
        self._means.update({name: keras.metrics.Mean(name) for name in names})

    def add_diagnostics(self, *names: str) -> None:
        """Add to `diagnostic_names` what `diagnostics` returns only with some settings."""
        self.diagnostic_names = (*self.diagnostic_names, *names)
        self._means.update({name: keras.metrics.Mean(name) for name in names})

    def head(self, *args, build=mlp, name="projector", input_dim=None, **options):
        """A head that `build` makes of the arguments, in the method's dtype policy.

        It reads `input_dim` features; by default those of the encoder, and then its first layer is
        block-diagonal where the embedder is.
        """
        if input_dim is None:
            input_dim = self.encoder.output_shape[-1]
            options["num_blocks"] = projector_blocks(self.encoder)
        return build(input_dim, *args, name=name, dtype=self.dtype_policy, **options)

    def add_target(self, online: keras.Model) -> keras.Model:
        """A copy of `online` that the base moves by EMA after every optimizer update."""
        copy = copy_for_target(online)
        self._ema_pairs.extend(parameter_pairs(online, copy))
        return copy

    def encode(
        self, views: Views, network: keras.Model | None = None, *, training: bool
    ) -> list[Tensor]:
        """Encode the global views one by one, or as one batch if `joint_batch`.

        Args:
            views: {"global": (batch, K, height, width, channels)}.
            network: the encoder to use; the online one by default.

        Returns:
            List of K tensors (batch, features).
        """
        images = views["global"]
        count = images.shape[1]
        online = network is None or network is self.encoder
        network = self.encoder if online else network
        second = self._second_view_encoder if online else None
        if self.joint_batch and second is None:
            return self._run_as_one(network, images, training)
        networks = [network] + [second or network] * (count - 1)
        return [self._run(networks[view], images[:, view], training) for view in range(count)]

    def encode_local(self, views: Views, *, training: bool) -> list[Tensor]:
        """Encode the local crops as one batch, as a batch of one resolution.

        Args:
            views: {"local": (batch, L, height, width, channels)}; without "local", L is 0.

        Returns:
            List of L tensors (batch, features).
        """
        images = views.get("local")
        if images is None:
            return []
        return self._run_as_one(self.encoder, images, training)

    @property
    def step(self) -> Tensor:
        """Number of updates made so far, an integer tensor; 0 before `compile`."""
        if getattr(self, "optimizer", None) is None:
            return ops.zeros((), "int64")
        return ops.cast(self.optimizer.iterations, "int64")

    @property
    def epoch(self) -> Tensor:
        """Number of epochs that had ended at the last update, an integer tensor.

        Raises:
            UserError: if the method was made without `steps_per_epoch`.
        """
        if self.steps_per_epoch is None:
            raise UserError(
                f"{type(self).__name__} counts epochs: give it steps_per_epoch, the number of "
                "batches in an epoch."
            )
        optimizer = getattr(self, "optimizer", None)
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        batches = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        return self.step * batches // self.steps_per_epoch

    # The step.

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        return self.encoder(images, training=training)

    def fit(self, x=None, *args, steps_per_epoch=None, **kwargs):
        """`keras.Model.fit`, which refuses data without an end that would make one endless epoch.

        What has an unknown cardinality, such as a generator or `.repeat().filter(...)`, may or may
        not end: that it is endless cannot be seen, so give `steps_per_epoch` with it.

        Raises:
            UserError: for data known to be endless, without `steps_per_epoch` or
                `validation_steps`.
        """
        _check_ends(x, steps_per_epoch, "steps_per_epoch")
        validation = kwargs.get("validation_data")
        _check_ends(validation, kwargs.get("validation_steps"), "validation_steps")
        return super().fit(x, *args, steps_per_epoch=steps_per_epoch, **kwargs)

    def train_step(self, data):
        views = self._views_of(data)
        step = self.optimizer.iterations
        rates = self._rates(step)
        kept = self._state() if self._scales_loss else []
        views = self.prepare(views)
        self._added_losses.clear()
        self._entropies.begin()
        with tf.GradientTape() as tape:
            outputs = self.embed(views, training=True)
            terms = self.loss_terms(outputs)
            loss = sum(terms.values()) + self._added_losses.total() + self._penalty()
            # Gradients are summed over replicas; dividing here makes them those of the mean.
            scaled = self.optimizer.scale_loss(loss / replicas.num_replicas())
        diagnostics = {**self._diagnostics(outputs, terms), **self._mean_entropy()}
        before = ops.copy(ops.convert_to_tensor(step))
        gradients = tape.gradient(scaled, self.trainable_variables)
        if self._scales_loss:
            finite = replicas.all_true(_are_finite([loss, *gradients]))
            gradients = _spoiled_unless(finite, gradients)
        else:  # what is amiss anywhere reaches the first layer's gradient, even if ReLU hides it
            finite = _are_finite([loss, gradients[0]])
        self._update(gradients)
        self._follow(rates.get("ema_momentum"), updated=self.optimizer.iterations > before)
        self.after_step(outputs)
        for variable, old in kept:
            variable.assign(ops.where(finite, variable, old))
        logs = self._log({"loss": loss, **terms, **diagnostics}, finite)
        return {**logs, **rates}

    def test_step(self, data):
        """The loss in inference mode, which changes nothing: for `evaluate`, `validation_data`."""
        if self.needs_index:
            raise UserError(
                f"{type(self).__name__} looks up what it keeps of its training images, and has no "
                "loss on others: leave out validation_data, and evaluate the encoder instead."
            )
        views = self._views_of(data)
        kept = self._state()
        self._added_losses.clear()
        outputs = self.embed(self.prepare(views), training=False)
        terms = self.loss_terms(outputs)
        loss = sum(terms.values()) + self._added_losses.total() + self._penalty()
        for variable, old in kept:
            variable.assign(old)
        logs = self._log({"loss": loss, **terms})
        return {name: logs[name] for name in ("loss", *terms)}

    def _diagnostics(self, outputs, terms):
        # Of what may be written as `diagnostics(self, outputs)`.
        takes_terms = "terms" in inspect.signature(self.diagnostics).parameters
        return self.diagnostics(outputs, **({"terms": terms} if takes_terms else {}))

    def failed_steps(self) -> tuple[int, int]:
        """Steps of the epoch so far that led nowhere, and all: (failed, seen), ints.

        With loss scaling the steps that it skipped; without, those from the first on whose loss or
        gradients were not finite. Waits for the device.
        """
        values = self._failed.total, self._failed.count  # read here, they are sums over replicas
        replicas_in_sync = self.distribute_strategy.num_replicas_in_sync
        return tuple(math.ceil(float(ops.cast(v, "float32")) / replicas_in_sync) for v in values)

    def _views_of(self, data):
        views = data[0] if isinstance(data, tuple) else data
        if self.draw_views is not None:
            views = self.draw_views(views)
        local = views.get("local")
        self.check_views(views["global"].shape[1], 0 if local is None else local.shape[1])
        return views

    @property
    def _scales_loss(self):
        return isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)

    def _state(self):
        """[(variable, its value now)] of all that a step changes besides the parameters.

        That is running statistics, queues, centers, samples and seeds. Targets are left out: they
        move only with the parameters.
        """
        targets = {id(copy) for _, copy in self._ema_pairs}
        state = [v for v in self.non_trainable_variables if id(v) not in targets]
        return [(variable, ops.copy(ops.convert_to_tensor(variable))) for variable in state]

    def _rates(self, step):
        rates = {"learning_rate": ops.cast(self.optimizer.learning_rate, "float32")}
        momentum = self.ema_momentum(step)
        if momentum is not None:
            rates["ema_momentum"] = ops.cast(momentum, "float32")
        decay = getattr(self.optimizer, "inner_optimizer", self.optimizer).weight_decay
        if callable(decay):
            rates["weight_decay"] = ops.cast(decay(step), "float32")
        return rates

    def _update(self, gradients):
        frozen, now = self.frozen_parameters()
        kept = [ops.copy(ops.convert_to_tensor(variable)) for variable in frozen]
        self.optimizer.apply(gradients, self.trainable_variables)
        for variable, old in zip(frozen, kept, strict=True):
            variable.assign(ops.where(now, old, variable))

    def _run_as_one(self, network, images, training):
        """Run (batch, K, ...) through `network` as one batch: -> list of K outputs."""
        count = images.shape[1]
        # View by view, so that the split below gives back whole views.
        flat = ops.concatenate([images[:, view] for view in range(count)])
        return ops.split(self._run(network, flat, training), count)

    def _run(self, network, images, training):
        features = network(images, training=training)
        # Keras forgets what `add_loss` left at the next call; regularizers come after it.
        penalties = sum(v.regularizer is not None for v in network.trainable_variables)
        added = network.losses
        self._added_losses.extend(added[: len(added) - penalties])
        if network is self.encoder:
            self._note_entropy(features)
        return features

    def _note_entropy(self, features):
        simplices = simplices_of(self.encoder)
        if simplices is not None:
            sizes = simplices.num_simplices, simplices.simplex_size
            self._entropies.add(lambda: entropy_of_simplices(ops.stop_gradient(features), *sizes))

    def _mean_entropy(self):
        entropies = self._entropies.take()
        return {ENTROPY: ops.mean(ops.concatenate(entropies))} if entropies else {}

    def _penalty(self):
        return sum(v.regularizer(v) for v in self.trainable_variables if v.regularizer is not None)

    def _follow(self, momentum, updated):
        if self._ema_pairs:
            # Without an update (gradient accumulation, skipped steps) the targets wait too.
            move_towards(self._ema_pairs, ops.where(updated, momentum, 1.0))

    def _log(self, values, finite=None):
        """Means over the epoch; with loss scaling, of what is finite.

        `finite` says whether a step of training was; None of one that is not training.
        """
        scaled = self._scales_loss
        for name, value in values.items():
            known = ops.isfinite(value) if scaled else None
            value = ops.where(known, value, 0.0) if scaled else value
            self._means[name].update_state(value, sample_weight=known)
        logs = {name: _mean(self._means[name]) for name in values}
        if finite is None:
            return logs
        if not scaled:  # a mean that has once been NaN stays it to the end of the epoch
            finite = ops.logical_and(finite, ops.isfinite(logs["loss"]))
        self._failed.update_state(ops.logical_not(finite))
        if scaled:
            logs["skipped_steps"] = ops.copy(ops.convert_to_tensor(self._failed.total))
        return logs

    def make_train_function(self, force=False):
        if self.train_function is not None and not force:
            return
        if self.steps_per_execution != 1:
            raise UserError(
                "steps_per_execution must be 1: the time spent waiting for data is measured at "
                f"every step. Received {self.steps_per_execution}."
            )
        if not self.optimizer.built:  # here, so that the step need not be traced a second time
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        super().make_train_function(force=True)
        step = self.train_function

        def timed_step(iterator):
            if self._counts_epochs:
                self._start_epochs()
            started = time.perf_counter()
            batch = next(iterator)
            self.seconds_waiting += time.perf_counter() - started
            return step(iter((batch,)))

        self.train_function = timed_step

    @property
    def _counts_epochs(self):
        return type(self).start_epoch is not Method.start_epoch

    def _start_epochs(self):
        epoch = int(self.epoch)
        last = int(ops.cast(self._last_epoch, "int64"))  # one number, whatever the replicas
        if epoch > last:  # not again where a run is resumed within an epoch
            self.start_epoch(epoch)
            self._last_epoch.assign(epoch)

    def check_views(self, count: int, local: int = 0) -> None:
        """Refuse numbers of global views and local crops that the method cannot take.

        Raises:
            UserError: with the numbers that fit.
        """
        fewest, most = self.num_views
        if count < fewest or (most is not None and count > most):
            takes = f"{fewest} or more views"
            if fewest == most:
                takes = f"{fewest} view{'s' if fewest > 1 else ''}"
            raise UserError(
                f"{type(self).__name__} takes {takes} of an image. Received {count}: "
                "set augment.num_views to match."
            )
        if local and not self.multi_crop:
            raise UserError(
                f"{type(self).__name__} takes no local crops. Received {local}: set "
                "augment.local_views to 0."
            )

    def _read_second_view(self, encoder):
        simplices = simplices_of(encoder)
        if simplices is None or not self.second_view_temperature:
            return None
        temperature = simplices.target_temperature
        if temperature in (None, simplices.temperature):
            return None
        return at_temperature(encoder, temperature)


def _are_finite(values):
    return ops.all([ops.all(ops.isfinite(value)) for value in values if value is not None])


def _spoiled_unless(finite, gradients):
    """The gradients, with NaN in one of them unless `finite`.

    Keras asks the first replica alone whether to skip a step.
    """
    first = next(index for index, gradient in enumerate(gradients) if gradient is not None)
    spoiled = ops.where(finite, gradients[first], float("nan"))
    return [*gradients[:first], spoiled, *gradients[first + 1 :]]


def _mean(metric):
    """The mean, and NaN where there was nothing to take it of."""
    return ops.where(metric.count > 0, metric.result(), float("nan"))


def _check_ends(data, steps, name):
    cardinality = getattr(data, "cardinality", lambda: None)()
    if steps is None and cardinality is not None and cardinality == tf.data.INFINITE_CARDINALITY:
        raise UserError(f"The data set has no end: give {name}, its batches in an epoch.")
