"""Ceilings for a given decoder family: Gaussian, Laplace, Bernoulli, categorical (THEORY T7)."""
