"""Rescaled, sub-sampled and private-latent objectives, coherence, and floors from pairs (THEORY T10)."""

from __future__ import annotations

import math

import numpy as np

from bounds.ceilings import elbo_ceiling, total_correlation_term
from bounds.choices import Choices
from bounds.finite import TabularVAE, objective
from bounds.functional import Functional, I
from bounds.joints import Discrete
from bounds.schemes import SubsetScheme, mmvae, mvae_subsampled
from bounds.subsets import members
from bounds.theorems import proofs
from bounds.theorems.base import Case, Theorem, at_least
from bounds.theorems.cases import law, law_cases, model_cases
from bounds.theorems.private import PrivateModel, private_cases, private_elbo
from bounds.theorems.t0 import reference_case
from bounds.theorems.tables import Tables, kl, ratio


def _beta(choices: Choices) -> float:
    return choices.pick((1.0, 0.5, 2.0, 0.0, 4.0))


def _scales(choices: Choices) -> tuple[float, ...]:
    return tuple(choices.pick((1.0, 0.5, 2.0, 5.0)) for _ in range(3))


def _scaled(case: Case) -> dict[str, float]:
    return dict(zip(case.law.names, case.settings["scales"], strict=False))


def _rescaled(case: Case) -> float:
    assert isinstance(case.law, Discrete)
    assert case.model is not None
    given = {"beta": case.settings["beta"], "scales": _scaled(case)}
    ceiling = float(elbo_ceiling(case.h, case.mixture, "rescaled", **given))
    return at_least(ceiling, objective(case.model, case.law, case.mixture, "rescaled", **given))


def _beta_margin(case: Case) -> float:
    assert isinstance(case.law, Discrete)
    assert case.model is not None
    beta = case.settings["beta"]
    ceiling = float(elbo_ceiling(case.h, case.mixture, "beta", beta=beta))
    return at_least(ceiling, objective(case.model, case.law, case.mixture, "beta", beta=beta))


def _t2_for_beta(case: Case) -> float:
    assert isinstance(case.law, Discrete)
    assert case.model is not None
    value = objective(case.model, case.law, case.mixture, "beta", beta=case.settings["beta"])
    return at_least(float(elbo_ceiling(case.h, case.mixture)), value)


def subsampled_cases(choices: Choices) -> Case:
    """A model with an encoder for every term of MVAE's sum of ELBOs."""
    from bounds.choices import code_model, tabular_model

    data = law(choices, (2, 3, 1), 1)
    scheme = mvae_subsampled(len(data.names), choices.integer(0, 2))
    return Case(data, scheme, choices.pick((tabular_model, code_model))(choices, data, scheme))


def independent_bits_without_a_latent() -> Case:
    """Two independent fair bits and a constant latent: every term is minus the entropy of its modalities."""
    bit = np.full((1, 2), 0.5)
    encoders = {0b01: np.ones((2, 1)), 0b10: np.ones((2, 1)), 0b11: np.ones((2, 2, 1))}
    return Case(Discrete(np.full((2, 2), 0.25)), mvae_subsampled(2), TabularVAE(np.ones(1), [bit, bit], encoders))


def _subsampled(case: Case) -> float:
    assert isinstance(case.law, Discrete)
    assert case.model is not None
    ceiling = float(elbo_ceiling(case.h, case.mixture, "sub-sampled"))
    return at_least(ceiling, objective(case.model, case.law, case.mixture, "sub-sampled"))


def _own(case: Case) -> float:
    assert isinstance(case.law, Discrete)
    model: PrivateModel = case.settings["private"]
    ceiling = float(elbo_ceiling(case.h, mmvae(len(case.law.names)), "private-own"))
    return at_least(ceiling, private_elbo(model, case.law, auxiliary=False))


def _auxiliary(case: Case) -> float:
    assert isinstance(case.law, Discrete)
    model: PrivateModel = case.settings["private"]
    ceiling = float(elbo_ceiling(case.h, mmvae(len(case.law.names)), "private-auxiliary"))
    return at_least(ceiling, private_elbo(model, case.law, auxiliary=True))


def _unit_level_for_own(case: Case) -> float:
    """The unit-level ceiling, held against own private encoders, which can carry what the units share."""
    assert isinstance(case.law, Discrete)
    ceiling = float(elbo_ceiling(case.h, mmvae(len(case.law.names))))
    return at_least(ceiling, private_elbo(case.settings["private"], case.law, auxiliary=False))


