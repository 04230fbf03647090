"""Golden cases of `keras_ssl.evaluation`."""

import numpy as np

from keras_ssl.evaluation.knn import knn_scores, top_accuracy


def knn(inputs):
    data = {name: np.asarray(value) for name, value in inputs.items()}
    labels, settings = data["test_labels"], {"k": int(data["k"])}
    settings["num_classes"] = int(data["num_classes"])
    arrays = data["train"], data["train_labels"], data["test"]
    cosine = knn_scores(*arrays, temperature=float(data["tau"]), **settings)
    euclidean = knn_scores(*arrays, metric="euclidean", **settings)
    return {
        "scores": cosine,
        "pred": cosine.argmax(axis=1),
        "acc1": top_accuracy(cosine, labels, 1),
        "acc5": top_accuracy(cosine, labels, 5),
        "scores_euclidean": euclidean,
        "pred_euclidean": euclidean.argmax(axis=1),
        "acc1_euclidean": top_accuracy(euclidean, labels, 1),
    }


CASES = {"knn": knn}
