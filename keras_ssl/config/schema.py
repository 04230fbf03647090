"""The sections of a recipe: what a run can be told, with type, default, range and meaning."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Literal

from keras_ssl.config.catalog import read_meanings
from keras_ssl.config.values import Setting
from keras_ssl.core.bounds import (
    Above,
    Between,
    Checked,
    Count,
    CountOrZero,
    Entries,
    Few,
    LearningRate,
    LearningRateOrZero,
    NumViews,
    Pixels,
    PixelsOrZero,
    PositiveShare,
    Seed,
    Share,
    ShareRange,
    Steps,
    Temperature,
    TemperatureOrZero,
    TwoOrMore,
    Weight,
    Width,
)
from keras_ssl.core.checks import UserError
from keras_ssl.core.constants import (
    CODE_DIM,
    COMMITMENT,
    FINETUNE_LEARNING_RATES,
    KNN_NEIGHBOURS,
    KNN_TEMPERATURE,
    NUM_SIMPLICES,
    SIMPLEX_SIZE,
)

SMALLEST_CROP = 8  # pixels; what every backbone takes


@dataclass(frozen=True)
class Neck(Checked):
    """What is put between the backbone and the heads.

    Args:
        kind: "sem" for Simplicial Embeddings; to compare them with, "embed" for no softmax,
            "gumbel" for one-hot samples, "vq" for codebooks; "none" for the backbone's features.
        num_simplices: L, the number of simplices or codebooks.
        simplex_size: V, the entries of a simplex or of a codebook.
        temperature: tau_p, of the softmax while training.
        target_temperature: tau'_p, of the momentum copy, or of view 2 where there is none; none
            for the same as `temperature`.
        embedder: the map from the features to the neck; identity takes the features themselves.
        embedder_norm: whether the embedder ends in batch normalisation.
        num_blocks: blocks of the embedder and of the first projector layer (SEM/n); 1 is dense.
        code_dim: length of a codebook's vectors.
        commitment: weight of the pull of the embedder's output towards its code.
    """

    kind: Literal["none", "sem", "embed", "gumbel", "vq"] = "none"
    num_simplices: Count = NUM_SIMPLICES
    simplex_size: TwoOrMore = SIMPLEX_SIZE
    temperature: Temperature = 1.0
    target_temperature: Temperature | None = None
    embedder: Literal["linear", "mlp", "identity"] = "linear"  # SEM, table 19
    embedder_norm: bool = True
    num_blocks: Count = 1
    code_dim: Width = CODE_DIM
    commitment: Weight = COMMITMENT

    @property
    def options(self):
        """What this neck is made of: {field: value}, without the fields that do nothing in it."""
        return {name: getattr(self, name) for name in neck_fields(self.kind, self.embedder)}


_SIZES = ("num_simplices", "simplex_size", "embedder")
_NECK_FIELDS = {
    "none": (),
    "sem": (*_SIZES, "temperature", "target_temperature"),
    "embed": _SIZES,
    "gumbel": (*_SIZES, "temperature"),
    "vq": (*_SIZES, "code_dim", "commitment"),
}
_EMBEDDER_FIELDS = {
    "linear": ("embedder_norm", "num_blocks"),
    "mlp": ("embedder_norm",),
    "identity": (),
}


def neck_fields(kind, embedder):
    """The fields of `Neck`, besides the kind, that do something in a neck of this kind."""
    used = _NECK_FIELDS[kind]
    return used and (*used, *_EMBEDDER_FIELDS[embedder])


@dataclass(frozen=True)
class Backbone(Checked):
    """The network from images to features.

    Args:
        name: a name of the table of backbones.
        width: channels of the first stage; none for the backbone's own.
        stem: how images enter; auto by the image size.
        stem_padding: zeros around the images of the CIFAR stem.
        zero_init_residual: start every residual block as the identity.
        patch_size: pixels of a side of a Vision Transformer's patch; none by the image size.
    """

    name: str = "resnet18"
    width: Annotated[int, Between(1, 10**4)] | None = None
    stem: Literal["auto", "cifar", "imagenet"] = "auto"
    stem_padding: Annotated[int, Between(0, 100)] = 1
    zero_init_residual: bool = False
    patch_size: Pixels | None = None

    @property
    def options(self):
        """The options that differ from what every backbone does anyway: {name: value}."""
        plain = asdict(Backbone(self.name))
        return {name: value for name, value in asdict(self).items() if value != plain[name]}


@dataclass(frozen=True)
class Data(Checked):
    """The images.

    Args:
        dataset: "digits", "npz:PATH", "folder:PATH", "tfrecord:PATTERN", or a name of TensorFlow
            Datasets.
        data_dir: where TensorFlow Datasets keeps its files; none for its own place.
        image_size: pixels of a view's side; 0 for that of the images.
        in_memory: yes decodes all images once, to squares of that size; no decodes each whenever
            it is read and cuts crops out of the whole image; auto is yes below 128 pixels, if 8
            GiB hold them.
        normalization: whose mean and standard deviation views get; data for those of the training
            images.
    """

    dataset: str = "digits"
    data_dir: str | None = None
    image_size: PixelsOrZero = 0
    in_memory: Literal["auto", "yes", "no"] = "auto"
    normalization: Literal["data", "imagenet", "cifar10", "cifar100"] = "data"


@dataclass(frozen=True)
class Augment(Checked):
    """How views are made of an image; `overrides` replace fields of the policy in all views.

    Args:
        policy: a name of the table of augmentation policies.
        where: host draws the views while the batch before them trains; device draws the same
            ones inside of the train step, from batches of whole images; auto is device on a GPU.
        num_views: views of an image.
        local_views: small crops of an image beside its views.
        local_policy: the policy whose first view they are drawn as; same for `policy`.
        local_size: pixels of a small crop's side, at least 8; 0 for 3/7 of a view's, rounded to a
            multiple of 8.
        local_scale: smallest and largest share of an image's area that a small crop shows.
    """

    policy: str = "cifar_symmetric"
    where: Literal["auto", "host", "device"] = "auto"
    num_views: NumViews = 2
    local_views: Annotated[int, Between(0, 100)] = 0
    local_policy: str = "same"
    local_size: PixelsOrZero = 0
    local_scale: ShareRange = (0.05, 0.4)  # DINO's code
    overrides: Mapping = field(default_factory=dict)

    def __post_init__(self):
        if 0 < self.local_size < SMALLEST_CROP:
            raise UserError(
                f"augment.local_size={self.local_size} is too small for a network: take "
                f"{SMALLEST_CROP} pixels or more, or 0 for 3/7 of a view's side."
            )

    def local_pixels(self, image_size):
        """The side of a small crop beside views of `image_size` pixels: 96 for 224, 16 for 32.

        Raises:
            UserError: if that is more than the views have.
        """
        size = self.local_size or max(SMALLEST_CROP, 8 * round(image_size * 3 / 7 / 8))
        if size > image_size:
            raise UserError(
                f"augment.local_size={size} is more than the {image_size} pixels of a view: take "
                f"{image_size} at most."
            )
        return size


@dataclass(frozen=True)
class Optimizer(Checked):
    """The optimizer; `options` are those of its class, such as weight_decay.

    Args:
        name: a name of the table of optimizers.
        learning_rate: peak, per 256 images of a batch.
        constant_lr: of the layers in `constant_lr_layers`, per 256 images; none for the peak.
        clipnorm: largest norm of a variable's gradient; none for no limit.
    """

    name: str
    learning_rate: LearningRate
    constant_lr: LearningRate | None = None
    clipnorm: Annotated[float, Above(0, 10**6)] | None = None
    options: Mapping = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule(Checked):
    """The learning rate and the momentum of targets over training; a warm-up, then cosines.

    Args:
        warmup_epochs: length of the warm-up; fractions count.
        warmup_start: learning rate at step 0 of the warm-up, per 256 images.
        warmup_inclusive: reach the peak at the last step of the warm-up, not after it.
        final_learning_rate: learning rate at the end, per 256 images.
        hold: how often the learning rate moves.
        final_momentum: momentum of targets at the end; method.momentum is that of the start.
        final_weight_decay: weight decay at the end, by a cosine; none for the same throughout.
    """

    warmup_epochs: Annotated[float, Between(0, 10**6)] = 10.0
    warmup_start: LearningRateOrZero = 0.0
    warmup_inclusive: bool = False
    final_learning_rate: LearningRateOrZero = 0.0
    hold: Literal["step", "epoch"] = "step"
    final_momentum: Share = 1.0  # BYOL, sec. 3.3
    final_weight_decay: Weight | None = None


@dataclass(frozen=True)
class Training(Checked):
    """How long, in which portions and how exactly to train.

    Args:
        epochs: passes over the training images.
        batch_size: images of a step, over all replicas.
        seed: of weights, order and augmentation.
        precision: numbers of the network; auto by the hardware.
        strategy: mirrored for one replica per GPU; none for one GPU; auto for all GPUs where a
            step of them equals that of one.
        accumulate: steps whose gradients are averaged into one update.
        deterministic: whether a GPU shall give the same bits every time; without XLA, so slower.
    """

    epochs: Count = 100
    batch_size: TwoOrMore = 256
    seed: Seed = 0
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    strategy: Literal["auto", "none", "mirrored"] = "auto"
    accumulate: Annotated[int, Between(1, 10**4)] = 1
    deterministic: bool = False


@dataclass(frozen=True)
class Evaluation(Checked):
    """How features are judged, while training and after.

    Args:
        knn_neighbours: k of the weighted k-NN.
        knn_temperature: of its votes.
        knn_sweep: whether k-NN is also measured at k 5, 20, 200, at T 0.07, 0.1, and by distances.
        labels_per_class: labels that the rows with few labels use.
        label_shares: shares of the labels, such as 0.01, that further linear probes use.
        temperatures: tau_d at which SEM is read for the table; 0 is one-hot.
        downstream_temperature: tau_d while training and in the exported encoder.
        every_epochs: epochs between two k-NN and linear accuracies while training; 0 for none.
        gradient_probe: linear probe by gradient descent, its grid trained at once; none for none.
        probe_seeds: starts of that probe.
        probe_views: whether that probe trains on features of the images as they are, or augmented
            anew in every epoch.
        clusters: whether clusters of the test images are compared with the classes.
        embedding: whether the numbers below the simplices are judged too and, with a neck that has
            no softmax, what one would make of them.
        keep_features: whether features are kept in the run's directory, where they are read again.
        corrupted_images: test images that are corrupted in 75 ways; 0 for none.
        shifted: further test sets of the same classes, written as data.dataset, which the
            classifiers of the run's own train features are scored on.
    """

    knn_neighbours: Count = KNN_NEIGHBOURS
    # Votes are exp(similarity / T), which overflows soon below.
    knn_temperature: Annotated[float, Between(0.02, 10**3)] = KNN_TEMPERATURE
    knn_sweep: bool = False
    labels_per_class: TwoOrMore = 10
    label_shares: tuple[PositiveShare, ...] = ()
    temperatures: tuple[TemperatureOrZero, ...] = (0.0, 0.1, 1.0)
    downstream_temperature: TemperatureOrZero = 0.1  # SEM, table 2: on CIFAR-100
    every_epochs: CountOrZero = 5
    gradient_probe: Literal["none", "sem_sgd", "lars", "adam"] = "none"
    probe_seeds: Annotated[int, Between(1, 100)] = 1
    probe_views: Literal["cached", "augmented"] = "cached"
    clusters: bool = True
    embedding: bool = False
    keep_features: bool = True
    corrupted_images: CountOrZero = 0
    shifted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finetune(Checked):
    """How --mode=finetune trains the encoder and a classifier on labels.

    Args:
        shares: shares of each class's labels to learn from, one result for each.
        learning_rates: peaks to choose from on a fifth of the labels, per 256 images of a batch.
        weight_decays: to choose from together with them.
        steps: of each training.
        batch_size: images of a step; fewer labels make a smaller batch.
        schedule: of the learning rate; cosine to zero, or steps for a tenth after 60 % and again
            after 80 % of the training.
        layer_decay: learning rate of a block as a share of that of the block above it; 1 for the
            same in all.
        temperature: tau_d of Simplicial Embeddings.
        crop_scale: smallest and largest share of an image's area that a training view shows.
        flip: probability that a training view is mirrored.
        from_scratch: whether the same network is trained from random weights beside it.
    """

    # SEM, table 5, has results at 1 and 10 %, of another protocol: that of appendix B.6.
    shares: Annotated[tuple[PositiveShare, ...], Entries(1)] = (0.01, 0.1, 1.0)
    learning_rates: Annotated[tuple[LearningRate, ...], Entries(1)] = FINETUNE_LEARNING_RATES
    weight_decays: Annotated[tuple[Weight, ...], Entries(1)] = (0.0,)
    steps: Steps = 20_000  # SEM, appendix B.5
    batch_size: TwoOrMore = 256  # SEM, appendix B.5
    schedule: Literal["cosine", "steps"] = "cosine"
    layer_decay: PositiveShare = 1.0
    temperature: TemperatureOrZero = 1.0  # SEM, appendix B.5
    crop_scale: ShareRange = (0.08, 1.0)
    flip: Share = 0.5
    from_scratch: bool = True


@dataclass(frozen=True)
class Transfer(Checked):
    """How --mode=transfer evaluates the encoder on other data sets than it was trained on.

    Args:
        datasets: the data sets, each written as data.dataset.
        strengths: how many values of C, from 1e-6 to 1e5, logistic regression chooses from.
    """

    datasets: tuple[str, ...] = ()
    strengths: Few = 45  # SEM, appendix B.4


@dataclass(frozen=True)
class Export(Checked):
    """What the SavedModel of the encoder serves.

    Args:
        one_hot: whether the codes are served one-hot as well.
    """

    one_hot: bool = False


def declared(cls: type) -> dict[str, Setting]:
    """The settings that a section's class declares: {field: Setting}."""
    meanings = _meanings()[cls.__name__]
    return {
        part.name: Setting(part.type, part.default, meanings[part.name])
        for part in fields(cls)
        if not _is_open(part)
    }


def build(cls: type, values: Mapping):
    """An object of a section's class; values that it does not declare go to its open field."""
    names = {part.name: _is_open(part) for part in fields(cls)}
    known = {name: value for name, value in values.items() if name in names}
    rest = {name: value for name, value in values.items() if name not in names}
    opened = next((name for name, is_open in names.items() if is_open), None)
    return cls(**known, **({opened: rest} if opened else rest))


def _is_open(part):
    """Whether a field takes settings whose names depend on the optimizer or the policy."""
    return part.type is Mapping


@functools.cache
def _meanings():
    return read_meanings(__file__)
