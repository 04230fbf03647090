"""The papers' tables of hyper-parameters: what is printed, where, and which recipe has it.

Keys are settings, but for `rate` (the learning rate at the printed batch), `views` (what the views
of the policy have) and `neck.target_temperature`, which is that of the view without one of its own.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A row of a table, or a sentence: its place, the recipes that have it, and what it prints.

    `deviates` are printed values that the recipes deliberately lack: {key: (ours, why)}.
    """

    place: str
    recipes: tuple  # "method recipe"
    printed: dict
    deviates: dict = field(default_factory=dict)


PRECISION = {"training.precision": ("auto", "16 bits where the hardware has them")}

# SEM (Lavoie et al., 2023). Table 1 has solo-learn's defaults (appendix C), by its scripts.
SOLO = {
    "training.epochs": 1000,
    "training.batch_size": 256,
    "backbone.name": "resnet18",
    "backbone.stem_padding": 2,
}
LARS = {
    "optimizer.name": "lars",
    "optimizer.trust_coefficient": 0.02,
    "optimizer.variant": "larc_clip",
    "optimizer.exclude_1d": True,
}


def rates(learning_rate, weight_decay, **printed):
    return {
        **SOLO,
        "optimizer.learning_rate": learning_rate,
        "optimizer.weight_decay": weight_decay,
        **{key.replace("__", "."): value for key, value in printed.items()},
    }


SEM_BASELINES = [
    Row("SEM, appendix C", ("simclr cifar100",), LARS | rates(0.4, 1e-5, method__temperature=0.2)),
    Row("SEM, appendix C", ("moco cifar100",), rates(0.3, 1e-4, method__queue_size=32768)),
    Row("SEM, appendix C", ("byol cifar100",), LARS | rates(1.0, 1e-5, method__momentum=0.99)),
    Row("SEM, appendix C", ("barlow_twins cifar100",), LARS | rates(0.3, 1e-4)),
    Row("SEM, appendix C", ("vicreg cifar100",), LARS | rates(0.3, 1e-4)),
    Row("SEM, appendix C", ("swav cifar100",), LARS | rates(0.6, 1e-6, method__queue_size=3840)),
    Row("SEM, appendix C", ("dino cifar100",), LARS | rates(0.3, 1e-6, method__momentum=0.9995)),
]


def simplices(table, recipe, tau_p, tau_t, num=5000, size=13, deviates=None):
    printed = {
        "neck.kind": "sem",
        "neck.num_simplices": num,
        "neck.simplex_size": size,
        "neck.temperature": tau_p,
        "neck.target_temperature": tau_t,
    }
    return Row(f"SEM, table {table}", (recipe,), printed, deviates or {})


