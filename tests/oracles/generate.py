"""A slow oracle for entropies and bounds: exact rationals, 50 digits, formulas written again from the theory.

It shares no code with ``bounds``. Discrete laws are lists of cells, and every quantity is a sum over cells straight
from its definition. Gaussian laws are rational covariances, eliminated exactly; only the logarithm is rounded.

    python tests/oracles/generate.py            rewrites tests/oracles/vectors.json
    python tests/oracles/generate.py --check    says whether the committed file is what it would write
"""

import argparse
import itertools
import json
import math
import random
import sys
from collections import defaultdict
from fractions import Fraction
from functools import cache
from pathlib import Path

from mpmath import mp, mpf

VECTORS = Path(__file__).with_name("vectors.json")
DIGITS = 50
SHOWN = 20


def ln(q):
    """The logarithm of a positive rational."""
    return mp.log(mpf(q.numerator)) - mp.log(mpf(q.denominator))


def real(q):
    """A rational as a 50-digit number."""
    return mpf(q.numerator) / mpf(q.denominator)


# --- laws: entropy(units), conditional(units, given) with tuples of unit indices -----------------------------------


class Cells:
    """A discrete law as its cells: ``{outcome of all variables: probability}``."""

    def __init__(self, cells, unit_variables):
        self.cells = {outcome: p for outcome, p in cells.items() if p}
        assert sum(self.cells.values()) == 1
        self.unit_variables = unit_variables
        self.conditional = cache(self.conditional)  # the same few are asked for again and again

    def marginal(self, units):
        variables = [v for unit in units for v in self.unit_variables[unit]]
        found = defaultdict(Fraction)
        for outcome, p in self.cells.items():
            found[tuple(outcome[v] for v in variables)] += p
        return variables, found

    def conditional(self, units, given):
        """``-sum_x p(x) ln p(x_units | x_given)`` over all cells."""
        both_of, both = self.marginal((*given, *units))
        given_of, alone = self.marginal(given)
        total = mpf(0)
        for outcome, p in self.cells.items():
            ratio = both[tuple(outcome[v] for v in both_of)] / alone[tuple(outcome[v] for v in given_of)]
            total -= real(p) * ln(ratio)
        return total

    def entropy(self, units):
        return self.conditional(units, ())


class Normal:
    """A centred Gaussian with a rational covariance."""

    def __init__(self, cov, unit_variables):
        self.cov = cov
        self.unit_variables = unit_variables
        self.conditional = cache(self.conditional)

    def conditional(self, units, given):
        """``(1/2) ln det(2 pi e Cov(units | given))``; ``-inf`` where that determinant is 0."""
        first = [v for unit in given for v in self.unit_variables[unit]]
        then = [v for unit in units for v in self.unit_variables[unit]]
        order = first + then
        matrix = [[self.cov[i][j] for j in order] for i in order]
        logdet = mpf(0)
        for step in range(len(order)):
            pivot = matrix[step][step]
            if pivot == 0:
                assert step >= len(first), "the conditioning block is singular"
                return mpf("-inf")
            for row in range(step + 1, len(order)):
                ratio = matrix[row][step] / pivot
                for column in range(step, len(order)):
                    matrix[row][column] -= ratio * matrix[step][column]
            if step >= len(first):
                logdet += ln(pivot)
        return len(then) * mp.log(2 * mp.pi * mp.e) / 2 + logdet / 2

    def entropy(self, units):
        return self.conditional(units, ())


class LabelledNormal:
    """``X_m = (Y, U_m)`` with Gaussian ``U_m`` independent of ``Y`` and of each other."""

    def __init__(self, label, parts, owner):
        self.label = -sum(real(p) * ln(p) for p in label if p)
        self.parts = parts
        self.owner = owner  # unit -> (part, unit of the part), or None for a copy of the label

    def entropy(self, units):
        owned = [self.owner[unit] for unit in units]
        total = self.label if None in owned else mpf(0)
        for part, law in enumerate(self.parts):
            inside = tuple(own[1] for own in owned if own is not None and own[0] == part)
            if inside:
                total += law.entropy(inside)
        return total

    def conditional(self, units, given):
        return self.entropy((*given, *units)) - self.entropy(given)


# --- the quantities, from THEORY ----------------------------------------------------------------------------------


