"""Linear probes: by logistic regression, by the transfer protocol, and by gradient descent."""
