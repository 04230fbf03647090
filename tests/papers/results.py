"""The papers' tables of results on a run's own data, as printed, and which recipes have them."""

SEM_TABLE_1 = """
            simclr    moco      byol      barlow_twins swav      dino      vicreg
            65.8±0.3  69.3±0.3  70.7±0.2  70.7±0.3     64.6±0.3  66.8±0.3  68.5±0.2
sem_        69.5±0.2  71.0±0.3  73.9±0.2  73.0±0.2     67.7±0.2  69.2±0.3  71.4±0.4
"""
# Place, "method recipe", accuracy.
SEM = [
    ("SEM, table 2", "sem_byol cifar100", "73.2"),
    ("SEM, table 2", "sem_byol cifar100/gumbel", "48.6"),
    ("SEM, table 2", "sem_byol cifar100/vq", "65.6"),
    ("SEM, table 3", "byol imagenet/sem_baseline", "71.9"),
    ("SEM, table 3", "sem_byol imagenet", "74.1"),
    ("SEM, table 17", "sem_byol cifar100/blocks8", "73.3"),
    ("SEM, table 17", "byol cifar100/resnet50", "74.3"),
    ("SEM, table 17", "sem_byol cifar100/resnet50", "77.4"),
    ("SEM, table 17", "sem_byol cifar100/resnet50_blocks8", "76.6"),
    ("SEM, table 18", "sem_byol cifar100/no_norm_no_decay", "67.2"),
    ("SEM, table 18", "sem_byol cifar100/no_norm", "57.9"),
    ("SEM, table 18", "sem_byol cifar100/no_decay", "68.3"),
    ("SEM, table 20", "sem_byol cifar100/resnet50_embed", "74.2"),
    ("SEM, table 20", "sem_byol cifar100/resnet50_embed", "69.8"),
    ("SEM, table 20", "sem_byol cifar100/resnet50_embed", "72.3"),
    ("SEM, table 20", "sem_byol cifar100/resnet50", "77.3"),
]

# Suffixes of the recipes for (SVHN, CIFAR-10, CIFAR-100); NMI of the three, then accuracy.
CPLEARN_TABLE_1 = """
barlow_twins    -            0.06±0.02 0.05±0.01 0.10±0.01 0.76±0.01 0.65±0.00 0.28±0.00
swav            -            0.03±0.01 0.29±0.02 0.12±0.07 0.45±0.03 0.56±0.01 0.10±0.06
gedi_nogen      -            0.07±0.02 0.33±0.02 0.28±0.00 0.63±0.02 0.66±0.01 0.39±0.00
gedi            -            0.07±0.00 0.29±0.01 0.25±0.01 0.58±0.00 0.64±0.01 0.38±0.00
self_classifier -            0.07±0.02 0.28±0.01 0.26±0.00 0.58±0.01 0.59±0.01 0.15±0.00
self_classifier classes16384 0.25±0.01 0.14±0.10 0.17±0.21 0.70±0.01 0.34±0.18 0.16±0.00
cplearn         codes10      0.11±0.01 0.28±0.02 0.15±0.00 0.60±0.02 0.59±0.01 0.15±0.00
cplearn         codesF       0.16±0.02 0.25±0.01 0.33±0.00 0.60±0.03 0.59±0.01 0.18±0.01
cplearn         -            0.29±0.00 0.35±0.00 0.59±0.00 0.75±0.00 0.67±0.00 0.40±0.00
"""
CPLEARN_TABLE_4 = """
cplearn         codes10_l2   0.14±0.02 0.30±0.01 0.16±0.01 0.64±0.02 0.60±0.01 0.15±0.01
cplearn         codesF_l2    0.16±0.00 0.26±0.00 0.33±0.01 0.59±0.01 0.60±0.01 0.20±0.01
cplearn         l2           0.31±0.00 0.35±0.00 0.58±0.00 0.78±0.01 0.68±0.00 0.41±0.00
"""
# Method, recipe, NMI, accuracy.
CPLEARN_TABLE_2 = """
barlow_twins    cifar10              29.1 92.2
swav            cifar10              18.9 89.6
gedi_nogen      cifar10              44.6 80.0
self_classifier cifar10/classes512   36.9 84.8
self_classifier cifar10/classes16384 33.9 64.9
cplearn         cifar10/complete     47.4 91.6
cplearn         cifar10              48.2 91.3
"""
CPLEARN_WIDTHS = (128, 1024, 2048, 32768, 65536, 131072)
CPLEARN_TABLE_3 = """
barlow_twins 30.0 53.6 59.4 oom  oom  oom  66.9 77.2 77.2 oom  oom  oom
swav         28.0 47.9 51.2 60.7 60.5 62.8 76.6 77.7 78.0 76.6 77.7 77.3
dino         46.0 53.4 55.2 63.1 64.7 64.3 71.8 73.6 73.9 75.1 76.2 75.8
gedi_nogen   24.5 36.3 38.8 32.7 32.9 33.3 71.8 73.2 72.8 72.9 72.7 72.8
cplearn      34.1 54.3 57.9 69.3 69.6 70.9 70.8 72.8 70.1 74.5 74.7 78.0
"""
CPLEARN_TABLE_9 = {2.0: 10.0, 1.5: 10.0, 1.25: 10.0, 1.0: 91.6, 0.75: 90.2, 0.5: 88.1}
CPLEARN_TABLE_9 |= {0.25: 82.7, 0.1: 75.1}

