"""Find a ResNet among the names of a PyTorch state dict, whoever trained it."""

import re
from dataclasses import dataclass

from keras_ssl.core.errors import UserError

# Copies that follow the trained network; taken only where they are all there is, or asked for.
_FOLLOWS = {"momentum", "teacher", "target", "ema", "k", "key"}
_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Naming:
    """How a library calls the parts of a ResNet.

    Attributes:
        what: for people to read.
        stem: names of the first convolution and its normalization.
        stages: names of the four stages.
        shortcut: name of the convolution parallel to a block.
    """

    what: str
    stem: tuple
    stages: tuple
    shortcut: str

    def parts(self):
        """{their name of a part: torchvision's}."""
        ours = (*TORCHVISION.stem, *TORCHVISION.stages)
        return dict(zip((*self.stem, *self.stages), ours, strict=True))


_STAGES = ("layer1", "layer2", "layer3", "layer4")
TORCHVISION = Naming("torchvision's names", ("conv1", "bn1"), _STAGES, "downsample")
NAMINGS = (
    TORCHVISION,
    Naming("lightly's names", ("conv1", "bn1"), _STAGES, "shortcut"),
    # nn.Sequential(*list(resnet.children())[:-1]) counts the modules; torchvision's has two more.
    Naming("torchvision's, numbered", ("0", "1"), ("4", "5", "6", "7"), "downsample"),
    Naming("lightly's, numbered", ("0", "1"), ("2", "3", "4", "5"), "shortcut"),
)


@dataclass(frozen=True)
class Found:
    """A ResNet in a state dict.

    Attributes:
        prefix: what its names begin with.
        naming: the `Naming` of the rest.
        solo_learn: whether the file also holds a classifier, as in a checkpoint of solo-learn.
        weights: {torchvision's name: array} of the network.
        left_out: what else is in the state dict, by the first parts of the names.
    """

    prefix: str
    naming: Naming
    solo_learn: bool
    weights: dict
    left_out: tuple

    @property
    def blocks(self):
        """Number of blocks of each stage."""
        return tuple(len(self._blocks_of(stage)) for stage in TORCHVISION.stages)

    @property
    def convolutions(self):
        """Convolutions of a block: 2 in a basic one, 3 in a bottleneck."""
        return 3 if "layer1.0.conv3.weight" in self.weights else 2

    def _blocks_of(self, stage):
        return {name.split(".")[1] for name in self.weights if name.startswith(f"{stage}.")}


def find_resnet(state, prefix=None):
    """Find the ResNet of a state dict; of several, the one that was trained.

    Args:
        state: {name: array}.
        prefix: str or None. What the names of the wanted one begin with, such as "backbone.".

    Returns:
        `Found`.

    Raises:
        UserError: if there is none, or several to choose from.
    """
    networks = {start: naming for naming in NAMINGS for start in _prefixes(state, naming)}
    if prefix is not None and prefix not in networks:
        raise UserError(f"No ResNet has names that begin with '{prefix}'. {_told(networks, state)}")
    trained = [start for start in networks if _FOLLOWS.isdisjoint(re.split(r"[._]", start))]
    trained = trained or list(networks)
    if prefix is None and len(trained) != 1:
        which = "Several ResNets" if trained else "No ResNet found"
        raise UserError(f"{which}. {_told(networks, state)}")
    start = trained[0] if prefix is None else prefix
    return _found(state, start, networks[start])


def _prefixes(state, naming):
    """What comes before the names of networks in this naming."""
    first = f"{naming.stem[0]}.weight"
    needed = (
        f"{naming.stages[0]}.0.conv1.weight",
        f"{naming.stages[1]}.0.{naming.shortcut}.0.weight",
    )
    starts = [name.removesuffix(first) for name in state if name.endswith(first)]
    return [start for start in starts if all(f"{start}{name}" in state for name in needed)]


def _found(state, prefix, naming):
    parts, weights, rest = naming.parts(), {}, {}
    depth = max(1, prefix.count("."))
    for name, array in state.items():
        part, _, inner = name.removeprefix(prefix).partition(".")
        if not name.startswith(prefix) or part not in parts:
            rest[".".join(name.split(".")[:depth])] = None
        elif not name.endswith("num_batches_tracked"):
            inner = re.sub(rf"\.{naming.shortcut}\.", f".{TORCHVISION.shortcut}.", inner)
            weights[f"{parts[part]}.{inner}"] = array
    outer = re.sub(r"(backbone|encoder)\.$", "", prefix)
    solo_learn = outer != prefix and f"{outer}classifier.weight" in state
    return Found(prefix, naming, solo_learn, weights, tuple(rest))


def _told(networks, state):
    """What there is, for a message."""
    if networks:
        return f"There are: {', '.join(map(repr, networks))}. Choose one by its prefix."
    return (
        f"The names are: {some(state)}. A ResNet has 'conv1.weight', 'bn1.weight' and so on, to "
        "'layer4.1.bn2.weight' at least."
    )


def some(names):
    """The first few of `names`, for a message."""
    names = list(names)
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more
