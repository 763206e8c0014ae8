"""What an audit asks of a PyTorch model, the copy that is evaluated, and cheap checks that the model is honest."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bounds.errors import InputError
from bounds.subsets import check_names, format_subset
from toy_models.latent_points import latent_law, random_points

#: One tensor for each modality, in their order, with the examples first.
Data = Sequence[Tensor] | Mapping[str, Tensor]

#: Examples on which a model is checked.
PROBE = 32
#: Relative difference of log-densities in float64 that is more than rounding.
DIFFERENT = 1e-6


class AuditableModel(Protocol):
    """What an audit asks of a PyTorch model; a loss is never asked for.

    ``x`` comes in the container that was given to :func:`toy_models.evaluate.evaluate`, a batch of it, in float64.
    """

    @property
    def prior(self) -> Distribution:
        """``p(z)`` as it is in the model's objective: event shape ``(k,)``, or batch shape ``(k,)``."""
        ...

    def posterior(self, x: Any, subset: int) -> Distribution:
        """``q_A(z|x_A)``: batch shape ``(N,)`` and event shape ``(k,)``, or batch shape ``(N, k)``.

        It must not look at modalities outside the bitmask ``subset``.
        """
        ...

    def log_likelihood(self, x: Any, z: Tensor) -> Tensor:
        """``ln p(x_c|z)`` in nats with all constants of **all** modalities, or units: ``z (S, N, k)`` to ``(S, N, C)``,
        and ``(N, k)`` to ``(N, C)``.
        """
        ...


@dataclass(frozen=True, eq=False)
class Examples:
    """Held-out examples of several modalities; ``keys`` if they came as a mapping."""

    parts: tuple[Tensor, ...]
    keys: tuple[str, ...] | None

    @classmethod
    def of(cls, x: Any, n_modalities: int) -> Examples:
        """The examples, checked.

        Raises:
            InputError: another number of modalities, parts of different lengths, NaN or infinite values.
        """
        if isinstance(x, Tensor) or not isinstance(x, Mapping | Sequence):
            raise InputError(f"x is a {type(x).__name__}: give a sequence or mapping with one tensor for each modality")
        keys = tuple(x) if isinstance(x, Mapping) else None
        parts = tuple(torch.as_tensor(part) for part in (x.values() if isinstance(x, Mapping) else x))
        if len(parts) != n_modalities:
            raise InputError(f"x has {len(parts)} modalities, the scheme {n_modalities}: give one tensor for each")
        lengths = {len(part) if part.ndim else 0 for part in parts}
        if len(lengths) != 1 or 0 in lengths:
            raise InputError(
                f"the modalities have {sorted(lengths)} examples: give the same ones of each, examples first"
            )
        for m, part in enumerate(parts):
            if part.is_floating_point() and not part.isfinite().all():
                raise InputError(f"modality {keys[m] if keys else m} has NaN or infinite values: leave none in")
        return cls(parts, keys)

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.parts[0])

    def names(self, given: Sequence[str] | None = None) -> tuple[str, ...]:
        """The names of the modalities: as given, the keys, or X1, X2, ..."""
        return check_names(given if given is not None else self.keys, len(self.parts))

    def rows(self, start: int, stop: int, step: int = 1) -> Examples:
        """Some of them, real values in float64."""
        some = (part[start:stop:step] for part in self.parts)
        return Examples(tuple(p.double() if p.is_floating_point() else p for p in some), self.keys)

    def probe(self) -> Examples:
        """:data:`PROBE` of them, spread evenly, since examples may be sorted."""
        step = max(1, self.n // PROBE)
        return self.rows(0, step * PROBE, step)

    def distinct(self) -> tuple[Examples, np.ndarray]:
        """Examples that are not the same, and ``(N,)`` which of them each one is; real values are taken as they are."""
        if any(part.is_floating_point() for part in self.parts):
            return self, np.arange(self.n)
        rows = [part.reshape(self.n, -1).cpu().numpy() for part in self.parts]
        codes = [np.unique(part, axis=0, return_inverse=True)[1].ravel() for part in rows]
        _, first, which = np.unique(np.stack(codes, axis=1), axis=0, return_index=True, return_inverse=True)
        return Examples(tuple(part[first] for part in self.parts), self.keys), which.ravel()

    def rolled(self, m: int) -> Examples:
        """Each example with the next one's modality ``m``."""
        return Examples(tuple(p.roll(-1, 0) if i == m else p for i, p in enumerate(self.parts)), self.keys)

    def changed(self, other: Examples, m: int) -> Tensor:
        """``(N,)``: where modality ``m`` is not the same."""
        return (
            (self.parts[m] != other.parts[m]).flatten(1).any(-1)
            if self.parts[m].ndim > 1
            else (self.parts[m] != other.parts[m])
        )

    def to(self, device: torch.device) -> Examples:
        """The same on a device."""
        return Examples(tuple(part.to(device) for part in self.parts), self.keys)

    @property
    def container(self) -> list[Tensor] | dict[str, Tensor]:
        """As the model takes them."""
        return list(self.parts) if self.keys is None else dict(zip(self.keys, self.parts, strict=True))


def evaluation_copy(model: Any) -> Any:
    """A copy of a model in float64 and in eval mode; the model itself is left as it is.

    Parameters, buffers and tensors that are attributes of the model or of its modules are converted.

    Raises:
        InputError: a model that cannot be copied.
    """
    try:
        copied = copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"the model cannot be copied for evaluation in float64 ({error}): detach tensors that it keeps"
        ) from error
    for module in modules_of(copied):
        module.double().eval()
    for owner in [copied, *(inner for module in modules_of(copied) for inner in module.modules())]:
        for name, value in list(vars(owner).items()) if hasattr(owner, "__dict__") else []:
            if isinstance(value, Tensor) and value.is_floating_point():
                setattr(owner, name, value.double())
    return copied


