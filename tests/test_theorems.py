"""The registry: every claim has the status that its check finds, and what it prints can be redone by hand."""

import json
import math
import sys
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import strategies

from bounds import Gaussian, InputError
from bounds.choices import Choices
from bounds.cli import main
from bounds.theorem_report import show, verdicts_to_html, verdicts_to_json, verdicts_to_markdown
from bounds.theorems import DEFAULT_EXAMPLES, REGISTRY, Case, Theorem, check, checking, find, verify
from bounds.theorems.base import TOLERANCE

EXAMPLES = 150
#: Margins of sums near 1 that are zero but for rounding.
ROUNDING = 1e-12
FAILING = [one.id for one in REGISTRY.values() if not one.holds or one.without is not None]


def expected_status(theorem):
    """What the fields of a theorem say that its status must be."""
    if not theorem.holds:
        return "refuted"
    if theorem.without is not None:
        return "conditional"
    return "tested" if theorem.proof is None else "proved"


@pytest.mark.parametrize("id", REGISTRY)
def test_every_claim_is_as_claimed(id):
    theorem = REGISTRY[id]
    verdict = check(theorem, EXAMPLES)
    assert verdict.as_claimed, f"{verdict}\n{verdict.counterexample}\n{verdict.notes}"
    assert verdict.status == expected_status(theorem)
    if verdict.status == "refuted":
        assert 1 <= verdict.examples <= EXAMPLES
    else:
        assert verdict.examples == EXAMPLES
        assert verdict.smallest_margin >= -TOLERANCE
    assert (verdict.tight is None) == (theorem.witness is None)
    if verdict.tight is not None:
        assert abs(verdict.tight) <= ROUNDING * 10
    assert (verdict.counterexample is not None) == (id in FAILING)
    assert len(verdict.notes) == len(theorem.known)
    if verdict.counterexample is not None:
        assert verdict.counterexample.margin < -TOLERANCE
        assert verdict.dropped == (theorem.without[0] if verdict.status == "conditional" else None)
    if theorem.proof is not None:
        assert verdict.proof.holds
        assert verdict.proof.details
    json.loads(json.dumps(verdict.to_dict(), allow_nan=False))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("id", FAILING)
def test_what_fails_is_found_failing_whatever_the_seed(id, seed, monkeypatch):
    """Without shrinking, which comes after the search that is meant here."""
    monkeypatch.setattr(checking, "_shrunk", lambda *_: None)
    theorem = replace(REGISTRY[id], proof=None)
    verdict = check(theorem, DEFAULT_EXAMPLES, seed)
    assert verdict.as_claimed
    assert verdict.counterexample.margin < -TOLERANCE


@pytest.mark.parametrize("id", REGISTRY)
def test_entries_say_what_a_reader_needs(id):
    theorem = REGISTRY[id]
    assert theorem.id == id
    for text in (theorem.title, theorem.statement, theorem.latex, theorem.source):
        assert text.strip()
    assert set(theorem.depends) <= set(REGISTRY)
    assert theorem.latex.count("{") == theorem.latex.count("}")
    assert theorem.statement.rstrip().endswith(".")


def test_the_smallest_case_is_the_same_in_every_run_and_differs_between_seeds():
    theorem = REGISTRY["T0.condition"]
    first, again = (check(theorem, 40, seed=3) for _ in range(2))
    assert first.to_dict() == again.to_dict()
    failing = REGISTRY["T10.1.T2"]
    assert check(failing, 100, seed=3).to_dict() == check(failing, 100, seed=3).to_dict()
    other = check(theorem, 40, seed=4)
    assert other.smallest_margin != first.smallest_margin


def test_find_takes_an_id_with_its_continuations():
    assert [one.id for one in find("T5")] == [id for id in REGISTRY if id == "T5" or id.startswith("T5.")]
    assert [one.id for one in find("T2", "T1")] == ["T2", "T2.slack", "T1"]
    assert find() == tuple(REGISTRY.values())
    assert [one.id for one in find("T10.1", "T10.1.beta")].count("T10.1.beta") == 1
    with pytest.raises(InputError, match=r"unknown theorem 'T99': known are T0, "):
        find("T1", "T99")
    with pytest.raises(InputError, match="unknown theorem ''"):
        find("")


def test_a_prefix_of_an_id_is_no_id():
    assert {one.id for one in find("T1")} == {"T1"}
    with pytest.raises(InputError, match="unknown theorem 'COR'"):
        find("COR")