class Sum:
    """A sum of conditional entropies and the size of its terms, to which rounding is relative."""

    def __init__(self, law):
        self.law = law
        self.value = mpf(0)
        self.size = mpf(0)

    def add(self, weight, units, given=()):
        if units:
            self.value += real(weight) * self.law.conditional(units, given)
            whole = abs(self.law.entropy((*given, *units)))
            self.size += abs(real(weight)) * (whole + (abs(self.law.entropy(given)) if given else 0))
        return self


def bounds_of(law, modality_units, scheme, coefficients):
    """Every quantity for one law at one level: ``{name: [value, size of its terms]}``.

    Args:
        law: the law; its units are the level.
        modality_units: for each modality the tuple of its units.
        scheme: ``{tuple of modalities: weight}``.
        coefficients: those of the sub-sampled objective.
    """
    everything = tuple(unit for units in modality_units for unit in units)
    modalities = range(len(modality_units))

    def units_in(subset):
        return tuple(unit for m in subset for unit in modality_units[m])

    def rest(subset):
        return tuple(unit for unit in everything if unit not in units_in(subset))

    def total_correlation(total, weight, subset):
        for unit in rest(subset):
            total.add(weight, (unit,), units_in(subset))
        return total.add(-weight, rest(subset), units_in(subset))

    h = Sum(law).add(Fraction(1), everything)
    h_w = -sum(real(w) * ln(w) for w in scheme.values())
    delta, floor, tc = Sum(law), Sum(law), Sum(law)
    for subset, weight in scheme.items():
        delta.add(weight, rest(subset), units_in(subset))
        for unit in rest(subset):
            floor.add(weight, (unit,), units_in(subset))
        total_correlation(tc, weight, subset)
    found = {
        "Delta": (delta.value, delta.size),
        "floor": (floor.value, floor.size),
        "tc": (tc.value, tc.size),
        "quoted": (-h.value - delta.value, h.size + delta.size),
        "own-density": (-h.value - tc.value, h.size + tc.size),
        "mixture-density": (-h.value - max(tc.value - h_w, 0), h.size + tc.size),
        "iwae-mixture k=1": (-h.value - max(tc.value - h_w, 0), h.size + tc.size),
        "iwae-mixture k=5": (-h.value, h.size),
        "beta=2": (-h.value - tc.value, h.size + tc.size),
    }
    for k in (1, 2, 7):
        value = -h.value
        for subset, weight in scheme.items():
            one = total_correlation(Sum(law), Fraction(1), subset).value
            credit = max(len(rest(subset)) - 1, 0) * mp.log(k)
            value -= real(weight) * max(one - credit, 0)
        found[f"iwae k={k}"] = (value, h.size + tc.size)
    for name, beta, scales in (
        ("beta=0.3", Fraction(3, 10), {}),
        ("rescaled", Fraction(7, 10), {0: Fraction(1, 5), len(modality_units) - 1: Fraction(5, 2)}),
    ):
        total = Sum(law)
        for subset, weight in scheme.items():
            seen = min([beta, *(scales.get(m, Fraction(1)) for m in subset)])
            total.add(-weight * seen, units_in(subset))
            for m in modalities:
                for unit in modality_units[m]:
                    if m not in subset:
                        total.add(-weight * scales.get(m, Fraction(1)), (unit,), units_in(subset))
        found[name] = (total.value, total.size)
    sampled = Sum(law)
    for subset, coefficient in coefficients.items():
        sampled.add(-coefficient, units_in(subset))
    found["sub-sampled"] = (sampled.value, sampled.size)
    whole = Sum(law)
    for m in modalities:
        whole.add(Fraction(1), modality_units[m])
    # TC(X) - (V - alpha)/V sum_v H(X_v), alpha = 1/4
    share = (len(modality_units) - Fraction(1, 4)) / len(modality_units)
    found["mvtcae alpha=0.25"] = (whole.value - h.value - real(share) * whole.value, h.size + 2 * whole.size)
    if all(len(subset) == 1 for subset in scheme):
        found["private-auxiliary own"] = found["own-density"]
        found["private-auxiliary mixture"] = (-h.value - tc.value + h_w, h.size + tc.size)
    return found


# --- schemes ------------------------------------------------------------------------------------------------------


def nonempty(count):
    return [s for size in range(1, count + 1) for s in itertools.combinations(range(count), size)]


