"""Hypothesis strategies for laws, schemes and finite models, corners included, that shrink to readable cases.

Needs the ``property`` extra. A case is one string of bytes (:mod:`bounds.choices`), which Hypothesis draws and shrinks;
the corners and how often they occur are said there.

>>> from hypothesis import given
>>> from bounds import mmvae, generative_discrepancy
>>> from bounds.strategies import discrete_laws
>>> @given(discrete_laws(modalities=2))
... def test_my_claim(law):
...     assert float(generative_discrepancy(law.entropy_vector(), mmvae(2))) >= 0
>>> test_my_claim()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import strategies as st

from bounds import choices as decode
from bounds.choices import Choices
from bounds.common_cause import CommonCause
from bounds.finite import TabularVAE
from bounds.joints import Discrete, Gaussian
from bounds.schemes import SubsetScheme

_Made = TypeVar("_Made")

#: Drawn at once: few cases need more than a second draw, and what is drawn and not read costs time.
_BYTES = st.binary(min_size=64, max_size=64)


class _Drawn(Choices):
    """Choices whose bytes are drawn when they are read."""

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(b"")
        self.draw = draw

    def read(self, count: int) -> bytes:
        while len(self.data) < self.position + count:
            self.data += self.draw(_BYTES)
        return super().read(count)


def decoded(build: Callable[[Choices], _Made]) -> st.SearchStrategy[_Made]:
    """What ``build`` makes of random choices."""

    @st.composite
    def made(draw: st.DrawFn) -> _Made:
        return build(_Drawn(draw))

    return made()


def discrete_laws(
    modalities: int | Sequence[int] = (1, 2, 3), max_alphabet: int = 3, units: int = 1
) -> st.SearchStrategy[Discrete]:
    """Tables of small rational probabilities, zeros and ties among them; up to ``units`` decoder units a modality."""
    return decoded(lambda choices: decode.discrete_law(choices, _counts(modalities), max_alphabet, units))


def linear_codes(
    modalities: int | Sequence[int] = (1, 2, 3), bits: int = 2, units: int = 1
) -> st.SearchStrategy[Discrete]:
    """Linear functions of fair bits: copies, parities, summaries; up to ``units`` equal pixels a modality."""
    return decoded(lambda choices: decode.linear_code(choices, _counts(modalities), bits, units))


def gaussian_laws(
    modalities: int | Sequence[int] = (1, 2, 3), max_size: int = 2, scalar_units: bool = False
) -> st.SearchStrategy[Gaussian]:
    """Regular Gaussians, strongly correlated ones and odd scales among them."""
    return decoded(lambda choices: decode.gaussian_law(choices, _counts(modalities), max_size, scalar_units))


def common_cause_laws(
    modalities: int | Sequence[int] = (1, 2, 3), max_units: int = 2
) -> st.SearchStrategy[CommonCause]:
    """A shared label and discrete private parts, which may depend on the label."""
    return decoded(lambda choices: decode.common_cause_law(choices, _counts(modalities), max_units))


def schemes(n_modalities: int, allow_empty: bool = False) -> st.SearchStrategy[SubsetScheme]:
    """The known mixtures, and arbitrary rational weights."""
    return decoded(lambda choices: decode.subset_scheme(choices, n_modalities, allow_empty))


def tabular_models(law: Discrete, scheme: SubsetScheme, max_latents: int = 3) -> st.SearchStrategy[TabularVAE]:
    """Finite VAEs for a law and a scheme: any prior, decoders and per-subset encoders, constant latents included."""
    return decoded(lambda choices: decode.tabular_model(choices, law, scheme, max_latents))


def _counts(modalities: int | Sequence[int]) -> Sequence[int]:
    return (modalities,) if isinstance(modalities, int) else tuple(modalities)
