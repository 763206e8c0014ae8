"""Options that several commands share, and what they say."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bounds.errors import InputError
from bounds.missing import RULES
from bounds.report import Unit

DATA_HELP = """\
DATA is one of
  law.npz      array 'pmf' (one axis per variable) or 'cov'; optional 'names' of modalities, their 'sizes' and 'units'
  samples.npz  one array per modality, rows first
  table.csv, table.parquet  one row per example; --modalities maps columns, default one modality per column
  samples.pt   a dictionary of tensors, one per modality, rows first (needs PyTorch)
  cells.h5mu   a MuData file of annotated matrices (needs h5py); --modalities chooses variables as 'rna=rna/CD*'
  images/      a folder with a subfolder of .png or .jpg files for each modality, named alike for the same example
"""

PARTS_HELP = """\
  'parts/*.parquet', or a folder of .parquet or .csv files: parts of one table, read one after the other
  's3://bucket/*.parquet'  parts in a bucket (needs s3fs), with credentials and endpoint from the usual AWS_ variables
"""


def add_data(parser: argparse.ArgumentParser, nargs: str | None = None, partly: bool = False) -> None:
    """Adds DATA and how it is read; ``partly`` where subsets of the modalities may have rows of their own."""
    parser.add_argument("data", nargs=nargs, metavar="DATA", help="a file or a folder, see below")
    parser.add_argument(
        "--missing",
        choices=RULES if partly else RULES[:2],
        default=RULES[0],
        help="refuse missing values (default); complete: use the rows that have everything"
        + ("; per-subset: each entropy from the rows that have all it needs (not for parts)" if partly else ""),
    )
    parser.add_argument(
        "--modalities",
        action="append",
        default=[],
        metavar="NAME=COLUMNS",
        help="columns of a modality: 'image=px_*', 'text=w0:w9', 'tags=a,b'; repeat for each modality",
    )
    parser.add_argument(
        "--type",
        action="append",
        default=[],
        metavar="NAME=TYPE",
        help="declare a modality or a column 'discrete' or 'continuous' instead of detecting it",
    )


def add_scheme(parser: argparse.ArgumentParser) -> None:
    """Adds the schemes."""
    parser.add_argument(
        "--scheme",
        action="append",
        metavar="SCHEME",
        help="mvae, mmvae, mopoe, mvae-subsampled, or weights such as 'image:1/2,image+text:1/2'; "
        "repeat for several (default mvae, mmvae and mopoe)",
    )


def schemes_of(options: argparse.Namespace) -> Sequence[str]:
    """The schemes asked for."""
    return options.scheme or ("mvae", "mmvae", "mopoe")


def add_scheme_and_output(parser: argparse.ArgumentParser) -> None:
    """Adds the schemes, the confidence, and in which form and unit numbers are shown."""
    add_scheme(parser)
    parser.add_argument("--confidence", type=float, default=0.95, metavar="P", help="of the intervals (default 0.95)")
    parser.add_argument("--json", action="store_true", help="JSON to standard output and nothing else there, in nats")
    parser.add_argument("--bits", action="store_true", help="show bits instead of nats in the table and the page")


def unit_of(options: argparse.Namespace) -> Unit:
    """The unit asked for."""
    return "bits" if options.bits else "nats"


def types_of(declared: Sequence[str]) -> dict[str, str]:
    """Column or modality to type, of ``NAME=TYPE``."""
    types = {}
    for item in declared:
        name, found, kind = item.partition("=")
        if not found or not name or not kind:
            raise InputError(f"--type {item!r}: write NAME=discrete or NAME=continuous")
        types[name] = kind
    return types
