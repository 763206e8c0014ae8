"""Matrices and vectors of a model, checked once: float64, finite, of the right shape, positive definite."""

from __future__ import annotations

import numpy as np

from bounds.errors import InputError
from bounds.joints import real_array

#: Asymmetry of a covariance, relative to its largest entry, that may be rounding.
SYMMETRY = 1e-9


def noise_covariance(noise: float | np.ndarray, n_variables: int) -> np.ndarray:
    """``(d, d)``, of isotropic, diagonal or full noise.

    Raises:
        InputError: another shape, NaN or inf, not positive definite.

    >>> noise_covariance(2.0, 2)
    array([[2., 0.],
           [0., 2.]])
    """
    given = real_array("the noise", noise)  # type: ignore[arg-type]
    if given.ndim == 0:
        given = np.full(n_variables, float(given))
    shapes = {(n_variables,), (n_variables, n_variables)}
    if given.shape not in shapes:
        raise InputError(
            f"noise of shape {given.shape} for {n_variables} variables: give a variance, one for each variable, or a "
            "covariance"
        )
    return positive_definite("the noise", np.diag(given) if given.ndim == 1 else given)


def positive_definite(what: str, matrix: np.ndarray) -> np.ndarray:
    """A symmetric positive definite float64 copy.

    Raises:
        InputError: not square, NaN or inf, asymmetric, not positive definite; ``what`` names it.
    """
    symmetric = symmetric_matrix(what, matrix)
    try:
        np.linalg.cholesky(symmetric)
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(symmetric)[0])
        raise InputError(f"{what} is not positive definite: its smallest eigenvalue is {smallest:.3g}") from None
    return symmetric


def positive_semidefinite(what: str, matrix: np.ndarray) -> np.ndarray:
    """A symmetric float64 copy without negative eigenvalues, but for rounding.

    Raises:
        InputError: not square, NaN or inf, asymmetric, a negative eigenvalue; ``what`` names it.
    """
    symmetric = symmetric_matrix(what, matrix)
    values = np.linalg.eigvalsh(symmetric)
    if values.size and values[0] < -SYMMETRY * values[-1]:
        raise InputError(f"{what} has a negative eigenvalue, {values[0]:.3g}: a precision has none")
    return symmetric


def symmetric_matrix(what: str, matrix: np.ndarray) -> np.ndarray:
    """A square float64 copy, symmetric to the last digit.

    Raises:
        InputError: not square, NaN or inf, asymmetric; ``what`` names it.
    """
    given = real_matrix(what, matrix)
    if given.shape[0] != given.shape[1]:
        raise InputError(f"{what} has shape {given.shape}: give a square matrix")
    if given.size and np.abs(given - given.T).max() > SYMMETRY * np.abs(given).max():
        raise InputError(f"{what} is not symmetric: use (S + S.T) / 2")
    return np.asarray((given + given.T) / 2)


def symmetric_inverse(precision: np.ndarray) -> np.ndarray:
    """Of a symmetric positive definite matrix, symmetric to the last digit."""
    inverse = np.linalg.inv(precision)
    return np.asarray((inverse + inverse.T) / 2)


def real_matrix(what: str, values: np.ndarray) -> np.ndarray:
    """A float64 matrix without NaN and inf, or an InputError in which ``what`` names it."""
    matrix = real_array(what, values)
    if matrix.ndim != 2:
        raise InputError(f"{what} has shape {matrix.shape}: give a matrix")
    if not np.isfinite(matrix).all():
        raise InputError(f"{what} has NaN or infinite entries")
    return matrix


def real_vector(what: str, values: np.ndarray | None, length: int) -> np.ndarray:
    """A float64 vector of that length without NaN and inf, zero by default."""
    vector = np.zeros(length) if values is None else real_array(what, values)
    if vector.shape != (length,):
        raise InputError(f"{what} has shape {vector.shape}, not ({length},)")
    if not np.isfinite(vector).all():
        raise InputError(f"{what} has NaN or infinite entries")
    return vector


def freeze(instance: object, **arrays: np.ndarray) -> None:
    """Sets read-only attributes of a frozen instance."""
    for name, array in arrays.items():
        array.setflags(write=False)
        object.__setattr__(instance, name, array)


def filled(vector: np.ndarray | None) -> np.ndarray:
    """A vector that may be left out, after construction has filled it in."""
    assert vector is not None
    return vector
