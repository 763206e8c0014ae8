"""The registry's checks can fail: faults planted in the formulas, one at a time, and the claim that each one breaks.

A fault is the function's own source with one fragment replaced. Proofs are left out, so that what catches a fault is
the search, with a shrunk counterexample, or the witness of tightness where a fault makes a ceiling true but loose.
"""

import __future__

import dataclasses
import importlib
import inspect
import sys
import textwrap
from fractions import Fraction

import numpy as np
import pytest

from bounds import objectives, prove
from bounds.certificates import verify
from bounds.theorems import DEFAULT_EXAMPLES, REGISTRY, check
from bounds.theorems.base import TOLERANCE


@dataclasses.dataclass(frozen=True)
class Fault:
    """In ``module:function``, or ``module:Class.method``, the text ``old`` becomes ``new``."""

    id: str
    claim: str
    where: str
    old: str
    new: str
    caught_by: str = "counterexample"


FORMULAS, OBJECTIVES, FINITE, ELBO = "bounds.formulas", "bounds.objectives", "bounds.finite", "bounds.elbo"
COROLLARIES, CEILINGS, PRIVATE = "bounds.theorems.corollaries", "bounds.ceilings", "bounds.theorems.private"
T5, T6, T10 = (f"bounds.theorems.{name}" for name in ("t5", "t6", "t10"))