def test_verify_checks_a_family():
    verdicts = verify("T2", examples=10)
    assert [one.id for one in verdicts] == ["T2", "T2.slack"]
    assert all(one.as_claimed and one.examples == 10 for one in verdicts)
    with pytest.raises(InputError, match="0 examples: give at least 1"):
        verify("T2", examples=0)
    with pytest.raises(InputError, match="unknown theorem"):
        verify("nothing")


def test_several_processes_find_the_same():
    alone, together = (verify("COR1", examples=5, processes=count) for count in (1, 2))
    assert [one.to_dict() for one in alone] == [one.to_dict() for one in together]


def test_the_registry_cannot_be_written():
    with pytest.raises(TypeError):
        REGISTRY["T0"] = None


# --- a status is computed, never written down -----------------------------------------------------------------------


def trivial(margin, **changes):
    """A claim about nothing, with a margin of the first byte."""
    entry = Theorem("X", "title", "Statement.", "x", (), "here", lambda case: margin(case.settings["n"]), numbered)
    return replace(entry, **changes)


def numbered(choices):
    return Case(None, None, None, {"n": choices.integer(0, 255)})


@pytest.fixture
def no_law(monkeypatch):
    monkeypatch.setattr(Case, "to_dict", lambda case: {"settings": dict(case.settings)})


@pytest.mark.usefixtures("no_law")
def test_a_claim_that_fails_is_refuted_whatever_it_says_of_itself():
    verdict = check(trivial(lambda n: 0.0 if n < 100 else -1.0), 200)
    assert (verdict.status, verdict.as_claimed) == ("refuted", False)
    assert verdict.counterexample.to_dict() == {"margin": -1.0, "settings": {"n": 100}}  # shrunk
    assert "NOT AS CLAIMED" in str(verdict)
    assert check(trivial(lambda n: -1.0, holds=False), 5).as_claimed


@pytest.mark.usefixtures("no_law")
def test_a_claim_that_never_fails_is_not_refuted_whatever_it_says_of_itself():
    verdict = check(trivial(lambda n: 1.0, holds=False), 20)
    assert (verdict.status, verdict.as_claimed) == ("tested", False)
    verdict = check(trivial(lambda n: 1.0, without=("parity", numbered)), 20)
    assert (verdict.status, verdict.as_claimed) == ("tested", False)


@pytest.mark.usefixtures("no_law")
def test_nan_is_a_violation():
    verdict = check(trivial(lambda n: math.nan), 5)
    assert verdict.status == "refuted"
    assert json.loads(verdicts_to_json([verdict]))["theorems"][0]["counterexample"]["margin"] == "nan"


@pytest.mark.usefixtures("no_law")
def test_infinite_margins_are_written_as_text():
    verdict = check(trivial(lambda n: math.inf), 5)
    assert json.loads(verdicts_to_json([verdict]))["theorems"][0]["smallest_margin"] == "inf"


@pytest.mark.usefixtures("no_law")
def test_a_loose_witness_and_a_failed_proof_are_not_as_claimed():
    from bounds.theorems import Evidence

    for margin in (0.5, -0.5, math.nan, math.inf):
        loose = trivial(lambda n, margin=margin: 1.0 if n < 256 else margin, witness=lambda: numbered_as(256))
        assert not check(loose, 5).as_claimed, margin
    broken = trivial(lambda n: 1.0, proof=lambda: Evidence("certificate", "none", holds=False))
    verdict = check(broken, 5)
    assert (verdict.status, verdict.as_claimed) == ("tested", False)
    known = trivial(lambda n: 1.0 if n < 256 else -1.0, known={"a case": lambda: numbered_as(256)})
    verdict = check(known, 5)
    assert not verdict.as_claimed
    assert verdict.notes == ("a case: fails, margin -1.000000",)
    supporting = trivial(lambda n: -1.0 if n < 256 else 1.0, holds=False, known={"a case": lambda: numbered_as(256)})
    assert not check(supporting, 5).as_claimed


def numbered_as(n):
    return Case(None, None, None, {"n": n})


# --- the search -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_law")
def test_the_simplest_case_comes_first_and_then_the_seed_decides():
    def cases(seen):
        def build(choices):
            seen.append(choices.read(3))
            return numbered_as(0)

        return build

    first, again, other = [], [], []
    for seed, seen in ((0, first), (0, again), (1, other)):
        check(trivial(lambda n: 0.0, cases=cases(seen)), 10, seed)
    assert first == again
    assert len(set(first)) == 10
    assert first[0] == other[0] == bytes(3)
    assert not set(first[1:]) & set(other[1:])