def modules_of(model: Any) -> list[torch.nn.Module]:
    """The model if it is a module, or the modules that are its attributes."""
    if isinstance(model, torch.nn.Module):
        return [model]
    return [value for value in getattr(model, "__dict__", {}).values() if isinstance(value, torch.nn.Module)]


def device_of(model: Any, examples: Examples) -> torch.device:
    """Where the parameters of the model are, or else the examples."""
    for module in modules_of(model):
        for tensor in [*module.parameters(), *module.buffers()]:
            return tensor.device
    return examples.parts[0].device


@dataclass(frozen=True, eq=False)
class Auditable:
    """A model with its answers checked for shape, and words for what is asked of it.

    Args:
        model: the copy that is evaluated.
        names: of the modalities.
        columns: of the log-likelihoods.
    """

    model: AuditableModel
    names: tuple[str, ...]
    columns: tuple[str, ...]

    def shown(self, subset: int) -> str:
        """The names of a subset."""
        return format_subset(subset, self.names) or "(empty)"

    def prior(self) -> Distribution:
        """``p(z)`` with event shape ``(k,)``."""
        return latent_law(self.model.prior, (), "the prior")

    def posterior(self, x: Examples, subset: int) -> Distribution:
        """``q_A(z|x_A)`` with batch shape ``(N,)`` and event shape ``(k,)``.

        Raises:
            InputError: other shapes, or parameters that torch refuses, such as NaN or a scale of zero.
        """
        what = f"the posterior of {self.shown(subset)}"
        try:
            found = self.model.posterior(x.container, subset)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{what} is no law: {error}") from error
        return latent_law(found, (x.n,), what)

    def log_likelihood(self, x: Examples, z: Tensor, subset: int) -> Tensor:
        """``(S, N, C)`` for ``(S, N, k)``.

        Raises:
            InputError: another shape, NaN or infinite values.
        """
        found = self.model.log_likelihood(x.container, z)
        wanted = (*z.shape[:-1], len(self.columns))
        what = f"log_likelihood with z from {self.shown(subset)}"
        if not isinstance(found, Tensor) or tuple(found.shape) != wanted:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(
                f"{what} has shape {shape}: it must be {wanted}, for z of shape {tuple(z.shape)}: all of "
                f"{', '.join(self.columns)}, seen or not"
            )
        bad = (~found.isfinite()).nonzero()
        if len(bad):
            where = bad[0].tolist()
            raise InputError(
                f"{what} is {found[tuple(where)]:g} for {self.columns[where[-1]]} at example {where[-2]} of a batch: "
                "every ceiling holds trivially at -inf; find out why, and do not leave such examples out"
            )
        return found


