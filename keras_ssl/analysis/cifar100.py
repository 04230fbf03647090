"""CIFAR-100's classes and superclasses, for data that come without their names."""

import numpy as np

# In alphabetical order, as the data set numbers both; SEM's table 21 has the same groups.
SUPERCLASSES = {
    "aquatic_mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food_containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit_and_vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household_electrical_devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household_furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large_carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large_man-made_outdoor_things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large_natural_outdoor_scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large_omnivores_and_herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium_mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect_invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small_mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles_1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles_2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}
CLASSES = tuple(sorted(name for names in SUPERCLASSES.values() for name in names))


def cifar100_superclasses() -> np.ndarray:
    """The superclass, 0 to 19, of each of the 100 classes in the data set's order: (100,).

    Example:

    >>> superclasses = cifar100_superclasses()
    >>> [name for name, its in zip(cifar100_classes(), superclasses) if its == 0]
    ['beaver', 'dolphin', 'otter', 'seal', 'whale']

    Reference: Krizhevsky, Learning multiple layers of features from tiny images, 2009; Lavoie et
    al., Simplicial Embeddings, table 21.
    """
    among = {name: i for i, names in enumerate(SUPERCLASSES.values()) for name in names}
    return np.array([among[name] for name in CLASSES])


def cifar100_classes() -> tuple[str, ...]:
    """Names of the 100 classes in the data set's order.

    Example:

    >>> cifar100_classes()[:3]
    ('apple', 'aquarium_fish', 'baby')
    """
    return CLASSES
