"""Means of combinations of a model's terms over held-out examples, with their standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Mean:
    """The mean of one linear combination of terms over examples, with its standard error.

    ``skewness`` is that of the examples, 0 where only their means are known.
    """

    value: float
    standard_error: float
    skewness: float = 0.0


@dataclass(frozen=True, eq=False)
class Combination:
    """Coefficients of terms: ``(S, C)`` of log-likelihoods, ``(S,)`` of KLs, ``(S,)`` of whole objectives."""

    log_likelihood: np.ndarray
    kl: np.ndarray
    value: np.ndarray


class Terms(Protocol):
    """Terms of ``S`` subsets and ``C`` columns, for each of ``n`` examples or as means."""

    @property
    def n(self) -> int:
        """Number of examples."""
        ...

    @property
    def has_parts(self) -> bool:
        """Whether log-likelihoods and KLs are apart, and not only the objective's value known."""
        ...

    def mean(self, of: Combination) -> Mean:
        """Mean and standard error of a combination."""
        ...


@dataclass(frozen=True, eq=False)
class ExampleTerms:
    """Terms of each example: ``log_likelihood`` ``(S, N, C)`` and ``kl`` ``(S, N)``, or ``value`` ``(S, N)``."""

    log_likelihood: np.ndarray | None
    kl: np.ndarray | None
    value: np.ndarray | None

    @property
    def n(self) -> int:
        """Number of examples."""
        rows = self.kl if self.value is None else self.value
        assert rows is not None
        return int(rows.shape[1])

    @property
    def has_parts(self) -> bool:
        """Whether log-likelihoods and KLs are apart."""
        return self.value is None

    def each(self, of: Combination) -> np.ndarray:
        """``(N,)``: a combination of the terms of each example."""
        if self.value is not None:
            return np.asarray(of.value @ self.value)
        assert self.log_likelihood is not None
        assert self.kl is not None
        rows, columns = (np.flatnonzero(of.log_likelihood.any(axis=axis)) for axis in (1, 0))
        if len(rows) * len(columns) < of.log_likelihood.size:  # most bounds are about a few columns of many
            fit = np.zeros(self.n)
            for s in rows:
                fit += self.log_likelihood[s][:, columns] @ of.log_likelihood[s, columns]
        else:
            fit = np.einsum("sc,snc->n", of.log_likelihood, self.log_likelihood)
        return np.asarray(fit + of.kl @ self.kl)

    def mean(self, of: Combination) -> Mean:
        """Mean over examples; the standard error has the noise of the draws of the latent in it."""
        each = self.each(of)
        value = float(each.mean())
        deviations = each - value
        variance = float(deviations @ deviations) / (len(each) - 1)
        # deviations that are rounding of the mean have no skewness
        third = float((deviations**3).mean()) / variance**1.5 if variance > 1e-24 * (1 + value**2) else 0.0
        return Mean(value, math.sqrt(variance / len(each)), third)


@dataclass(frozen=True, eq=False)
class MeanTerms:
    """Means over ``n`` examples and their standard errors, in pairs along the last axis.

    ``log_likelihood`` is ``(S, C, 2)`` and ``kl`` ``(S, 2)``, or ``value`` is ``(S, 2)``. How terms move together is
    not known, so the standard error of a combination is its largest: the sum of the terms' own.
    """

    n: int
    log_likelihood: np.ndarray | None
    kl: np.ndarray | None
    value: np.ndarray | None

    @property
    def has_parts(self) -> bool:
        """Whether log-likelihoods and KLs are apart."""
        return self.value is None

    def mean(self, of: Combination) -> Mean:
        """The combination of the means, with the largest standard error that theirs allow."""
        if self.value is not None:
            pairs = [(of.value, self.value)]
        else:
            assert self.log_likelihood is not None
            assert self.kl is not None
            pairs = [(of.log_likelihood, self.log_likelihood), (of.kl, self.kl)]
        return Mean(
            math.fsum(float((c * terms[..., 0]).sum()) for c, terms in pairs),
            math.fsum(float((abs(c) * terms[..., 1]).sum()) for c, terms in pairs),
        )
