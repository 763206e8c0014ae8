"""What a likelihood's ceiling is asked for, and what comes back (THEORY T7)."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bounds.errors import InputError
from bounds.layout import Layout
from bounds.likelihood.decoders import Likelihood, Part, modality_of, parts_of, variable_names
from bounds.likelihood.noise import GaussianNoise
from bounds.likelihood.split_floor import SubsetFloor, mean_floor
from bounds.quantity import Quantity, percent
from bounds.schemes import SubsetScheme
from bounds.subsets import format_subset

#: ``attained``: T7(iv) or (v), which a linear VAE reaches for each subset; ``split``: T7(i), valid and loose;
#: ``distortion``: what is left of T7(v) for data that are not Gaussian, valid and loose; ``T2``: every law is allowed.
Form = Literal["attained", "split", "distortion", "T2"]

_MEANING: Mapping[str, str] = {
    "attained": "T7(iv) or (v), each subset's loss is that of a linear VAE",
    "split": "T7(i), seen and unseen part apart",
    "distortion": "T7(v), unexplained variance alone",
    "T2": "T2, the family has every law",
}

UNITS = "continuous data: this ceiling shifts with the units of measurement (T9), as the scale of the likelihood does"
LOOSE = "valid and loose: the seen and the unseen part are bounded apart, as if each had its own latent"
GREY = "grey values: Bernoulli likelihoods are no densities there, so the ceiling may lie above -H(X)"
TOGETHER = (
    "the mean of the subsets' own ceilings: a linear VAE of its own reaches each; one decoder for all need not reach "
    "the mean"
)
ATOMS = (
    "no ceiling: the data have values of positive probability, where a Gaussian density whose variance may go to zero "
    "has no bound"
)


@dataclass(frozen=True, eq=False)
class LikelihoodCeiling:
    """The highest ``L_S`` of any model with this likelihood, in nats per example.

    Attributes:
        likelihood: as it is written.
        scheme: the encoded subsets.
        names: the modalities.
        form: which bound it is, see :data:`Form`; the notes of ``ceiling`` say what is attained.
        ceiling: the number, with its interval and guarantee; ``inf`` where the objective has no upper bound.
        floors: what each subset loses at least; minus their weighted mean is the ceiling. Empty where there is no
            ceiling, or no entropy of some subset.
        deviations: for Gaussian noise that does not depend on the latent, the standard deviation of each variable, as
            given or as learned; zero is a limit.
    """

    likelihood: str
    scheme: SubsetScheme
    names: tuple[str, ...]
    form: Form
    ceiling: Quantity
    floors: tuple[SubsetFloor, ...]
    deviations: Mapping[str, float] | None = None

    def __float__(self) -> float:
        return float(self.ceiling)

    def __str__(self) -> str:
        quantity = self.ceiling
        lines = [str(quantity), f"  {self.scheme.label}: {_MEANING[self.form]}"]
        if quantity.low is not None and quantity.high is None and quantity.confidence is not None:
            lines.append(f"  one-sided: the ceiling is at least {quantity.low:.4f} at {percent(quantity.confidence)}")
        lines += [
            f"  {self._name(f.subset)} (weight {f.weight:.4g}) loses {f.floor:.4f}: "
            f"{f.seen:.4f} for what is seen, {f.unseen:.4f} for the rest"
            for f in self.floors
        ]
        return "\n".join([*lines, *(f"  {note}" for note in quantity.notes)])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(self._name(f.subset))}</th>"
            + "".join(f"<td>{number:.4f}</td>" for number in (f.weight, f.seen, f.unseen, f.floor))
            + "</tr>"
            for f in self.floors
        )
        head = "<tr><th>encoded</th><th>weight</th><th>seen</th><th>unseen</th><th>least loss (nats)</th></tr>"
        said = [str(self.ceiling), f"{self.scheme.label}: {_MEANING[self.form]}", *self.ceiling.notes]
        return f"<table><caption>{'<br>'.join(html.escape(line) for line in said)}</caption>{head}{rows}</table>"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "likelihood": self.likelihood,
            "scheme": self.scheme.label,
            "form": self.form,
            "unit": "nats",
            "elbo_ceiling": self.ceiling.to_dict(),
            "subsets": {
                self._name(f.subset): {"weight": f.weight, "seen": f.seen, "unseen": f.unseen} for f in self.floors
            },
            "deviations": None if self.deviations is None else dict(self.deviations),
        }

    def _name(self, subset: int) -> str:
        return format_subset(subset, self.names) or "(empty)"


@dataclass(frozen=True, eq=False)
class Question:
    """The scheme, and the likelihood of each modality of some data."""

    scheme: SubsetScheme
    text: str
    likelihoods: tuple[Likelihood, ...]
    layout: Layout

    @property
    def name(self) -> str:
        """What the number is called."""
        return f"ELBO ceiling ({self.text})"

    @property
    def free(self) -> str | None:
        """``learned...`` or ``conditional`` where the variance is not fixed.

        Raises:
            InputError: not the same for all modalities.
        """
        if all(one.is_fixed for one in self.likelihoods):
            return None
        if len({str(one) for one in self.likelihoods}) > 1:
            raise InputError(
                f"{self.text}: learned and conditional variances are for all modalities alike; fix the scale of each"
            )
        return str(self.likelihoods[0].scale)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The blocks over which the decoders factorise, for fixed scales."""
        return parts_of(self.likelihoods, self.layout)

    @property
    def variances(self) -> np.ndarray | None:
        """``(d,)``, where all noise is Gaussian of fixed variance."""
        noises = [] if self.free else [part.noise for part in self.parts]
        found = [noise.variance for noise in noises if isinstance(noise, GaussianNoise)]
        return np.array(found) if len(found) == self.layout.n_variables else None

    @property
    def groups(self) -> np.ndarray:
        """``(d,)``: variables of one number share a learned variance."""
        if self.free == "learned-common":
            return np.zeros(self.layout.n_variables, dtype=np.int64)
        if self.free == "learned-modality":
            return np.array([modality_of(self.layout, v) for v in range(self.layout.n_variables)])
        return np.repeat(np.arange(len(self.layout.unit_sizes)), self.layout.unit_sizes)

    def exact(
        self,
        form: Form,
        floors: Sequence[SubsetFloor],
        notes: Sequence[str],
        variances: np.ndarray | None = None,
    ) -> LikelihoodCeiling:
        """Minus the mean of floors that are exact numbers."""
        ceiling = Quantity(self.name, -mean_floor(floors), theorem="T7", notes=tuple(notes))
        return self.answer(form, ceiling, floors, variances)

    def unbounded(self, form: Form, why: str) -> LikelihoodCeiling:
        """There is no ceiling."""
        return self.answer(form, Quantity(self.name, math.inf, theorem="T7", notes=(why,)))

    def answer(
        self,
        form: Form,
        ceiling: Quantity,
        floors: Sequence[SubsetFloor] = (),
        variances: np.ndarray | None = None,
    ) -> LikelihoodCeiling:
        """The result, with the standard deviation of each variable."""
        deviations = None
        if variances is not None:
            deviations = dict(zip(variable_names(self.layout), np.sqrt(variances).tolist(), strict=True))
        return LikelihoodCeiling(self.text, self.scheme, self.layout.names, form, ceiling, tuple(floors), deviations)
