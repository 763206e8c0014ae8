"""From data to the whole result, and the result as text, JSON and a page."""

import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

import bounds
from bounds import (
    CommonCause,
    Discrete,
    Gaussian,
    InputError,
    SubsetScheme,
    irreducible_error,
    mmvae,
    mopoe,
    mvae_subsampled,
)
from bounds.report import GLOSSARY, all_warnings, headline, table_rows, to_html, to_json, to_terminal

XOR = Discrete(np.array([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]]), ["left", "right", "parity"])
ESTIMATE_KEYS = {"value", "low", "high", "confidence", "method", "guarantee"}


def sampled(n=3000):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, n)
    return {"image": np.column_stack([label, rng.integers(0, 2, n)]), "text": (label + (rng.random(n) < 0.2)) % 3}


def test_a_law_gives_the_numbers_of_the_single_functions():
    result = irreducible_error(XOR, ["mvae", "mmvae", "mopoe"])
    h = XOR.entropy_vector()
    for scheme in (bounds.full(3), mmvae(3), mopoe(3)):
        found = result[scheme.label]
        assert found.generative_discrepancy == bounds.generative_discrepancy(h, scheme)
        assert found.modalities.elbo_ceiling == bounds.elbo_ceiling(h, scheme)
        assert found.modalities.total_correlation_term == bounds.total_correlation_term(h, scheme)
        assert found.units is None
    assert result["mmvae"].modalities.total_correlation_term.value == pytest.approx(math.log(2), rel=1e-12)
    assert result["mmvae"].modalities.published_ceiling.value == pytest.approx(-2 * math.log(2), rel=1e-12)


def test_units_finer_than_modalities_get_their_own_level():
    result = irreducible_error(sampled(), "mmvae")
    found = result["mmvae"]
    assert result.unit_names == ("image[0]", "image[1]", "text")
    assert found.units.total_correlation_term.value >= found.modalities.total_correlation_term.value
    assert found.finest is found.units


def test_growth_ends_at_the_whole_and_starts_at_zero():
    result = irreducible_error(XOR, ["mmvae", "mopoe"])
    steps = {(step.scheme, step.n_modalities): step for step in result.growth}
    assert set(steps) == {(s, m) for s in ("mmvae", "mopoe") for m in (1, 2, 3)}
    for label in ("mmvae", "mopoe"):
        assert steps[label, 1].generative_discrepancy.value == 0
        assert steps[label, 3].generative_discrepancy.value == result[label].generative_discrepancy.value
        two = irreducible_error(XOR.marginal(["left", "right"]), label)[label]
        assert steps[label, 2].generative_discrepancy.value == two.generative_discrepancy.value


def test_growth_of_samples_keeps_units_and_intervals():
    result = irreducible_error(sampled(), "mmvae")
    last = result.growth[-1].total_correlation_term
    whole = result["mmvae"].units.total_correlation_term
    assert (last.value, last.low, last.high) == pytest.approx((whole.value, whole.low, whole.high))


def test_json_has_the_documented_keys_and_no_nan():
    document = json.loads(to_json(irreducible_error(sampled(), ["mmvae", "mvae-subsampled"])))
    assert document["unit"] == "nats"
    assert document["n"] == 3000
    mixture = document["schemes"]["mmvae"]
    for key in (
        "generative_discrepancy", "distortion_floor", "total_correlation_term", "elbo_ceiling", "published_ceiling",
        "quoted_bound",
    ):  # fmt: skip
        assert set(mixture[key]) >= ESTIMATE_KEYS
    assert set(mixture["units"]["elbo_ceiling"]) >= ESTIMATE_KEYS
    assert document["schemes"]["mvae-subsampled"]["generative_discrepancy"] is None
    assert mixture["generative_discrepancy"]["guarantee"] == "asymptotic"
    assert mixture["weights"] == {"image": "1/2", "text": "1/2"}
    assert len(document["growth"]) == 2


