"""When is a constant latent optimal? (THEORY T4, collapse)"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bounds.dual.inner import bound_inner
from bounds.dual.program import DecoderProgram
from bounds.joints import Discrete
from bounds.schemes import SubsetScheme


@dataclass(frozen=True)
class Collapse:
    """Whether the constant latent, whose decoders are the data's marginals, is a best model.

    Attributes:
        slope: ``lambda``, the largest ``sum_A w_A Var(E[sum_m a_m(X_m)|X_A]) / sum_m Var a_m(X_m)`` over functions
            ``a_m`` of the units. Above ``beta`` a small departure from the constant latent gains: no collapse.
        beta: multiplier of the KL.
        gain: no latent value scores above ``exp(gain)`` against the constant one: ``ln sup_v G_0(v) <= gain``. Zero
            (up to ``tol``) proves that the constant latent is optimal.
        optimal: ``True`` if proved to within ``tol`` nats, ``False`` if a better model is known, ``None`` if time ran
            out. ``slope <= beta`` alone proves nothing: rare events can gain where small departures do not.
    """

    slope: float
    beta: float
    gain: float
    optimal: bool | None

    def __str__(self) -> str:
        answer = {True: "is optimal", False: "is not optimal", None: "is not decided"}[self.optimal]
        return f"a constant latent {answer}: lambda = {self.slope:.6f} against beta = {self.beta:g}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "gain": self.gain if np.isfinite(self.gain) else None}


def collapse(
    law: Discrete, scheme: SubsetScheme, *, beta: float = 1.0, tol: float = 1e-6, seconds: float = 60.0
) -> Collapse:
    """Tests whether all models of a scheme are at best as good as one that encodes nothing.

    Args:
        law: the data.
        scheme: the encoded subsets and their weights.
        beta: multiplier of the KL.
        tol: in nats; a gain below it counts as none.
        seconds: time for the proof.

    >>> from bounds import mmvae
    >>> print(collapse(Discrete([[0.35, 0.15], [0.15, 0.35]]), mmvae(2)))  # rho = .4 < sqrt(2) - 1
    a constant latent is optimal: lambda = 0.980000 against beta = 1
    """
    program = DecoderProgram.of(law, scheme, beta)
    constant = (program.mass @ program.stacked)[None]
    scores = program.mass / program.likelihoods(constant)[:, 0]
    slope = _slope(program, constant[0])
    found = bound_inner(program, scores, tol / beta, seconds=seconds)
    gain = beta * found.high
    optimal = False if found.violation is not None else (True if gain <= tol else None)
    return Collapse(slope, beta, gain, optimal)


def _slope(program: DecoderProgram, marginals: np.ndarray) -> float:
    """The largest eigenvalue of the rows' covariance, in units of the marginals."""
    seen = marginals > 0
    centred = (program.stacked - marginals)[:, seen] / np.sqrt(marginals[seen])
    return float(np.linalg.eigvalsh((centred * program.mass[:, None]).T @ centred)[-1])
