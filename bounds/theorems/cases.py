"""Random cases: data, schemes and models, structured enough that claims which fail are caught failing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from bounds import choices as decode
from bounds.choices import Choices
from bounds.finite import optimal_decoders
from bounds.joints import Discrete
from bounds.schemes import SubsetScheme, mmvae, mopoe
from bounds.theorems.base import Case

#: What makes a case of choices.
Builder = Callable[[Choices], Case]
#: Settings of a case by name.
Settings = Mapping[str, Callable[[Choices], Any]]

UP_TO_3 = (2, 1, 3)


@cache
def alone(subset: int, n_modalities: int) -> SubsetScheme:
    """The scheme that encodes one subset always, to ask for its own terms."""
    return SubsetScheme({subset: 1}, n_modalities, allow_empty=True)


def law(choices: Choices, modalities: Sequence[int], units: int) -> Discrete:
    """A table of small rationals, or linear functions of fair bits, where dependence is higher than pairwise."""
    kind = choices.pick((decode.discrete_law, decode.linear_code))
    return kind(choices, modalities, units=units)


def law_cases(modalities: Sequence[int] = UP_TO_3, units: int = 1, settings: Settings | None = None) -> Builder:
    """A law, a scheme and settings."""

    def build(choices: Choices) -> Case:
        data = law(choices, modalities, units)
        scheme = decode.subset_scheme(choices, len(data.names), allow_empty=True)
        return Case(data, scheme, None, {name: draw(choices) for name, draw in (settings or {}).items()})

    return build


def model_cases(modalities: Sequence[int] = UP_TO_3, units: int = 2, settings: Settings | None = None) -> Builder:
    """A law, a scheme and a model: anything, or a code of the data, with its own or with the best decoders."""

    def build(choices: Choices) -> Case:
        chosen = {name: draw(choices) for name, draw in (settings or {}).items()}
        data = law(choices, modalities, units)
        scheme = decode.subset_scheme(choices, len(data.names), allow_empty=True)
        kind = choices.pick(("any", "code", "best"))
        model = (decode.tabular_model if kind == "any" else decode.code_model)(choices, data, scheme)
        if kind == "best":
            model = optimal_decoders(data, scheme, model.encoders)
        return Case(data, scheme, model, chosen)

    return build


def code_cases(
    modalities: Sequence[int], units: int = 1, best: bool = True, settings: Settings | None = None
) -> Builder:
    """Linear functions of fair bits and a latent that guesses their code: where claims about objectives go wrong.

    With ``best`` the decoders are the best for the encoders, otherwise those of a right guess.
    """

    def build(choices: Choices) -> Case:
        data = decode.linear_code(choices, modalities, units=units)
        scheme = choices.pick((mmvae, mopoe))(len(data.names))
        model = decode.code_model(choices, data, scheme)
        if best:
            model = optimal_decoders(data, scheme, model.encoders)
        return Case(data, scheme, model, {name: draw(choices) for name, draw in (settings or {}).items()})

    return build


def gaussian_cases(modalities: Sequence[int] = UP_TO_3, max_size: int = 2, settings: Settings | None = None) -> Builder:
    """A regular Gaussian with scalar units, a scheme and settings."""

    def build(choices: Choices) -> Case:
        data = decode.gaussian_law(choices, modalities, max_size, scalar_units=True)
        scheme = decode.subset_scheme(choices, len(data.names))
        return Case(data, scheme, None, {name: draw(choices) for name, draw in (settings or {}).items()})

    return build