@pytest.mark.usefixtures("no_law")
def test_a_counterexample_stays_as_it_was_found_where_shrinking_does_not_see_it(monkeypatch):
    claim = trivial(lambda n: -1.0 if n > 200 else 0.0)
    assert check(claim, 100).counterexample.numbers == {"settings": {"n": 201}}
    monkeypatch.setattr("bounds.strategies.decoded", lambda cases: strategies.just(numbered_as(0)))
    found = check(claim, 100)
    assert found.status == "refuted"
    assert found.counterexample.margin == -1
    assert found.counterexample.numbers["settings"]["n"] > 201


@pytest.mark.usefixtures("no_law")
def test_shrinking_needs_hypothesis(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    assert check(trivial(lambda n: 0.0), 10).as_claimed
    with pytest.raises(InputError, match=r"multimodal-bounds\[property\]"):
        check(trivial(lambda n: -1.0), 10)


@pytest.mark.parametrize("id", REGISTRY)
def test_no_case_reads_more_than_is_drawn(id):
    rng = np.random.default_rng(0)
    for build in (REGISTRY[id].cases, *((REGISTRY[id].without or ("", None))[1:])):
        for _ in range(100 if build else 0):
            choices = Choices(rng.bytes(checking.LENGTH))
            build(choices)
            assert choices.position <= checking.LENGTH


def test_a_case_says_what_it_lacks():
    bare = Case(Gaussian([[1.0]]))
    for what, message in (("table", "discrete law"), ("vae", "finite model"), ("mixture", "scheme")):
        with pytest.raises(InputError, match=f"this case has no {message}"):
            getattr(bare, what)


@pytest.mark.parametrize("id", [one.id for one in REGISTRY.values() if one.holds])
def test_every_bound_that_holds_has_a_case_in_which_it_is_tight(id):
    """Or random ones show that it is an identity, which is always tight; T8.limits is about a limit."""
    theorem = REGISTRY[id]
    if theorem.witness is None and id != "T8.limits":
        rng = np.random.default_rng(0)
        margins = [theorem.margin(theorem.cases(Choices(rng.bytes(checking.LENGTH)))) for _ in range(30)]
        assert max(map(abs, margins)) <= TOLERANCE


# --- what is printed can be redone by hand --------------------------------------------------------------------------


def exact(table):
    return [exact(part) for part in table] if isinstance(table, list) else Fraction(table)


def test_the_printed_counterexample_of_the_quoted_theorem_redone_by_hand():
    """Evidence, ELBO and Delta from the printed fractions alone, for modalities of one unit each."""
    numbers = verify("T0", examples=20)[0].counterexample.to_dict()
    assert numbers["law"]["axes per modality"] == [1, 1]
    pmf, prior = exact(numbers["law"]["pmf"]), exact(numbers["prior"])
    decoders, weights = [exact(one) for one in numbers["decoders"]], numbers["scheme"]
    cells = [(x, y) for x, row in enumerate(pmf) for y, p in enumerate(row) if p]
    latents = range(len(prior))

    def expected(value):
        return sum(float(pmf[x][y]) * value(x, y) for x, y in cells)

    evidence = expected(lambda x, y: math.log(sum(prior[z] * decoders[0][z][x] * decoders[1][z][y] for z in latents)))
    elbo = delta = 0.0
    for (name, encoder), weight in zip(numbers["encoders"].items(), weights.values(), strict=True):
        place = {"X1": 0, "X2": 1}.get(name)
        q = exact(encoder)

        def seen(x, y, place=place, name=name):
            return {"(empty)": ()}.get(name, (x, y) if place is None else ((x, y)[place],))

        def of(x, y, q=q, seen=seen):
            law = q
            for value in seen(x, y):
                law = law[value]
            return law

        elbo += float(Fraction(weight)) * expected(
            lambda x, y, of=of: sum(
                float(of(x, y)[z])
                * (math.log(decoders[0][z][x] * decoders[1][z][y]) + math.log(prior[z] / of(x, y)[z]))
                for z in latents
                if of(x, y)[z]
            )
        )
        known = {}
        for x, y in cells:
            known[seen(x, y)] = known.get(seen(x, y), 0) + pmf[x][y]
        delta += float(Fraction(weight)) * expected(
            lambda x, y, seen=seen, known=known: -math.log(pmf[x][y] / known[seen(x, y)])
        )
    assert evidence - elbo - delta == pytest.approx(numbers["margin"], abs=1e-12)
    assert evidence - elbo - delta < -0.1


@pytest.mark.parametrize("id", ["T0", "COR2.always", "T9.Delta"])
def test_the_exact_numbers_stand_in_every_form(id):
    verdict = verify(id, examples=100)[0]
    theorem = REGISTRY[id]
    assert f"{-verdict.counterexample.margin:.6g} nats" in str(verdict)
    page = show(theorem, verdict)
    for part in (theorem.title, theorem.statement, theorem.latex, theorem.source, verdict.status):
        assert part in page
    assert f"margin {verdict.counterexample.margin:.9g} nats" in page
    for key, value in verdict.counterexample.numbers["law"].items():
        assert f"{key}: {value}" in page
        assert f"{key}: {value}" in str(verdict.counterexample)
    document = json.loads(verdicts_to_json([verdict]))
    assert document["unit"] == "nats"
    assert document["theorems"][0]["counterexample"]["margin"] == verdict.counterexample.margin
    assert document["theorems"][0]["counterexample"]["law"] == verdict.counterexample.numbers["law"]


def test_a_proof_is_printed_with_its_certificates():
    (verdict,) = [one for one in verify("T2", examples=5) if one.id == "T2"]
    page = show(REGISTRY["T2"], verdict)
    assert "proof by certificate" in page
    assert "is the sum of these, each times its weight" in page
    assert "I(Z;X2|X1) = 0" in page


@pytest.mark.parametrize("id", REGISTRY)
def test_a_case_is_ready_for_json(id):
    for data in (b"", bytes(range(256)) * 8, bytes([255 - i % 7 * 31 for i in range(checking.LENGTH)])):
        case = REGISTRY[id].cases(Choices(data))
        assert json.loads(json.dumps(case.to_dict(), allow_nan=False))["law"]


@pytest.mark.parametrize("id", REGISTRY)
def test_the_simplest_case_of_a_claim_that_holds_satisfies_it(id):
    theorem = REGISTRY[id]
    case = theorem.cases(Choices(b""))
    if theorem.holds:
        assert not theorem.violated_by(case)
    for make in theorem.known.values():
        if theorem.without is None:
            assert theorem.violated_by(make()) != theorem.holds


# --- the command ----------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Collects open tags and links, and fails for a tag that is closed out of order."""

    VOID = ("meta", "link", "br", "hr", "img", "input", "col")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.links += [value for key, value in attributes if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_command_prints_a_table(capsys):
    assert main(["theorems", "T0", "COR1", "--examples", "20", "--processes", "1"]) == 0
    out, err = capsys.readouterr()
    for word in ("T0.condition", "T0.repair", "refuted", "COR1", "tested", "fails by 0.693147 nats"):
        assert word in out
    assert err == ""


def test_the_command_prints_json_and_nothing_else(capsys):
    assert main(["theorems", "T0", "--examples", "20", "--json", "--processes", "1"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [one["status"] for one in document["theorems"]] == ["refuted", "tested", "tested"]
    assert document["theorems"][0]["counterexample"]["scheme"] == {"X1": "1/2", "X2": "1/2"}
    assert err == ""


def test_the_command_shows_one_claim(capsys):
    assert main(["theorems", "show", "T2", "--examples", "5"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("T2: ELBO ceiling")
    assert "T2.slack:" not in out
    assert "is the sum of these" in out
    assert main(["theorems", "show", "T10.3", "--examples", "40"]) == 0  # no claim of this id: its continuations
    out = capsys.readouterr().out
    assert "T10.3.own:" in out
    assert "T10.3.auxiliary:" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["T99"], "unknown theorem 'T99'"),
        (["T0", "--examples", "0"], "0 examples: give at least 1"),
        (["T0", "--examples", "-5"], "-5 examples"),
        (["show"], "show which theorem?"),
        (["show", "nothing"], "unknown theorem 'nothing'"),
        (["T0", "--processes", "0"], "--processes 0: give at least 1"),
        (["COR1", "--examples", "2", "--html", "/nowhere/at/all/page.html"], "cannot write"),
    ],
)
def test_usage_errors_are_one_line(arguments, message, capsys):
    assert main(["theorems", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("bounds: error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--examples", "few"], ["--seed", "x"], ["--unknown"]])
def test_arguments_that_do_not_parse_are_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["theorems", *arguments])
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_pages_are_written(tmp_path, capsys):
    page, listing = tmp_path / "page.html", tmp_path / "theorems.md"
    arguments = ["--examples", "15", "--processes", "1", "--html", str(page), "--markdown", str(listing)]
    assert main(["theorems", "T0", "T2", *arguments]) == 0
    assert capsys.readouterr().err.splitlines() == [f"wrote {page}", f"wrote {listing}"]
    text = page.read_text(encoding="utf-8")
    parser = Page()
    parser.feed(text)
    assert parser.open == []
    assert not [link for link in parser.links if not link.startswith("#")]
    assert "://" not in text.replace('xmlns="http://www.w3.org', "")
    assert text.lower().startswith("<!doctype html>")
    shown = "".join(parser.text)
    for theorem in find("T0", "T2"):
        assert theorem.title in shown
        assert theorem.statement in shown
    assert "## T2.slack: " in listing.read_text(encoding="utf-8")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["page.html", "theorems.md"]


def test_a_verdict_that_is_not_as_claimed_is_exit_code_1(monkeypatch, capsys):
    wrong = [replace(one, as_claimed=one.id != "COR1") for one in verify("COR1", examples=3)]
    monkeypatch.setattr("bounds.commands.theorems.verify_all", lambda *_: iter(wrong))
    assert main(["theorems", "COR1"]) == 1
    out, err = capsys.readouterr()
    assert err == "bounds: not as claimed: COR1\n"
    assert "(!)" in out
    assert main(["theorems", "COR1", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["theorems"][0]["as_claimed"] is False


def test_titles_are_text_and_not_markup():
    verdict = replace(verify("COR1", examples=2)[0], title="[bold]TC[/bold] <b> & |R|")
    theorem = replace(REGISTRY["COR1"], title=verdict.title)
    parser = Page()
    parser.feed(verdicts_to_html([theorem], [verdict]))
    assert verdict.title in "".join(parser.text)
    assert "[bold]" in verdicts_to_markdown([theorem], [verdict])


@pytest.mark.parametrize("id", REGISTRY)
def test_rows_of_the_markdown_table_have_four_cells(id):
    verdict = replace(check(replace(REGISTRY[id], proof=None, without=None), 1), proof=None)
    page = verdicts_to_markdown([REGISTRY[id]], [verdict])
    row = next(line for line in page.splitlines() if line.startswith(f"| {id}"))
    assert row.replace(r"\|", "").count("|") == 5


# --- bounds prove ---------------------------------------------------------------------------------------------------


def test_prove_exits_with_0_for_what_is_proved(capsys):
    assert main(["prove", "I(X;Z) <= I(X;Y)", "--given", "X - Y - Z"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("proved: I(X;Z) <= I(X;Y)\ngiven: X - Y - Z\n")
    assert err == ""


def test_prove_reads_arrows(capsys):
    assert main(["prove", "I(X,W;Z) <= I(X,W;Y)", "--given", "X,W -> Y -> Z"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("proved: I(X,W;Z) <= I(X,W;Y)\ngiven: X,W -> Y -> Z\n")
    assert err == ""


def test_prove_exits_with_1_for_what_is_not(capsys):
    assert main(["prove", "H(X|Y) <= I(X;Y)"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("not provable: ")
    assert "this polymatroid may not be entropic" in out
    assert err == ""


def test_prove_prints_json(capsys):
    assert main(["prove", "H(X,Y) <= H(X) + H(Y)", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["proved"] is True
    assert document["certificate"]["derivations"][0]["sum_of"] == [{"weight": "1", "row": "I(X;Y) >= 0"}]
    assert main(["prove", "H(X) <= H(Y)", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["proved"] is False
    values = {key: Fraction(value) for key, value in document["counterexample"]["values"].items()}
    assert values["X"] > values["Y"]


@pytest.mark.parametrize(
    ("arguments", "token"),
    [
        (["H(X) + <= 1"], "<="),
        (["H(X) <= H(Y"], None),
        (["I(X) >= 0"], "I"),
        (["H(X) >= 0 >= 0"], None),
        (["H(X|Y) <= H(X)", "--given", "X - Y - "], None),
        (["H(X|Y) <= H(X)", "--given", "X -> -> Y"], "-> Y"),
        (["H(X|Y) <= H(X)", "--given", "X -> Y <- Z"], "<- Z"),
        (["H(X) -> H(Y)"], "-> H(Y)"),
        (["H(X) @ H(Y)"], "@"),
    ],
)
def test_a_statement_that_cannot_be_read_is_pointed_at(arguments, token, capsys):
    assert main(["prove", *arguments]) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0].startswith("bounds: error: ")
    assert len(lines) == 3
    assert lines[1].strip() in (arguments[0], arguments[-1].strip(), arguments[-1])
    assert lines[2].strip() == "^"
    if token is not None:
        assert lines[1][lines[2].index("^") :].startswith(token)


def test_assumptions_that_nothing_satisfies_are_one_line(capsys):
    assert main(["prove", "H(X) <= H(Y)", "--given", "H(X) >= 2 H(X,Y)"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
