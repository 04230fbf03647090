"""Linear probes: by scikit-learn, by the transfer protocol, and by gradient descent."""
