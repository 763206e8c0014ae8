"""How Delta and the total-correlation term change when a modality is added: identities between entropies (THEORY T8).

Everything here is derived from the definitions, as functionals with exact coefficients, for any law. An information
quantity on a right-hand side is a nonnegative symbol that stands for its entropies, so that an identity proves the
sign of its left-hand side as well. The identities of fixed ``M`` are instances: their form is the proof for all ``M``,
and the arguments that are not computed are in the docstrings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import sympy as sp

from bounds.formulas import Ground, discrepancy, total_correlation
from bounds.functional import TC, Functional, H, I
from bounds.schemes import FAMILIES, SubsetScheme
from bounds.subsets import default_names, mask_of, members
from bounds.symbolic.families import K, M, exchangeable, generative_discrepancy, increment, total_correlation_term
from bounds.symbolic.identity import Definitions, Identity

#: How many modalities the identities of fixed ``M`` start from.
COUNTS = (1, 2, 3, 4)
SCHEMES = ("full", "mmvae", "mopoe")


def scheme_of(family: str, count: int) -> SubsetScheme:
    """The scheme of a family, all subsets enumerated."""
    return FAMILIES["mvae" if family == "full" else family](count)


def discrepancy_functional(names: Sequence[str], scheme: SubsetScheme) -> Functional:
    """``Delta`` of the first ``scheme.n_modalities`` of some variables, see :func:`bounds.formulas.discrepancy`."""
    return discrepancy(Ground.of(names, [1 << m for m in range(scheme.n_modalities)]), scheme)


def total_correlation_functional(
    names: Sequence[str], scheme: SubsetScheme, units: Sequence[int] | None = None
) -> Functional:
    """``TCw`` over units, see :func:`bounds.formulas.total_correlation`; by default unit ``m`` is modality ``m``."""
    units = [1 << m for m in range(scheme.n_modalities)] if units is None else units
    return total_correlation(Ground.of(names, units), scheme)


def expression(functional: Functional, entropy: Callable[[int], sp.Expr]) -> sp.Expr:
    """A functional as a sympy expression, given the entropy of each bitmask."""
    return sp.Add(*(sp.Rational(c) * entropy(mask) for mask, c in functional.coefficients.items()))


def entropy_symbols(names: Sequence[str], discrete: bool = False) -> Callable[[int], sp.Expr]:
    r"""The symbol ``H(X_A)`` of each bitmask, real, or nonnegative for discrete variables.

    >>> entropy_symbols(["X", "Y"])(0b11)
    H(X,Y)
    """
    sign = {"nonnegative": True} if discrete else {"real": True}
    return lambda mask: sp.Symbol(Functional(names, {mask: 1}).to_latex(), **sign) if mask else sp.Integer(0)


def size_identities() -> Iterator[Identity]:
    """The functionals of an enumerated scheme, with ``H(A) = h(|A|)``, are the formulas in the law of the size."""
    h = sp.Function("h", real=True)
    for count in (*COUNTS, 5, 6):
        names = default_names(count)
        for family in SCHEMES:
            for what, functional, formula in (
                ("delta", discrepancy_functional, generative_discrepancy),
                ("tcw", total_correlation_functional, total_correlation_term),
            ):
                by_size = expression(functional(names, scheme_of(family, count)), lambda mask: h(mask.bit_count()))
                yield Identity(
                    f"T8.sizes.{what}.{family}.{count}",
                    f"{what} of {family}({count}) from all its subsets is the average over the size of the subset",
                    by_size,
                    formula(exchangeable(), family, count),
                    "exchangeable law",
                )


def increment_identities() -> Iterator[Identity]:
    """What one more modality adds to Delta, and that a constant one adds a nonnegative amount (THEORY T8).

    With ``c = H(X_{M+1}|X_1..M)``: MMVAE ``c - (H(X_{M+1}) - mean_m H(X_m))/(M+1)``; MoPoE
    ``c - (2^M a - mean_A H(X_A))/(2^(M+1) - 1)`` with ``a`` the mean of ``H(X_{M+1}|X_A)`` over all ``2^M`` subsets
    and the last mean over the nonempty ones. A constant ``X_{M+1}`` has ``H(X_A, X_{M+1}) = H(X_A)``.
    """
    for count in COUNTS:
        names = default_names(count + 1)
        new, top = 1 << count, (1 << count) - 1
        some, every = range(1, top + 1), range(top + 1)
        gained = H(names, new, top)
        one_mean = _sum(names, (H(names, 1 << m) for m in range(count))) / count
        some_mean = _sum(names, (H(names, a) for a in some)) / len(some)
        every_mean = _sum(names, (H(names, new, a) for a in every)) / len(every)
        closed = {
            "mmvae": gained - (H(names, new) - one_mean) / (count + 1),
            "mopoe": gained - (len(every) * every_mean - some_mean) / (2 * len(every) - 1),
        }
        constant = {"mmvae": one_mean / (count + 1), "mopoe": some_mean / (2 * len(every) - 1)}
        for family, right in closed.items():
            wide, narrow = (discrepancy_functional(names, scheme_of(family, n)) for n in (count + 1, count))
            left, symbols = wide - narrow, entropy_symbols(names)
            yield Identity(
                f"T8.increment.{family}.{count}",
                f"what modality {count + 1} adds to Delta of {family}",
                expression(left, symbols),
                expression(right, symbols),
            )
            values = entropy_symbols(names, discrete=True)
            yield Identity(
                f"T8.constant.{family}.{count}",
                f"a constant modality {count + 1} does not decrease Delta of {family}, and increases it if H(X_m) > 0",
                expression(left, _without(new, values)),
                expression(constant[family], values),
                "discrete law; the new modality is constant",
                nonnegative=True,
            )


def monotone_identities() -> Iterator[Identity]:
    """``TC_A`` never grows with ``A``: seeing modality ``J``, here of two units, saves nonnegative terms (THEORY T8).

    ``A`` is one variable: any set of modalities may be joined into one. Hence ``TCw(MoPoE) <= TCw(MMVAE) <= TC(X)``.
    """
    for rest in (0, 1, 2, 3):
        names = ("A", "J1", "J2", *(f"R{i + 1}" for i in range(rest)))
        seen, both, others = 0b001, 0b110, [1 << (3 + i) for i in range(rest)]
        terms = [(1, (0b010, 0b100, seen)), *((1, (other, both, seen)) for other in others)]
        right, where = _informations(names, terms)
        yield Identity(
            f"T8.tc-monotone.{rest}",
            f"TC_A never grows when a modality of two units is added to A ({rest} further units unseen)",
            expression(
                TC(names, [0b010, 0b100, *others], seen) - TC(names, others, seen | both), entropy_symbols(names)
            ),
            right,
            where=where,
            nonnegative=True,
        )


def growth_identities() -> Iterator[Identity]:
    """MMVAE's ``TCw`` of one-unit modalities never decreases when a modality is added (THEORY T8).

    With ``Z`` the new modality, ``i`` and ``j`` over the ``M`` old ones, and ``Y`` all old ones but ``i``, the
    increment times ``M+1`` is ``(1/M) sum_i [2 I(Z;Y|X_i) + sum_{j != i} (I(X_j;X_i|Z) + I(Z;Y_{not j}|X_i,X_j))]``.
    Computed here for the ``M`` of ``COUNTS``. For every ``M`` it is an argument: the increment times ``M+1`` is
    ``sum_i I(Z;Y|X_i) + TC(X|Z) - (1/M) sum_i TC(Y|X_i)``, and the chain rule, used three times, gives
    ``TC(X|Z) = TC(Y|X_i,Z) + sum_j I(X_j;X_i|Z)``, ``TC(Y|X_i) = TC(Y|X_i,Z) + sum_j I(X_j;Z|X_i) - I(Y;Z|X_i)``
    and ``I(Y;Z|X_i) = I(X_j;Z|X_i) + I(Z;Y_{not j}|X_i,X_j)`` for each of the ``M-1`` values of ``j``.
    """
    for count in COUNTS:
        names = default_names(count + 1)
        new, top = 1 << count, (1 << count) - 1
        wide, narrow = (total_correlation_functional(names, scheme_of("mmvae", n)) for n in (count + 1, count))
        terms = [(2, (new, top & ~(1 << i), 1 << i)) for i in range(count)]
        for i in range(count):
            for j in set(range(count)) - {i}:
                pair = mask_of([i, j])
                terms += [(1, (1 << min(i, j), 1 << max(i, j), new)), (1, (new, top & ~pair, pair))]
        right, where = _informations(names, terms)
        yield Identity(
            f"T8.tcw-grows.{count}",
            f"modality {count + 1} does not decrease TCw of mmvae",
            expression((count + 1) * (wide - narrow), entropy_symbols(names)),
            right / count,
            "modalities of one unit each",
            where,
            nonnegative=True,
        )


def exchangeable_identities() -> Iterator[Identity]:
    """Increments for any profile ``h`` and symbolic ``M``: each is a conditional mutual information (THEORY T8)."""
    family = exchangeable()
    h = family.entropy
    added = sp.Symbol("I(X_{M+1};X_{2..M}|X_{1})", nonnegative=True)
    yield Identity(
        "T8.exchangeable.tcw-increment.mmvae",
        "modality M+1 adds I(X_{M+1}; X_2..M | X_1) to TCw of mmvae",
        increment(total_correlation_term, family, "mmvae"),
        added,
        "exchangeable law, modalities of one unit",
        ((added, (h(M) - h(1)) + (h(2) - h(1)) - (h(M + 1) - h(1))),),
        nonnegative=True,
    )
    pair = sp.Symbol("I(X_{i};X_{j}|X_{A})", nonnegative=True)
    outside = sp.Symbol("n", integer=True, nonnegative=True)
    yield Identity(
        "T8.exchangeable.tc-decreases",
        "TC_A decreases with the size k of A, by (M-k-1) I(X_i;X_j|X_A)",
        family.total_correlation(K, K + 1 + outside) - family.total_correlation(K + 1, K + 1 + outside),
        outside * pair,
        "exchangeable law, modalities of one unit; n = M-k-1",
        ((pair, 2 * (h(K + 1) - h(K)) - (h(K + 2) - h(K))),),
        nonnegative=True,
    )
    yield Identity(
        "T8.exchangeable.delta-increment.mmvae",
        "modality M+1 adds H(X_{M+1}|X_1..M) to Delta of mmvae",
        increment(generative_discrepancy, family, "mmvae"),
        h(M + 1) - h(M),
        "exchangeable law",
    )


def common_cause_identities() -> Iterator[Identity]:
    """``X_m = (Y, U_m)`` whose private parts differ but are independent given ``Y`` (THEORY T8).

    At the level of the modality ``TCw`` is zero. At that of the pixel the units of each modality are ``Y`` and two
    pixels, and ``TCw`` is ``sum_m P(m not in A) TC(U_m1; U_m2 | Y)``.
    """
    label = sp.Symbol("H(Y)", real=True)
    for count in COUNTS[1:]:
        private = [sp.Symbol(f"H(U_{{{m}}}|Y)", real=True) for m in range(1, count + 1)]
        pixels = [[sp.Symbol(f"H(U_{{{m}{i}}}|Y)", real=True) for i in (1, 2)] for m in range(1, count + 1)]

        def of_modalities(mask: int, private: Sequence[sp.Symbol] = private) -> sp.Expr:
            return label + sp.Add(*(private[m] for m in members(mask)))

        def of_units(
            mask: int, private: Sequence[sp.Symbol] = private, pixels: Sequence[list[sp.Symbol]] = pixels
        ) -> sp.Expr:
            shares = [(0, first, second, whole) for (first, second), whole in zip(pixels, private, strict=True)]
            return label + sp.Add(*(share[mask >> (3 * m + 1) & 3] for m, share in enumerate(shares)))

        units = [0b111 << 3 * m for m in range(count)]
        unit_names = [f"{unit}{m + 1}" for m in range(count) for unit in ("Y", "U", "V")]
        correlations = [sp.Add(*pair) - whole for pair, whole in zip(pixels, private, strict=True)]
        for family in ("mmvae", "mopoe"):
            scheme = scheme_of(family, count)
            unseen = [sp.Rational(scheme.probability_unseen(m)) for m in range(count)]
            names = default_names(count)
            tcw = total_correlation_functional(names, scheme)
            fine = total_correlation_functional(unit_names, scheme, units)
            for what, left, right in (
                ("delta", expression(discrepancy_functional(names, scheme), of_modalities), _weighted(unseen, private)),
                ("tcw", expression(tcw, of_modalities), sp.Integer(0)),
                ("pixel-tcw", expression(fine, of_units), _weighted(unseen, correlations)),
            ):
                yield Identity(
                    f"T8.common-cause.{what}.{family}.{count}",
                    f"{what} of {family}({count}) is the sum over m of P(m not in A) times that of its private part",
                    left,
                    right,
                    "common-cause law, private parts independent given the label",
                )


def identities() -> Iterator[Identity]:
    """All identities of this module."""
    yield from size_identities()
    yield from increment_identities()
    yield from monotone_identities()
    yield from growth_identities()
    yield from exchangeable_identities()
    yield from common_cause_identities()


def _sum(names: Sequence[str], functionals: Iterator[Functional]) -> Functional:
    return sum(functionals, Functional(names, {}))


def _without(constant: int, entropy: Callable[[int], sp.Expr]) -> Callable[[int], sp.Expr]:
    return lambda mask: entropy(mask & ~constant)


def _weighted(weights: Sequence[sp.Rational], values: Sequence[sp.Expr]) -> sp.Expr:
    return sp.Add(*(weight * value for weight, value in zip(weights, values, strict=True)))


def _informations(
    names: Sequence[str], terms: Sequence[tuple[int, tuple[int, int, int]]]
) -> tuple[sp.Expr, Definitions]:
    """``sum of c I(A;B|C)`` over ``(c, (A, B, C))`` in nonnegative symbols, and what they stand for."""

    def shown(mask: int) -> str:
        return Functional(names, {mask: 1}).to_latex()[2:-1]

    total, meanings = sp.Integer(0), {}
    for coefficient, (a, b, given) in terms:
        if a and b:
            symbol = sp.Symbol(f"I({shown(a)};{shown(b)}|{shown(given)})", nonnegative=True)
            meanings[symbol] = expression(I(names, a, b, given), entropy_symbols(names))
            total += Fraction(coefficient) * symbol
    return total, tuple(meanings.items())
