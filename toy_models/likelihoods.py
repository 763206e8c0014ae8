"""The densities of decoders, with every normalising constant.

A decoder gives ``outputs`` numbers for each unit, which is one coordinate of its modality, such as a pixel. Units are
independent given the latent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from bounds.errors import InputError

Family = Literal["gaussian", "laplace", "bernoulli", "categorical"]
FAMILIES: tuple[str, ...] = get_args(Family)
LEARNED = "learned"


@dataclass(frozen=True)
class Likelihood:
    """A family with its scale, as in ``gaussian:0.75``, ``laplace:learned``, ``bernoulli``, ``categorical``.

    Args:
        family: ``gaussian`` and ``laplace`` are of real values, ``bernoulli`` of 0 and 1 alone, since on grey values
            it is no density, and ``categorical`` of symbols 0, 1, ...
        scale: standard deviation, or ``b`` of a Laplace density; ``learned`` is one for each unit, the same for every
            latent.

    Raises:
        InputError: an unknown family, a scale that is not positive, one where there is none, none where there is one.

    >>> Likelihood.parse("gaussian:0.75").scale
    0.75
    """

    family: Family
    scale: float | Literal["learned"] | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"unknown likelihood {self.family!r}: use one of {', '.join(FAMILIES)}")
        if self.family in ("bernoulli", "categorical"):
            if self.scale is not None:
                raise InputError(f"a {self.family} likelihood has no scale: write {self.family!r} alone")
        elif self.scale != LEARNED and not (
            isinstance(self.scale, int | float) and math.isfinite(self.scale) and self.scale > 0
        ):
            raise InputError(
                f"scale {self.scale!r} of a {self.family} likelihood: give a positive number, as in "
                f"'{self.family}:0.75', or '{self.family}:learned'"
            )

    @classmethod
    def parse(cls, text: str) -> Likelihood:
        """From ``family`` or ``family:scale``."""
        family, _, scale = text.partition(":")
        if not scale or scale == LEARNED:
            return cls(family, scale or None)  # type: ignore[arg-type]
        try:
            number = float(scale)
        except ValueError:
            raise InputError(f"scale {scale!r} of {text!r}: give a number or 'learned'") from None
        return cls(family, number)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.family if self.scale is None else f"{self.family}:{self.scale}"

    def outputs(self, symbols: int | None) -> int:
        """Numbers that a decoder gives for each unit."""
        return symbols or 1

    def check(self, x: Tensor, symbols: int | None, name: str) -> None:
        """Whether data are of this family.

        Raises:
            InputError: symbols where real values are needed or the other way round, grey values for a Bernoulli.
        """
        if (self.family == "categorical") != (symbols is not None):
            kind = "symbols" if symbols else "real values"
            raise InputError(
                f"{name} has {kind}: " + ("use 'categorical'" if symbols else "a categorical likelihood needs symbols")
            )
        if self.family == "bernoulli" and not ((x == 0) | (x == 1)).all():
            raise InputError(
                f"{name} has values other than 0 and 1, on which a Bernoulli likelihood is no density: use "
                "'gaussian:SCALE' or make the values binary"
            )


class Density(nn.Module):
    """A likelihood for ``units`` coordinates of each of ``G`` modalities, with the scales that ``E`` members learn."""

    def __init__(self, likelihood: Likelihood, units: int, symbols: int | None, members: int, copies: int) -> None:
        super().__init__()
        self.likelihood, self.units, self.symbols = likelihood, units, symbols
        self.log_scale: nn.Parameter | None = None
        if likelihood.scale == LEARNED:
            self.log_scale = nn.Parameter(torch.zeros(members, copies, 1, units, dtype=torch.float64))

    @property
    def outputs(self) -> int:
        """Numbers that the decoder gives for all units."""
        return self.units * self.likelihood.outputs(self.symbols)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """``ln p(x_u|z)`` of each unit, in nats.

        Args:
            outputs: ``(E, G, S, N, units * k)`` of the decoder.
            x: ``(E, G, 1, N, units)``, or ``(E, G, S, N, units)`` if it is not the same for every subset.

        Returns:
            ``(E, G, S, N, units)``.
        """
        match self.likelihood.family:
            case "categorical":
                assert self.symbols is not None
                logits = functional.log_softmax(outputs.unflatten(-1, (self.units, self.symbols)), dim=-1)
                index = x.long().unsqueeze(-1).expand(*logits.shape[:-1], 1)
                return logits.gather(-1, index).squeeze(-1)
            case "bernoulli":
                return -functional.softplus((1 - 2 * x) * outputs)
            case "gaussian":
                log_scale = self._log_scale(outputs)
                return -0.5 * ((x - outputs) * torch.exp(-log_scale)) ** 2 - log_scale - 0.5 * math.log(2 * math.pi)
            case "laplace":
                log_scale = self._log_scale(outputs)
                return -(x - outputs).abs() * torch.exp(-log_scale) - log_scale - math.log(2)

    def mean(self, outputs: Tensor) -> Tensor:
        """``E[x_u|z]``, or for symbols the likeliest: ``(..., units)``."""
        match self.likelihood.family:
            case "categorical":
                assert self.symbols is not None
                return outputs.unflatten(-1, (self.units, self.symbols)).argmax(dim=-1)
            case "bernoulli":
                return torch.sigmoid(outputs)
            case _:
                return outputs

    def _log_scale(self, outputs: Tensor) -> Tensor:
        if self.log_scale is not None:
            return self.log_scale.unsqueeze(2)
        assert isinstance(self.likelihood.scale, float | int)
        return outputs.new_full((), math.log(self.likelihood.scale))