@pytest.mark.parametrize(
    "law",
    [
        Gaussian([[1.0, 1.0], [1.0, 1.0]]),  # the sum for the loss would be 0, and the ceiling inf
        Gaussian(np.ones((3, 3)) + np.diag([0.0, 1, 0]), [2, 1], units="scalar"),
        CommonCause([0.5, 0.5], [None, Gaussian([[0.0]])]),
    ],
)
def test_a_singular_law_has_no_ceiling_and_no_loss(law):
    result = irreducible_error(law, ["mvae", "mmvae", "mopoe", "mvae-subsampled"])
    document = json.loads(to_json(result))
    assert document["entropy"]["value"] == "-inf"
    for scheme in document["schemes"].values():
        for level in filter(None, [scheme, scheme["units"]]):
            for key in ("total_correlation_term", "elbo_ceiling", "published_ceiling", "quoted_bound"):
                if level.get(key):
                    found = level[key]
                    assert (found["value"], found["low"], found["high"], found["guarantee"]) == (
                        None,
                        None,
                        None,
                        "none",
                    )
                    assert found["notes"] == [
                        "h(X) is -inf (a singular law), and T2 and the other ceilings need a finite one"
                    ]
    text = str(result)
    assert "irreducible ELBO loss: no value (h(X) is -inf" in text
    assert "ELBO ceiling (own-density): no value (h(X) is -inf" in text
    assert not re.search(r"(loss|ceiling \S+) = ", text)
    assert not re.search(r"(?<!-)\binf\b", text)
    assert to_html(result)


def test_growth_has_losses_as_long_as_the_modalities_have_a_density():
    copied_last = Gaussian([[1.0, 0.5, 0.5], [0.5, 1.0, 1.0], [0.5, 1.0, 1.0]])
    losses = [step.total_correlation_term.value for step in irreducible_error(copied_last, "mmvae").growth]
    assert losses == [0, pytest.approx(0, abs=1e-12), None]  # rounding


def test_the_kind_of_data_is_said_in_words_and_keeps_its_key():
    result = irreducible_error(Gaussian(np.eye(2)), "mmvae")
    assert result.describe() == "known law, 2 modalities (X1, X2), continuous"
    assert result.to_dict()["kind"] == "differential"
    assert irreducible_error(XOR, "mmvae").describe().endswith(", discrete")


def test_refused_numbers_are_null_with_the_reason_everywhere():
    rng = np.random.default_rng(1)
    result = irreducible_error({name: rng.integers(0, 40, 500) for name in "abc"}, "mopoe")
    document = json.loads(to_json(result))
    refused = document["schemes"]["mopoe"]["generative_discrepancy"]
    assert refused["value"] is None
    assert "too few" in refused["notes"][0]
    assert "too few" in headline(result)[0]
    assert "too few" in to_html(result)


def test_continuous_data_lead_with_the_numbers_that_keep_their_value():
    rng = np.random.default_rng(2)
    result = irreducible_error({"a": rng.normal(size=(200, 2)), "b": rng.normal(size=200)}, "mmvae")
    names = [row.title for row in table_rows(result)]
    assert names.index("Delta (paper)") > names.index("irreducible ELBO loss, decoder factorised over units")
    assert any("units of measurement" in warning for warning in all_warnings(result))
    assert [row.name for row in table_rows(irreducible_error(XOR))][1] == "Delta (paper)"


def test_bits_are_nats_over_ln_2_and_only_in_reports():
    result = irreducible_error(XOR, "mmvae")
    cells = {row.name: row.cells[0].value for row in table_rows(result, "bits")}
    assert cells["irreducible ELBO loss"] == "1.000000"
    assert json.loads(to_json(result))["schemes"]["mmvae"]["total_correlation_term"]["value"] == pytest.approx(
        math.log(2)
    )


def test_the_terminal_table_names_every_scheme_and_warning():
    console = Console(width=160, record=True, file=io.StringIO())
    for interval, method in (("auto", "delta method to second order"), ("guaranteed", "McDiarmid")):
        console.print(to_terminal(irreducible_error(sampled(), ["mmvae", "mopoe"], interval=interval)))
        text = console.export_text()
        for word in ("mmvae", "mopoe", "Delta (paper)", "quoted bound (refuted)", method):
            assert word in text


