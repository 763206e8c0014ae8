"""Datasets to train and to audit on: laws with known entropies, PolyDigits, and readers for PolyMNIST and CUB."""

from toy_models.datasets.captions import Vocabulary
from toy_models.datasets.dataset import Dataset, Modality, digest
from toy_models.datasets.folders import cub_vocabulary, read_cub, read_polymnist
from toy_models.datasets.laws import common_cause, equicorrelated, gaussian, shared_private_gaussian
from toy_models.datasets.noisy_label import NoisyLabel, noise_for
from toy_models.datasets.polydigits import polydigits

__all__ = [
    "Dataset",
    "Modality",
    "NoisyLabel",
    "Vocabulary",
    "common_cause",
    "cub_vocabulary",
    "digest",
    "equicorrelated",
    "gaussian",
    "noise_for",
    "polydigits",
    "read_cub",
    "read_polymnist",
    "shared_private_gaussian",
]