def schemes(count):
    """``{label: {subset: weight}}``: full, MMVAE, MoPoE, and odd weights on some subsets and on none."""
    every = nonempty(count)
    odd = {subset: Fraction(2 * i + 1) for i, subset in enumerate([(), *every]) if i % 2 == 0}
    return {
        "full": {tuple(range(count)): Fraction(1)},
        "mmvae": {(m,): Fraction(1, count) for m in range(count)},
        "mopoe": {subset: Fraction(1, len(every)) for subset in every},
        "odd": {subset: weight / sum(odd.values()) for subset, weight in odd.items()},
    }


def sub_sampled(count, k):
    """MVAE's training objective: every modality, all together, and ``k`` random subsets between."""
    coefficients = defaultdict(Fraction)
    for m in range(count):
        coefficients[(m,)] += 1
    coefficients[tuple(range(count))] += 1
    for subset in nonempty(count):
        if 1 < len(subset) < count:
            coefficients[subset] += Fraction(k, 2**count - count - 2)
    return dict(coefficients)


# --- the laws -----------------------------------------------------------------------------------------------------


def text(values):
    return [text(value) if isinstance(value, list) else str(value) for value in values]


def random_pmf(rng, cells, zeros):
    weights = [0 if rng.random() < zeros else rng.randint(1, 40) for _ in range(cells)]
    weights[rng.randrange(cells)] += 1
    return [Fraction(w, sum(weights)) for w in weights]


