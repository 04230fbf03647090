"""DINO: match the centered and sharpened output of a teacher, the moving average of the student."""

from keras import ops

from keras_ssl.core.bounds import CountOrZero, Share, Temperature, TwoOrMore, Width
from keras_ssl.core.cures import LESS, MORE
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import undecided
from keras_ssl.layers.centering import Centering
from keras_ssl.layers.heads import dino_head
from keras_ssl.losses.dino import dino_loss
from keras_ssl.methods.base import Method
from keras_ssl.schedules import linear_then_constant


@register
class DINO(Method):
    """Self-distillation: the student predicts, from all crops, the teacher's output on others.

    The teacher sees the global views. Centering its output keeps it from one class, sharpening from
    the uniform distribution. Recipes for Vision Transformers raise the weight decay over the run
    (`schedule.final_weight_decay`) and clip each parameter's gradient (`optimizer.clipnorm`).

    Loss: -sum_k t_k log s_k, t = softmax((teacher - center) / T_t) of one view and
    s = softmax(student / T_s) of another (eqs. 2 and 3).

    Args:
        momentum: float in [0, 1], or a schedule step -> momentum. Share of the teacher that stays
            at each update; take a larger one for a small batch.
        student_temperature: float > 0. Smaller is sharper.
        teacher_temperature: float > 0. At the end of its warm-up; above 0.07 training is unstable.
        warmup_teacher_temperature: float > 0. In the first epoch.
        warmup_teacher_epochs: int >= 0. Length of the straight line between the two.
        center_momentum: float in [0, 1]. Share of the center that stays at each step.
        hidden_dim: int > 0. Width of the head's two hidden layers.
        bottleneck_dim: int > 0. Width of what is compared with the prototypes.
        num_prototypes: int > 1. Entries of the output.
        freeze_epochs: int >= 0. Epochs in which the prototypes do not move.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> sizes = {"hidden_dim": 16, "bottleneck_dim": 8, "num_prototypes": 5}
    >>> method = DINO(encoder, **sizes, steps_per_epoch=10)
    >>> _, frozen = method.frozen_parameters()
    >>> bool(frozen)  # the prototypes, in the first epoch
    True

    Reference: Caron et al., Emerging properties in self-supervised vision transformers, 2021,
    eqs. 1 to 4 and algorithm 1.
    """

    terms = ("dino",)
    joint_batch = True
    multi_crop = True
    cluster_head = "outputs of the student"
    compares = "centered"
    cures = {
        "representation": (("method.teacher_temperature", LESS), ("method.center_momentum", LESS)),
        "cluster": (("method.center_momentum", LESS), ("method.teacher_temperature", MORE)),
        "intracluster": (("method.num_prototypes", MORE),),
        "undecided": (("method.teacher_temperature", LESS), ("optimizer.learning_rate", LESS)),
    }

    def __init__(
        self,
        encoder,
        *,
        momentum: Share = 0.996,  # sec. 3.1
        student_temperature: Temperature = 0.1,  # sec. 3.2
        teacher_temperature: Temperature = 0.07,  # sec. 3.2
        warmup_teacher_temperature: Temperature = 0.04,  # sec. 3.2
        warmup_teacher_epochs: CountOrZero = 30,  # sec. 3.2
        center_momentum: Share = 0.9,  # appendix D
        hidden_dim: Width = 2048,  # appendix C
        bottleneck_dim: Width = 256,  # appendix C
        num_prototypes: TwoOrMore = 65536,  # appendix C
        freeze_epochs: CountOrZero = 1,  # authors' code
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.momentum = momentum
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.warmup_teacher_temperature = warmup_teacher_temperature
        self.warmup_teacher_epochs = warmup_teacher_epochs
        self.center_momentum = center_momentum
        self.hidden_dim = hidden_dim
        self.bottleneck_dim = bottleneck_dim
        self.num_prototypes = num_prototypes
        self.freeze_epochs = freeze_epochs
        self.projector = self.head(
            build=dino_head,
            hidden_dim=hidden_dim,
            bottleneck_dim=bottleneck_dim,
            num_prototypes=num_prototypes,
        )
        self.target_encoder = self.add_target(self.encoder)
        self.target_projector = self.add_target(self.projector)
        self.centering = Centering(center_momentum, name="centering")
        self.centering.build((None, num_prototypes))

    def embed(self, views, training):
        seen = self.encode(views, training=training) + self.encode_local(views, training=training)
        taught = self.encode(views, self.target_encoder, training=training)
        return {
            "student": [self.projector(feature, training=training) for feature in seen],
            "teacher": [self.target_projector(feature, training=training) for feature in taught],
        }

    def loss_terms(self, outputs):
        loss = dino_loss(
            outputs["student"],
            [self.centering(logits) for logits in outputs["teacher"]],
            teacher_temperature=self._temperature_now(),
            student_temperature=self.student_temperature,
        )
        return {"dino": loss}

    def telltales(self):
        uniform = undecided("dino", self.num_prototypes, what="outputs")
        return [*super().telltales(), uniform]

    def cluster_scores(self, images):
        return self.projector(self.encoder(images, training=False), training=False)

    def _temperature_now(self):
        first, last = self.warmup_teacher_temperature, self.teacher_temperature
        epochs = self.warmup_teacher_epochs
        return linear_then_constant(self.epoch, first, last, epochs) if epochs else last

    def frozen_parameters(self):
        now = self.freeze_epochs > 0 and self.epoch < self.freeze_epochs
        return self.projector.get_layer("prototypes").trainable_variables, now

    def after_step(self, outputs):
        self.centering.update(ops.concatenate(outputs["teacher"]))
