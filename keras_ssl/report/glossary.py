"""The words of a page, a line each: every page ends with them."""

GLOSSARY: dict[str, str] = {
    "features": "what the backbone says of an image, before a neck and the heads",
    "embeddings": "what the whole encoder returns: the features, or what a neck such as "
    "Simplicial Embeddings (SEM) makes of them",
    "projections": "what the method's projector makes of the features or embeddings; the loss "
    "compares them, and they are not used afterwards",
    "clusters": "groups of images: those that a method learns, or those that k-means finds",
    "codes": "short discrete names of images: of each simplex the number of its largest entry; in "
    "CPLearn fixed random directions, of which each image is given one",
    "simplices": "the L parts of a Simplicial Embedding, each a softmax of V entries",
    "vertices": "the V corners of a simplex; a one-hot part lies on one of them",
    "tau": "the temperature of a softmax: tau_p while training, tau_d when features are read; 0 is "
    "one-hot, large is nearly uniform",
    "spread of directions": "standard deviation of vectors of unit length: 0 where all images have "
    "one direction, 1 where they cover all",
    "RankMe": "effective rank: the exponential of the entropy of the singular values; how many "
    "directions are in use",
    "participation ratio": "another effective rank: squared sum of the variances along the "
    "principal components, over the sum of their squares",
    "k-NN": "classification by a vote of the nearest training images; nothing is trained",
    "linear probe": "a linear classifier trained on the outputs of an encoder that stays as it is",
    "ridge classifier": "a linear classifier by least squares with an L2 penalty, in closed form",
    "NMI, AMI, ARI": "agreement of clusters with classes, 100 is perfect; NMI grows by chance with "
    "the number of clusters, AMI and ARI are corrected for it",
    "used": "of clusters or codes: those that at least one image has",
    "nats": "units of information with the natural logarithm; 1 nat is 1.44 bits",
    "InfoNCE, TUBA, NWJ, DV, UBA": "estimates of how much two views tell of each other, in nats: "
    "the first three are lower bounds, DV and UBA may exceed the truth",
    "alignment": "of views: their mean squared distance on the unit sphere, 0 where they are "
    "equal; of embeddings and codes: the cosine of an embedding with its code, best is 1",
    "uniformity": "how evenly images cover the unit sphere: 0 where all are one point, about -4 "
    "where they are spread out",
    "hardest negative": "the other image whose features are nearest, often of the same class",
    "local map": "the matrix by which a projector of several layers acts around one image",
    "kernel": "the directions of the features that the projector, or its local map, drops",
    "gain": "share of the energy (squared length) of directions that the projector passes on, with "
    "its largest singular value taken as 1",
    "coherence": "of the classes that share a feature with a class, the part of its superclass",
    "linear ICA": "independent component analysis: a linear map of the features to parts that "
    "are as independent as can be, to compare the simplices with",
}