def discrete_specs():
    rng = random.Random(2110_04121)
    shapes = [((5,), None, None), ((2, 2), None, None), ((3, 4), None, None), ((1, 3), None, None)]
    shapes += [((2, 2, 2), None, None), ((4, 1, 3), None, None), ((3, 2, 2, 3), None, None)]
    shapes += [((2,) * 5, None, None), ((2, 2, 3), [2, 1], "scalar"), ((2, 3, 2, 2, 2), [2, 1, 2], [1, 1, 1, 2])]
    shapes += [((2,) * 6, [3, 3], "scalar"), ((2, 2, 2, 2), [1, 2, 1], [1, 1, 1, 1])]
    for shape, sizes, units in shapes:
        for zeros in (0.0, 0.5):
            yield {
                "name": f"random pmf {'x'.join(map(str, shape))}"
                + (f" in {sizes}" if sizes else "")
                + (" with zeros" if zeros else ""),
                "type": "discrete",
                "shape": list(shape),
                "pmf": text(random_pmf(rng, math.prod(shape), zeros)),
                "sizes": sizes,
                "units": units,
            }
    tiny = [Fraction(1, 10**12), Fraction(0), Fraction(1, 3), Fraction(2, 3) - Fraction(1, 10**12)]
    xor = [Fraction(int((a ^ b) == c), 4) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    point = [Fraction(0), Fraction(1), Fraction(0), Fraction(0)]
    for name, shape, pmf in (("rare", [2, 2], tiny), ("xor", [2, 2, 2], xor), ("a point mass", [2, 2], point)):
        yield {"name": name, "type": "discrete", "shape": shape, "pmf": text(pmf), "sizes": None, "units": None}


def factor(rng, variables, latents, noise):
    """``L L^T + diag(noise)`` for integers ``L``."""
    loadings = [[rng.randint(-3, 3) for _ in range(latents)] for _ in range(variables)]
    return [
        [
            Fraction(sum(a * b for a, b in zip(loadings[i], loadings[j], strict=True))) + (noise if i == j else 0)
            for j in range(variables)
        ]
        for i in range(variables)
    ]


def map_of(rows, cov):
    """The covariance of the rows applied to a vector with covariance ``cov``."""
    n = len(cov)
    half = [[sum(Fraction(r[k]) * cov[k][j] for k in range(n)) for j in range(n)] for r in rows]
    return [[sum(h[k] * r[k] for k in range(n)) for r in rows] for h in half]


def gaussian_specs():
    rng = random.Random(1411_1784)
    regular = [
        ([1], None), ([1, 1], None), ([1] * 3, None), ([1] * 5, None),
        ([2, 1, 3], None), ([2, 1, 3], "scalar"), ([2, 2, 2], [1, 1, 2, 2]), ([4, 1], [2, 2, 1]),
    ]  # fmt: skip
    for sizes, units in regular:
        cov = factor(rng, sum(sizes), 2, Fraction(rng.randint(1, 9), rng.randint(2, 7)))
        yield {"name": f"factor model {sizes} {units or ''}".strip(), "cov": text(cov), "sizes": sizes, "units": units}
    for exponent in (4, 7, 10):
        near = 1 - Fraction(1, 10**exponent)
        cov = [[Fraction(1) if i == j else near for j in range(3)] for i in range(3)]
        yield {"name": f"correlation 1 - 1e-{exponent}", "cov": text(cov), "sizes": [1] * 3, "units": None}
    # Singular laws have integer entries, which float64 holds exactly.
    base = factor(rng, 3, 3, Fraction(1))
    unit = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    singular = {
        "a copy": ([*unit, [1, 0, 0]], [1] * 4, None),
        "two copies in other units": ([*unit, [4, 0, 0], [0, -2, 0]], [1] * 5, None),
        "a sum of two others": ([*unit, [1, 1, 0]], [1] * 4, None),
        "a constant": ([*unit, [0, 0, 0]], [1] * 4, None),
        "a block with a copy inside": ([*unit, [1, 0, 0]], [1, 1, 2], None),
        "a block with a sum inside": ([*unit, [1, 1, 0], [1, -1, 0]], [1, 1, 3], None),
        "blocks that share a variable": ([*unit, [1, 0, 0], [0, 1, 1]], [2, 1, 2], None),
        "rank three in six variables": ([*unit, [1, 2, 3], [3, -1, 1], [2, 1, -1]], [1] * 6, None),
        "rank three in scalar units": ([*unit, [1, 2, 3], [3, -1, 1], [2, 1, -1]], [2, 2, 2], "scalar"),
        "two of everything": ([*unit, *unit], [1] * 6, None),
    }
    for name, (rows, sizes, units) in singular.items():
        cov = map_of(rows, base)
        yield {"name": f"singular: {name}", "cov": text(cov), "sizes": sizes, "units": units, "singular": True}


def common_cause_specs():
    rng = random.Random(17)

    def table(label, *shape):
        return [text(random_pmf(rng, math.prod(shape), 0.3)) for _ in range(label)]

    yield {
        "name": "two labels, two modalities",
        "label": text(random_pmf(rng, 2, 0)),
        "parts": [{"shape": [2], "table": table(2, 2)}, {"shape": [3], "table": table(2, 3)}],
    }
    yield {
        "name": "three labels, two private units, one bare label",
        "label": text(random_pmf(rng, 3, 0)),
        "parts": [{"shape": [2, 2], "table": table(3, 2, 2)}, None, {"shape": [2], "table": table(3, 2)}],
    }
    yield {
        "name": "a label that never occurs",
        "label": ["1/3", "0", "2/3"],
        "parts": [{"shape": [2], "table": table(3, 2)}, {"shape": [2, 2], "table": table(3, 2, 2)}],
    }
    yield {
        "name": "Gaussian private parts",
        "label": text(random_pmf(rng, 4, 0)),
        "parts": [
            {"cov": text(factor(rng, 2, 1, Fraction(1, 2))), "sizes": [2]},
            {"cov": text(factor(rng, 2, 1, Fraction(3))), "sizes": [1, 1]},
            None,
        ],
    }


def specs():
    """The laws, as they stand in the file."""
    yield from discrete_specs()
    yield from ({"type": "gaussian", **spec} for spec in gaussian_specs())
    yield from ({"type": "common-cause", **spec} for spec in common_cause_specs())


def blocks(sizes):
    """Consecutive index tuples of the given lengths."""
    ends = list(itertools.accumulate(sizes))
    return [tuple(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def rational(values):
    return [rational(value) if isinstance(value, list) else Fraction(value) for value in values]


def law_of(spec, unit_level):
    """The oracle's law of one entry of the file, and the units of each modality."""
    if spec["type"] == "common-cause":
        return common_cause(spec, unit_level)
    n = len(spec["shape"]) if spec["type"] == "discrete" else len(spec["cov"])
    sizes = spec["sizes"] or [1] * n
    per_unit = sizes if not unit_level else [1] * n if spec["units"] == "scalar" else spec["units"] or sizes
    unit_variables = blocks(per_unit)
    modality_units = [tuple(u for u, vs in enumerate(unit_variables) if vs[0] in of) for of in blocks(sizes)]
    if spec["type"] == "discrete":
        outcomes = itertools.product(*(range(k) for k in spec["shape"]))
        return Cells(dict(zip(outcomes, rational(spec["pmf"]), strict=True)), unit_variables), modality_units
    return Normal(rational(spec["cov"]), unit_variables), modality_units


def common_cause(spec, unit_level):
    label, parts = rational(spec["label"]), spec["parts"]
    if any(part and "cov" in part for part in parts):
        laws, owner, modality_units = [], [], []
        for part in parts:
            start = len(owner)
            owner.append(None)
            if part:
                inside = blocks(part["sizes"])
                owner += [(len(laws), u) for u in range(len(inside))]
                laws.append(Normal(rational(part["cov"]), inside))
            modality_units.append(tuple(range(start, len(owner))))
        return LabelledNormal(label, laws, owner), modality_units
    cells = defaultdict(Fraction)
    for y, p in enumerate(label):
        choices = [[((y,), Fraction(1))] if part is None else private_cells(part, y) for part in parts]
        for chosen in itertools.product(*choices):
            outcome = tuple(value for values, _ in chosen for value in values)
            cells[outcome] += p * math.prod((q for _, q in chosen), start=Fraction(1))
    modality_variables = blocks([1 + (len(part["shape"]) if part else 0) for part in parts])
    if not unit_level:
        return Cells(cells, modality_variables), [(m,) for m in range(len(parts))]
    return Cells(cells, [(v,) for vs in modality_variables for v in vs]), modality_variables


def private_cells(part, y):
    outcomes = itertools.product(*(range(k) for k in part["shape"]))
    return [((y, *outcome), q) for outcome, q in zip(outcomes, rational(part["table"][y]), strict=True)]


def shown(value):
    return mp.nstr(value, SHOWN) if mp.isfinite(value) else "-inf"


def solve(spec):
    """One entry of the file: the law with its entropies and bounds."""
    entry = dict(spec)
    for level in ("modality", "unit"):
        law, modality_units = law_of(spec, level == "unit")
        if level == "modality" and isinstance(law, LabelledNormal):
            law = Merged(law, modality_units)
            modality_units = [(m,) for m in range(len(modality_units))]
        count = len(modality_units)
        needed = {()}
        for subset in [(), *nonempty(count)]:
            known = tuple(u for m in subset for u in modality_units[m])
            needed |= {known}
            if level == "unit":
                needed |= {tuple(sorted({*known, u})) for units in modality_units for u in units}
        entry[f"{level}_entropies"] = {
            str(sum(1 << u for u in units)): shown(law.entropy(units) if units else mpf(0)) for units in sorted(needed)
        }
        if spec.get("singular"):
            continue
        entry[f"{level}_bounds"] = {
            label: {
                name: [shown(value), mp.nstr(size, 3)]
                for name, (value, size) in bounds_of(law, modality_units, scheme, sub_sampled(count, 2)).items()
            }
            for label, scheme in schemes(count).items()
        }
    return entry


class Merged:
    """A law whose units are groups of another law's units."""

    def __init__(self, law, groups):
        self.law = law
        self.groups = groups

    def entropy(self, units):
        return self.law.entropy(tuple(u for unit in units for u in self.groups[unit]))

    def conditional(self, units, given):
        return self.entropy((*given, *units)) - self.entropy(given)


def build(wanted=None):
    """The text of the file, one law a line; or of the laws whose names are wanted."""
    with mp.workdps(DIGITS):
        laws = [solve(spec) for spec in specs() if wanted is None or spec["name"] in wanted]
        written = {
            m: {
                label: {"+".join(map(str, subset)): str(weight) for subset, weight in scheme.items()}
                for label, scheme in schemes(m).items()
            }
            for m in range(1, 7)
        }
    lines = ",\n".join(json.dumps(law) for law in laws)
    return f'{{"schemes": {json.dumps(written)},\n"laws": [\n{lines}\n]}}\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    arguments = parser.parse_args()
    found = build()
    if arguments.check:
        same = VECTORS.exists() and VECTORS.read_text() == found
        print(f"{VECTORS.name} is {'what' if same else 'not what'} the generator writes")
        return 0 if same else 1
    VECTORS.write_text(found)
    print(f"{VECTORS.name}: {len(found) / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
