"""The best VAE of symbols whose encoders are Gaussian, by L-BFGS on a grid with the decoders eliminated.

The certified optimum of :func:`bounds.optimal_elbo` is over any encoders. Published models have Gaussian ones, products
of experts that all subsets share, with ``N(0, I)`` as prior; what that costs is found here. Of symbols an encoder is a
table whatever its network: value ``x`` of modality ``m`` has an expert with natural parameters ``eta`` and ``tau`` in
each latent, and with a row ``r`` for each ``(A, x_A)``, of mass ``b_r = w_A p(x_A)`` and targets ``C_r = p(x_u|x_A)``,

    q_r(z)  proportional to  p(z)^e exp sum_{m in A} (eta_m z - tau_m z^2 / 2),    e = 1 if the prior is one more expert
    P(x|z) = sum_r b_r q_r(z) C_rx / sum_r b_r q_r(z)                              the best decoders (THEORY T3)
    -L_S   = sum_r b_r sum_z q_r(z) g_r(z),    g_r(z) = ln q_r(z) - ln p(z) - sum_x C_rx ln P(x|z)

By the envelope theorem the decoders count as constants, so the slope of ``-L_S`` by the exponent of ``q_r(z)`` is
``b_r q_r(z) (g_r(z) - sum_z q_r g_r)``.

*On the grid every model is a finite VAE*, so no value found is above the certified optimum. It is that of Gaussians up
to the error of the rectangle rule: relative, 2 exp(-2 pi^2) or 5e-9 where a scale is one step, and less where it is
wider. That nothing better exists is seen numerically, from many starts, and not proved.

*What Gaussians cost.* Of few symbols the best encoder is often a draw among few latents, and one Gaussian is in one
place. Subsets that overlap share experts, which costs more. Without the prior as an expert so does even a latent that
is not used: experts of precision ``tau`` make ``tau |A|``, which is not the prior's for subsets of every size. This
costs ``(E ln |A| + ln E[1 / |A|]) / 2`` nats with the best ``tau``, .042 for MoPoE of three modalities, so more latents
may be worse than fewer.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from bounds.dual.program import conditional_laws
from bounds.errors import InputError, ObjectiveError
from bounds.finite import TabularVAE
from bounds.joints import Discrete
from bounds.memory import check_fits
from bounds.schemes import SubsetScheme
from bounds.subsets import members, union

#: The grid ends at this many standard deviations of the prior.
REACH = 8.0
#: Least scale of an expert, in steps of the grid, and the largest: an expert of no opinion beside the prior.
NARROWEST, WIDEST = 2.0, 1e3
#: Random starts have slopes and log-precisions with standard deviations up to these. Where each value of several
#: modalities has a place of its own, slopes are large; small ones alone miss that optimum.
UNREST = np.array([10.0, 2.0])[:, None, None]
#: Probability of the data's own law in decoders, so that latents without any mass have one.
NOWHERE = 1e-200


@dataclass(frozen=True, eq=False)
class GaussianEncoderFit:
    """The best Gaussian encoders that are found, in nats.

    Attributes:
        model: on the grid, with the best decoders.
        elbo: its ``L_S``.
        starts: ``L_S`` reached from each start; their spread shows local optima.
    """

    model: TabularVAE
    elbo: float
    starts: tuple[float, ...]


def fit_gaussian_encoders(
    law: Discrete,
    scheme: SubsetScheme,
    n_latents: int = 1,
    *,
    prior: bool = False,
    shared: bool = True,
    starts: int = 32,
    step: float = 0.1,
    rng: np.random.Generator | None = None,
) -> GaussianEncoderFit:
    """The best VAE with Gaussian encoders and any decoders that is found.

    Args:
        law: the data.
        scheme: the encoded subsets and their weights.
        n_latents: each is an axis of the grid, so one or two.
        prior: whether ``N(0, I)`` is one more expert in every product, as in MVAE.
        shared: whether subsets share experts. If not, each has Gaussian encoders of its own: what remains of the cost
            is that of Gaussians, and the rest that of products.
        starts: how many random ones.
        step: of the grid. No expert is narrower than two steps: with 0.1 for one latent and 0.25 for two that is no
            matter unless symbols are many and all but certain.
        rng: draws the starts; by default a generator with seed 0.

    Raises:
        InputError: a law that is not discrete, a scheme over other modalities, numbers out of range, a grid too large
            for memory; the empty subset, which has no expert, without the prior.
        ObjectiveError: a sub-sampled scheme.

    >>> from bounds import mmvae, optimal_elbo
    >>> pair = Discrete([[0.45, 0.05], [0.05, 0.45]])
    >>> optimum = optimal_elbo(pair, mmvae(2), tol=1e-5).low
    >>> round(optimum - fit_gaussian_encoders(pair, mmvae(2)).elbo, 3)  # one Gaussian for a draw among two latents
    0.11
    """
    if not isinstance(law, Discrete):
        raise InputError(f"symbols have a discrete law; this one is a {type(law).__name__}")
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(f"scheme {scheme.label} is a sum of ELBOs: its supremum is elbo_ceiling (T10.2)")
    if scheme.n_modalities != len(law.names):
        raise InputError(
            f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the law over {len(law.names)}"
        )
    if n_latents < 1 or starts < 1 or not 0 < step <= 1:
        raise InputError(f"{n_latents} latents, {starts} starts, a step of {step}: at least 1, at least 1, at most 1")
    if shared and not prior and 0 in scheme.weights:
        raise InputError("the empty subset has no expert: use prior=True, or leave it out of the scheme")
    rng = np.random.default_rng(0) if rng is None else rng
    search = _Search.of(law, scheme, n_latents, prior, shared, step)
    scales = [(-2 * math.log(WIDEST), -2 * math.log(NARROWEST * step))]
    found = []
    for _ in range(starts):
        first = rng.normal(size=(2, search.shares.shape[1], n_latents)) * rng.uniform(0.0, UNREST, size=(2, 1, 1))
        bounds = [(None, None)] * (first.size // 2) + scales * (first.size // 2)
        found.append(minimize(search, first.ravel(), jac=True, method="L-BFGS-B", bounds=bounds))
    best = min(found, key=lambda result: float(result.fun))
    model = search.model(best.x, law, scheme)
    return GaussianEncoderFit(model, -float(best.fun), tuple(-float(result.fun) for result in found))


@dataclass(frozen=True, eq=False)
class _Search:
    """``-L_S`` and its slope, as a function of ``eta`` and ``ln tau`` of all experts.

    Attributes:
        mass: ``(R,)``, ``w_A p(x_A)``.
        targets: ``(R, sum k_u)``, ``p(x_u|x_A)`` of all units side by side.
        shares: ``(R, experts)``, one where an expert is a factor of the row's encoder.
        statistics: ``(Z, 2, k)``, ``z`` and ``-z^2 / 2`` on the grid.
        log_prior: ``(Z,)``.
        base: ``(Z,)``, the same if the prior is an expert, else 0.
    """

    mass: np.ndarray
    targets: np.ndarray
    shares: np.ndarray
    statistics: np.ndarray
    log_prior: np.ndarray
    base: np.ndarray

    @classmethod
    def of(cls, law: Discrete, scheme: SubsetScheme, n_latents: int, prior: bool, shared: bool, step: float) -> _Search:
        half = int(REACH / step)
        cells = sum(math.prod(_alphabet(law, subset)) for subset, _ in scheme)
        check_fits("the encoders on the grid", [5, cells, *[2 * half + 1] * n_latents], "use fewer latents or steps")
        mass, targets, shares = [], [], []
        for subset, weight in scheme:
            known, conditionals = conditional_laws(law, subset)
            mass.append(float(weight) * known.reshape(-1))
            targets.append(np.concatenate(conditionals, axis=1))
            shares.append(_shares(law, subset))
        axis = step * np.arange(-half, half + 1)
        z = np.array(list(itertools.product(axis, repeat=n_latents)))
        statistics = np.stack([z, -(z**2) / 2], axis=1)
        log_prior = log_softmax(statistics[:, 1].sum(axis=1))
        return cls(
            np.concatenate(mass),
            np.concatenate(targets),
            np.concatenate(shares) if shared else np.eye(cells),
            statistics,
            log_prior,
            log_prior * float(prior and shared),
        )

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        natural = self._natural(theta)
        log_q, joint, decoders = self._model(natural)
        log_decoders = np.log(decoders, out=np.zeros_like(decoders), where=decoders > 0)
        excess = log_q - self.log_prior - self.targets @ log_decoders.T
        by_row = np.exp(log_q) * excess
        means = by_row.sum(axis=1)
        by_exponent = joint * (excess - means[:, None])
        slope = np.tensordot(self.shares.T @ by_exponent, self.statistics, 1).swapaxes(0, 1)
        slope[1] *= natural[1]
        return float(self.mass @ means), slope.ravel()

    def model(self, theta: np.ndarray, law: Discrete, scheme: SubsetScheme) -> TabularVAE:
        """The finite VAE of all points of the grid."""
        log_q, _, decoders = self._model(self._natural(theta))
        ends = np.cumsum([math.prod(_alphabet(law, subset)) for subset, _ in scheme])
        parts = np.split(np.exp(log_q), ends[:-1])
        encoders = {
            subset: part.reshape(*_alphabet(law, subset), -1) for (subset, _), part in zip(scheme, parts, strict=True)
        }
        tables = np.split(decoders, np.cumsum(law.unit_alphabets)[:-1], axis=1)
        return TabularVAE(np.exp(self.log_prior), tables, encoders)

    def _natural(self, theta: np.ndarray) -> np.ndarray:
        """``(2, experts, k)``: ``eta`` and ``tau``."""
        slope, log_precision = theta.reshape(2, self.shares.shape[1], -1)
        return np.stack([slope, np.exp(log_precision)])

    def _model(self, natural: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``ln q_r(z)`` and ``b_r q_r(z)``, both ``(R, Z)``, and the best decoders ``(Z, sum k_u)``."""
        products = np.tensordot(self.shares, natural, (1, 1))
        log_q = log_softmax(np.tensordot(products, self.statistics, ((1, 2), (1, 2))) + self.base, axis=1)
        joint = self.mass[:, None] * np.exp(log_q)
        seen = joint.T @ self.targets + NOWHERE * (self.mass @ self.targets)
        return log_q, joint, seen / (joint.sum(axis=0) + NOWHERE)[:, None]


def _alphabet(law: Discrete, subset: int) -> list[int]:
    return [law.unit_alphabets[u] for u in members(union(law.layout.modality_units, subset))]


def _shares(law: Discrete, subset: int) -> np.ndarray:
    """``(cells of A, experts)``: which value of which modality a cell shows."""
    values = [math.prod(_alphabet(law, 1 << m)) for m in range(len(law.names))]
    shown = members(subset)
    codes = np.indices([values[m] for m in shown]).reshape(len(shown), math.prod(values[m] for m in shown))
    parts = [np.zeros((codes.shape[1], k)) for k in values]
    for m, code in zip(shown, codes, strict=True):
        parts[m] = np.eye(values[m])[code]
    return np.concatenate(parts, axis=1)
