"""Protocols of fine-tuning as they are printed, by name: what each sets in the section `finetune`.

What a paper does not state is left at the defaults of that section.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FinetuneProtocol:
    """A published way to fine-tune.

    Attributes:
        source: str. Where it is printed.
        settings: {field of `keras_ssl.config.schema.Finetune`: value}, where it differs from the
            defaults there.

    Example:

    >>> from keras_ssl.evaluation import FINETUNING
    >>> FINETUNING["sem_semi"].settings["batch_size"]
    224
    """

    source: str
    settings: Mapping

    def __post_init__(self):
        object.__setattr__(self, "settings", types.MappingProxyType(dict(self.settings)))


FINETUNING = {
    "sem_transfer": FinetuneProtocol(
        "Lavoie et al., Simplicial Embeddings, appendix B.5: transfer; the defaults", {}
    ),
    # Neither schedule nor momentum of batch normalization is stated; rates are those of the batch.
    "sem_semi": FinetuneProtocol(
        "Lavoie et al., Simplicial Embeddings, appendix B.6: 1 and 10 % of the labels (table 5)",
        {
            "shares": (0.01, 0.1),
            "learning_rates": (0.005, 0.01, 0.02, 0.05, 0.1),
            "per_256": False,
            "epochs": (30, 50),
            "batch_size": 224,
            "temperatures": (0.01, 0.1, 1.0),
            "crop_scale": (1.0, 1.0),  # the shorter side resized, then a crop of the middle
            "test_crop": 1.0,
        },
    ),
    # Neither schedule nor augmentation is stated.
    "simmer_40": FinetuneProtocol(
        "SimMER, sec. 3.4 and table 3: 40 labels per class, two learning rates",
        {
            "labels_per_class": 40,
            "learning_rates": (0.1,),
            "encoder_rate": 0.01,  # 0.001 for the backbone
            "nesterov": False,
            "epochs": (40,),
            "batch_size": 512,
            "stem_pooling": False,
        },
    ),
}
