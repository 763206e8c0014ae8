"""The paper's studies as named, resumable runs: each says in one sentence what it found and whether theory agrees."""

from toy_models.experiments.catalogue import EXPERIMENTS
from toy_models.experiments.study import Experiment, Finding, Setting

__all__ = ["EXPERIMENTS", "Experiment", "Finding", "Setting"]
