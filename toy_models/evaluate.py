"""The K=1 own-density ELBO terms of any PyTorch model on held-out data, from its parts and never from its loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bounds.entropies import Kind
from bounds.errors import InputError
from bounds.evaluation import Evaluation
from bounds.progress import Track, no_progress
from bounds.schemes import SubsetScheme
from bounds.subsets import check_names
from toy_models.auditable import Auditable, AuditableModel, Data, Examples, check_honest, device_of, evaluation_copy
from toy_models.latent_points import (
    GRID_DIMENSIONS,
    METHODS,
    SOBOL_DIMENSIONS,
    Method,
    Points,
    exact_kl,
    from_uniforms,
    grid_points,
    random_points,
    standardised,
)

#: Points of the latent for each example and subset.
DRAWS = 64
#: Pairs of example and latent that are decoded at once.
BATCH = 1 << 16
#: A grid is taken for exact if fewer points move the terms of no example by more than this, relative to their size.
GRID_TOLERANCE = 1e-6
#: Points of the coarser grid, relative to the finer.
COARSER = 0.7


def evaluate(
    model: AuditableModel,
    x: Data,
    scheme: SubsetScheme,
    generator: torch.Generator,
    *,
    kind: Kind,
    method: Method = "auto",
    draws: int = DRAWS,
    batch_size: int = BATCH,
    modalities: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    likelihood: str | None = None,
    track: Track = no_progress,
) -> Evaluation:
    """The terms of the K=1 ELBO with each encoder's own density (THEORY T2), on held-out examples.

    A copy of the model is evaluated, in float64, in eval mode and without gradients; the model stays as it is. First
    :func:`toy_models.auditable.check_honest` looks whether the model can be what it says. KLs are exact where torch
    knows them, else means over the same points of the latent as the log-likelihoods.

    Args:
        model: see :class:`toy_models.auditable.AuditableModel`.
        x: held-out examples, one tensor for each modality, examples first; a mapping gives the names of the modalities.
        scheme: the encoded subsets. Those of MVAE's sub-sampling make an evaluation of that objective (T10.2).
        generator: on the CPU, of all randomness.
        kind: ``"discrete"`` if the log-likelihoods are of probabilities, ``"differential"`` if of densities.
        method: how the mean over the latent is taken. ``"gauss-hermite"``: a tensor grid, for normal posteriors of one
            or two latents, refused where it has not converged. ``"sobol"``: Sobol points, shifted at random for each
            example, for posteriors with a quantile function. ``"draws"``: independent. ``"auto"``: the first of these
            that can be had.
        draws: points for each example and subset; of a grid the most.
        batch_size: pairs of example and latent that are decoded at once.
        modalities: names; by default the keys of ``x``, or X1, X2, ...
        columns: names of the units, where the log-likelihoods are of units.
        likelihood: the decoder's family, for :func:`bounds.likelihood_ceiling`.
        track: shows progress, one step for each batch.

    Raises:
        InputError: a model that is not what it says, shapes that do not fit, infinite terms, a method that cannot be
            had, options out of range.

    >>> from bounds import full
    >>> from torch.distributions import Normal
    >>> class Coordinate:  # x = z + noise, with its exact posterior
    ...     prior = Normal(torch.zeros(1), torch.ones(1))
    ...     def posterior(self, x, subset):
    ...         return Normal(x[0] / 2, 0.5 ** 0.5)
    ...     def log_likelihood(self, x, z):
    ...         return Normal(z, 1.0).log_prob(x[0])
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.randn(1000, 1, generator=generator) * 2 ** 0.5
    >>> found = evaluate(Coordinate(), [x], full(1), generator, kind="differential")
    >>> elbo = found.terms.log_likelihood[0, :, 0] - found.terms.kl[0]
    >>> bool(abs(elbo - Normal(0.0, 2 ** 0.5).log_prob(x.double()).numpy()[:, 0]).max() < 1e-6)
    True
    """
    if method not in METHODS:
        raise InputError(f"method={method!r}: use one of {', '.join(METHODS)}")
    if draws < 1 or batch_size < 1:
        raise InputError(f"draws={draws}, batch_size={batch_size}: give at least 1 of each")
    if generator.device.type != "cpu":
        raise InputError("the generator must be on the CPU: torch.Generator().manual_seed(...)")
    with torch.no_grad():
        examples = Examples.of(x, scheme.n_modalities)
        names = examples.names(modalities)
        cols = names if columns is None else check_names(columns, len(columns), "column")
        copied = evaluation_copy(model)
        device = device_of(copied, examples)
        asked = Auditable(copied, names, cols)
        probe = examples.probe().to(device)
        check_honest(asked, probe, list(scheme.weights), generator)
        rules = {
            subset: _Rule.chosen(asked, probe, subset, method, draws, batch_size, generator)
            for subset in scheme.weights
        }
        everything = few = examples, np.arange(examples.n)
        if any(rule.method == "gauss-hermite" for rule in rules.values()):
            few = examples.distinct()  # on a grid examples that are the same have the same terms
        taken = {subset: few if rule.method == "gauss-hermite" else everything for subset, rule in rules.items()}
        steps = [(subset, rows) for subset in rules for rows in _batches(taken[subset][0].n, draws, batch_size)]
        fits: dict[int, list[np.ndarray]] = {subset: [] for subset in rules}
        costs: dict[int, list[np.ndarray]] = {subset: [] for subset in rules}
        for subset, (start, stop) in track(steps, "evaluation", len(steps)):
            fit, cost = rules[subset].terms(asked, taken[subset][0].rows(start, stop).to(device))
            fits[subset].append(fit.cpu().numpy())
            costs[subset].append(cost.cpu().numpy())
    about: dict[str, Any] = {"objective": "sub-sampled"} if scheme.objective == "sub-sampled" else {}
    return Evaluation.from_examples(
        scheme,
        {subset: np.concatenate(found)[taken[subset][1]] for subset, found in fits.items()},
        {subset: np.concatenate(found)[taken[subset][1]] for subset, found in costs.items()},
        kind=kind,
        modalities=names,
        columns=cols,
        likelihood=likelihood,
        draws=draws,
        sampled_kl=any(rule.sampled_kl for rule in rules.values()),
        **about,
    )


def _batches(n: int, draws: int, batch_size: int) -> list[tuple[int, int]]:
    """First and last example of each batch."""
    size = max(1, batch_size // draws)
    return [(start, min(start + size, n)) for start in range(0, n, size)]


@dataclass(frozen=True, eq=False)
class _Rule:
    """How the terms of one subset are averaged over the latent."""

    subset: int
    method: str
    draws: int
    batch_size: int
    generator: torch.Generator
    sampled_kl: bool

    @classmethod
    def chosen(
        cls,
        asked: Auditable,
        probe: Examples,
        subset: int,
        method: str,
        draws: int,
        batch_size: int,
        generator: torch.Generator,
    ) -> _Rule:
        """The rule for a subset: as asked for, or the first that can be had.

        Raises:
            InputError: a grid that has not converged, a method that the posterior does not allow.
        """
        law = asked.posterior(probe, subset)
        sampled = exact_kl(law, asked.prior()) is None

        def rule(by: str, points: int = draws) -> _Rule:
            return cls(subset, by, points, batch_size, generator, sampled)

        k = law.event_shape[0]
        if method == "gauss-hermite" or (method == "auto" and k <= GRID_DIMENSIONS and standardised(law) is not None):
            error = _largest_change(
                rule("gauss-hermite").terms(asked, probe),
                rule("gauss-hermite", max(1, int(COARSER**k * draws))).terms(asked, probe),
            )
            if error <= GRID_TOLERANCE:
                return rule("gauss-hermite")
            if method == "gauss-hermite":
                raise InputError(
                    f"the grid of {draws} points for {asked.shown(subset)} has not converged: with fewer points terms "
                    f"change by {error:.2g} of their size; give more draws, or use method='sobol'"
                )
        if method == "auto":
            method = "sobol" if from_uniforms(law) is not None and k <= SOBOL_DIMENSIONS else "draws"
        return rule(method)

    def terms(self, asked: Auditable, x: Examples) -> tuple[Tensor, Tensor]:
        """``(N, C)`` log-likelihoods and ``(N,)`` KLs of a batch."""
        law, prior = asked.posterior(x, self.subset), asked.prior()
        points = self._points(law)
        kl = exact_kl(law, prior)
        if kl is None:
            kl = points.mean(law.log_prob(points.z) - prior.log_prob(points.z))
        fit = torch.zeros(x.n, len(asked.columns), dtype=torch.float64, device=points.z.device)
        for part in _parts(points, max(1, self.batch_size // x.n)):
            fit += part.mean(asked.log_likelihood(x, part.z, self.subset).double())
        return fit, kl.double()

    def _points(self, law: Distribution) -> Points:
        if self.method == "gauss-hermite":
            return grid_points(law, self.draws)
        return random_points(law, self.draws, self.method, self.generator)


def _parts(points: Points, size: int) -> Iterator[Points]:
    for z, weights in zip(points.z.split(size), points.weights.split(size), strict=True):
        yield Points(z, weights)


def _largest_change(fine: tuple[Tensor, Tensor], coarse: tuple[Tensor, Tensor]) -> float:
    return max(float(((a - b).abs() / a.abs().clamp(min=1)).max()) for a, b in zip(fine, coarse, strict=True))
