"""Small laws whose entropies are known by heart."""

import math

import numpy as np

from bounds import Discrete, Gaussian

LN2 = math.log(2)

#: Two independent fair bits and their sum modulo 2: pairs are independent, and any two give the third.
XOR = Discrete([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]])
#: Two independent fair bits.
FAIR = Discrete(np.full((2, 2), 0.25))
#: Three unit-variance Gaussians, each pair with correlation 1/2.
EQUI = Gaussian([[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]])


def copies(count):
    """A fair bit ``count`` times."""
    pmf = np.zeros((2,) * count)
    pmf[(0,) * count] = pmf[(1,) * count] = 0.5
    return Discrete(pmf)


def independent(*sides):
    """Independent uniform variables with these numbers of symbols."""
    return Discrete(np.full(sides, 1 / math.prod(sides)))