SIMMER = [
    ("SimMER, table 2", "moco mini_imagenet", "55.30"),
    ("SimMER, table 2", "swav mini_imagenet", "42.70"),
    ("SimMER, table 2", "byol mini_imagenet", "59.46"),
    ("SimMER, table 2", "simsiam mini_imagenet", "58.14"),
    ("SimMER, table 2", "simmer mini_imagenet", "62.62"),
    ("SimMER, table 3", "simmer mini_imagenet/resnet18", "60.94"),
    ("SimMER, table 4", "simmer cifar10", "92.44"),
    ("SimMER, table 4", "simmer cifar10/entropy0", "82.50"),
    ("SimMER, table 4", "simmer cifar10/entropy1", "91.20"),
    ("SimMER, table 4", "simmer cifar10/entropy10", "90.01"),
    ("SimMER, table 4", "simmer cifar10/rank0", "91.53"),
    ("SimMER, table 4", "simmer cifar10/rank2e-5", "91.77"),
    ("SimMER, table 4", "simmer cifar10/rank2e-2", "90.32"),
    ("SimMER, table 4", "simmer cifar10/views10", "92.61"),
    ("SimMER, table 4", "simmer cifar10/views3", "91.96"),
    ("SimMER, table 4", "simmer cifar10/batch64", "91.44"),
    ("SimMER, table 4", "simmer cifar10/batch128", "92.07"),
    ("SimMER, table 4", "simmer cifar10/collapse", "10.00"),
    ("SimMER, table 5", "simmer cifar10/r1", "91.64"),
    ("SimMER, table 5", "simmer cifar10/r3", "91.81"),
    ("SimMER, table 5", "simmer cifar10/r4", "91.82"),
    ("SimMER, table 5", "simmer cifar10/bias", "92.52"),
]

