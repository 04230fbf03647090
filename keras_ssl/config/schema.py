"""The sections of a recipe: every setting of a run with type, bounds, default and meaning."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Literal

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
from keras_ssl.core.constants import (
    CODE_DIM,
    COMMITMENT,
    FINETUNE_BATCH_SIZE,
    FINETUNE_LEARNING_RATES,
    FINETUNE_STEPS,
    KNN_NEIGHBOURS,
    KNN_TEMPERATURE,
    LABELS_PER_CLASS,
    NUM_SIMPLICES,
    NUM_STRENGTHS,
    SIMPLEX_SIZE,
)
from keras_ssl.core.errors import UserError

SMALLEST_CROP = 8  # pixels; what every backbone takes


@dataclass(frozen=True)
class Neck(Checked):
    """What is put between the backbone and the heads.

    Args:
        kind: "sem" is Simplicial Embeddings. Baselines for it: "embed" without the softmax,
            "gumbel" with one-hot samples, "vq" with codebooks. "none" leaves the backbone's
            features.
        num_simplices: L, the number of simplices or codebooks.
        simplex_size: V, the number of entries of a simplex or of a codebook.
        temperature: tau_p, of the softmax in training.
        target_temperature: tau'_p, of the momentum encoder, or of view 2 where there is none;
            defaults to `temperature`.
        embedder: Map from the features to the neck; "identity" takes the features as they are.
        embedder_norm: Whether the embedder ends in batch normalization.
        num_blocks: Diagonal blocks of the embedder and of the first projector layer (SEM/n); 1 is
            dense.
        code_dim: Length of the vectors in a codebook.
        commitment: Commitment-loss weight.
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
        """The fields that have an effect in this kind of neck: {field: value}."""
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
    """The fields of `Neck`, besides the kind, that have an effect in a neck of this kind."""
    used = _NECK_FIELDS[kind]
    return used and (*used, *_EMBEDDER_FIELDS[embedder])


@dataclass(frozen=True)
class Backbone(Checked):
    """The network from images to features.

    Args:
        name: Name of a backbone, see --mode=list.
        width: Channels of the first stage; `none` takes the backbone's own.
        stem: First layers; "auto" chooses "cifar" or "imagenet" by the image size.
        stem_padding: Pixels of zero padding around the images in the CIFAR stem.
        zero_init_residual: Whether every residual block is initialized as the identity.
        patch_size: Side of a Vision Transformer's patch in pixels; `none` chooses by the image
            size.
        second: Name of the network of the second branch, where method.shared is "projector" or
            "none"; "same" for one like the first. Between ResNets the other fields hold for both.
    """

    name: str = "resnet18"
    width: Annotated[int, Between(1, 10**4)] | None = None
    stem: Literal["auto", "cifar", "imagenet", "imagenet_unpooled"] = "auto"
    stem_padding: Annotated[int, Between(0, 100)] = 1
    zero_init_residual: bool = False
    patch_size: Pixels | None = None
    second: str = "same"

    @property
    def options(self):
        """The fields of this network that differ from their defaults: {name: value}."""
        plain = asdict(Backbone(self.name, second=self.second))
        return {name: value for name, value in asdict(self).items() if value != plain[name]}

    @property
    def other(self):
        """The `Backbone` of the second branch, or None for one like the first."""
        if self.second == "same":
            return None
        if self.name.startswith("resnet") and self.second.startswith("resnet"):
            return replace(self, name=self.second, second="same")
        return Backbone(self.second)


@dataclass(frozen=True)
class Data(Checked):
    """The images.

    Args:
        dataset: "digits", "npz:PATH", "folder:PATH", "tfrecord:PATTERN", or a name of TensorFlow
            Datasets.
        data_dir: Directory of TensorFlow Datasets; `none` takes its default.
        image_size: Side of a view in pixels; 0 takes that of the images.
        in_memory: "yes" decodes all images once, to squares of that size; "no" decodes an image
            whenever it is read and crops from the whole of it; "auto" is "yes" below 128 pixels if
            the images fit into 8 GiB.
        normalization: Whose mean and standard deviation normalize the views; "data" computes those
            of the training images.
        test_crop: Fraction of an image's shorter side that is evaluated and served, from the
            middle; 0.875 resizes to 256 and crops 224. Images that are kept in memory at the size
            of a view stay whole.
    """

    dataset: str = "digits"
    data_dir: str | None = None
    image_size: PixelsOrZero = 0
    in_memory: Literal["auto", "yes", "no"] = "auto"
    normalization: Literal["data", "imagenet", "cifar10", "cifar100"] = "data"
    test_crop: PositiveShare = 1.0