SEM_TABLES = [
    simplices(7, "sem_simclr cifar100", 0.17, 0.78),
    simplices(8, "sem_moco cifar100", 0.04, 0.01),
    simplices(9, "sem_byol cifar100", 1.0, 1.0),
    simplices(10, "sem_swav cifar100", 0.85, 1.5),
    simplices(11, "sem_dino cifar100", 1.0, 1.0),
    simplices(12, "sem_barlow_twins cifar100", 1.0, 0.99),
    simplices(13, "sem_vicreg cifar100", 1.0, 1.0),
    simplices(14, "sem_byol cifar100/resnet50", 1.0, 1.0),
    simplices(15, "sem_byol imagenet", 0.16, 0.04, size=21),
]
COLORS = {
    "hue": (0.1, 0.1),
    "saturation": (0.2, 0.2),
    "contrast": (0.4, 0.4),
    "brightness": (0.4, 0.4),
    "solarize": (0.0, 0.2),
}
BYOL = {
    "training.precision": 16,
    "optimizer.name": "lars",
    "optimizer.trust_coefficient": 0.001,
    "optimizer.exclude_1d": True,
    "training.batch_size": 256,
    "method.momentum": 0.99,
    "schedule.final_momentum": 1.0,
    "method.projection_dim": 256,
    "method.hidden_dim": 4096,
    "method.prediction_dim": 4096,
}
SEM_BYOL = [
    Row(
        "SEM, table 6",
        ("byol cifar100/resnet50", "sem_byol cifar100/resnet50"),
        {
            **BYOL,
            "backbone.name": "resnet50",
            "optimizer.learning_rate": 0.5,
            "optimizer.weight_decay": 1e-4,
            "views": COLORS,
        },
        PRECISION,
    ),
    Row(
        "SEM, table 16",
        ("byol imagenet/sem_baseline", "sem_byol imagenet"),
        {
            **BYOL,
            "backbone.name": "resnet50",
            "optimizer.learning_rate": 0.4,
            "optimizer.weight_decay": 1e-6,
            "data.image_size": 224,
            "training.epochs": 200,  # sec. 4
            "training.accumulate": 1,
            "views": {**COLORS, "blur": (1.0, 0.1)},
        },
        {**PRECISION, "training.accumulate": (16, "the authors' launch script")},
    ),
    Row("SEM, table 17", ("sem_byol cifar100/blocks8",), {"neck.num_blocks": 8}),
    Row(
        "SEM, table 17",
        ("sem_byol cifar100/resnet50_blocks8",),
        {"neck.num_blocks": 8, "backbone.name": "resnet50"},
    ),
    Row(
        "SEM, table 18",
        ("sem_byol cifar100",),
        {"neck.embedder_norm": True, "optimizer.weight_decay": 1e-5},
    ),
    Row(
        "SEM, table 18",
        ("sem_byol cifar100/no_decay",),
        {"neck.embedder_norm": True, "optimizer.weight_decay": 0.0},
    ),
    Row(
        "SEM, table 18",
        ("sem_byol cifar100/no_norm",),
        {"neck.embedder_norm": False, "optimizer.weight_decay": 1e-5},
    ),
    Row(
        "SEM, table 18",
        ("sem_byol cifar100/no_norm_no_decay",),
        {"neck.embedder_norm": False, "optimizer.weight_decay": 0.0},
    ),
    Row(
        "SEM, sec. 4.1",
        ("sem_byol cifar100/gumbel",),
        {"neck.num_simplices": 5000, "neck.simplex_size": 13, "neck.temperature": 2.0},
    ),
    Row(
        "SEM, sec. 4.1",
        ("sem_byol cifar100/vq",),
        {"neck.num_simplices": 512, "neck.simplex_size": 128, "neck.code_dim": 32},
    ),
]

# Cosentino et al., 2022.
GEOMETRY = "simclr cifar100/geometry_"
EVERY_STRENGTH = tuple(GEOMETRY + strength for strength in ("large", "moderate", "small"))


def augmentations(strength, flip, smallest_crop, s):
    views = {
        "flip": flip,
        "grayscale": 0.2,
        "crop_scale": (smallest_crop, 1.0),
        "jitter_probability": 0.8,
        "brightness": 0.8 * s,
        "contrast": 0.8 * s,
        "saturation": 0.8 * s,
        "hue": 0.2 * s,
    }
    views = {name: (value, value) for name, value in views.items()}
    return Row("Cosentino, table 2", (GEOMETRY + strength,), {"views": views})


COSENTINO = [
    Row(
        "Cosentino, sec. 2",
        EVERY_STRENGTH,
        {
            "backbone.name": "resnet18",
            "method.hidden_dim": 0,  # a linear projector
            "method.projection_bias": False,  # W^T h: proposition 3.1
            "method.projection_dim": 128,
            "method.objective": "decoupled",  # eq. 1
            "method.temperature": 1 / 2,  # beta 2
            "optimizer.name": "lars",
            "rate": 4.0,
            "optimizer.weight_decay": 1e-6,
            "optimizer.momentum": 0.9,
        },
    ),
    Row("Cosentino, fig. 6", EVERY_STRENGTH, {"training.epochs": 500}),
    augmentations("large", 0.5, 0.08, 0.5),
    augmentations("moderate", 0.5, 0.5, 0.25),
    augmentations("small", 0.0, 0.9, 0.05),
]

# CPLearn (Sansone et al., 2025). Nine rows of table 1, of which three are CPLearn's.
RESNET8_METHODS = ("barlow_twins", "swav", "gedi_nogen", "gedi", "self_classifier", "cplearn")
TABLE_6 = {
    "backbone.name": "resnet8",
    "augment.jitter_probability": 0.1,
    "augment.grayscale": 0.1,
    "augment.noise": 0.03,
    "training.batch_size": 64,
    "rate": 1e-4,
}