FAULTS = [
    # Delta
    Fault(
        "Delta with its sign flipped",
        "COR2",
        f"{FORMULAS}:discrepancy",
        "return terms.functional()",
        "return -terms.functional()",
    ),
    Fault(
        "Delta with an extra H(X)",
        "COR1",
        f"{FORMULAS}:discrepancy",
        "return terms.functional()",
        "return terms.functional() + joint_entropy(ground)",
    ),
    Fault(
        "Delta with weights not normalised",
        "T8.han",
        f"{FORMULAS}:discrepancy",
        "in _mixture(scheme):",
        "in ((subset, 2 * w) for subset, w in scheme):",
    ),
    Fault(
        "Delta with equal weights",
        "COR2",
        f"{FORMULAS}:discrepancy",
        "in _mixture(scheme):",
        "in ((subset, Fraction(1)) for subset, _ in scheme):",
    ),
    Fault(
        "Delta of the seen part: H(X_A)",
        "COR1",
        f"{FORMULAS}:discrepancy",
        "terms.add(terms.top, weight)\n        terms.add(terms.seen(subset), -weight)",
        "terms.add(terms.seen(subset), weight)",
    ),
    Fault(
        "Delta without conditioning: H(X_rest)",
        "COR2",
        f"{FORMULAS}:discrepancy",
        "terms.add(terms.top, weight)\n        terms.add(terms.seen(subset), -weight)",
        "terms.add(terms.top & ~terms.seen(subset), weight)",
    ),
    Fault(
        "Delta shifts with the scale of seen modalities",
        "T9.shift",
        f"{FORMULAS}:discrepancy",
        "terms.add(terms.seen(subset), -weight)",
        "terms.add(terms.top & ~terms.seen(subset), -weight)",
    ),
    # the floor, the total-correlation term and T2
    Fault(
        "H(X_m) instead of H(X_m|X_A)", "T1", f"{FORMULAS}:Terms.add_unseen", "known = self.seen(subset)", "known = 0"
    ),
    Fault(
        "H(X_m) instead of H(X_m|X_A) in T2",
        "T2",
        f"{FORMULAS}:Terms.add_unseen",
        "known = self.seen(subset)",
        "known = 0",
    ),
    Fault(
        "conditioning on one modality too many",
        "T2.slack",
        f"{FORMULAS}:Terms.add_unseen",
        "known = self.seen(subset)",
        "known = self.seen(subset | 1)",
    ),
    Fault(
        "the last unseen unit left out",
        "T2.slack",
        f"{FORMULAS}:Terms.unseen",
        "return members(self.top & ~self.seen(subset))",
        "return members(self.top & ~self.seen(subset))[:-1]",
    ),
    Fault(
        "the last unseen unit left out of the floor",
        "T1",
        f"{FORMULAS}:Terms.unseen",
        "return members(self.top & ~self.seen(subset))",
        "return members(self.top & ~self.seen(subset))[:-1]",
        "witness",
    ),
    Fault(
        "seen and unseen swapped",
        "T2.slack",
        f"{FORMULAS}:Terms.unseen",
        "self.top & ~self.seen(subset)",
        "self.seen(subset)",
    ),
    Fault(
        "subset replaced by its complement",
        "T1",
        f"{FORMULAS}:Terms.seen",
        "union(self.ground.modality_units, subset)",
        "self.top & ~union(self.ground.modality_units, subset)",
    ),
    Fault(
        "H(X_A) subtracted once, not once a unit",
        "T2.slack",
        f"{FORMULAS}:Terms.add_unseen",
        "-len(unseen) * weight",
        "-weight",
    ),
    Fault(
        "weights of the floor not normalised",
        "T1",
        f"{FORMULAS}:unseen_entropies",
        "terms.add_unseen(subset, weight)",
        "terms.add_unseen(subset, 2 * weight)",
    ),
    Fault(
        "weights of the floor halved",
        "T1",
        f"{FORMULAS}:unseen_entropies",
        "terms.add_unseen(subset, weight)",
        "terms.add_unseen(subset, weight / 2)",
        "witness",
    ),
    Fault(
        "total correlation with its sign flipped",
        "T8.schemes",
        f"{FORMULAS}:total_correlation",
        "return unseen_entropies(ground, scheme) - discrepancy(ground, scheme)",
        "return discrepancy(ground, scheme) - unseen_entropies(ground, scheme)",
    ),
    Fault(
        "total correlation without Delta",
        "T9.term",
        f"{FORMULAS}:total_correlation",
        " - discrepancy(ground, scheme)",
        "",
    ),
    Fault(
        "total correlation without Delta, closed form",
        "T8.gaussian",
        f"{FORMULAS}:total_correlation",
        " - discrepancy(ground, scheme)",
        "",
    ),
    Fault(
        "total correlation twice",
        "T8.gaussian",
        f"{FORMULAS}:total_correlation",
        "return unseen_entropies(ground, scheme) - discrepancy(ground, scheme)",
        "return 2 * unseen_entropies(ground, scheme) - 2 * discrepancy(ground, scheme)",
    ),
    Fault("T2 without H(X_A)", "T2.slack", f"{OBJECTIVES}:_own_density", "-seen_entropies(h, scheme) ", ""),
    Fault(
        "T2 with H(X_A) added",
        "T2.slack",
        f"{OBJECTIVES}:_own_density",
        "-seen_entropies(h, scheme)",
        "seen_entropies(h, scheme)",
    ),
    Fault(
        "T2 with minus H(X) too much",
        "T2",
        f"{OBJECTIVES}:_own_density",
        "-seen_entropies(h, scheme)",
        "-joint_entropy(h)",
    ),
    Fault(
        "T2 between modalities, not units",
        "T2.slack",
        f"{OBJECTIVES}:_own_density",
        "return Ceiling(",
        "if h.n_units > h.n_modalities:\n        return _private_own(h, scheme, {})\n    return Ceiling(",
    ),
    Fault(
        "bits for nats in the ceiling",
        "T2.slack",
        "bounds.ceilings:elbo_ceiling",
        "ceiling.functional,\n        ceiling.constant,",
        "ceiling.functional * 1000000 / 693147,\n        ceiling.constant,",
    ),
    # T5
    Fault(
        "H(w) with the wrong sign", "T5.mixture", f"{OBJECTIVES}:_mixture_density", "scheme.entropy", "-scheme.entropy"
    ),
    Fault("the higher of two ceilings", "T5.mixture", f"{OBJECTIVES}:_lowest", "return min(", "return max(", "witness"),
    Fault(
        "the mixture's density treated as each encoder's own",
        "T5.identity",
        f"{ELBO}:MixtureTerms.mixture_elbo",
        "self.mixture_kl",
        "self.kl",
    ),
    Fault(
        "I(A;Z) instead of I(A;Z|X)",
        "T5.identity",
        f"{FINITE}:elbo_terms",
        "I(names, 1, latent, sum(units))",
        "I(names, 1, latent)",
    ),
    Fault(
        "credit of K samples with the wrong sign",
        "T5.iwae",
        f"{OBJECTIVES}:_iwae",
        "(len(unseen) - 1) * math.log(k)",
        "-(len(unseen) - 1) * math.log(k)",
    ),
    Fault(
        "credit of (|R| - 2) ln K",
        "T5.iwae",
        f"{OBJECTIVES}:_iwae",
        "(len(unseen) - 1) * math.log(k)",
        "(len(unseen) - 2) * math.log(k)",
    ),
    Fault(
        "K samples of the mixture without the mean over them",
        "T5.iwae-mixture",
        f"{T5}:importance_weighted",
        "weights.reshape(shape) / k",
        "weights.reshape(shape)",
    ),
    # the finite model
    Fault(
        "decoders of unseen units left out",
        "T1",
        f"{FINITE}:_subset_terms",
        "for pair, log in zip(pairs, log_decoders, strict=True)",
        "for u, (pair, log) in enumerate(zip(pairs, log_decoders, strict=True)) if u in seen",
    ),
    Fault(
        "decoders of seen units left out",
        "T2",
        f"{FINITE}:_subset_terms",
        "for pair, log in zip(pairs, log_decoders, strict=True)",
        "for u, (pair, log) in enumerate(zip(pairs, log_decoders, strict=True)) if u not in seen",
    ),
    Fault("KL with the wrong sign", "T2", f"{ELBO}:SubsetTerms.elbo", "- self.kl", "+ self.kl"),
    Fault("KL left out", "T2", f"{ELBO}:SubsetTerms.elbo", " - self.kl", ""),
    Fault(
        "KL to a uniform prior",
        "T2.slack",
        f"{FINITE}:_subset_terms",
        "np.log(q) - np.log(model.prior)",
        "np.log(q) + np.log(len(model.prior))",
    ),
    Fault(
        "KL the other way round",
        "T2.slack",
        f"{FINITE}:_subset_terms",
        "_expectation(known * q, np.log(q) - np.log(model.prior))",
        "_expectation(known * model.prior, np.log(model.prior) - np.log(q))",
    ),
    Fault(
        "evidence from the prior alone",
        "T6",
        f"{FINITE}:elbo_terms",
        "_log_joint(model, everything)",
        "_log_joint(model, ())",
    ),
    Fault(
        "evidence of the subset from the prior alone",
        "T0.repair",
        f"{FINITE}:_subset_terms",
        "evidence=_expectation(known[..., 0], np.logaddexp.reduce(log_seen, axis=-1))",
        "evidence=_expectation(known[..., 0], np.logaddexp.reduce(_log_joint(model, ()), axis=-1))",
        "witness",
    ),
    Fault(
        "evidence by the best latent, not their sum",
        "T6",
        f"{FINITE}:elbo_terms",
        "np.logaddexp.reduce",
        "np.maximum.reduce",
    ),
    Fault(
        "data weighted without the encoder in the slack",
        "T2.slack",
        f"{FINITE}:_subset_terms",
        "np.log(known) + np.log(q) - log_seen",
        "np.log(q) - log_seen",
    ),
    Fault(
        "best decoders not of the aggregated posterior",
        "T3.attained",
        f"{FINITE}:optimal_decoders",
        "mixture = _joint(law, scheme, laws).sum(axis=0)",
        "mixture = _joint(law, scheme, laws)[0] / float(next(iter(scheme))[1])",
    ),
    Fault(
        "TC(X) instead of TC(X|Z)",
        "T3.attained",
        f"{FINITE}:elbo_terms",
        "TC(names, units, latent)",
        "TC(names, units)",
    ),
    Fault(
        "I(A;Z|X) left out of the best ELBO",
        "T3.attained",
        f"{ELBO}:MixtureTerms.best_elbo",
        ", self.label_information",
        "",
    ),
    Fault(
        "bits for nats in the finite model's information",
        "T3.attained",
        f"{FINITE}:_evaluate",
        "c * entropy for",
        "c * entropy / math.log(2) for",
    ),
    Fault(
        "the repaired theorem with the whole evidence",
        "T0.repair",
        f"{ELBO}:ElboTerms.repaired",
        "self.subset_evidence",
        "self.evidence",
    ),
    # T10
    Fault(
        "beta below 1 charged as 1",
        "T10.1.beta",
        f"{OBJECTIVES}:_beta",
        "_multiplier(given) >= 1",
        "_multiplier(given) >= 0",
    ),
    Fault("the largest scale of the seen part", "T10.1", f"{OBJECTIVES}:_rescaled", "min([beta", "max([beta"),
    Fault("rescaling without beta", "T10.1", f"{OBJECTIVES}:_rescaled", "min([beta, *(", "min([1, *("),
    Fault(
        "scales not applied to unseen units", "T10.1", f"{OBJECTIVES}:_rescaled", "-weight * scale[unit])", "-weight)"
    ),
    Fault(
        "beta ceiling with the seen part never charged",
        "T10.1",
        f"{OBJECTIVES}:_rescaled",
        "terms.add(known, -weight * seen)",
        "pass",
        "witness",
    ),
    Fault(
        "MVAE's terms charged with H(X)",
        "T10.2",
        f"{OBJECTIVES}:_sub_sampled",
        "-seen_entropies(h, scheme)",
        "-sum(w for _, w in scheme) * joint_entropy(h)",
    ),
    Fault(
        "MVAE's terms with weights not normalised",
        "T10.2",
        f"{OBJECTIVES}:_sub_sampled",
        "-seen_entropies(h, scheme)",
        "-2 * seen_entropies(h, scheme)",
    ),
    Fault(
        "own private encoders at the level of units",
        "T10.3.own",
        f"{OBJECTIVES}:_private_own",
        "lifted = {h.units_of(mask): c for mask, c in coarse.coefficients.items()}",
        "lifted = _own_density(h, scheme, {}).functional.coefficients",
    ),
    Fault(
        "MMVAE+ that encodes unseen private latents",
        "T10.3.auxiliary",
        f"{PRIVATE}:private_elbo",
        "drawn = auxiliary and n != m",
        "drawn = False",
    ),
    Fault(
        "MVTCAE with alpha for 1 - alpha",
        "T10.4",
        f"{OBJECTIVES}:_mvtcae",
        "Fraction(str(alpha)) / count",
        "(1 - Fraction(str(alpha))) / count",
    ),
    Fault(
        "MVTCAE without the share of alpha",
        "T10.4",
        f"{OBJECTIVES}:_mvtcae",
        "Fraction(str(alpha)) / count",
        "Fraction(str(alpha))",
        "witness",
    ),
    Fault(
        "Chow-Liu with informations not conditioned",
        "T10.6",
        f"{T10}:_chow_liu",
        "I(h.names, 1 << i, 1 << j, subset)",
        "I(h.names, 1 << i, 1 << j)",
    ),
    Fault("Chow-Liu with cycles", "T10.6", f"{T10}:_chow_liu", "if group[i] != group[j]:", "if True:"),
    Fault("pairs without the minimum", "T10.6.pairs", f"{T10}:_pairs", " + smaller", ""),
    # growth, and T6
    Fault("MMVAE's increment with M for M + 1", "COR2", f"{COROLLARIES}:_increment", "/ (count + 1)", "/ count"),
    Fault(
        "MoPoE's increment with the wrong number of subsets",
        "COR2",
        f"{COROLLARIES}:_increment",
        "((1 << count + 1) - 1)",
        "(1 << count + 1)",
    ),
    Fault(
        "information of the unseen part not conditioned",
        "T6.forward",
        f"{T6}:_information",
        "I(names, 0b100, 0b010, 0b001)",
        "I(names, 0b100, 0b010)",
    ),
    Fault(
        "slack of coherence without the unseen units",
        "T10.5",
        f"{FINITE}:_subset_terms",
        "slack=math.fsum(slack)",
        "slack=slack[0]",
    ),
    Fault(
        "entropy of the weights left out of the sandwich",
        "T4",
        "bounds.theorems.t4:_sandwich",
        "lower + case.mixture.entropy",
        "lower",
    ),
    Fault(
        "the Gaussian gap without its half",
        "T6.gaussian",
        "bounds.theorems.gaussian:_gap",
        "0.5 * float(np.linalg",
        "float(np.linalg",
    ),
    Fault(
        "imputation without the conditional variance",
        "T7.imputation",
        "bounds.theorems.gaussian:_imputation",
        "imputed + s22 - beta * s12",
        "imputed + s22",
    ),
    Fault(
        "a limit with ln 2 for log2",
        "T8.limits",
        "bounds.theorems.gaussian:_limits",
        "0.5 * math.log(1 + rho)",
        "0.5 * math.log2(1 + rho)",
    ),
    # where no random case comes near, a known one shows it
    Fault("H(w) left out", "T5.mixture", f"{OBJECTIVES}:_mixture_density", "scheme.entropy", "0.0"),
    Fault(
        "credit of K samples left out",
        "T5.iwae",
        f"{OBJECTIVES}:_iwae",
        "(len(unseen) - 1) * math.log(k)",
        "0.0",
    ),
    Fault(
        "MMVAE's K-sample ceiling that of one sample",
        "T5.iwae-mixture",
        f"{OBJECTIVES}:_iwae_mixture",
        "_samples(given) == 1",
        "_samples(given) >= 1",
        "known case",
    ),
    Fault(
        "MVAE's coefficients normalised to a mixture",
        "T10.2",
        f"{OBJECTIVES}:_sub_sampled",
        "-seen_entropies(h, scheme)",
        "-seen_entropies(h, scheme) / sum(w for _, w in scheme)",
        "witness",
    ),
    # where the ceiling stays true and only a model that attains it shows that it got loose
    Fault(
        "bits for nats in H(w)",
        "T5.sandwich",
        f"{OBJECTIVES}:_mixture_density",
        "scheme.entropy",
        "scheme.entropy / math.log(2)",
    ),
    Fault(
        "credit of |R| ln K",
        "T5.iwae",
        f"{OBJECTIVES}:_iwae",
        "(len(unseen) - 1) * math.log(k)",
        "len(unseen) * math.log(k)",
        "witness",
    ),
    Fault("credit of (|R| - 1) K", "T5.iwae", f"{OBJECTIVES}:_iwae", "math.log(k)", "k", "witness"),
    Fault(
        "own private encoders charged with H(X) alone",
        "T10.3.own",
        f"{OBJECTIVES}:_private_own",
        'Ceiling(Functional(h.names, lifted), "T10.3")',
        'Ceiling(-joint_entropy(h), "T10.3")',
        "witness",
    ),
    Fault(
        "own private encoders without the unseen units",
        "T10.3.own",
        f"{OBJECTIVES}:_own_density",
        " - unseen_entropies(h, scheme)",
        "",
        "witness",
    ),
    Fault(
        "MMVAE+ without the unseen units",
        "T10.3.auxiliary",
        f"{OBJECTIVES}:_own_density",
        " - unseen_entropies(h, scheme)",
        "",
        "witness",
    ),
    Fault(
        "MMVAE+ raised by H(w) though the shared KL is own",
        "T10.3.auxiliary",
        f"{OBJECTIVES}:_private_auxiliary",
        '== "mixture" else 0.0',
        '== "own" else 0.0',
        "witness",
    ),
    Fault(
        "MMVAE+ without conditioning",
        "T10.3.auxiliary",
        f"{FORMULAS}:Terms.add_unseen",
        "known = self.seen(subset)",
        "known = 0",
    ),
    Fault(
        "MMVAE+ with the private KL left out",
        "T10.3.auxiliary",
        f"{PRIVATE}:private_elbo",
        "if not drawn:",
        "if False:",
    ),
    Fault(
        "pairs with the larger of the two",
        "T10.6.pairs",
        f"{T10}:_pairs",
        "smaller = min(",
        "smaller = max(",
        "witness",
    ),
    Fault(
        "TC(X) without the joint entropy",
        "T8.schemes",
        "bounds.theorems.t8:_schemes",
        " - h[(1 << h.n_units) - 1]",
        "",
        "witness",
    ),
    Fault(
        "more encoded modalities lose more",
        "T8.monotone",
        "bounds.theorems.t8:_monotone",
        "terms[a] - terms[a | 1 << j]",
        "terms[a | 1 << j] - terms[a]",
    ),
    Fault(
        "systematic samples without the mean over them",
        "T5.iwae",
        f"{T5}:systematic",
        "axis=-1) / k",
        "axis=-1)",
    ),
    Fault(
        "coherence without the encoder's weights",
        "T10.5",
        f"{T10}:_coherence",
        "tables.encoder(subset.subset) * decoder",
        "decoder",
        "witness",
    ),
]