@dataclass(frozen=True)
class Augment(Checked):
    """How views are drawn. `overrides` are fields of `ViewPolicy`, for all views of the policy.

    Args:
        policy: Name of an augmentation policy, see --mode=list.
        where: "host" draws views while the previous batch trains; "device" draws the same views
            inside the train step, from batches of whole images; "auto" is "device" on a GPU.
        num_views: Views per image.
        local_views: Small crops per image, in addition to the views.
        local_policy: Policy whose first view they are drawn by; "same" takes `policy`.
        local_size: Side of a small crop in pixels, at least 8; 0 takes 3/7 of a view's, rounded to
            a multiple of 8.
        local_scale: Smallest and largest fraction of an image's area in a small crop.
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
        """The side of a small crop for views of `image_size` pixels: 96 for 224, 16 for 32.

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
    """The optimizer. `options` are arguments of its class, such as weight_decay.

    Args:
        name: Name of an optimizer, see --mode=list.
        learning_rate: Peak, per 256 images of a batch.
        constant_lr: Learning rate of the layers in `constant_lr_layers`, per 256 images; defaults
            to the peak.
        clipnorm: Largest norm of each variable's gradient; `none` disables clipping.
    """

    name: str
    learning_rate: LearningRate
    constant_lr: LearningRate | None = None
    clipnorm: Annotated[float, Above(0, 10**6)] | None = None
    options: Mapping = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule(Checked):
    """Learning rate, weight decay and momentum over training: linear warm-up, then cosine.

    Args:
        warmup_epochs: Length of the warm-up; may be a fraction.
        warmup_start: Learning rate at step 0 of the warm-up, per 256 images.
        warmup_inclusive: Whether the last step of the warm-up reaches the peak, instead of the step
            after it.
        final_learning_rate: Learning rate at the end, per 256 images.
        hold: Whether the learning rate is updated every step or every epoch.
        final_momentum: Momentum of the target network at the end; it starts at method.momentum.
        final_weight_decay: Weight decay at the end, by a cosine; `none` keeps it constant.
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
    """Length, batches and numerics of training.

    Args:
        epochs: Passes over the training images.
        batch_size: Images per step, over all replicas.
        seed: Seed of weights, order and augmentation.
        precision: Dtype policy of the network; "auto" chooses by the hardware.
        strategy: "mirrored" runs one replica per GPU, "none" uses one GPU, "auto" uses all GPUs if
            their step equals that of one.
        accumulate: Steps whose gradients are averaged into one update.
        deterministic: Whether a GPU gives the same bits every time; disables XLA, so it is slower.
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
    """How representations are evaluated, in training and after it.

    Args:
        knn_neighbours: k of the weighted k-NN.
        knn_temperature: Temperature of its votes.
        knn_sweep: Whether k-NN is also measured at k = 5, 20, 200, at T = 0.07, 0.1, and with
            Euclidean distance.
        labels_per_class: Labels per class of the few-label rows.
        label_shares: Fractions of the labels, such as 0.01, for further linear probes.
        temperatures: Values of tau_d at which SEM is evaluated after training; 0 is one-hot.
        downstream_temperature: tau_d of the evaluation in training and of the exported encoder.
        every_epochs: Epochs between online evaluations; 0 disables them.
        probe: Protocol of a linear probe by gradient descent, its whole grid trained in parallel;
            "none" disables it.
        probe_temperatures: Values of tau_d of which that probe's validation images choose one, in
            a row of its own. Protocols of a single setting, lars and adam, choose nothing.
        probe_epochs: Epochs of that probe; `none` takes the protocol's.
        probe_nesterov: Whether the momentum of an SGD probe is Nesterov's, as SEM prints; its code
            has plain momentum.
        probe_seeds: Seeds of that probe.
        probe_views: Whether that probe trains on cached features or on images that are augmented
            anew in every epoch.
        clusters: Whether clusters of the test images are compared with the classes.
        embedding: Whether the embeddings before the softmax are evaluated too and, with a neck that
            has no softmax, the simplices that one would give.
        keep_features: Whether features are cached in the run's directory.
        memory: GiB that an evaluation may hold beyond the images; wider features are kept on disk
            and computed in blocks, whose buffers need half a GiB. `none` takes an eighth of the
            machine's memory.
        corrupted_images: Test images that are evaluated under 75 corruptions; 0 disables it.
        shifted: Further test sets of the same classes, written as data.dataset, on which the
            classifiers of this run's training features are scored; `imagenet2012_corrupted/*` and
            `cifar10_corrupted/*` stand for 75 each.
    """

    knn_neighbours: Count = KNN_NEIGHBOURS
    # Votes are exp(similarity / T), which overflows soon below.
    knn_temperature: Annotated[float, Between(0.02, 10**3)] = KNN_TEMPERATURE
    knn_sweep: bool = False
    labels_per_class: TwoOrMore = LABELS_PER_CLASS
    label_shares: tuple[PositiveShare, ...] = ()
    temperatures: tuple[TemperatureOrZero, ...] = (0.0, 0.1, 1.0)
    downstream_temperature: TemperatureOrZero = 0.1  # SEM, table 2: on CIFAR-100
    every_epochs: CountOrZero = 5
    probe: Literal["none", "sem_sgd", "sem_sgd_imagenet", "lars", "adam"] = "none"
    probe_temperatures: tuple[TemperatureOrZero, ...] = (0.01, 0.1, 1.0)  # SEM, appendix B.2
    probe_epochs: Count | None = None
    probe_nesterov: bool = False
    probe_seeds: Annotated[int, Between(1, 100)] = 1
    probe_views: Literal["cached", "augmented"] = "cached"
    clusters: bool = True
    embedding: bool = False
    keep_features: bool = True
    memory: Annotated[float, Between(0.5, 10**5)] | None = None
    corrupted_images: CountOrZero = 0
    shifted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finetune(Checked):
    """How --mode=finetune trains the encoder and a classifier on labels.

    Args:
        protocol: Name of a published protocol, whose values are the defaults of all others here;
            see --mode=list.
        shares: Fractions of each class's labels to train on, one result per fraction.
        labels_per_class: Labels per class to train on, in place of `shares`; `none` takes those.
        learning_rates: Peaks to choose from, on the validation split of the data or on a fifth of
            the labels.
        per_256: Whether they are those of 256 images, scaled with the batch.
        encoder_rate: Learning rate of the encoder relative to that of the classifier.
        weight_decays: Weight decays to choose from together with them.
        nesterov: Whether the momentum of 0.9 is Nesterov's.
        steps: Steps of each training.
        epochs: Lengths to choose from, in passes over the labels, in place of `steps`; empty takes
            that.
        batch_size: Images per step; fewer labels make a smaller batch.
        schedule: Learning-rate schedule; "steps" divides by 10 after 60 % and 80 % of the steps.
        layer_decay: Factor from a block's learning rate to that of the block below it; 1 gives all
            blocks the same.
        temperature: tau_d of Simplicial Embeddings.
        temperatures: Values of tau_d to choose from, in place of `temperature`; empty takes that.
        stem_pooling: Whether the max-pooling of the ImageNet stem is kept.
        crop_scale: Smallest and largest fraction of an image's area in a training view; 1,1 takes
            the middle square.
        flip: Probability of mirroring a training view.
        test_crop: The fraction `data.test_crop` of the images that are scored; `none` takes that.
        from_scratch: Whether the same network is also trained from random initialization.
    """

    protocol: str = "sem_transfer"
    shares: Annotated[tuple[PositiveShare, ...], Entries(1)] = (0.01, 0.1, 1.0)
    labels_per_class: TwoOrMore | None = None
    learning_rates: Annotated[tuple[LearningRate, ...], Entries(1)] = FINETUNE_LEARNING_RATES
    per_256: bool = True
    encoder_rate: PositiveShare = 1.0
    weight_decays: Annotated[tuple[Weight, ...], Entries(1)] = (0.0,)
    nesterov: bool = True
    steps: Steps = FINETUNE_STEPS
    epochs: tuple[Annotated[float, Above(0, 10**6)], ...] = ()
    batch_size: TwoOrMore = FINETUNE_BATCH_SIZE
    schedule: Literal["cosine", "steps"] = "cosine"
    layer_decay: PositiveShare = 1.0
    temperature: TemperatureOrZero = 1.0  # SEM, appendix B.5
    temperatures: tuple[TemperatureOrZero, ...] = ()
    stem_pooling: bool = True
    crop_scale: ShareRange = (0.08, 1.0)
    flip: Share = 0.5
    test_crop: PositiveShare | None = None
    from_scratch: bool = True