def resnet8(recipe):
    return tuple(f"{method} {recipe}" for method in RESNET8_METHODS)


def codes(number, beta, *recipes):
    return Row(
        "CPLearn, table 7",
        tuple(f"cplearn {recipe}" for recipe in recipes),
        {"method.num_codes": number, "method.beta": beta},
    )


CPLEARN = [
    Row(
        "CPLearn, tables 5 and 6",
        resnet8("svhn"),
        {**TABLE_6, "augment.flip": 0.0, "training.epochs": 20, "backbone.width": 128},
    ),
    Row(
        "CPLearn, tables 5 and 6",
        resnet8("cifar10/resnet8"),
        {**TABLE_6, "views": {"flip": (0.5, 0.5)}, "training.epochs": 200, "backbone.width": 128},
    ),
    Row(
        "CPLearn, tables 5 and 6",
        resnet8("cifar100/resnet8"),
        {**TABLE_6, "views": {"flip": (0.5, 0.5)}, "training.epochs": 200, "backbone.width": 256},
    ),
    Row("CPLearn, sec. 4", ("cplearn svhn",), {"method.hidden_dim": 128}),
    Row("CPLearn, sec. 4", ("cplearn cifar10/resnet8",), {"method.hidden_dim": 128}),
    Row("CPLearn, sec. 4", ("cplearn cifar100/resnet8",), {"method.hidden_dim": 256}),
    codes(10, 0.5, "svhn/codes10", "cifar10/resnet8_codes10", "cifar100/resnet8_codes10"),
    codes(128, 0.5, "svhn/codes128", "cifar10/resnet8_codes128"),
    codes(256, 0.25, "cifar100/resnet8_codes256"),
    codes(16384, 0.05, "svhn", "cifar10/resnet8", "cifar100/resnet8"),
    codes(16384, 0.05, "svhn/l2", "cifar10/resnet8_l2", "cifar100/resnet8_l2"),
    Row(
        "CPLearn, table 1",
        ("self_classifier svhn", "self_classifier cifar10/resnet8"),
        {"method.num_classes": (10,)},
    ),
    Row(
        "CPLearn, table 1",
        ("self_classifier svhn/classes16384", "self_classifier cifar100/resnet8_classes16384"),
        {"method.num_classes": (16384,)},
    ),
    Row(
        "CPLearn, table 4",
        ("cplearn svhn/l2", "cplearn cifar10/resnet8_codes10_l2"),
        {"method.activation": "l2"},
    ),
    Row(
        "CPLearn, eq. 2",
        ("cplearn svhn", "cplearn cifar10", "cplearn cifar100/resnet8"),
        {"method.divergence": "forward"},
        {"method.divergence": ("reverse", "the authors' code has that of appendix N throughout")},
    ),
    Row(
        "CPLearn, appendix L",
        ("cplearn cifar10", "cplearn cifar10/complete"),
        {
            "backbone.name": "resnet18",
            "training.epochs": 1000,
            "training.batch_size": 64,
            "rate": 1e-3,
            "method.beta": 1.0,
        },
        {"rate": (2.5e-4, "the authors' launcher multiplies it by 64 / 256")},
    ),
    Row("CPLearn, table 2, c = f", ("cplearn cifar10/complete",), {"method.num_codes": 512}),
    Row(
        "CPLearn, appendix M",
        tuple(
            f"{method} imagenet100{size}"
            for method in ("cplearn", "gedi_nogen", "swav", "dino")
            for size in ("", "/128", "/1024", "/32768")
        )
        + ("barlow_twins imagenet100", "barlow_twins imagenet100/128"),
        {
            "backbone.name": "vit_small",
            "training.epochs": 100,
            "optimizer.learning_rate": 5e-4,  # DINO's: per 256 images
            "training.batch_size": 8 * 64,
        },
        {"training.epochs": (300, "what table 3 and section 4 print")},
    ),
    Row("CPLearn, appendix M", ("cplearn imagenet100",), {"method.beta": 0.25}),
    Row("CPLearn, sec. 4", ("cplearn imagenet100",), {"method.hidden_dim": 384}),
    Row("CPLearn, appendix N", ("cplearn imagenet100",), {"method.divergence": "reverse"}),
]
# Dictionary size: beta, the same for SVHN, CIFAR-10 and CIFAR-100.
CPLEARN_TABLE_7 = {
    **{10: 0.5, 128: 0.5, 256: 0.25, 512: 0.25, 1024: 0.1},
    **{2048: 0.1, 4096: 0.1, 8192: 0.05, 16384: 0.05},
}

