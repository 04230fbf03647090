"""The k-NN of a run on corrupted test images."""

import numpy as np

from keras_ssl.evaluation.knn import knn_scores
from keras_ssl.evaluation.robustness import corruption_accuracy
from keras_ssl.evaluation.rows_of import corruption_rows
from keras_ssl.evaluation.splits import some_rows
from pipelines.corruptions import CORRUPTIONS, SEVERITIES, corrupt, table_for


def corrupted(readings, name, train, recipe, inputs):
    """Rows of the k-NN of clean train features on corrupted test images."""
    data, wanted = inputs.data, recipe.evaluation
    if not wanted.corrupted_images:
        return [], []
    k = min(wanted.knn_neighbours, len(train))
    settings = {"k": k, "temperature": wanted.knn_temperature}
    classes, train_labels = np.unique(data.train_labels, return_inverse=True)
    rows = some_rows(len(data.test_images), wanted.corrupted_images)
    images, labels = data.test_images[rows], data.test_labels[rows]

    def predict(images):
        features = readings.read(name, readings.extract(images))
        options = {"num_classes": len(classes), **settings}
        return classes[knn_scores(train, train_labels, features, **options).argmax(axis=1)]

    kinds = ((c, s, corrupt(images, c, s)) for c in CORRUPTIONS for s in SEVERITIES)
    result = corruption_accuracy(predict, labels, kinds)
    protocol = {"classifier": "weighted knn", **settings, "corruptions": len(CORRUPTIONS)}
    protocol |= {"severities": len(SEVERITIES), "constants": table_for(images.shape[1:3])}
    protocol |= {"seed": 0, "images": len(rows), "drawn": "at random, by the seed"}
    return corruption_rows(result, name, data.name, protocol), []
