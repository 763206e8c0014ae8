"""Evaluations: means and standard errors against NumPy, every refusal, files, and a model's terms from its parts."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from bounds import InputError, full, mmvae, mvae_subsampled
from bounds.evaluation import Evaluation
from bounds.evaluation_files import read_evaluation, write_evaluation
from bounds.reported_terms import Combination

N = 150


def arrays(seed=0, columns=2):
    rng = np.random.default_rng(seed)
    return (
        {1: -rng.exponential(size=(N, columns)), 2: -rng.exponential(size=(N, columns))},
        {1: rng.exponential(size=N), 2: rng.exponential(size=N)},
    )


def made(**about):
    fits, kls = arrays()
    return Evaluation.from_examples(mmvae(2), fits, kls, **{"kind": "discrete", **about})


def test_the_mean_of_a_combination_is_that_of_its_examples():
    fits, kls = arrays()
    of = Combination(np.array([[0.5, 0.2], [0.0, 0.3]]), np.array([-0.5, -1.0]), np.zeros(2))
    each = 0.5 * fits[1][:, 0] + 0.2 * fits[1][:, 1] + 0.3 * fits[2][:, 1] - 0.5 * kls[1] - kls[2]
    found = made().terms.mean(of)
    # rounding
    assert found.value == pytest.approx(each.mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(each.std(ddof=1) / math.sqrt(N), rel=1e-12)
    centred = each - each.mean()
    assert found.skewness == pytest.approx((centred**3).mean() / each.var(ddof=1) ** 1.5, rel=1e-9)


def test_means_allow_every_dependence_of_the_terms():
    """Their standard error is at least that of the examples, and is it where all terms move together."""
    fits, kls = arrays()
    pair = lambda a: np.stack([a.mean(axis=0), a.std(axis=0, ddof=1) / math.sqrt(N)], axis=-1)  # noqa: E731
    means = Evaluation.from_means(
        mmvae(2), N, {s: pair(f) for s, f in fits.items()}, {s: pair(k) for s, k in kls.items()}, kind="discrete"
    )
    of = Combination(np.full((2, 2), 0.5), np.full(2, -0.5), np.zeros(2))
    assert means.terms.mean(of).value == pytest.approx(made().terms.mean(of).value, rel=1e-12)
    assert means.terms.mean(of).standard_error > made().terms.mean(of).standard_error
    same = {s: np.stack([kls[1]] * 2, axis=1) * -1 for s in (1, 2)}
    together = Evaluation.from_examples(mmvae(2), same, {1: kls[1], 2: kls[1]}, kind="discrete")
    known = {s: pair(f) for s, f in same.items()}
    worst = Evaluation.from_means(mmvae(2), N, known, {1: pair(kls[1]), 2: pair(kls[1])}, kind="discrete")
    assert worst.terms.mean(of).standard_error == pytest.approx(together.terms.mean(of).standard_error, rel=1e-12)


def without(key):
    return lambda fits, kls: (
        {s: f for s, f in fits.items() if s != key},
        kls,
    )


def spoiled(value, where=(3, 1)):
    def spoil(fits, kls):
        fits[2][where] = value
        return fits, kls

    return spoil


def negative(fits, kls):
    kls[2][7] = -0.2
    return fits, kls


REFUSED = {
    "shape of one": (lambda f, k: ({1: f[1], 2: f[2][:, :1]}, k), "log_likelihood of X2 has shape"),
    "another number of examples": (lambda f, k: ({1: f[1], 2: f[2][:-1]}, k), "the same examples"),
    "KL of other examples": (lambda f, k: (f, {s: x[:-1] for s, x in k.items()}), "has 150 examples, kl 149"),
    "columns": (lambda f, k: (f, {1: f[1], 2: f[2]}), r"kl of X1 has shape \(150, 2\): it must be \(N,\)"),
    "NaN": (spoiled(np.nan), r"log_likelihood of X2 is nan at \(3, 1\)"),
    "minus infinity": (spoiled(-np.inf), "below every ceiling"),
    "infinity": (spoiled(np.inf), "find out why"),
    "negative KL": (negative, "the KL of X2 is -0.2 at example 7"),
    "a subset is missing": (without(2), "there is no log_likelihood of X2"),
    "a subset too many": (lambda f, k: ({**f, 3: f[1]}, k), "scheme mmvae does not encode"),
    "too few examples": (
        lambda f, k: ({s: x[:50] for s, x in f.items()}, {s: x[:50] for s, x in k.items()}),
        "50 examples are too few",
    ),
    "text": (lambda f, k: ({1: f[1].astype(str), 2: f[2]}, k), "give real numbers"),
    "no KL": (lambda f, k: (f, None), "give log_likelihood and kl"),
}


@pytest.mark.parametrize(("spoil", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_terms_are_refused(spoil, message):
    fits, kls = spoil(*arrays())
    with pytest.raises(InputError, match=message):
        Evaluation.from_examples(mmvae(2), fits, kls, kind="discrete")


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"kind": "pmf"}, "kind 'pmf'"),
        ({"objective": "elbo"}, "unknown objective 'elbo'"),
        ({"draws": 0}, "draws=0"),
        ({"weights": {1: 0.4, 2: 0.6}}, r"the weight of X1 is 0.4, scheme mmvae has 0.5"),
        ({"weights": {1: 0.5}}, "the weight of X2 is 0"),
        ({"weights": {1: 0.5, 2: 0.5, 3: 0.1}}, "the weight of X1,X2 is 0.1"),
        ({"weights": {1: math.nan, 2: 0.5}}, "the weight of X1 is nan"),
        ({"modalities": ["a", "b", "c"]}, "3 modality names"),
        ({"value": {1: np.zeros(N)}}, "not both"),
    ],
)
def test_what_is_said_of_the_terms_is_checked(about, message):
    with pytest.raises(InputError, match=message):
        made(**about)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"objective": ["iwae"]}, "unknown objective"),
        ({"draws": True}, "draws=True"),
        ({"draws": "5"}, "draws='5'"),
        ({"sampled_kl": "no"}, "sampled_kl='no': use true or false"),
        ({"likelihood": 3}, "write it as text"),
        ({"likelihood": "magic"}, "unknown likelihood 'magic'"),
        ({"likelihood": "gaussian:1"}, "kind 'discrete' with a gaussian likelihood, which is a density"),
        ({"likelihood": "X1=laplace:1;X2=categorical"}, "a laplace likelihood, which is a density"),
        ({"parameters": 3}, "parameters=3: give a mapping"),
        ({"parameters": {"beta": "x"}}, "beta='x': give a finite number"),
        ({"parameters": {"beta": True}}, "beta=True"),
        ({"parameters": {"beta": math.inf}}, "beta=inf"),
        ({"parameters": {"alpha": None}}, "alpha=None"),
        ({"parameters": {"k": 1.5}}, r"k=1\.5: give a whole number"),
        ({"parameters": {"scales": [1, 2]}}, "give a mapping from modalities or units"),
        ({"parameters": {"scales": {"X1": "x"}}}, "scale of 'X1'='x'"),
        ({"parameters": {"shared_kl": []}}, "use 'own' or 'mixture'"),
        ({"columns": 3}, "columns=3: give a list of names"),
        ({"columns": "ab"}, "must be a list"),
        ({"weights": [0.5, 0.5]}, "give a mapping from each subset to its weight"),
    ],
)
def test_values_of_another_type_are_refused(about, message):
    with pytest.raises(InputError, match=message):
        made(**about)


def test_what_is_no_mapping_or_scheme_is_refused():
    fits, kls = arrays()
    with pytest.raises(InputError, match="log_likelihood is ndarray: give a mapping"):
        Evaluation.from_examples(mmvae(2), fits[1], kls, kind="discrete")
    with pytest.raises(InputError, match="scheme is str: give a SubsetScheme"):
        Evaluation.from_examples("mmvae", fits, kls, kind="discrete")


@pytest.mark.parametrize("huge", [-1e308, 1e60])
def test_terms_that_overflow_when_they_are_added_are_refused(huge):
    fits, kls = spoiled(huge)(*arrays())
    with pytest.raises(InputError, match="log_likelihood of X2 is"):
        Evaluation.from_examples(mmvae(2), fits, kls, kind="discrete")
    largest = Evaluation.from_examples(mmvae(2), *spoiled(-1e50)(*arrays()), kind="discrete")
    of = Combination(np.full((2, 2), 0.5), np.full(2, -0.5), np.zeros(2))
    assert math.isfinite(largest.terms.mean(of).skewness)


def test_the_kl_of_a_mixture_is_negative_for_no_example():
    """Its components may be, as long as their mean is not."""
    fits, kls = arrays()
    kls[1], kls[2] = np.full(N, -0.5), np.full(N, 0.6)
    assert Evaluation.from_examples(mmvae(2), fits, kls, kind="discrete", objective="mixture-density").n == N
    kls[2][7] = 0.4
    with pytest.raises(InputError, match=r"the KL of the mixture is -0\.05 at example 7"):
        Evaluation.from_examples(mmvae(2), fits, kls, kind="discrete", objective="mixture-density")
    with pytest.raises(InputError, match=r"the KL of X1 is -0\.5 at example 0"):
        Evaluation.from_examples(mmvae(2), fits, kls, kind="discrete", objective="private-auxiliary")
    shared = {"shared_kl": "mixture"}
    with pytest.raises(InputError, match="the KL of the mixture"):
        Evaluation.from_examples(mmvae(2), fits, kls, kind="discrete", objective="private-auxiliary", parameters=shared)


def test_sampled_kls_may_be_negative():
    fits, kls = negative(*arrays())
    assert Evaluation.from_examples(mmvae(2), fits, kls, kind="discrete", sampled_kl=True).n == N


def test_means_are_checked_too():
    one = {1: [[-1.0, 0.1]]}
    with pytest.raises(InputError, match="standard error of log_likelihood is negative"):
        Evaluation.from_means(full(1), N, {1: [[0.1, -1.0]]}, {1: [1.0, 0.1]}, kind="discrete")
    with pytest.raises(InputError, match="the KL of X1 is -1"):
        Evaluation.from_means(full(1), N, one, {1: [-1.0, 0.1]}, kind="discrete")
    with pytest.raises(InputError, match="too few"):
        Evaluation.from_means(full(1), 99, one, {1: [1.0, 0.1]}, kind="discrete")
    with pytest.raises(InputError, match="n=1000"):
        Evaluation.from_means(full(1), 10**400, one, {1: [1.0, 0.1]}, kind="discrete")
    with pytest.raises(InputError, match=r"n=1\.5"):
        Evaluation.from_means(full(1), 1.5, one, {1: [1.0, 0.1]}, kind="discrete")


# Files.


def fields(**changed):
    fits, kls = arrays()
    found = {
        "subsets": ["a", "b"],
        "weights": [0.5, 0.5],
        "modalities": ["a", "b"],
        "kind": "discrete",
        "log_likelihood": [fits[1].tolist(), fits[2].tolist()],
        "kl": [kls[1].tolist(), kls[2].tolist()],
        **changed,
    }
    return {key: value for key, value in found.items() if value is not None}


def as_json(folder, found):
    path = folder / "evaluation.json"
    path.write_text(json.dumps(found))
    return path


def as_npz(folder, found):
    path = folder / "evaluation.npz"
    np.savez(path, **{key: np.array(value) for key, value in found.items()})
    return path


@pytest.mark.parametrize("form", [as_json, as_npz])
def test_both_forms_of_file_give_the_same_evaluation(tmp_path, form):
    found, density = read_evaluation(form(tmp_path, fields(sampled_kl=True, draws=3, log_density=[-1.0] * N)))
    fits, kls = arrays()
    assert np.array_equal(found.terms.log_likelihood, np.stack([fits[1], fits[2]]))
    assert np.array_equal(found.terms.kl, np.stack([kls[1], kls[2]]))
    assert (found.modalities, found.draws, found.sampled_kl, found.n) == (("a", "b"), 3, True, N)
    assert density.kind == "discrete"
    assert len(density.log_density) == N


def test_the_order_of_the_subsets_is_that_of_the_file(tmp_path):
    found, _ = read_evaluation(as_json(tmp_path, fields(subsets=["b", "a"])))
    assert np.array_equal(found.terms.kl[0], arrays()[1][2])


def test_means_in_a_file(tmp_path):
    means = {"log_likelihood": [[-1, -2], [-3, -4]], "kl": [1, 2], "n": 500}
    errors = {"log_likelihood_se": [[0.1, 0.2], [0.3, 0.4]], "kl_se": [0.1, 0.2]}
    found, _ = read_evaluation(as_json(tmp_path, fields(**means, **errors)))
    assert found.n == 500
    assert found.terms.log_likelihood[1].tolist() == [[-3, 0.3], [-4, 0.4]]


def test_what_is_written_is_read_back(tmp_path):
    fits, kls = arrays()
    one = Evaluation.from_examples(
        mmvae(2), fits, kls, kind="discrete", objective="beta", parameters={"beta": 2.0}, modalities=["a", "b"]
    )
    write_evaluation(tmp_path / "one.npz", one)
    found, _ = read_evaluation(tmp_path / "one.npz")
    assert (found.objective, found.parameters["beta"], found.scheme.weights) == ("beta", 2.0, one.scheme.weights)
    assert np.array_equal(found.terms.log_likelihood, one.terms.log_likelihood)
    with pytest.raises(InputError, match=r"written as \.npz"):
        write_evaluation(tmp_path / "one.json", one)
    with pytest.raises(InputError, match="cannot write"):
        write_evaluation(tmp_path / "none" / "one.npz", one)


def test_numbers_of_any_kind_can_be_written(tmp_path):
    parameters = {"beta": np.float32(2.0), "scales": {"a": Fraction(1, 2), "b": np.int64(3)}}
    fits, kls = arrays()
    one = Evaluation.from_examples(
        mmvae(2), fits, kls, kind="discrete", objective="rescaled", parameters=parameters, modalities=["a", "b"],
        draws=np.int64(3), sampled_kl=np.bool_(True),
    )  # fmt: skip
    write_evaluation(tmp_path / "one.npz", one)
    found, _ = read_evaluation(tmp_path / "one.npz")
    assert dict(found.parameters) == {"beta": 2.0, "scales": {"a": 0.5, "b": 3.0}}
    assert (found.draws, found.sampled_kl) == (3, True)


FILES = {
    "unknown field": (fields(elbo=3), "unknown field 'elbo'"),
    "no kind": (fields(kind=None), "there is no 'kind'"),
    "no subsets": (fields(subsets=None), "there is no 'subsets'"),
    "subsets of another type": (fields(subsets=[1, 2]), "'subsets' is"),
    "unknown modality": (fields(subsets=["a", "c"]), "'c'"),
    "twice": (fields(subsets=["a", "a"]), "listed twice"),
    "no weights": (fields(weights=None), "neither 'scheme' nor 'weights'"),
    "weights of another scheme": (fields(scheme="mmvae", weights=[0.4, 0.6]), "scheme mmvae has 0.5"),
    "too few weights": (fields(weights=[1.0]), "give 2 numbers"),
    "rows": (fields(kl=[[1.0] * N]), "'kl' has 1 rows for 2 subsets"),
    "ragged": (fields(kl=[[1.0] * N, [1.0]]), "the same examples"),
    "error without n": (fields(kl_se=[1, 2]), "'kl_se' without 'n'"),
    "means without errors": (fields(n=200, log_likelihood=[[1, 2]] * 2, kl=[1, 2]), "go together"),
    "ragged means": (
        fields(n=200, log_likelihood=[[[1], 2]] * 2, log_likelihood_se=[[[1], 2]] * 2, kl=[1, 2], kl_se=[1, 2]),
        "'log_likelihood' is ragged",
    ),
    "errors of another shape": (
        fields(n=200, log_likelihood=[[1, 2]] * 2, log_likelihood_se=[1, 2], kl=[1, 2], kl_se=[1, 2]),
        "give both of one shape",
    ),
    "a modality twice in a subset": (fields(subsets=["a+a", "b"]), "has a modality twice"),
    "no modalities": (fields(modalities=[], subsets=[]), "is empty"),
    "modalities alike": (fields(modalities=["a", "a"]), "used twice"),
    "weights beyond floating point": (fields(weights=[10**400, 0.5]), "give real numbers"),
    "a weight below zero": (fields(weights=[-0.5, 1.5]), "weight -0.5 of a"),
    "claim is text": (fields(log_density=[-1.0] * N, claimed_loss="x"), "claimed_loss='x'"),
    "claim alone": (fields(claimed_loss=1.0), "without 'log_density'"),
    "scheme is no text": (fields(scheme=3), "'scheme' is 3"),
}


@pytest.mark.parametrize(("found", "message"), FILES.values(), ids=FILES)
def test_a_bad_file_is_refused_by_name(tmp_path, found, message):
    with pytest.raises(InputError, match=message) as error:
        read_evaluation(as_json(tmp_path, found))
    assert "evaluation.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{", "not valid JSON"),
        ("a.json", b"[]", "no JSON object"),
        ("a.json", b'{"kind": "discrete", "kind": "discrete"}', "kind"),
        ("a.json", b"\xff\xfe", "UTF-8"),
        ("a.json", b"[" * 200_000, "not valid JSON"),
        ("a.npz", b"PK", "not a complete .npz"),
        ("a.pt", b"x", "unknown suffix '.pt'"),
        ("a.json", b"", "empty"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_evaluation(tmp_path / name)


def test_pickled_objects_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    np.savez(tmp_path / "trap.npz", kl=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match="pickled"):
        read_evaluation(tmp_path / "trap.npz")


def test_nan_in_a_json_file_is_refused(tmp_path):
    kls = [[float("nan")] * N, [1.0] * N]
    with pytest.raises(InputError, match="kl of a is nan"):
        read_evaluation(as_json(tmp_path, fields(kl=kls)))


def test_a_sum_of_elbos_has_its_own_subsets():
    scheme = mvae_subsampled(2)
    fits, kls = arrays()
    with pytest.raises(InputError, match="no log_likelihood of X1,X2"):
        Evaluation.from_examples(scheme, fits, kls, kind="discrete", objective="sub-sampled")
