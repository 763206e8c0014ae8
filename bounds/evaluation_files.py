"""Evaluations in ``.npz`` archives and JSON files. Nothing is unpickled."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bounds.column_mapping import check_unique
from bounds.damage import damage, shortened
from bounds.density_audit import DensityModel
from bounds.errors import InputError
from bounds.evaluation import Evaluation
from bounds.joints import real_array
from bounds.memory import check_fits
from bounds.npz import ZIP_ERRORS, array_name, read_array, read_header
from bounds.readers import check_readable
from bounds.reported_terms import ExampleTerms
from bounds.schemes import SubsetScheme, parse_scheme
from bounds.subsets import check_names, parse_subset

#: Largest JSON file, in bytes; terms of many examples belong into an .npz.
MAX_JSON = 1 << 28

#: Most entries of an array that is about the evaluation, not for each example.
MAX_LISTED = 1 << 16

#: Fields, and what each is.
FIELDS: Mapping[str, str] = {
    "subsets": "the encoded subsets, such as 'image+text', in the order of the terms",
    "weights": "one for each subset",
    "scheme": "a scheme's name, or weights such as 'image:1/2,image+text:1/2'; weights alone will do",
    "modalities": "names",
    "columns": "names of units, where log-likelihoods are of units",
    "kind": "'discrete' for probabilities, 'differential' for densities",
    "log_likelihood": "(subsets, examples, columns); means: (subsets, columns)",
    "kl": "(subsets, examples); means: (subsets,)",
    "value": "in place of both: (subsets, examples); means: (subsets,)",
    "n": "number of examples, of means",
    "log_likelihood_se": "standard errors of means",
    "kl_se": "standard errors of means",
    "value_se": "standard errors of means",
    "objective": "by default own-density",
    "parameters": "of the objective; in an .npz as JSON text",
    "likelihood": "such as gaussian:0.75",
    "draws": "of the latent for each example",
    "sampled_kl": "whether KLs are estimates from the draws",
    "log_density": "(examples,) of another density model, for the relative certificate",
    "claimed_loss": "the loss that the model is said to have at most",
}
_ARRAYS = ("log_likelihood", "kl", "value")
_ABOUT = ("objective", "parameters", "likelihood", "draws", "sampled_kl")


def read_evaluation(path: str | os.PathLike[str]) -> tuple[Evaluation, DensityModel | None]:
    """An evaluation, and the density model beside it, from a file with the arrays or keys of :data:`FIELDS`.

    Raises:
        InputError: a file that is missing, damaged or of another suffix, an unknown or missing field, or terms that
            :class:`bounds.evaluation.Evaluation` refuses. The message names the file.
    """
    name = os.fspath(path)
    suffix = os.path.splitext(name)[1].lower()
    try:
        check_readable(name)
        if suffix == ".npz":
            return _understood(_npz_fields(name))
        if suffix == ".json":
            return _understood(_json_fields(name))
        raise InputError(f"unknown suffix {suffix!r}: supported are .npz and .json")
    except InputError as error:
        raise InputError(f"{name}: {shortened(str(error))}") from None


def write_evaluation(path: str | os.PathLike[str], evaluation: Evaluation) -> None:
    """Writes an evaluation of examples as ``.npz``, to be read by :func:`read_evaluation`.

    Raises:
        InputError: an evaluation of means, another suffix, or a file that cannot be written.
    """
    name, terms = os.fspath(path), evaluation.terms
    if not name.endswith(".npz") or not isinstance(terms, ExampleTerms):
        raise InputError(f"{name}: evaluations of examples are written as .npz")
    arrays: dict[str, Any] = {
        "subsets": np.array(["+".join(evaluation.shown(s).split(",")) if s else "" for s in evaluation.subsets]),
        "weights": np.array([float(weight) for _, weight in evaluation.scheme]),
        "modalities": np.array(evaluation.modalities),
        "columns": np.array(evaluation.columns),
        "kind": np.array(evaluation.kind),
        "objective": np.array(evaluation.objective),
        "parameters": np.array(json.dumps(dict(evaluation.parameters))),
        "draws": np.array(evaluation.draws),
        "sampled_kl": np.array(evaluation.sampled_kl),
    }
    if evaluation.likelihood is not None:
        arrays["likelihood"] = np.array(evaluation.likelihood)
    arrays |= {what: getattr(terms, what) for what in _ARRAYS if getattr(terms, what) is not None}
    with damage(f"cannot write {name}", OSError):
        np.savez(name, **arrays)


def _npz_fields(path: str) -> dict[str, Any]:
    with damage("is not a complete .npz archive", *ZIP_ERRORS):
        archive = zipfile.ZipFile(path)
    with archive:
        infos = archive.infolist()
        names = [array_name(info) for info in infos]
        check_unique(names, "array")
        _check_known(names)
        headers = [read_header(archive, info, name) for info, name in zip(infos, names, strict=True)]
        cells = 0
        for one in headers:
            if not _is_table(one.name) and math.prod(one.shape) > MAX_LISTED:
                raise InputError(f"array {one.name!r} has the shape {one.shape}: it must be {FIELDS[one.name]}")
            cells += math.prod(one.shape)
        check_fits("all arrays together", (cells,), "evaluate fewer examples", 32)
        arrays = {one.name: read_array(archive, one) for one in headers}
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        found[name] = array if _is_table(name) else array.tolist()
    if isinstance(found.get("parameters"), str):
        found["parameters"] = _parsed(found["parameters"], "parameters")
    return found


def _is_table(name: str) -> bool:
    """Whether a field has numbers for each example."""
    return name.startswith(_ARRAYS) or name == "log_density"


def _json_fields(path: str) -> dict[str, Any]:
    if os.path.getsize(path) > MAX_JSON:
        raise InputError(f"more than {MAX_JSON >> 20} MiB of JSON: write the terms as .npz")
    with damage("is not text in UTF-8", UnicodeDecodeError):
        text = Path(path).read_text(encoding="utf-8")
    found = _parsed(text, "the file")
    if not isinstance(found, dict):
        raise InputError("is no JSON object: give the fields of an evaluation")
    _check_known(list(found))
    return found


def _parsed(text: str, what: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        check_unique([key for key, _ in pairs], "field")
        return dict(pairs)

    with damage(f"{what} is not valid JSON", ValueError, RecursionError):
        return json.loads(text, object_pairs_hook=once)


def _check_known(names: list[str]) -> None:
    for name in names:
        if name not in FIELDS:
            raise InputError(f"unknown field {name!r}: an evaluation has {', '.join(FIELDS)}")


def _understood(fields: dict[str, Any]) -> tuple[Evaluation, DensityModel | None]:
    for needed in ("kind", "modalities", "subsets"):
        if needed not in fields:
            raise InputError(f"there is no {needed!r}: {FIELDS[needed]}")
    scheme, subsets, names = _scheme(fields)
    about = {key: value for key, value in fields.items() if key in _ABOUT}
    weights = None
    if "weights" in fields:
        weights = dict(zip(subsets, _listed(fields, "weights", len(subsets)), strict=True))
    common: dict[str, Any] = {
        "kind": fields["kind"],
        "modalities": names,
        "columns": fields.get("columns"),
        "weights": weights,
        **about,
    }
    if "n" in fields:
        common |= {what: _pairs(fields, what, subsets) for what in _ARRAYS}
        made = Evaluation.from_means(scheme, fields["n"], **common)
    else:
        stray = next((f"{what}_se" for what in _ARRAYS if f"{what}_se" in fields), None)
        if stray:
            raise InputError(f"{stray!r} without 'n': standard errors are of means over n examples")
        common |= {what: _by_subset(fields, what, subsets) for what in _ARRAYS}
        made = Evaluation.from_examples(scheme, **common)
    if "log_density" not in fields:
        if "claimed_loss" in fields:
            raise InputError("'claimed_loss' without 'log_density': a claim is held against a density model")
        return made, None
    return made, DensityModel(fields["log_density"], fields["kind"], fields.get("claimed_loss"))


def _scheme(fields: dict[str, Any]) -> tuple[SubsetScheme, list[int], list[str]]:
    """The scheme, the subsets in the order of the terms, and the modalities."""
    for what in ("subsets", "modalities"):
        if not isinstance(fields[what], list) or not all(isinstance(one, str) for one in fields[what]):
            raise InputError(f"{what!r} is {fields[what]!r}: give {FIELDS[what]}, a list of text")
    given, names = fields["subsets"], list(check_names(fields["modalities"], len(fields["modalities"])))
    if not names or not given:
        raise InputError("'subsets' or 'modalities' is empty: give the encoded subsets and the names of all modalities")
    subsets = [_subset(one, names) for one in given]
    if len(set(subsets)) < len(subsets):
        raise InputError("a subset is listed twice: give each once")
    if "scheme" in fields:
        if not isinstance(fields["scheme"], str):
            raise InputError(f"'scheme' is {fields['scheme']!r}: give {FIELDS['scheme']}")
        scheme = parse_scheme(fields["scheme"], names)
    elif "weights" in fields:
        weights = _listed(fields, "weights", len(subsets))
        sub_sampled = fields.get("objective") == "sub-sampled"
        scheme = SubsetScheme(
            dict(zip(subsets, weights, strict=True)),
            names=names,
            label="evaluated",
            objective="sub-sampled" if sub_sampled else "own-density",
            allow_empty=True,
        )
    else:
        raise InputError("there is neither 'scheme' nor 'weights': say how often each subset is encoded")
    return scheme, subsets, names


def _subset(text: str, names: list[str]) -> int:
    parts = [part.strip() for part in text.split("+")] if text.strip() else []
    if len(set(parts)) < len(parts):
        raise InputError(f"subset {text!r} has a modality twice: name each once")
    return parse_subset(parts, names)


def _listed(fields: dict[str, Any], what: str, count: int) -> list[float]:
    found = fields[what]
    numbers = isinstance(found, list) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in found)
    if not numbers or len(found) != count:
        raise InputError(f"'{what}' is {found!r}: give {count} numbers, one for each subset")
    return [float(x) for x in real_array(f"'{what}'", found)]


def _by_subset(fields: dict[str, Any], what: str, subsets: list[int]) -> dict[int, Any] | None:
    if what not in fields:
        return None
    found = fields[what]
    if not isinstance(found, list | np.ndarray) or (isinstance(found, np.ndarray) and found.ndim == 0):
        raise InputError(f"'{what}' is {found!r}: give {FIELDS[what]}")
    if len(found) != len(subsets):
        raise InputError(f"'{what}' has {len(found)} rows for {len(subsets)} subsets: give {FIELDS[what]}")
    return dict(zip(subsets, found, strict=True))


def _pairs(fields: dict[str, Any], what: str, subsets: list[int]) -> dict[int, Any] | None:
    """Means and standard errors, side by side."""
    means, errors = _by_subset(fields, what, subsets), _by_subset(fields, f"{what}_se", subsets)
    if means is None and errors is None:
        return None
    if means is None or errors is None:
        raise InputError(f"'{what}' and '{what}_se' go together: give means and their standard errors")
    paired = {}
    for subset, mean in means.items():
        one, other = real_array(f"'{what}'", mean), real_array(f"'{what}_se'", errors[subset])
        if one.shape != other.shape:
            raise InputError(f"'{what}' has shape {one.shape} and '{what}_se' {other.shape}: give both of one shape")
        paired[subset] = np.stack([one, other], axis=-1)
    return paired