# SimMER.
SIMMER = [
    Row(
        "SimMER, sec. 3.1",
        ("simmer cifar10", "simmer mini_imagenet"),
        {
            "optimizer.learning_rate": 1e-3,
            "optimizer.weight_decay": 1e-6,
            "training.epochs": 800,
            "training.batch_size": 512,
            "method.alpha_entropy": 0.1,
            "method.alpha_rank": 2e-4,
            "augment.num_views": 4,
            "method.rank": "r2",
            "method.rank_bias": False,
            "method.output_norm": "none",  # "we do not apply any normalization"
        },
    ),
    Row(
        "SimMER, sec. 3.1",
        ("simmer cifar10", "simmer mini_imagenet/resnet18"),
        {"backbone.name": "resnet18", "method.num_layers": 2},
    ),
    Row(
        "SimMER, sec. 3.1",
        ("simmer mini_imagenet",),
        {"backbone.name": "resnet50", "method.num_layers": 3},
    ),
    Row(
        "SimMER, sec. 3.2",
        tuple(f"{name} mini_imagenet" for name in ("simmer", "moco", "swav", "byol", "simsiam")),
        {"data.image_size": 84},
    ),
    Row("SimMER, sec. 3.3", ("simmer cifar10/views10",), {"augment.num_views": 10}),
    *(
        Row(f"SimMER, table {table}", (f"simmer cifar10/{name}",), printed)
        for table, name, printed in (
            (4, "entropy0", {"method.alpha_entropy": 0.0}),
            (4, "entropy1", {"method.alpha_entropy": 1.0}),
            (4, "entropy10", {"method.alpha_entropy": 10.0}),
            (4, "rank0", {"method.alpha_rank": 0.0}),
            (4, "rank2e-5", {"method.alpha_rank": 2e-5}),
            (4, "rank2e-2", {"method.alpha_rank": 2e-2}),
            (4, "views10", {"augment.num_views": 10}),
            (4, "views3", {"augment.num_views": 3}),
            (4, "batch64", {"training.batch_size": 64}),
            (4, "batch128", {"training.batch_size": 128}),
            (4, "collapse", {"method.alpha_entropy": 0.0, "method.alpha_rank": 0.0}),
            (5, "r1", {"method.rank": "r1", "method.alpha_rank": 2e-3}),
            (5, "r3", {"method.rank": "r3", "method.alpha_rank": 2e-3}),
            (5, "r4", {"method.rank": "r4", "method.alpha_rank": 2e-3}),
            (5, "bias", {"method.rank_bias": True, "method.alpha_rank": 2e-4}),
        )
    ),
]

# Linear probes: whose protocol a recipe names. What the protocols hold is tested with them.
READ = {"evaluation.temperatures": (0.0, 0.01, 0.1, 1.0)}
AUGMENTED = {"evaluation.probe_views": "augmented"}
PROBES = [
    Row(
        "SEM, appendix B.2 and sec. 4",
        ("byol cifar100", "sem_byol cifar100", "sem_simclr cifar100", "sem_byol cifar100/resnet50"),
        {"evaluation.probe": "sem_sgd", **AUGMENTED, **READ},
    ),
    Row(
        "SEM, appendix B.2",
        ("byol imagenet/sem_baseline", "sem_byol imagenet"),
        {
            "evaluation.probe": "sem_sgd_imagenet",
            "evaluation.probe_temperatures": (0.01, 0.1, 1.0),
            "data.test_crop": 224 / 256,  # appendix B.1
            **AUGMENTED,
        },
    ),
    Row(
        "SimMER, sec. 3.3",
        (
            "simmer cifar10",
            "simmer mini_imagenet",
            "byol mini_imagenet",
            "simsiam imagenet",
            "simsiam cifar10",
        ),
        {"evaluation.probe": "lars", **AUGMENTED},
    ),
    Row(
        "CPLearn, appendix I",
        (*resnet8("svhn"), *resnet8("cifar100/resnet8"), "cplearn cifar10", "gedi_nogen cifar10"),
        {"evaluation.probe": "adam"},
    ),
    Row(
        "CPLearn, appendix M",
        ("cplearn imagenet100", "dino imagenet100/128", "barlow_twins imagenet100"),
        {"evaluation.probe": "adam", **AUGMENTED},
    ),
    Row("a newcomer's minutes", ("byol digits", "simmer small"), {"evaluation.probe": "none"}),
]