def check_honest(asked: Auditable, probe: Examples, subsets: Sequence[int], generator: torch.Generator) -> None:
    """Refuses a model whose answers cannot be what they are said to be, as far as a few examples show it.

    Raises:
        InputError: a posterior that looks at modalities outside its subset or at other examples, differs from call to
            call, is deterministic, or has other latents than the prior; log-likelihoods that leave out a modality.
    """
    prior = asked.prior()
    for subset in subsets:
        law = asked.posterior(probe, subset)
        what = f"the posterior of {asked.shown(subset)}"
        if law.event_shape != prior.event_shape:
            raise InputError(f"{what} is on {law.event_shape[0]} latents, the prior on {prior.event_shape[0]}")
        z = random_points(law, 4, "draws", generator).z
        density = law.log_prob(z)
        if _is_continuous(law) and bool((z[0] == z[1:]).all(0).any()):
            raise InputError(
                f"{what} is deterministic: every draw is the same, so its KL is infinite; return the law that z is "
                "drawn from in training, and not its mean"
            )
        if _differ(density, asked.posterior(probe, subset).log_prob(z)):
            raise InputError(f"{what} differs from call to call: is there dropout or noise that eval() does not end?")
        for m, name in enumerate(asked.names):
            if not subset >> m & 1 and _differ(density, asked.posterior(probe.rolled(m), subset).log_prob(z)):
                raise InputError(f"{what} changes with {name}, which is not in it: encode {asked.shown(subset)} alone")
        half = probe.n // 2
        if _differ(density[:, :half], asked.posterior(probe.rows(0, half), subset).log_prob(z[:, :half])):
            raise InputError(f"{what} depends on the other examples of its batch: let each depend on itself alone")
        _check_likelihood(asked, probe, z, subset)


def _check_likelihood(asked: Auditable, probe: Examples, z: Tensor, subset: int) -> None:
    """Refuses log-likelihoods that are noise, mix up their axes, or leave out a modality."""
    found = asked.log_likelihood(probe, z, subset)
    if _differ(found, asked.log_likelihood(probe, z, subset)):
        raise InputError(
            "log_likelihood differs from call to call: is there dropout or noise that eval() does not end?"
        )
    if _differ(found[0], asked.log_likelihood(probe, z[0], subset)):
        raise InputError("log_likelihood of z (S, N, k) is not that of each z (N, k): keep the draws apart")
    by_modality = asked.columns == asked.names
    for m, name in enumerate(asked.names):
        other = probe.rolled(m)
        rows = probe.changed(other, m)
        if not rows.any():
            continue
        moved = _different(found, asked.log_likelihood(other, z, subset))[:, rows].any(0).any(0)
        if not moved.any() or (by_modality and not moved[m]):
            raise InputError(
                f"no log-likelihood of {name} changes with {name}: it is left out; give those of all modalities, seen "
                "or not"
            )
        if by_modality and int(moved.sum()) > 1:
            column = next(asked.columns[c] for c in range(len(moved)) if moved[c] and c != m)
            raise InputError(
                f"the log-likelihood of {column} changes with {name}: give ln p(x_m|z) of each modality given z alone"
            )


def _is_continuous(law: Distribution) -> bool:
    try:
        return law.support is None or not law.support.is_discrete
    except NotImplementedError:
        return True


def _different(a: Tensor, b: Tensor) -> Tensor:
    return ~((a - b).abs() <= DIFFERENT * (1 + a.abs()))


def _differ(a: Tensor, b: Tensor) -> bool:
    return bool(_different(a, b).any())
