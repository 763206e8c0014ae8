"""Generated images and training curves on matplotlib axes. Nothing is computed here but positions and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from bounds.errors import InputError
from bounds.output import check_writable, say
from bounds.plots import COLOURS, training_curve
from bounds.subsets import format_subset
from toy_models.datasets import Modality
from toy_models.generation.draws import Decode, Generative, between, from_prior, from_subset

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cross_generation", "interpolation", "sample_grid", "save_png", "training_curve"]

#: Pixels between pictures, and between groups of them.
GAP, GROUP_GAP = 1, 4
#: What black and white stand for, by default.
Span = tuple[float, float]


def sample_grid(
    model: Generative,
    modalities: Sequence[Modality],
    ax: Axes,
    generator: torch.Generator,
    count: int = 10,
    *,
    decode: Decode = "mean",
    span: Span = (0.0, 1.0),
) -> Axes:
    """Draws of the prior: a row for each modality, a column for each draw.

    Args:
        model: as trained.
        modalities: of the model; those that are no images are left out.
        ax: what is drawn on.
        generator: of all randomness.
        count: of draws.
        decode: means or samples of the decoder.
        span: values shown as black and as white, or as none and all of a colour.

    Raises:
        InputError: no modality of images, or an empty span.
    """
    shown = _images(modalities)
    found = from_prior(model, count, generator, decode)
    canvas = _Canvas([[_pictures(found[m], span)] for m in shown])
    canvas.draw(ax)
    canvas.name_rows(ax, [modalities[m].name for m in shown])
    ax.set_xlabel("draws of the prior")
    return ax


def cross_generation(
    model: Generative,
    modalities: Sequence[Modality],
    x: Sequence[np.ndarray],
    subsets: Sequence[int],
    ax: Axes,
    generator: torch.Generator,
    *,
    decode: Decode = "mean",
    span: Span = (0.0, 1.0),
) -> Axes:
    """What each encoded subset says about every modality: a row for each subset under one of data.

    Columns are examples, in a group for each modality. Groups that the subset has seen are framed: there the pictures
    are reconstructions, elsewhere they are generated.

    Args:
        model: as trained.
        modalities: of the model; those that are no images are encoded and not shown.
        x: for each modality the examples, ``(N, *shape)``.
        subsets: bitmasks to encode.
        ax, generator, decode, span: as in :func:`sample_grid`.

    Raises:
        InputError: no modality of images, no examples, a subset that cannot be encoded, an empty span.
    """
    shown = _images(modalities)
    rows = [list(x), *(from_subset(model, x, subset, generator, decode) for subset in subsets)]
    canvas = _Canvas([[_pictures(row[m], span) for m in shown] for row in rows])
    canvas.draw(ax)
    names = [modality.name for modality in modalities]
    canvas.name_rows(ax, ["data", *(format_subset(subset, names, " + ") for subset in subsets)])
    canvas.name_groups(ax, [names[m] for m in shown])
    for row, subset in enumerate(subsets, start=1):
        for group, m in enumerate(shown):
            if subset >> m & 1:
                canvas.frame(ax, row, group)
    ax.set_ylabel("encoded")
    ax.set_xlabel(f"{len(x[0])} held-out examples of each modality; framed: seen, and reconstructed")
    return ax


def interpolation(
    model: Generative,
    modalities: Sequence[Modality],
    x: Sequence[np.ndarray],
    subset: int,
    ax: Axes,
    steps: int = 9,
    *,
    span: Span = (0.0, 1.0),
) -> Axes:
    """The line between the posterior means of two examples, decoded, with the examples themselves at its ends.

    Args:
        model: as trained.
        modalities: of the model; those that are no images are left out.
        x: for each modality two examples, ``(2, *shape)``.
        subset: bitmask of the encoded modalities.
        ax: what is drawn on.
        steps: points of the line.
        span: as in :func:`sample_grid`.

    Raises:
        InputError: no modality of images, not two examples, fewer than two steps.
    """
    shown = _images(modalities)
    found = between(model, x, subset, steps)
    canvas = _Canvas([[_pictures(x[m][:1], span), _pictures(found[m], span), _pictures(x[m][1:], span)] for m in shown])
    canvas.draw(ax)
    canvas.name_rows(ax, [modalities[m].name for m in shown])
    encoded = format_subset(subset, [modality.name for modality in modalities], " + ")
    canvas.name_groups(ax, ["data", f"between the posterior means of {encoded}", "data"])
    return ax


def save_png(draw: Callable[[Axes], Axes], path: Path, size: tuple[float, float] = (7, 4), dpi: int = 150) -> None:
    """A figure of one axes as a PNG file.

    Args:
        draw: draws on the axes that it is given.
        path: ends in ``.png``.
        size: in inches.
        dpi: dots per inch.

    Raises:
        InputError: another suffix, or what cannot be written.
    """
    from matplotlib.figure import Figure

    if path.suffix != ".png":
        raise InputError(f"cannot write {path}: figures are PNG files, end its name in .png")
    check_writable(path, new_folder=True)
    figure = Figure(figsize=size, layout="constrained")
    draw(figure.subplots())
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(path, dpi=dpi, bbox_inches="tight")  # pictures have their own shape
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    say(f"wrote {path}")


class _Canvas:
    """Pictures of one height for each row and one width for each group, on white.

    Args:
        rows: for each row its groups of pictures ``(count, height, width, 3)``; a group has as many in every row.
    """

    def __init__(self, rows: Sequence[Sequence[np.ndarray]]) -> None:
        self.heights = [max(group.shape[1] for group in row) for row in rows]
        widths = [max(row[g].shape[2] for row in rows) for g in range(len(rows[0]))]
        counts = [len(group) for group in rows[0]]
        self.tops = [sum(self.heights[:r]) + GAP * r for r in range(len(rows))]
        self.spans = [count * (width + GAP) - GAP for count, width in zip(counts, widths, strict=True)]
        self.lefts = [sum(self.spans[:g]) + GROUP_GAP * g for g in range(len(counts))]
        self.pixels = np.ones((self.tops[-1] + self.heights[-1], self.lefts[-1] + self.spans[-1], 3))
        for top, row in zip(self.tops, rows, strict=True):
            for left, width, group in zip(self.lefts, widths, row, strict=True):
                for i, picture in enumerate(group):
                    start = left + i * (width + GAP)
                    self.pixels[top : top + picture.shape[0], start : start + picture.shape[1]] = picture

    def draw(self, ax: Axes) -> None:
        """All pictures as one image, a pixel of data wide and high each."""
        ax.imshow(self.pixels, interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.tick_params(length=0)
        for side in ax.spines.values():
            side.set_visible(False)

    def name_rows(self, ax: Axes, names: Sequence[str]) -> None:
        """At the left, in the middle of each row; pixel ``i`` is from ``i - 0.5`` to ``i + 0.5``."""
        ax.set_yticks([t + (h - 1) / 2 for t, h in zip(self.tops, self.heights, strict=True)], names)

    def name_groups(self, ax: Axes, names: Sequence[str]) -> None:
        """Above the middle of each group."""
        ax.xaxis.tick_top()
        ax.xaxis.set_tick_params(length=0)
        ax.set_xticks([left + (span - 1) / 2 for left, span in zip(self.lefts, self.spans, strict=True)], names)

    def frame(self, ax: Axes, row: int, group: int) -> None:
        """Around the pictures of a group in one row."""
        from matplotlib.patches import Rectangle

        corner = self.lefts[group] - 1, self.tops[row] - 1
        ax.add_patch(
            Rectangle(
                corner,
                self.spans[group] + 1,
                self.heights[row] + 1,
                fill=False,
                edgecolor=COLOURS[1],
                linewidth=2,
                clip_on=False,
            )
        )


def _images(modalities: Sequence[Modality]) -> list[int]:
    """The modalities whose examples are pictures: real, (height, width) or (1 or 3 channels, height, width)."""
    shown = [
        m
        for m, modality in enumerate(modalities)
        if modality.symbols is None
        and (len(modality.shape) == 2 or (len(modality.shape) == 3 and modality.shape[0] in (1, 3)))
    ]
    if not shown:
        shapes = ", ".join(f"{modality.name} {modality.shape}" for modality in modalities)
        raise InputError(
            f"no modality of images to draw among {shapes}: give (height, width) or (1 or 3, height, width)"
        )
    return shown


def _pictures(x: np.ndarray, span: Span) -> np.ndarray:
    """``(N, height, width, 3)`` from 0 to 1."""
    low, high = span
    if not low < high:
        raise InputError(f"span={span}: give the value shown as black and a larger one shown as white")
    wide = np.asarray(x, dtype=np.float64).reshape(len(x), -1, *x.shape[-2:])
    pictures = np.broadcast_to(wide, (len(x), 3, *x.shape[-2:])).transpose(0, 2, 3, 1)
    # beyond the span a screen has no darker or lighter colour; no number is made of this
    return np.clip((pictures - low) / (high - low), 0, 1)