def mvtcae_cases(choices: Choices) -> Case:
    """Data, an encoder of all of it, and laws ``r(z)``, ``r_v(z|x_v)``, optimal or not; ``alpha``."""
    data = law(choices, (2, 3, 1), 1)
    latents = choices.integer(1, 4)
    alphabets = data.unit_alphabets
    q = choices.laws([*alphabets, latents]) if choices.integer(0, 1) else _identity_code(data)
    return Case(data, None, None, {"q": q, "alpha": choices.pick((0.5, 0.0, 1.0, 0.25))})


def _identity_code(data: Discrete) -> np.ndarray:
    """``Z = X``: the encoder that attains MVTCAE's supremum."""
    cells = math.prod(data.unit_alphabets)
    return np.eye(cells).reshape([*data.unit_alphabets, cells])


def _mvtcae(case: Case) -> float:
    """The objective at its best decoders and laws ``r``, which are the aggregated ones, against its supremum."""
    assert isinstance(case.law, Discrete)
    q, alpha = np.asarray(case.settings["q"]), float(case.settings["alpha"])
    count = len(case.law.names)
    data = case.law.pmf.reshape([*case.law.unit_alphabets, 1])
    joint = data * q
    latent = joint.sum(axis=tuple(range(count)))
    value = -(1 - alpha) * kl(joint, q, latent)
    for v in range(count):
        pair = joint.sum(axis=tuple(u for u in range(count) if u != v), keepdims=True)
        of_data = ratio(pair, latent)
        of_latent = ratio(pair, pair.sum(axis=-1, keepdims=True))
        value += (count - alpha) / count * kl(joint, of_data, np.ones_like(of_data)) - alpha / count * kl(
            joint, q, of_latent
        )
    return float(elbo_ceiling(case.h, SubsetScheme({(1 << count) - 1: 1}, count), "mvtcae", alpha=alpha)) - value


def mvtcae_identity() -> Case:
    """``Z = X`` for a law of three modalities."""
    data = Discrete(np.arange(1, 13).reshape(2, 3, 2) / 78)
    return Case(data, None, None, {"q": _identity_code(data), "alpha": 0.5})


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
        decoder = ratio(tables.model(rest), tables.model(()))
        generated = (tables.encoder(subset.subset) * decoder).sum(axis=-1, keepdims=True)
        worst = min(worst, subset.slack - kl(product, ratio(product, known), generated))
    return worst


def _chow_liu(case: Case) -> float:
    """TC(X_R|X_A) against the heaviest spanning forest of the pairwise conditional informations (Kruskal)."""
    h = case.law.entropy_vector()
    count = len(case.law.names)
    worst = math.inf
    for subset in range((1 << count) - 1):
        rest = members(((1 << count) - 1) & ~subset)
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
        term = float(total_correlation_term(h, SubsetScheme({subset: 1}, count, allow_empty=True)))
        worst = min(worst, term - forest)
    return worst


def _pairs(case: Case) -> float:
    """``I(X_i;X_j|X_A) >= I(X_i;X_j) - min{I(X_i;X_A), I(X_j;X_A)}`` with the last modality as ``X_A``."""
    h = case.law.entropy_vector()
    n = h.names
    smaller = min(_value(h, I(n, 1, 4)), _value(h, I(n, 2, 4)))
    return _value(h, I(n, 1, 2, 4)) - _value(h, I(n, 1, 2)) + smaller


def _value(h, functional: Functional) -> float:  # type: ignore[no-untyped-def]
    return float(h.value(functional))


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
    _own,
    private_cases,
    depends=("T2",),
)

PRIVATE_OWN_UNITS = Theorem(
    "T10.3.units",
    "The unit-level ceiling with own private encoders",
    "The ceiling with the total correlation between units bounds models with own private encoders.",
    r"\mathcal{L}\le-H(X)-\sum_m w_m\mathrm{TC}^{\text{units}}(X_{\setminus m}|X_m)",
    ("discrete data", "K=1"),
    "this project, as a mistake to be made",
    _unit_level_for_own,
    private_cases,
    holds=False,
)

PRIVATE_AUXILIARY = Theorem(
    "T10.3.auxiliary",
    "Ceiling of MMVAE+",
    "With the unseen private latents drawn from auxiliary priors the whole unit-level ceiling comes back.",
    r"\mathcal{L}_m\le-H(X_m)-\sum_{u\notin m}H(X_u|X_m)",
    ("discrete data", "K=1", "own density in the shared KL"),
    "this project; the objective is quoted from memory",
    _auxiliary,
    private_cases,
    depends=("T2",),
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
    witness=lambda: reference_case("private-noise"),
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
