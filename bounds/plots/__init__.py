"""Results to matplotlib axes, in nats or bits. Nothing is computed here but positions.

Every figure is a function that takes a result and axes, or makes axes as wide as a column of a paper, and returns them.
Text is as large as the names of the axes given, and has their colour. A colour is a kind of number, a mark or a dash a
scheme.

>>> import bounds
>>> law = bounds.Gaussian([[1.0, 0.5], [0.5, 1.0]])
>>> from matplotlib.figure import Figure
>>> entropy_profile(bounds.irreducible_error(law, "mmvae"), Figure().subplots()).get_xlabel()
'modalities in the subset'
"""

from bounds.plots.atoms import MOST, information_diagram
from bounds.plots.ceiling_marks import ceilings
from bounds.plots.growth_lines import growth
from bounds.plots.loss_bars import losses
from bounds.plots.plane import rate_distortion
from bounds.plots.private import Measured, private_gap
from bounds.plots.profile import entropy_profile
from bounds.plots.rungs import ladder
from bounds.plots.style import COLOURS, COLUMN, Unit, in_unit
from bounds.plots.training import training_curve
from bounds.plots.verdicts import verdict_height, verdict_table

__all__ = [
    "COLOURS",
    "COLUMN",
    "MOST",
    "Measured",
    "Unit",
    "ceilings",
    "entropy_profile",
    "growth",
    "in_unit",
    "information_diagram",
    "ladder",
    "losses",
    "private_gap",
    "rate_distortion",
    "training_curve",
    "verdict_height",
    "verdict_table",
]
