"""Defaults and limits of packages that do not import one another.

The command line reads its defaults without the layers and evaluations that have them too, which
load TensorFlow; `pipelines` imports nothing but `keras_ssl.core`.
"""

# Simplicial Embeddings, tables 7 to 15: L simplices of V entries; sec. 4.1, for codebooks.
NUM_SIMPLICES, SIMPLEX_SIZE = 5000, 13
NUM_CODEBOOKS, CODEBOOK_SIZE, CODE_DIM = 512, 128, 32
COMMITMENT = 0.25  # van den Oord et al., 2017, sec. 3.2
GUMBEL_TEMPERATURE = 2.0  # SEM, sec. 4.1

# The weighted k-NN of DINO's code.
KNN_NEIGHBOURS, KNN_TEMPERATURE = 20, 0.07

LABELS_PER_CLASS = 10  # of the linear probe on few labels
TOP5_FROM = 20  # classes of a data set from which tables show top-5 accuracies too

# Fine-tuning: SEM, appendix B.5, seven values, evenly spaced on a logarithmic scale.
FINETUNE_LEARNING_RATES = (0.0001, 0.00032, 0.001, 0.0032, 0.01, 0.032, 0.1)
FINETUNE_STEPS, FINETUNE_BATCH_SIZE = 20_000, 256

NUM_STRENGTHS = 45  # values of C for logistic regression in transfer: SEM, appendix B.4

MAX_PIXELS = 100_000_000  # of an encoded image, in all frames together
DATASET_FORMS = ("npz:PATH", "folder:PATH", "tfrecord:PATTERN")  # of data sets that are paths
DATASET_PREFIXES = tuple(form.partition(":")[0] + ":" for form in DATASET_FORMS)
