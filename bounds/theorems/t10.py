"""Rescaled, sub-sampled and private-latent objectives, coherence, and floors from pairs (THEORY T10)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bounds.ceilings import total_correlation_term
from bounds.choices import Choices, code_model, tabular_model
from bounds.entropies import EntropyVector
from bounds.finite import TabularVAE
from bounds.functional import Functional, I
from bounds.joints import Discrete
from bounds.schemes import full, mvae_subsampled
from bounds.subsets import members
from bounds.theorems import proofs
from bounds.theorems.base import Case, Theorem, at_least
from bounds.theorems.cases import alone, law, law_cases, model_cases
from bounds.theorems.private import copying_cases, label_and_parity, private_cases, private_elbo
from bounds.theorems.t0 import reference_case
from bounds.theorems.tables import Tables, kl, ratio


def _beta(choices: Choices) -> float:
    return choices.pick((1.0, 0.5, 2.0, 0.0, 4.0))


def _scales(choices: Choices) -> tuple[float, ...]:
    return tuple(choices.pick((1.0, 0.5, 2.0, 5.0)) for _ in range(3))


def _scaled(case: Case) -> dict[str, float]:
    return dict(zip(case.law.names, case.settings["scales"], strict=False))


def _rescaled(case: Case) -> float:
    given = {"beta": case.settings["beta"], "scales": _scaled(case)}
    return at_least(case.ceiling("rescaled", **given), case.objective("rescaled", **given))


def _beta_margin(case: Case) -> float:
    given = {"beta": case.settings["beta"]}
    return at_least(case.ceiling("beta", **given), case.objective("beta", **given))


def _t2_for_beta(case: Case) -> float:
    return at_least(case.ceiling(), case.objective("beta", beta=case.settings["beta"]))


def subsampled_cases(choices: Choices) -> Case:
    """A model with an encoder for every term of MVAE's sum of ELBOs."""
    data = law(choices, (2, 3, 1), 1)
    scheme = mvae_subsampled(len(data.names), choices.integer(0, 2))
    return Case(data, scheme, choices.pick((tabular_model, code_model))(choices, data, scheme))


def independent_bits_without_a_latent() -> Case:
    """Two independent fair bits and a constant latent: every term is minus the entropy of its modalities."""
    bit = np.full((1, 2), 0.5)
    encoders = {0b01: np.ones((2, 1)), 0b10: np.ones((2, 1)), 0b11: np.ones((2, 2, 1))}
    return Case(Discrete(np.full((2, 2), 0.25)), mvae_subsampled(2), TabularVAE(np.ones(1), [bit, bit], encoders))


def _subsampled(case: Case) -> float:
    return at_least(case.ceiling("sub-sampled"), case.objective("sub-sampled"))


def _private(ceiling: str, auxiliary: bool) -> Callable[[Case], float]:
    """A ceiling held against models with private latents, whose unseen ones are encoded or auxiliary."""

    def margin(case: Case) -> float:
        return at_least(case.ceiling(ceiling), private_elbo(case.settings["private"], case.table, auxiliary))

    return margin


def mvtcae_cases(choices: Choices) -> Case:
    """Data, an encoder of all of it, any or the one that attains the supremum, and ``alpha``."""
    data = law(choices, (2, 3, 1), 1)
    latents = choices.integer(1, 4)
    alphabets = data.unit_alphabets
    q = choices.laws([*alphabets, latents]) if choices.integer(0, 1) else _identity_code(data)
    return Case(data, full(len(data.names)), None, {"q": q, "alpha": choices.pick((0.5, 0.0, 1.0, 0.25))})


def _identity_code(data: Discrete) -> np.ndarray:
    """``Z = X``: the encoder that attains MVTCAE's supremum."""
    cells = math.prod(data.unit_alphabets)
    return np.eye(cells).reshape([*data.unit_alphabets, cells])


def _mvtcae(case: Case) -> float:
    """The objective at its best decoders and laws ``r``, which are the aggregated ones, against its supremum."""
    q, alpha = np.asarray(case.settings["q"]), float(case.settings["alpha"])
    count = len(case.law.names)
    joint = case.table.pmf[..., None] * q
    latent = joint.sum(axis=tuple(range(count)))
    value = -(1 - alpha) * kl(joint, q, latent)
    for v in range(count):
        pair = joint.sum(axis=tuple(u for u in range(count) if u != v), keepdims=True)
        of_data = ratio(pair, latent)
        of_latent = ratio(pair, pair.sum(axis=-1, keepdims=True))
        value += (count - alpha) / count * kl(joint, of_data, np.ones_like(of_data)) - alpha / count * kl(
            joint, q, of_latent
        )
    return at_least(case.ceiling("mvtcae", alpha=alpha), value)