def plant(fault, monkeypatch):
    """Replaces the function wherever it is used; returns the old and the new one."""
    module_name, _, path = fault.where.partition(":")
    module = importlib.import_module(module_name)
    owner_name, _, name = path.rpartition(".")
    owner = getattr(module, owner_name) if owner_name else module
    original = inspect.getattr_static(owner, name)
    source = textwrap.dedent(inspect.getsource(original.fget if isinstance(original, property) else original))
    assert source.count(fault.old) == 1, f"cannot plant {fault.id!r}: {fault.where} has {source.count(fault.old)} of it"
    scope = {}
    code = compile(source.replace(fault.old, fault.new), f"<{fault.id}>", "exec", __future__.annotations.compiler_flag)
    exec(code, vars(module), scope)
    mutant = scope[name]
    if owner is not module:
        monkeypatch.setattr(owner, name, mutant)
        return original, mutant
    for user in [one for key, one in sys.modules.items() if key.split(".")[0] == "bounds"]:
        for attribute, value in list(vars(user).items()):
            if value is original:
                monkeypatch.setattr(user, attribute, mutant)
    ceilings = {
        key: dataclasses.replace(one, ceiling=mutant) if one.ceiling is original else one
        for key, one in objectives.OBJECTIVES.items()
    }
    monkeypatch.setattr(objectives, "OBJECTIVES", ceilings)
    return original, mutant


