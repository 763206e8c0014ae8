"""What the tests of the prover share: a verdict with its evidence verified."""

from bounds import prove
from bounds.certificates import refutes, verify


def assert_proved(statement, given=()):
    proof = prove(statement, given)
    assert proof.proved, str(proof)
    assert proof.counterexample is None
    assert verify(proof.certificate)
    return proof


def assert_refuted(statement, given=()):
    proof = prove(statement, given)
    assert not proof.proved, str(proof)
    assert proof.certificate is None
    assert refutes(proof.counterexample, proof.statement, proof.given)
    assert all(value.denominator == 1 for value in proof.counterexample.values)
    assert proof.counterexample.note == "not Shannon-provable; this polymatroid may not be entropic"
    return proof
