"""The experiments by name, in the order in which they tell the story."""

from collections.abc import Mapping
from types import MappingProxyType

from toy_models.experiments import (
    ceilings,
    coherence_quality,
    collapse,
    imputation,
    latent_size,
    modalities,
    private_information,
)
from toy_models.experiments.study import Experiment

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        one.EXPERIMENT.name: one.EXPERIMENT
        for one in (ceilings, modalities, private_information, coherence_quality, latent_size, collapse, imputation)
    }
)