def mvtcae_identity() -> Case:
    """``Z = X`` for a law of three modalities."""
    data = Discrete(np.arange(1, 13).reshape(2, 3, 2) / 78)
    return Case(data, full(3), None, {"q": _identity_code(data), "alpha": 0.5})


def _coherence(case: Case) -> float:
    """``E KL(prod_m p(x_m|x_A) || p_gen(x_R|x_A)) <= epsilon_A`` for every encoded subset."""
    tables = Tables(case)
    worst = math.inf
    for subset in case.terms.subsets:
        rest = tuple(u for u in range(tables.n_units) if u not in subset.seen)
        if not rest or not math.isfinite(subset.slack):
            continue
        known = tables.marginal(tables.data, subset.seen)
        product = known
        for u in rest:
            product = product * ratio(tables.marginal(tables.data, (*subset.seen, u)), known)
        decoder = np.exp(tables.log_decoder(rest))
        generated = (tables.encoder(subset.subset) * decoder).sum(axis=-1, keepdims=True)
        worst = np.min([worst, subset.slack - kl(product, ratio(product, known), generated)])  # NaN counts
    return float(worst)


def _chow_liu(case: Case) -> float:
    """TC(X_R|X_A) against the heaviest spanning forest of the pairwise conditional informations (Kruskal)."""
    h = case.law.entropy_vector()
    count = len(case.law.names)
    worst = 0.0
    for subset in range((1 << count) - 1):
        rest = members(((1 << count) - 1) & ~subset)
        if len(rest) < 2:  # both are zero
            continue
        pairs = sorted(
            ((_value(h, I(h.names, 1 << i, 1 << j, subset)), i, j) for i in rest for j in rest if i < j), reverse=True
        )
        group = {i: i for i in rest}
        forest = 0.0
        for weight, i, j in pairs:
            if group[i] != group[j]:
                forest += weight
                merged, gone = group[i], group[j]
                group = {k: merged if g == gone else g for k, g in group.items()}
        term = float(total_correlation_term(h, alone(subset, count)))
        worst = min(worst, term - forest)
    return worst


def _pairs(case: Case) -> float:
    """``I(X_i;X_j|X_A) >= I(X_i;X_j) - min{I(X_i;X_A), I(X_j;X_A)}`` with the last modality as ``X_A``."""
    h = case.law.entropy_vector()
    n = h.names
    smaller = min(_value(h, I(n, 1, 4)), _value(h, I(n, 2, 4)))
    return _value(h, I(n, 1, 2, 4)) - _value(h, I(n, 1, 2)) + smaller


def _value(h: EntropyVector, functional: Functional) -> float:
    return float(h.value(functional))


def a_bit_of_two() -> Case:
    """One of two fair bits, then twice both: the last modality knows all that the others share, and more."""
    pmf = np.zeros((2, 4, 4))
    for both in range(4):
        pmf[both % 2, both, both] = 0.25
    return Case(Discrete(pmf))


RESCALED = Theorem(
    "T10.1",
    "Ceiling of rescaled objectives",
    "With the KL multiplied by beta and each unit's log-likelihood by its own scale.",
    r"\le-\sum_A w_A\bigl[\min(\beta,\min_{m\in A}\lambda_m)H(X_A)+\sum_{m\notin A}\lambda_mH(X_m|X_A)\bigr]",
    ("discrete data",),
    "this project",
    _rescaled,
    model_cases(units=1, settings={"beta": _beta, "scales": _scales}),
    witness=lambda: reference_case("private-noise", {"beta": 1.0, "scales": (1.0, 1.0)}),
)

BETA = Theorem(
    "T10.1.beta",
    "Ceiling of the beta-ELBO",
    "T2 holds for beta of at least 1; below it only beta H(X_A) of the seen part is charged.",
    r"\beta\ge1:\ \mathcal{L}_\beta\le-H(X)-\sum_A w_A\mathrm{TC}_A",
    ("discrete data",),
    "this project",
    _beta_margin,
    model_cases(settings={"beta": _beta}),
    depends=("T2",),
    witness=lambda: reference_case("twin-bit", {"beta": 1.0}),
)

T2_FOR_BETA = Theorem(
    "T10.1.T2",
    "T2 for the beta-ELBO",
    "The T2 ceiling bounds the beta-ELBO.",
    r"\mathcal{L}_\beta\le-H(X)-\sum_A w_A\mathrm{TC}_A",
    ("beta of at least 1",),
    "this project",
    _t2_for_beta,
    model_cases(settings={"beta": lambda choices: choices.pick((1.0, 2.0, 1.5))}),
    without=("beta of at least 1", model_cases(settings={"beta": lambda choices: choices.pick((0.5, 0.0))})),
    witness=lambda: reference_case("twin-bit", {"beta": 1.0}),
)