# Adam with an L2 penalty in the gradient, torch's, wherever a paper prints Adam.
ADAM = [
    Row(
        "CPLearn, table 6 and appendix L",
        (*resnet8("svhn"), "cplearn cifar10", "gedi_nogen cifar10", "cplearn cifar100/resnet8"),
        {"optimizer.name": "adam"},
    ),
    Row(
        "SimMER, sec. 3.1",
        ("simmer cifar10", "simmer mini_imagenet"),
        {"optimizer.name": "adam", "optimizer.exclude_1d": False},
    ),
    Row(
        "W-MSE, authors' code and solo-learn",
        ("wmse cifar10", "wmse imagenet"),
        {"optimizer.name": "adam", "optimizer.weight_decay": 1e-6},
    ),
]

# The lecture's tables: SimSiam (Chen and He, 2021) and VICReg (Bardes et al., 2022).
LECTURE = [
    Row("SimSiam, table 1a", ("simsiam imagenet/no_predictor",), {"method.predictor_kind": "none"}),
    Row(
        "SimSiam, table 1b",
        ("simsiam imagenet/fixed_predictor",),
        {"method.predictor_kind": "fixed"},
    ),
    Row(
        "SimSiam, table 1c",
        ("simsiam imagenet",),
        {"optimizer.constant_lr_layers": ("predictor",), "training.epochs": 100},
    ),
    Row("SimSiam, table 2", ("simsiam imagenet/batch4096",), {"training.batch_size": 4096}),
    Row(
        "VICReg, table 4",
        ("vicreg imagenet/predictor_no_norm_variance",),
        {
            "method.predictor_kind": "mlp",
            "method.hidden_norm": False,
            "method.covariance_weight": 0.0,
            "method.variance_weight": 25.0,
            "training.epochs": 100,
        },
    ),
    *(
        Row(
            "VICReg, table 5",
            (f"{method} imagenet/unshared", f"{method} imagenet/unshared_vit_small"),
            {"method.shared": "none", "training.epochs": 100, "backbone.name": "resnet50"},
        )
        for method in ("vicreg", "simclr", "barlow_twins")
    ),
    Row(
        "VICReg, table 5",
        ("vicreg imagenet/unshared_vit_small", "simclr imagenet/unshared_vit_small"),
        {"backbone.second": "vit_small"},
    ),
]

# Fine-tuning, by the protocols that the recipes name.
FINETUNING = [
    Row(
        "SEM, appendix B.6",
        ("byol imagenet/sem_baseline", "sem_byol imagenet"),
        {
            "finetune.protocol": "sem_semi",
            "finetune.batch_size": 224,
            "finetune.epochs": (30, 50),
            "finetune.learning_rates": (0.005, 0.01, 0.02, 0.05, 0.1),
            "finetune.temperatures": (0.01, 0.1, 1.0),
        },
    ),
    Row(
        "SimMER, sec. 3.4",
        ("simmer mini_imagenet", "simmer mini_imagenet/resnet18"),
        {
            "finetune.protocol": "simmer_40",
            "finetune.labels_per_class": 40,
            "finetune.epochs": (40,),
            "finetune.batch_size": 512,
            "finetune.learning_rates": (0.1,),
            "finetune.encoder_rate": 0.001 / 0.1,
            "finetune.weight_decays": (0.0,),
            "finetune.nesterov": False,
            "finetune.stem_pooling": False,
        },
    ),
]

ROWS = [
    *SEM_BASELINES,
    *SEM_TABLES,
    *SEM_BYOL,
    *COSENTINO,
    *CPLEARN,
    *SIMMER,
    *PROBES,
    *ADAM,
    *LECTURE,
    *FINETUNING,
]
