"""Golden cases of `keras_ssl.evaluation`."""

import keras
import numpy as np

from keras_ssl.evaluation.knn import knn_scores, top_accuracy


def knn(inputs):
    floatx = keras.backend.floatx()
    train, test = (np.asarray(inputs[name], floatx) for name in ("train", "test"))
    labels = np.asarray(inputs["test_labels"])
    settings = {"k": int(inputs["k"]), "num_classes": int(inputs["num_classes"])}
    arrays = train, inputs["train_labels"], test
    cosine = knn_scores(*arrays, temperature=float(inputs["tau"]), **settings)
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