def judged(fault, monkeypatch, examples=DEFAULT_EXAMPLES):
    """The verdict on the claim with the fault planted."""
    original, mutant = plant(fault, monkeypatch)
    theorem = REGISTRY[fault.claim]
    margin = mutant if theorem.margin is original else theorem.margin
    return check(dataclasses.replace(theorem, margin=margin, proof=None), examples)


def assert_readable(counterexample):
    """It has few modalities, and few cells with mass."""
    law = counterexample.numbers["law"]
    assert len(law.get("axes per modality") or law.get("sizes")) <= 4
    assert (np.array(law.get("pmf", []), dtype=str) != "0").sum() <= 9


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_planted_fault_is_caught(fault, monkeypatch):
    verdict = judged(fault, monkeypatch)
    assert not verdict.as_claimed
    if fault.caught_by == "counterexample":
        assert verdict.status == "refuted"
        assert verdict.counterexample.margin < -TOLERANCE
        assert_readable(verdict.counterexample)
    elif fault.caught_by == "known case":
        assert verdict.counterexample is None
        assert any("fails" in note for note in verdict.notes)
    else:
        assert verdict.counterexample is None
        assert abs(verdict.tight) > 1e-3


def test_there_are_faults_enough_and_no_two_are_the_same():
    assert sum(fault.caught_by == "counterexample" for fault in FAULTS) >= 40
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)
    assert len({(fault.claim, fault.where, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS)


def test_without_a_fault_the_claims_are_as_claimed():
    for claim in sorted({fault.claim for fault in FAULTS}):
        assert check(dataclasses.replace(REGISTRY[claim], proof=None), 20).as_claimed, claim


STATEMENTS = [
    ("I(X;Z) <= I(X;Y)", ["X - Y - Z"]),
    ("H(X,Y,Z) <= 1/2 H(X,Y) + 1/2 H(Y,Z) + 1/2 H(X,Z)", []),
    ("TC(X;Y;Z) = I(X;Y) + I(X,Y;Z)", []),
    ("H(X|Z) + H(Y|Z) + I(X;Z) >= H(X,Y)", ["I(Z;Y|X) = 0"]),
]


@pytest.mark.parametrize(("statement", "given"), STATEMENTS)
def test_a_certificate_with_one_weight_changed_is_rejected(statement, given):
    certificate = prove(statement, given).certificate
    assert verify(certificate)
    for at, derivation in enumerate(certificate.derivations):
        for part in ("elementals", "assumptions"):
            rows = getattr(derivation, part)
            for i, (weight, what) in enumerate(rows):
                for changed in (weight + 1, weight / 2, -weight, 0 * weight, weight + Fraction(1, 10**9)):
                    wrong = dataclasses.replace(derivation, **{part: (*rows[:i], (changed, what), *rows[i + 1 :])})
                    assert not verify(swapped(certificate, at, wrong)), (part, i, changed)
                assert not verify(
                    swapped(certificate, at, dataclasses.replace(derivation, **{part: rows[:i] + rows[i + 1 :]}))
                )


@pytest.mark.parametrize(("statement", "given"), STATEMENTS)
def test_a_certificate_of_another_claim_is_rejected(statement, given):
    certificate = prove(statement, given).certificate
    for at, derivation in enumerate(certificate.derivations):
        for mask, coefficient in derivation.functional.coefficients.items():
            changed = type(derivation.functional)(
                derivation.functional.names, {**derivation.functional.coefficients, mask: coefficient + 1}
            )
            wrong = dataclasses.replace(derivation, functional=changed)
            assert not verify(swapped(certificate, at, wrong))
            claim = dataclasses.replace(certificate.statement, functional=changed)
            assert not verify(
                dataclasses.replace(swapped(certificate, at, wrong), statement=claim, given=certificate.given)
            )
    if given:
        assert not verify(dataclasses.replace(certificate, given=()))


def swapped(certificate, at, derivation):
    """A certificate with one derivation replaced."""
    derivations = list(certificate.derivations)
    derivations[at] = derivation
    return dataclasses.replace(certificate, derivations=tuple(derivations))


def test_an_identity_with_one_coefficient_changed_does_not_hold():
    assert prove("I(X;Y) = H(X) + H(Y) - H(X,Y)").proved
    for wrong in ("2 H(X) + H(Y) - H(X,Y)", "H(X) + 1/2 H(Y) - H(X,Y)", "H(X) + H(Y) - 999/1000 H(X,Y)", "H(X) - H(Y)"):
        assert not prove(f"I(X;Y) = {wrong}").proved


def test_a_fault_in_a_formula_leaves_its_statement_without_a_proof():
    """Delta of MoPoE with a coefficient changed is no longer below that of MMVAE."""
    from bounds import mmvae, mopoe
    from bounds.formulas import Ground, discrepancy

    ground = Ground.of(["X", "Y", "Z"])
    assert prove(discrepancy(ground, mmvae(3)) - discrepancy(ground, mopoe(3))).proved
    assert not prove(discrepancy(ground, mmvae(3)) - 2 * discrepancy(ground, mopoe(3))).proved