SUB_SAMPLED = Theorem(
    "T10.2",
    "Ceiling of MVAE's sum of ELBOs",
    "Each term is bounded by minus the entropy of its own modalities.",
    r"\sum_A c_A\,\mathrm{ELBO}_A(x_A)\le-\sum_A c_A H(X_A)",
    ("c_A >= 0",),
    "this project",
    _subsampled,
    subsampled_cases,
    witness=independent_bits_without_a_latent,
)

PRIVATE_OWN = Theorem(
    "T10.3.own",
    "Ceiling with private latents encoded from their own modality",
    "Own private encoders leave T2 with the total correlation between modalities only.",
    r"\mathcal{L}\le-H(X)-\sum_m w_m\mathrm{TC}^{\text{modalities}}(X_{\setminus m}|X_m)",
    ("discrete data", "K=1"),
    "this project",
    _private("private-own", auxiliary=False),
    private_cases,
    depends=("T2",),
    witness=label_and_parity,
)

PRIVATE_OWN_UNITS = Theorem(
    "T10.3.units",
    "The unit-level ceiling with own private encoders",
    "The ceiling with the total correlation between units bounds models with own private encoders.",
    r"\mathcal{L}\le-H(X)-\sum_m w_m\mathrm{TC}^{\text{units}}(X_{\setminus m}|X_m)",
    ("discrete data", "K=1"),
    "this project, as a mistake to be made",
    _private("own-density", auxiliary=False),
    copying_cases,
    holds=False,
)

PRIVATE_AUXILIARY = Theorem(
    "T10.3.auxiliary",
    "Ceiling of MMVAE+",
    "With the unseen private latents drawn from auxiliary priors the whole unit-level ceiling comes back.",
    r"\mathcal{L}_m\le-H(X_m)-\sum_{u\notin m}H(X_u|X_m)",
    ("discrete data", "K=1", "own density in the shared KL"),
    "this project; the objective is quoted from memory",
    _private("private-auxiliary", auxiliary=True),
    private_cases,
    depends=("T2",),
    witness=label_and_parity,
)

MVTCAE = Theorem(
    "T10.4",
    "Supremum of MVTCAE's objective",
    "It is the total correlation less a share of the marginal entropies, attained by a latent that copies the data.",
    r"\sup=\mathrm{TC}(X)-\tfrac{V-\alpha}{V}\sum_v H(X_v)",
    ("discrete data", "one unit per modality"),
    "this project; the objective is quoted from memory",
    _mvtcae,
    mvtcae_cases,
    witness=mvtcae_identity,
    note="Not a bound on log p(x).",
)

COHERENCE = Theorem(
    "T10.5",
    "Coherence of a model near its ceiling",
    "The generated unseen units are within the slack of being independent given the seen part.",
    r"\mathbb{E}\,\mathrm{KL}\bigl(\textstyle\prod_{m\notin A}p(x_m|x_A)\,\|\,p_{gen}(x_R|x_A)\bigr)\le\varepsilon_A",
    ("discrete data",),
    "this project",
    _coherence,
    model_cases(modalities=(2, 3), units=1),
    depends=("T2.slack",),
    witness=lambda: reference_case("twin-bit"),
)

CHOW_LIU = Theorem(
    "T10.6",
    "Chow-Liu floor",
    "The total correlation is at least the weight of the heaviest spanning forest of pairwise informations.",
    r"\mathrm{TC}_A\ge\max_{\text{forest}}\sum_{(i,j)}I(X_i;X_j|X_A)",
    (),
    "this project, after Chow and Liu 1968",
    _chow_liu,
    law_cases(modalities=(3, 2, 4)),
    proof=proofs.chow_liu,
    witness=lambda: Case(Discrete(np.full((2, 2), 0.25)), None),
)

PAIRS = Theorem(
    "T10.6.pairs",
    "Pairs without conditioning",
    "A conditional information is at least the information less what the condition knows of either side.",
    r"I(X_i;X_j|X_A)\ge I(X_i;X_j)-\min\{I(X_i;X_A),I(X_j;X_A)\}",
    (),
    "this project",
    _pairs,
    law_cases(modalities=(3,)),
    proof=proofs.pairs,
    witness=a_bit_of_two,
)


THEOREMS = (
    RESCALED,
    BETA,
    T2_FOR_BETA,
    SUB_SAMPLED,
    PRIVATE_OWN,
    PRIVATE_OWN_UNITS,
    PRIVATE_AUXILIARY,
    MVTCAE,
    COHERENCE,
    CHOW_LIU,
    PAIRS,
)