# Other papers and repositories: place, "method recipe", accuracy.
OTHERS = [
    ("Zbontar et al., 2021, table 1", "barlow_twins imagenet", "73.2"),
    ("Bardes et al., 2022, table 1", "vicreg imagenet", "73.2"),
    ("Chen et al., 2020, table 6", "simclr imagenet", "69.3"),
    ("Chen and He, 2021, table 1", "simsiam imagenet/decayed_predictor", "67.7"),
    ("Chen and He, 2021, table 1", "simsiam imagenet/no_predictor", "0.1"),
    ("Chen and He, 2021, table 1", "simsiam imagenet/fixed_predictor", "1.5"),
    ("Chen and He, 2021, table 2", "simsiam imagenet/batch64", "66.1"),
    ("Chen and He, 2021, table 2", "simsiam imagenet/batch128", "67.3"),
    ("Chen and He, 2021, table 2", "simsiam imagenet/batch256", "68.1"),
    ("Chen and He, 2021, table 2", "simsiam imagenet", "68.1"),
    ("Chen and He, 2021, table 2", "simsiam imagenet/batch1024", "68.0"),
    ("Chen and He, 2021, table 2", "simsiam imagenet/batch2048", "67.9"),
    ("Chen and He, 2021, table 2", "simsiam imagenet/batch4096", "64.0"),
    ("Chen and He, 2021, table 4", "simsiam imagenet/epochs200", "70.0"),
    ("Chen and He, 2021, table 4", "simsiam imagenet/epochs400", "70.8"),
    ("Chen and He, 2021, table 4", "simsiam imagenet/epochs800", "71.3"),
    ("Chen et al., 2020 (v2), table 3", "moco imagenet/epochs800", "71.1"),
    ("Caron et al., 2020, table 3", "swav imagenet/batch256_epochs200", "72.7"),
    ("Caron et al., 2020, table 3", "swav imagenet/batch256_epochs400", "74.3"),
    ("Bardes et al., 2022, table 4", "vicreg imagenet/predictor_no_norm_variance", "56.2"),
    ("Bardes et al., 2022, table 4", "vicreg imagenet/predictor_no_norm", "67.3"),
    ("Bardes et al., 2022, table 4", "vicreg imagenet/predictor_variance", "57.1"),
    ("Bardes et al., 2022, table 4", "vicreg imagenet/predictor", "68.7"),
    ("Bardes et al., 2022, table 4", "vicreg imagenet/variance", "57.5"),
    ("Bardes et al., 2022, table 4", "vicreg imagenet/epochs100", "68.6"),
    ("Bardes et al., 2022, table 4", "vicreg imagenet/no_norm_variance", "56.5"),
    ("Bardes et al., 2022, table 4", "vicreg imagenet/no_norm", "67.4"),
    ("Bardes et al., 2022, table 5", "vicreg imagenet/unshared", "66.5"),
    ("Bardes et al., 2022, table 5", "vicreg imagenet/unshared_vit_small", "66.2"),
    ("Bardes et al., 2022, table 5", "simclr imagenet/epochs100", "64.4"),
    ("Bardes et al., 2022, table 5", "simclr imagenet/unshared", "63.1"),
    ("Bardes et al., 2022, table 5", "simclr imagenet/unshared_vit_small", "63.5"),
    ("Bardes et al., 2022, table 5", "barlow_twins imagenet/epochs100", "68.7"),
    ("Bardes et al., 2022, table 5", "barlow_twins imagenet/unshared", "64.2"),
    ("Bardes et al., 2022, table 5", "barlow_twins imagenet/unshared_vit_small", "63.9"),
]


def rows_of(table):
    """The lines of a printed table as lists of words."""
    return [line.split() for line in table.strip().splitlines()]


def cplearn_results():
    """(place, "method recipe", metric, value, standard deviation) of CPLearn's tables."""
    names = ("svhn", "cifar10/resnet8", "cifar100/resnet8")
    for number, table in ((1, CPLEARN_TABLE_1), (4, CPLEARN_TABLE_4)):
        for method, suffix, *cells in rows_of(table):
            for column, cell in enumerate(cells):
                name = names[column % 3]
                end = suffix.replace("F", "256" if "cifar100" in name else "128")
                if suffix != "-":
                    name += f"{'_' if '/' in name else '/'}{end}"
                value, std = (100 * float(part) for part in cell.split("±"))
                metric = "nmi" if column < 3 else "accuracy"
                yield f"CPLearn, table {number}", f"{method} {name}", metric, value, std
    for method, name, *cells in rows_of(CPLEARN_TABLE_2):
        for metric, cell in zip(("nmi", "accuracy"), cells, strict=True):
            yield "CPLearn, table 2", f"{method} {name}", metric, float(cell), None
    usual = {"dino": 65536, "cplearn": 131072}
    for method, *cells in rows_of(CPLEARN_TABLE_3):
        for column, cell in enumerate(cells):
            if cell == "oom":  # out of memory
                continue
            width = CPLEARN_WIDTHS[column % 6]
            end = "" if width == usual.get(method, 2048) else f"/{width}"
            metric = "nmi" if column < 6 else "accuracy"
            yield "CPLearn, table 3", f"{method} imagenet100{end}", metric, float(cell), None
    for beta, value in CPLEARN_TABLE_9.items():
        name, place = f"cifar10/beta{beta:g}", "CPLearn, table 9"
        if beta == 1:  # the run of table 2
            name, place = "cifar10/complete", "CPLearn, table 2"
        yield place, f"cplearn {name}", "accuracy", value, None


def accuracies():
    """(place, "method recipe", value, standard deviation or "") of the other tables."""
    methods, *rows = rows_of(SEM_TABLE_1)
    for prefix, cells in zip(("", "sem_"), (rows[0], rows[1][1:]), strict=True):
        for method, cell in zip(methods, cells, strict=True):
            yield "SEM, table 1", f"{prefix}{method} cifar100", *cell.split("±")
    for place, recipe, value in (*SEM, *SIMMER, *OTHERS):
        yield place, recipe, value, ""