def test_an_estimate_without_an_interval_says_why_everywhere():
    result = irreducible_error(sampled(), ["mmvae", "mvae-subsampled"], block=200)
    why = "3000 rows are fewer than 20 blocks of 200"
    found = json.loads(to_json(result))["schemes"]["mmvae"]["units"]["total_correlation_term"]
    assert (found["low"], found["high"], found["guarantee"]) == (None, None, "none")
    assert found["value"] > 0
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(to_terminal(result))
    for text in (str(result), " ".join(console.export_text().split()), to_html(result)):
        assert why in text
        assert "Every number is exact" not in text
        assert "(none" not in text
    assert all(f"without an interval ({why})" in sentence for sentence in headline(result))
    assert "no loss can be shown" in headline(result)[0]
    cells = [cell for row in table_rows(result) for cell in row.cells if cell.value != "-"]
    assert {cell.interval for cell in cells if cell.why != "for every law"} == {"no interval"}


def test_intervals_of_several_kinds_each_say_theirs():
    wide, result = (irreducible_error(sampled(), "mmvae", interval=interval) for interval in ("guaranteed", "auto"))
    result = replace(result, entropy=wide.entropy)
    kinds = {row.name: row.cells[0].why for row in table_rows(result) if row.cells[0].interval}
    assert (kinds["entropy H(X)"], kinds["Delta (paper)"]) == ("guaranteed", "asymptotic")
    caption = re.search(r'id="caption">(.*?)</p>', to_html(result))[1]
    assert "intervals, guaranteed or asymptotic, as each says" in caption
    assert "McDiarmid" in caption
    assert "delta method" in caption


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.open, self.figures = [], [], 0

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "href", "action", "data"):
                self.found.append(value)
        self.figures += tag == "figure"
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_one_file_well_formed_and_needs_no_network():
    page = to_html(irreducible_error(sampled(), ["mvae", "mmvae", "mopoe", "mvae-subsampled"], source="<odd & name>"))
    parser = _Links()
    parser.feed(page)
    assert parser.open == []
    assert parser.figures == page.count("<svg ") == 5
    assert all(link.startswith("#") for link in parser.found)  # a mark that a figure draws more than once
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)  # within the page: a clip path
    assert "&lt;odd &amp; name&gt;" in page
    for term, _ in GLOSSARY:
        assert term in page


def test_pages_are_reproducible():
    assert to_html(irreducible_error(XOR)) == to_html(irreducible_error(XOR))


def test_results_print_well():
    result = irreducible_error(XOR, ["mmvae", "mvae-subsampled"])
    assert "Delta = 0.693147 nats (exact)" in str(result)
    assert "<table>" in result._repr_html_()
    assert "<code>" in result["mmvae"].generative_discrepancy._repr_html_()


def test_schemes_as_objects_names_and_weights():
    odd = SubsetScheme({(0,): 0.5, (0, 1, 2): 0.5}, label="odd")
    result = irreducible_error(XOR, [odd, "left:1/2,left+right+parity:1/2", mvae_subsampled(3)])
    assert [b.scheme.label for b in result.schemes] == ["odd", "left:1/2,left+right+parity:1/2", "mvae-subsampled"]
    assert result.schemes[0].generative_discrepancy == result.schemes[1].generative_discrepancy
    assert result.growth == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "vae"}, "unknown scheme 'vae'"),
        ({"scheme": []}, "no scheme"),
        ({"scheme": ["mmvae", "mmvae"]}, "given twice"),
        ({"scheme": mmvae(2)}, "over 2 modalities, the entropies over 3"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"scheme": "left:0.5,right:0.6"}, "sum to 1.1"),
        ({"scheme": "left:x"}, "not a weight"),
        ({"scheme": "top:1"}, "unknown name 'top'"),
        ({"scheme": "left:-1,right:2"}, "must be finite and not negative"),
    ],
)
def test_wrong_requests_are_one_clear_line(options, message):
    with pytest.raises(InputError, match=message) as caught:
        irreducible_error(XOR, **{"scheme": "mmvae", **options})
    assert "\n" not in str(caught.value)


def test_what_is_neither_law_nor_data_is_refused():
    with pytest.raises(InputError, match="list is neither a law, samples"):
        irreducible_error([[0.5, 0.5]], "mmvae")
