"""Fine-tune the encoder of a run in plain Keras: python examples/finetune.py RUN IMAGES.npz

IMAGES.npz has x_train (N, height, width, channels) uint8, y_train, x_test and y_test, as
`python -m pipelines.subset images.npz` writes it. Leaves RUN/finetuned.keras.
"""

import json
import sys

import keras
import numpy as np

import keras_ssl

if len(sys.argv) != 3:
    sys.exit(__doc__)
run, path = sys.argv[1:]
data = np.load(path)
with open(f"{run}/preprocessing.json") as file:
    stored = json.load(file)
train, test = ((data[x] / 255 - stored["mean"]) / stored["std"] for x in ("x_train", "x_test"))

encoder = keras_ssl.load_encoder(f"{run}/encoder.keras")
flip = keras.layers.RandomFlip("horizontal")
model = keras.Sequential([flip, encoder, keras.layers.Dense(int(data["y_train"].max()) + 1)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)
model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
model.fit(train, data["y_train"], batch_size=64, epochs=5)
model.evaluate(test, data["y_test"])
model.save(f"{run}/finetuned.keras")