@dataclass(frozen=True)
class Transfer(Checked):
    """How --mode=transfer evaluates the encoder on other data sets.

    Args:
        datasets: Data sets, each written as data.dataset.
        strengths: Number of values of C, from 1e-6 to 1e5, that logistic regression chooses from.
    """

    datasets: tuple[str, ...] = ()
    strengths: Few = NUM_STRENGTHS


@dataclass(frozen=True)
class Analysis(Checked):
    """What is looked at when a training has ended, for `analysis.json` and `report.html`.

    Args:
        enabled: Whether a pretraining ends with an analysis.
        images: Held-out images that are looked at, at most, and as many training images.
        map: How features are drawn in two dimensions; "auto" takes UMAP where it is installed and
            t-SNE elsewhere.
        max_width: Columns above which no matrix of columns x columns is formed: the Gram matrix of
            the images or random projections take its place, and the result says so. Those for the
            verdict on collapse have 1,024 columns at most, whatever is set here.
        superclasses: Groups of related classes, for the coherence of features: "none", a text file
            with the superclass of each class on a line of its own, or "auto" for those of
            CIFAR-100, where the images are.
    """

    enabled: bool = True
    images: Annotated[int, Between(10, 10**6)] = 5000
    map: Literal["auto", "pca", "tsne", "umap"] = "auto"
    max_width: Annotated[int, Between(16, 10**5)] = 4096
    superclasses: str = "auto"


@dataclass(frozen=True)
class Export(Checked):
    """What the SavedModel of the encoder serves.

    Args:
        one_hot: Whether codes are also served one-hot.
    """

    one_hot: bool = False
