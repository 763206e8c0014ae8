"""Bias and root mean square error of entropy and information estimates, beside other libraries on the same draws.

    python benchmarks/accuracy.py [--quick] [--out FILE]

Discrete entropies of one column: infomeasure 0.6 and dit have estimators of the same names. Mutual information of two
columns, continuous and mixed: scikit-learn, npeet_plus and infomeasure by nearest neighbours. Total correlation of
several continuous columns: thoi by a Gaussian copula. A library that is not there is left out. Truths are exact; the
mixed law is that of Gao et al. (2017): a symbol ``a`` of ``m``, and a number uniform on ``[a, a + 2]``, whose
information is ``ln m - (m - 1) ln 2 / m``.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import harness
import numpy as np

from bounds.declared_alphabets import with_alphabets
from bounds.errors import InputError
from bounds.estimators import estimate
from bounds.functional import Functional
from bounds.samples import Samples

K = 1000
MIXED_SYMBOLS = 5
NEIGHBOURS = 3
_Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]
_Method = Callable[..., float]


def discrete_laws() -> dict[str, np.ndarray]:
    """Probabilities of one column."""
    zipf = 1 / np.arange(1, K + 1)
    return {
        f"uniform, {K} symbols": np.full(K, 1 / K),
        f"Zipf, {K} symbols": zipf / zipf.sum(),
        "Dirichlet(1), 100 symbols": np.random.default_rng(2022).dirichlet(np.ones(100)),
    }


def pairs() -> dict[str, tuple[str, float, _Draw]]:
    """Kind, exact mutual information in nats, and how to draw."""

    def normal(rho: float) -> _Draw:
        def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
            x = rng.normal(size=n)
            return x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=n)

        return draw

    def heavy(rho: float) -> _Draw:
        """The same information in other units: each column is a smooth increasing function of a normal one."""

        def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
            x, y = normal(rho)(rng, n)
            return np.sinh(1.5 * x), np.exp(y)

        return draw

    def mixed(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
        a = rng.integers(MIXED_SYMBOLS, size=n)
        return a, a + 2 * rng.random(n)

    m = MIXED_SYMBOLS
    found: dict[str, tuple[str, float, _Draw]] = {
        f"normal, correlation {rho}": ("continuous", -0.5 * math.log(1 - rho**2), normal(rho))
        for rho in (0.0, 0.5, 0.9, 0.99)
    }
    found["sinh and exp of normal, correlation 0.9"] = ("continuous", -0.5 * math.log(1 - 0.9**2), heavy(0.9))
    found[f"a symbol of {m} and a uniform number"] = ("mixed", math.log(m) - (m - 1) * math.log(2) / m, mixed)
    return found


def triples() -> dict[str, tuple[float, _Draw]]:
    """Exact total correlation in nats of several columns, and how to draw them."""

    def equicorrelated(rho: float, d: int, heavy: bool) -> tuple[float, _Draw]:
        truth = -0.5 * ((d - 1) * math.log(1 - rho) + math.log(1 + (d - 1) * rho))

        def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
            shared = rng.normal(size=n)
            columns = [math.sqrt(rho) * shared + math.sqrt(1 - rho) * rng.normal(size=n) for _ in range(d)]
            return tuple(np.sinh(1.5 * column) if heavy else column for column in columns)

        return truth, draw

    return {
        "3 normal columns, correlation 0.5": equicorrelated(0.5, 3, False),
        "3 normal columns, correlation 0.9": equicorrelated(0.9, 3, False),
        "3 sinh of normal columns, correlation 0.5": equicorrelated(0.5, 3, True),
        "8 normal columns, correlation 0.5": equicorrelated(0.5, 8, False),
    }


def ours_entropy(name: str, alphabet: int) -> _Method:
    def of(column: np.ndarray) -> float:
        data = Samples.from_arrays({"X": column}, {"X": "discrete"})
        known = with_alphabets(data, {"X": alphabet}) if name == "nsb" else data
        return float(estimate(known, name).entropies.values[-1])

    return of


def ours_information(name: str) -> _Method:
    def of(x: np.ndarray, y: np.ndarray) -> float:
        types = {"X": "discrete" if x.dtype.kind == "i" else "continuous", "Y": "continuous"}
        h = estimate(Samples.from_arrays({"X": x, "Y": y}, types), name).entropies
        value = h.value(Functional.parse("I(X;Y)", h.names))
        return math.nan if isinstance(value, str) else value

    return of


def ours_correlation(name: str) -> _Method:
    def of(*columns: np.ndarray) -> float:
        data = {f"X{i}": column for i, column in enumerate(columns)}
        h = estimate(Samples.from_arrays(data), name).entropies
        value = h.value(Functional.parse(f"TC({';'.join(data)})", h.names))
        return math.nan if isinstance(value, str) else value

    return of


def entropy_methods(alphabet: int) -> Iterator[tuple[str, _Method]]:
    """Ours and theirs by name."""
    for name in ("plug-in", "miller-madow", "chao-shen", "chao-wang-jost", "nsb", "nsb-unknown"):
        yield f"ours, {name}", ours_entropy(name, alphabet)
    with suppress(ImportError):
        import infomeasure

        logging.disable(logging.WARNING)
        for name in ("discrete", "miller_madow", "chao_shen", "chao_wang_jost", "grassberger", "shrink"):
            yield f"infomeasure, {name}", lambda column, name=name: float(infomeasure.entropy(column, approach=name))
        yield (
            "infomeasure, nsb",
            lambda column: float(infomeasure.entropy(column, approach="nsb", K=alphabet)),
        )
    with suppress(ImportError):
        import dit

        def by_dit(column: np.ndarray) -> float:
            values, counts = np.unique(column, return_counts=True)
            law = dit.Distribution([(int(value),) for value in values], counts / counts.sum())
            return float(dit.shannon.entropy(law)) * math.log(2)

        yield "dit, of the empirical law", by_dit


def information_methods(kind: str) -> Iterator[tuple[str, _Method]]:
    """Ours and theirs by name, for two continuous columns or a discrete and a continuous one."""
    if kind == "continuous":
        for name in ("gaussian", "gaussian-copula", "neighbours"):
            yield f"ours, {name}", ours_information(name)
    else:
        yield "ours, neighbours", ours_information("neighbours")
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    def by_sklearn(x: np.ndarray, y: np.ndarray) -> float:
        if kind == "mixed":
            return float(mutual_info_classif(y[:, None], x, n_neighbors=NEIGHBOURS, random_state=0)[0])
        return float(mutual_info_regression(x[:, None], y, n_neighbors=NEIGHBOURS, random_state=0)[0])

    yield "scikit-learn", by_sklearn
    with suppress(ImportError):
        import npeet_plus

        def by_npeet(x: np.ndarray, y: np.ndarray) -> float:
            if kind == "mixed":
                return float(npeet_plus.micd(y[:, None], x[:, None], k=NEIGHBOURS, base=math.e))
            return float(npeet_plus.mi(x[:, None], y[:, None], k=NEIGHBOURS, base=math.e))

        yield "npeet_plus", by_npeet
    if kind == "continuous":
        with suppress(ImportError):
            import infomeasure
            import sparse  # noqa: F401 - which its mutual information needs

            logging.disable(logging.WARNING)
            yield (
                "infomeasure, ksg",
                lambda x, y: float(infomeasure.mutual_information(x, y, approach="ksg", k=NEIGHBOURS)),
            )


def correlation_methods() -> Iterator[tuple[str, _Method]]:
    """Ours and theirs by name, for several continuous columns."""
    for name in ("gaussian", "gaussian-copula", "neighbours"):
        yield f"ours, {name}", ours_correlation(name)
    with suppress(ImportError):
        from thoi.measures.gaussian_copula import nplets_measures

        logging.disable(logging.WARNING)
        yield "thoi", lambda *columns: float(nplets_measures(np.column_stack(columns), verbose=0).ravel()[0])


def measured(methods: dict[str, _Method], truth: float, draws: list[tuple[np.ndarray, ...]]) -> dict[str, Any]:
    """Bias, error and standard error of the bias of every method; ``failed`` counts draws without a number."""
    found = {}
    for name, method in methods.items():
        errors = []
        for draw in draws:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    errors.append(method(*draw) - truth)
            except InputError as error:
                found[name] = {"refused": str(error)}
                break
        else:
            finite = np.array([error for error in errors if math.isfinite(error)])
            found[name] = {
                "bias": _rounded(finite.mean()) if finite.size else None,
                "bias_error": _rounded(finite.std(ddof=1) / math.sqrt(finite.size)) if finite.size > 1 else None,
                "rmse": _rounded(math.sqrt((finite**2).mean())) if finite.size else None,
                "failed": len(errors) - int(finite.size),
            }
    return found


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")


def main() -> None:
    parser = harness.arguments(__doc__, "accuracy")
    options = parser.parse_args()
    repetitions = 5 if options.quick else 100
    cases = []
    for law, p in discrete_laws().items():
        truth = float(-(p @ np.log(p)))
        for n in (100, 1_000, 10_000):
            rng = np.random.default_rng([2022, n])
            draws = [(rng.choice(len(p), n, p=p),) for _ in range(repetitions)]
            found = measured(dict(entropy_methods(len(p))), truth, draws)
            cases.append({"quantity": "H(X)", "law": law, "n": n, "truth": truth, "methods": found})
    for law, (kind, truth, draw) in pairs().items():
        for n in (200, 1_000, 5_000):
            rng = np.random.default_rng([2022, n])
            draws = [draw(rng, n) for _ in range(repetitions)]
            found = measured(dict(information_methods(kind)), truth, draws)
            cases.append({"quantity": "I(X;Y)", "law": law, "n": n, "truth": truth, "methods": found})
    for law, (truth, draw) in triples().items():
        for n in (200, 1_000, 5_000):
            rng = np.random.default_rng([2022, n])
            draws = [draw(rng, n) for _ in range(repetitions)]
            found = measured(dict(correlation_methods()), truth, draws)
            cases.append({"quantity": "TC(X)", "law": law, "n": n, "truth": truth, "methods": found})
    rows = [["case", "method", "bias", "rmse", "failed"]]
    for case in cases:
        for name, one in case["methods"].items():
            shown = ["refused", "", ""] if "refused" in one else [str(one[key]) for key in ("bias", "rmse", "failed")]
            rows.append([f"{case['quantity']}: {case['law']}, N={case['n']}", name, *shown])
    harness.table(rows)
    results = {
        "what": __doc__.split("\n\n    python")[0],
        "unit": "nats",
        "repetitions": repetitions,
        "neighbours": NEIGHBOURS,
        "machine": harness.machine(),
        "versions": harness.versions("numpy", "scipy", "scikit-learn", "infomeasure", "dit", "npeet-plus", "thoi"),
        "cases": cases,
    }
    harness.save(results, options.out, "accuracy", options.quick)


if __name__ == "__main__":
    main()
