"""The exact optimum of the ELBO over all decoders: the concave programme, its solution and its certificate (T4)."""
