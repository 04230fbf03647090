"""Two branches: view 1 and the others through networks that need not share their weights."""

from typing import Literal

from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.layers.necks import check_encoder, projector_blocks
from keras_ssl.methods.base import Method


class TwoBranches(Method):
    """A method whose second branch may have an encoder, and a projector, of its own.

    View 1, and local crops, go through the first branch and all other views through the second;
    both are trained. What is evaluated and exported is the encoder of the first.

    Args:
        shared: "both", "projector" or "none". What the branches share: encoder and projector;
            the projector alone; neither, as where a paper speaks of different weights.
        second_encoder: built functional `keras.Model` or None. The second branch's encoder, of
            whatever architecture; by default it is that of the first, with other random weights.

    Raises:
        UserError: for a second encoder that nothing would use, or a shared projector for features
            of two widths.

    Reference: Bardes et al., VICReg, 2022, sec. 5.2 and table 5: shared weights (SW), different
    weights (DW), different architectures (DA).
    """

    run_facts = ("second_encoder",)

    def __init__(
        self,
        encoder,
        *,
        shared: Literal["both", "projector", "none"] = "both",
        second_encoder=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.shared = shared
        self.second_encoder = second_encoder
        if shared == "both":
            if second_encoder is not None:
                raise UserError("shared='both' has no second encoder: take 'projector' or 'none'.")
            return
        self.branch = second_encoder or type(encoder).from_config(encoder.get_config())
        check_encoder(self.branch)
        if shared == "projector":
            self.check_widths("A shared projector reads", "take shared='none'")
        object.__setattr__(self, "_branch_reader", self._read_second_view(self.branch))

    def check_widths(self, what: str, remedy: str = "take encoders of one width") -> None:
        """Refuse encoders whose features differ in width; `what` ends in a verb.

        Raises:
            UserError: with the `remedy`.
        """
        widths = {model.output_shape[-1] for model in (self.encoder, self._second())}
        if len(widths) > 1:
            raise UserError(
                f"{what} features of one width. The encoders give {sorted(widths)}: {remedy}."
            )

    def projector_head(self, *args, **options):
        """Make `projector`, and `second_projector` where the branches do not share it."""
        self.projector = self.head(*args, name="projector", **options)
        if self.shared == "none":
            width, blocks = self.branch.output_shape[-1], projector_blocks(self.branch)
            own = {"name": "second_projector", "input_dim": width, "num_blocks": blocks}
            self.second_projector = self.head(*args, **own, **options)

    def embed(self, views, training):
        if self.shared == "both":
            return super().embed(views, training)
        images = views["global"]
        first = [self._run(self.encoder, images[:, 0], training)]
        first += self.encode_local(views, training=training)
        reader = self._branch_reader or self.branch
        second = [self._run(reader, images[:, v], training) for v in range(1, images.shape[1])]
        second_projector = self.projector if self.shared == "projector" else self.second_projector
        own, *crops = self._project(self.projector, first, training)
        return [own, *self._project(second_projector, second, training), *crops]

    def _second(self):
        return self.encoder if self.shared == "both" else self.branch

    def _project(self, projector, features, training):
        if not self.joint_batch:
            return [projector(feature, training=training) for feature in features]
        return ops.split(projector(ops.concatenate(features), training=training), len(features))
