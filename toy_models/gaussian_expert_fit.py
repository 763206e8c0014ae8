"""The best linear-Gaussian VAE whose encoders are products of experts, by L-BFGS with the decoder eliminated.

Modality ``m`` has the expert ``exp(-z' T_m z / 2 + z' B_m x_m)``, shared by all subsets. So the encoder of ``A`` has
the covariance ``P_A = (e I + sum_{m in A} T_m)^-1``, with ``e = 1`` if the prior is one more expert and else 0, and the
gain ``G_A = P_A B_A``, where ``B_A`` is ``B = [B_1 .. B_M]`` without the columns that ``A`` does not show. Means that
do not depend on the data are zero at the optimum: those of the decoder and of the encoders enter ``-L_A`` as a sum of
squares of their own.

*The decoder drops out.* With ``N = C sum_A w_A G_A'`` and ``M = sum_A w_A (P_A + G_A C G_A')``, the moments of ``x z'``
and ``z z'``, the best loading is ``W = N M^-1``; the best noise ``Psi`` is the residual second moment
``E = C - W N'``, on its blocks, or the mean of its variances. What remains is

    -2 L_S = d ln(2 pi) + ln det Psi + tr(Psi^-1 E) + tr M - k - sum_A w_A ln det P_A.

*Its gradient.* By the envelope theorem ``W`` and ``Psi`` count as constants. Then
``d(-2 L_S) = sum_A w_A [2 <Y_A, dG_A> + <U - P_A^-1, dP_A>]`` with ``U = I + W' Psi^-1 W`` and
``Y_A = (U G_A - W' Psi^-1) C``. By ``dG_A = dP_A B_A + P_A dB_A`` and ``dP_A = -P_A (sum_{m in A} dT_m) P_A``

    d(-L_S) / dB   = sum_A w_A P_A Y_A          on the columns that A shows,
    d(-L_S) / dT_m = -sum_{A with m} w_A sym[(P_A U P_A - P_A) / 2 + P_A Y_A G_A'],

where ``Y_A`` has the columns of ``A`` alone, and ``2 (d/dT_m) R_m`` for ``T_m = R_m R_m'`` with ``R_m`` triangular.
Precisions of less than full rank are allowed, as a modality that tells nothing of some latent has them.

*What experts cost.* They are encoders, so nothing here is above :func:`toy_models.gaussian_fit.fit` of the same noise
and latents, or its ceiling. They cost nothing where the encoded subsets are disjoint and not empty: single modalities,
or one subset alone. For all modalities at once, with the prior, the best experts are their likelihoods
(``exact_experts``). They may cost where subsets overlap: the best encoders of all subsets have the same covariance
(T6), that of products shrinks. Without the prior even an unused latent costs where two disjoint subsets and their union
are encoded: not all three can have the prior as encoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from bounds.errors import InputError
from bounds.joints import Gaussian
from bounds.schemes import SubsetScheme
from bounds.subsets import members
from toy_models.gaussian_fit import Fit, LearnedNoise, fit
from toy_models.gaussian_profile import optimal_loading, profile_elbo, scheme_moments
from toy_models.linear_gaussian import GaussianExpert, LinearGaussianVAE, exact_experts, product_of_experts
from toy_models.linear_gaussian.covariances import noise_covariance
from toy_models.linear_gaussian.model import unit_blocks

#: Standard deviation of what is added to the first start and to the others. Without it a precision of less than full
#: rank keeps its rank, as the gradient of its root has the same columns.
UNREST = (0.01, 0.3)
#: A step that gains less, relative, is rounding: the search stops.
LEAST_GAIN = 1e-15


@dataclass(frozen=True)
class ExpertFit:
    """A linear-Gaussian VAE with products of experts as encoders, and how good it is, in nats.

    Attributes:
        model: with an encoder for each subset of the scheme.
        experts: one for each modality.
        prior: whether ``N(0, I)`` is one more expert.
        elbo: its ``L_S``.
        free: the best model that is found with any encoders, for the same noise and as many latents.
        starts: ``L_S`` reached from each start; their spread shows local optima.
    """

    model: LinearGaussianVAE
    experts: tuple[GaussianExpert, ...]
    prior: bool
    elbo: float
    free: Fit
    starts: tuple[float, ...]

    @property
    def ceiling(self) -> float:
        """No linear-Gaussian VAE with such noise has a higher ``L_S``, whatever its encoders and number of latents."""
        return self.free.ceiling

    @property
    def cost(self) -> float:
        """What sharing the experts costs, ``free.elbo - elbo``: not negative, up to rounding.

        Where the best noise is zero (a Heywood case) no model attains the optimum; the two searches then come within
        about 1e-6 of it, and what is left between them is no cost.
        """
        return self.free.elbo - self.elbo


def fit_experts(
    law: Gaussian,
    scheme: SubsetScheme,
    noise: LearnedNoise | float | np.ndarray,
    n_latents: int | None = None,
    *,
    prior: bool = True,
    starts: int = 8,
    rng: np.random.Generator | None = None,
    iterations: int = 5000,
) -> ExpertFit:
    """The best linear-Gaussian VAE with products of experts that is found.

    Args:
        law: the data.
        scheme: the encoded subsets and their weights.
        noise: fixed, or what kind is learned.
        n_latents: default as many as variables. Without the prior fewer may be better: see above.
        prior: whether ``N(0, I)`` is one more expert, as in MVAE.
        starts: how many; the first begins near the likelihoods of the best decoder for free encoders, the others
            near those of random decoders.
        rng: draws the other starts; by default a generator with seed 0.
        iterations: at most, for each start.

    Raises:
        InputError: a scheme, law or noise that do not fit; learned noise for a singular law; the empty subset, which
            has no expert, without the prior.
        ObjectiveError: a sub-sampled scheme.

    >>> from bounds import mmvae, mopoe
    >>> law = Gaussian(0.5 * np.eye(2) + 0.5)
    >>> round(fit_experts(law, mmvae(2), 0.1, 1).cost, 6) + 0.0, round(fit_experts(law, mopoe(2), 0.1, 1).cost, 6)
    (0.0, 0.092007)
    """
    if starts < 1:
        raise InputError(f"{starts} starts: give at least one")
    if not prior and 0 in scheme.weights:
        raise InputError("the empty subset has no expert: use prior=True, or leave it out of the scheme")
    rng = np.random.default_rng(0) if rng is None else rng
    free = fit(law, scheme, noise, n_latents, starts=starts, rng=rng)
    objective = _Objective.of(law, scheme, noise, free.model.n_latents, prior)
    found = []
    for start in range(starts):
        decoder = free.model if start == 0 else _random_decoder(law, free.model.n_latents, rng)
        first = objective.start(exact_experts(decoder, law))
        found.append(_descend(objective, first + UNREST[start > 0] * rng.normal(size=len(first)), iterations))
    reached = tuple(-objective(theta)[0] for theta in found)
    best, elbo = found[int(np.argmax(reached))], max(reached)
    experts = objective.experts(best)
    loading, psi = objective.decoder(best)
    if isinstance(noise, str):
        moments = scheme_moments(law, scheme)
        if profile_elbo(moments, optimal_loading(moments, psi, free.model.n_latents), psi) > free.elbo:
            # The search over free encoders stopped at a local optimum: this decoder alone is better.
            free = fit(law, scheme, noise, n_latents, starts=1, near=psi)
    model = LinearGaussianVAE(loading, psi, product_of_experts(experts, scheme.weights, prior))
    return ExpertFit(model, experts, prior, elbo, free, reached)


@dataclass(frozen=True, eq=False)
class _Objective:
    """``-L_S`` and its gradient, as a function of ``B`` and of ``R_1 .. R_M``.

    Attributes:
        cov: ``(d, d)``, of the data.
        weights: ``(S,)``, of the encoded subsets.
        shown: ``(S, M)``, one where a subset has a modality.
        modality: ``(d,)``, the modality of each variable.
        latents: ``k``.
        prior: one or zero.
        noise: the best noise for a residual second moment.
    """

    cov: np.ndarray
    weights: np.ndarray
    shown: np.ndarray
    modality: np.ndarray
    latents: int
    prior: float
    noise: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def of(
        cls, law: Gaussian, scheme: SubsetScheme, noise: LearnedNoise | float | np.ndarray, latents: int, prior: bool
    ) -> _Objective:
        shown = np.zeros((len(scheme.weights), len(law.names)))
        for row, (subset, _) in enumerate(scheme):
            shown[row, list(members(subset))] = 1.0
        weights = np.array([float(weight) for _, weight in scheme])
        modality = np.repeat(np.arange(len(law.names)), law.layout.sizes)
        return cls(law.cov, weights, shown, modality, latents, float(prior), _best_noise(law, noise))

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        slope, root = self._parts(theta)
        columns = self.shown[:, None, self.modality]
        precision = self._precisions(root)
        cov, gain, loading, noise, residual = self._model(slope, precision)
        second = cov + gain @ self.cov @ gain.mT
        scaled = np.linalg.solve(noise, loading).T
        value = 0.5 * (
            len(self.cov) * math.log(2 * math.pi)
            + float(np.linalg.slogdet(noise)[1])
            + float(np.trace(np.linalg.solve(noise, residual)))
            + float(self.weights @ (np.trace(second, axis1=1, axis2=2) + np.linalg.slogdet(precision)[1]))
            - self.latents
        )
        curvature = np.eye(self.latents) + scaled @ loading
        pull = cov @ ((curvature @ gain - scaled) @ self.cov * columns)
        by_slope = np.tensordot(self.weights, pull, 1)
        by_subset = (cov @ curvature @ cov - cov) / 2 + pull @ gain.mT
        by_precision = -np.einsum("s,sm,sij->mij", self.weights, self.shown, (by_subset + by_subset.mT) / 2)
        by_root = 2 * by_precision @ root
        lower = np.tril_indices(self.latents)
        return value, np.concatenate([(by_slope * self._scale).ravel(), by_root[:, *lower].ravel()])

    def start(self, experts: tuple[GaussianExpert, ...]) -> np.ndarray:
        """The parameters of given experts; without the prior each has its own share of it, or it were no density."""
        own = np.eye(self.latents) * (1 - self.prior)
        roots = [_triangular_root(expert.precision + own) for expert in experts]
        slope = np.hstack([expert.slope for expert in experts])
        lower = np.tril_indices(self.latents)
        return np.concatenate([(slope / self._scale).ravel(), *(root[lower] for root in roots)])

    def experts(self, theta: np.ndarray) -> tuple[GaussianExpert, ...]:
        slope, root = self._parts(theta)
        return tuple(
            GaussianExpert(half @ half.T, slope[:, self.modality == modality]) for modality, half in enumerate(root)
        )

    def decoder(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best loading and noise."""
        slope, root = self._parts(theta)
        _, _, loading, noise, _ = self._model(slope, self._precisions(root))
        return loading, noise

    @property
    def _scale(self) -> np.ndarray:
        """Slopes are measured against one standard deviation of their variable, if it has any."""
        variances = np.diagonal(self.cov)
        return 1 / np.sqrt(np.where(variances > 0, variances, 1.0))

    def _parts(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = self.latents * len(self.cov)
        root = np.zeros((self.shown.shape[1], self.latents, self.latents))
        root[:, *np.tril_indices(self.latents)] = theta[size:].reshape(len(root), -1)
        return theta[:size].reshape(self.latents, -1) * self._scale, root

    def _precisions(self, root: np.ndarray) -> np.ndarray:
        return self.prior * np.eye(self.latents) + np.tensordot(self.shown, root @ root.mT, 1)

    def _model(self, slope: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, ...]:
        """Covariances and gains of the encoders, the best decoder, and the residual second moment."""
        cov = np.linalg.inv(precision)
        cov = (cov + cov.mT) / 2
        gain = cov @ (slope * self.shown[:, None, self.modality])
        mean_cov = np.tensordot(self.weights, cov, 1)
        second = mean_cov + np.tensordot(self.weights, gain @ self.cov @ gain.mT, 1)
        cross = self.cov @ np.tensordot(self.weights, gain, 1).T
        loading = np.linalg.solve(second, cross.T).T
        # A sum of squares, not C - W N', which cancels where there is little noise.
        miss = np.eye(len(self.cov)) - loading @ gain
        residual = np.tensordot(self.weights, miss @ self.cov @ miss.mT, 1) + loading @ mean_cov @ loading.T
        residual = (residual + residual.T) / 2
        return cov, gain, loading, self.noise(residual), residual


def _best_noise(law: Gaussian, noise: LearnedNoise | float | np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    d = len(law.cov)
    if not isinstance(noise, str):
        fixed = noise_covariance(noise, d)
        return lambda residual: fixed
    if noise == "isotropic":
        return lambda residual: np.eye(d) * (np.trace(residual) / d)
    blocks = np.eye(d, dtype=bool) if noise == "diagonal" else unit_blocks(law)
    return lambda residual: np.where(blocks, residual, 0.0)


def _random_decoder(law: Gaussian, latents: int, rng: np.random.Generator) -> LinearGaussianVAE:
    variances = np.diagonal(law.cov) + np.where(np.diagonal(law.cov) > 0, 0.0, 1.0)
    share = np.exp(rng.uniform(np.log(0.01), 0.0, len(variances)))
    loading = rng.normal(size=(len(variances), latents)) * np.sqrt(variances / latents)[:, None]
    return LinearGaussianVAE(loading, share * variances, {})


def _descend(objective: _Objective, first: np.ndarray, iterations: int) -> np.ndarray:
    options = {"maxiter": iterations, "maxfun": 4 * iterations, "ftol": LEAST_GAIN, "gtol": 1e-11, "maxcor": 30}
    return np.asarray(minimize(objective, first, jac=True, method="L-BFGS-B", options=options).x)


def _triangular_root(matrix: np.ndarray) -> np.ndarray:
    """Lower triangular ``R`` with ``R R' = matrix``, which may be singular."""
    values, vectors = np.linalg.eigh(matrix)
    half = vectors * np.sqrt(np.where(values > 0, values, 0.0))
    return np.asarray(np.linalg.qr(half.T)[1].T)
