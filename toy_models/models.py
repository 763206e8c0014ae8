"""Multimodal VAEs: which subsets each published model encodes, how it fuses experts, and what it maximises.

A :class:`MultimodalVAE` is an ensemble of ``E`` models of equal architecture as one module. For a ceiling that applies
to all of them the models are told apart by scheme and objective only, so there is one class and a table of names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from bounds.errors import InputError
from bounds.schemes import SubsetScheme, full, mmvae, mopoe, mvae_subsampled
from toy_models.datasets import Dataset, Modality
from toy_models.fusion import Family, Fusion, Posterior
from toy_models.likelihoods import Density, Likelihood
from toy_models.networks import Generators
from toy_models.objectives import OBJECTIVES, Pass
from toy_models.stacks import Stack, alike


@dataclass(frozen=True)
class ModelClass:
    """A published model: its subsets, its fusion and its objective.

    Attributes:
        name: as the command takes it.
        meaning: in one line.
        scheme: number of modalities to encoded subsets.
        objective: a name of :data:`toy_models.objectives.OBJECTIVES`.
        prior_expert: whether the prior is an expert of every product.
        family: of experts and prior.
        draws: of the latent for each subset in training, ``K``.
        private: whether every modality has private latents.
    """

    name: str
    meaning: str
    scheme: Callable[[int], SubsetScheme]
    objective: str
    prior_expert: bool = False
    family: Family = "normal"
    draws: int = 1
    private: bool = False


def unimodal(n_modalities: int) -> SubsetScheme:
    """Independent VAEs, one for each modality: each encodes and reconstructs its own, with coefficient 1 (T10.2)."""
    return SubsetScheme({(m,): 1 for m in range(n_modalities)}, n_modalities, label="unimodal", objective="sub-sampled")


MODELS: Mapping[str, ModelClass] = MappingProxyType(
    {
        model.name: model
        for model in (
            ModelClass("unimodal", "an independent VAE for each modality", unimodal, "sub-sampled"),
            ModelClass("mvae", "product of experts of all modalities", full, "own-density", prior_expert=True),
            ModelClass(
                "mvae-subsampled",
                "product of experts, trained on a sum of ELBOs of subsets",
                mvae_subsampled,
                "sub-sampled",
                prior_expert=True,
            ),
            ModelClass("mmvae", "mixture of single modalities, K=1 ELBO", mmvae, "own-density"),
            ModelClass(
                "mmvae-iwae",
                "mixture of single modalities, IWAE with the mixture's density, Laplace laws",
                mmvae,
                "iwae-mixture",
                family="laplace",
                draws=8,
            ),
            ModelClass("mopoe", "mixture over all subsets of products of experts", mopoe, "own-density"),
            ModelClass(
                "mmvae-plus",
                "mixture of single modalities with private latents and auxiliary priors",
                mmvae,
                "private-auxiliary",
                private=True,
            ),
            ModelClass("mvtcae", "no cross-modal reconstruction, total-correlation objective", full, "mvtcae"),
        )
    }
)


@dataclass(frozen=True)
class Architecture:
    """All that members of one ensemble have in common.

    Args:
        model: a name of :data:`MODELS`.
        modalities: of the data.
        likelihoods: one for each modality, see :class:`toy_models.likelihoods.Likelihood`.
        latents: dimension of the shared latent.
        private: dimension of each modality's private latent, for models that have them.
        hidden: widths of the hidden layers of encoders and decoders; ``()`` makes both affine.
        network: ``mlp``, or ``conv`` for images, whose channels are then ``hidden[0]`` and twice that.
        scheme: other encoded subsets than the model's own.
        draws: of the latent for each subset in training, the ``K`` of IWAE; by default the model's own.

    Raises:
        InputError: an unknown model, numbers that do not fit each other, a scheme that the objective is not made for,
            images that ``conv`` cannot halve twice.
    """

    model: str
    modalities: tuple[Modality, ...]
    likelihoods: tuple[Likelihood, ...]
    latents: int
    private: int = 0
    hidden: tuple[int, ...] = (64,)
    network: Literal["mlp", "conv"] = "mlp"
    scheme: SubsetScheme | None = None
    draws: int | None = None

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise InputError(f"unknown model {self.model!r}: use one of {', '.join(MODELS)}")
        if len(self.likelihoods) != len(self.modalities):
            raise InputError(
                f"{len(self.likelihoods)} likelihoods for {len(self.modalities)} modalities: give one for each"
            )
        if self.latents < 1 or self.private < 0 or any(width < 1 for width in self.hidden):
            raise InputError("latents and hidden widths are at least 1, private at least 0")
        if (self.private > 0) != MODELS[self.model].private:
            raise InputError(
                f"private={self.private} with {self.model}: "
                + ("give it private latents" if MODELS[self.model].private else "it has none, use mmvae-plus")
            )
        if self.scheme is not None and self.scheme.n_modalities != len(self.modalities):
            raise InputError(
                f"scheme {self.scheme.label} is over {self.scheme.n_modalities} modalities, the data over "
                f"{len(self.modalities)}"
            )
        objective, sub_sampled = self.model_class.objective, self.encoded.objective == "sub-sampled"
        if sub_sampled != (objective == "sub-sampled"):
            wanted = "a sub-sampled scheme" if not sub_sampled else "weights that sum to one"
            raise InputError(f"scheme {self.encoded.label} with {self.model}: its objective needs {wanted}")
        if objective == "mvtcae" and list(self.encoded.weights) != [(1 << len(self.modalities)) - 1]:
            raise InputError(
                f"scheme {self.encoded.label} with mvtcae: it encodes all modalities, leave the scheme out"
            )
        if self.draws is not None and self.draws < 1:
            raise InputError(f"draws={self.draws}: give at least 1")
        if self.network not in ("mlp", "conv"):
            raise InputError(f"network {self.network!r}: use 'mlp' or 'conv'")
        if self.network == "conv":
            for modality in self.modalities:
                _check_image(modality)
            if len(self.hidden) != 1:
                raise InputError(f"hidden={self.hidden} with conv: give one number of channels, such as (16,)")

    @classmethod
    def of(
        cls, dataset: Dataset, model: str, likelihood: str | Sequence[str], latents: int, **more: object
    ) -> Architecture:
        """For the modalities of a dataset; one likelihood is for all of them."""
        texts = [likelihood] * dataset.n_modalities if isinstance(likelihood, str) else list(likelihood)
        parsed = tuple(Likelihood.parse(text) for text in texts)
        return cls(model, tuple(dataset.modalities), parsed, latents, **more)  # type: ignore[arg-type]

    @property
    def model_class(self) -> ModelClass:
        """The published model."""
        return MODELS[self.model]

    @property
    def encoded(self) -> SubsetScheme:
        """The encoded subsets and their weights."""
        return self.scheme or self.model_class.scheme(len(self.modalities))

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """``(S, K, latents + M * private)``: the noise of one example and member in training."""
        draws = self.model_class.draws if self.draws is None else self.draws
        return len(self.encoded.weights), draws, self.latents + len(self.modalities) * self.private


class MultimodalVAE(nn.Module):
    """``E`` multimodal VAEs of one architecture; each initialised from its own generator, in float64.

    Raises:
        InputError: a scheme that the model's experts cannot encode.
    """

    weights: Tensor
    order: Tensor

    def __init__(self, architecture: Architecture, generators: Generators) -> None:
        super().__init__()
        self.architecture = a = architecture
        model, scheme, n_modalities = a.model_class, a.encoded, len(a.modalities)
        self.fusion = Fusion(scheme.weights, n_modalities, model.family, model.prior_expert)
        self.register_buffer("weights", torch.tensor([float(weight) for _, weight in scheme], dtype=torch.float64))
        groups, coded = alike(a.modalities, a.likelihoods), a.latents + a.private
        self.stacks = nn.ModuleList(
            Stack(which, a.modalities[which[0]], a.likelihoods[which[0]], coded, a.hidden, a.network, generators)
            for which in groups
        )
        # where in the stacks each modality is
        order = torch.argsort(torch.tensor([m for which in groups for m in which]))
        self.register_buffer("order", order, persistent=False)
        shape = (len(generators), 1, 1, a.latents)
        self.prior_logits = nn.Parameter(
            torch.zeros(shape, dtype=torch.float64), requires_grad=model.family == "laplace"
        )
        private = (len(generators), n_modalities, a.private)
        self.auxiliary = nn.Parameter(torch.zeros(private, dtype=torch.float64))

    def weigh(self, schemes: Sequence[SubsetScheme]) -> None:
        """Gives each member a scheme of its own over the encoded subsets; those that it leaves out have weight 0.

        Raises:
            InputError: a subset that the architecture does not encode, or a sum of ELBOs among mixtures.
        """
        encoded = self.architecture.encoded
        for scheme in schemes:
            if scheme.n_modalities != encoded.n_modalities or not set(scheme.weights) <= set(encoded.weights):
                raise InputError(
                    f"scheme {scheme.label} of a member has subsets that {encoded.label} of its architecture has not: "
                    "give the architecture a scheme with all of them"
                )
            if (scheme.objective == "sub-sampled") != (encoded.objective == "sub-sampled"):
                raise InputError(
                    f"scheme {scheme.label} of a member and {encoded.label} of its architecture: a sum of ELBOs and a "
                    "mixture have different objectives"
                )
        rows = [[float(scheme.weights.get(subset, 0)) for subset in encoded.weights] for scheme in schemes]
        self.weights = torch.tensor(rows, dtype=self.weights.dtype, device=self.weights.device)

    @property
    def n_members(self) -> int:
        """``E``."""
        return len(self.prior_logits)

    @property
    def widest(self) -> int:
        """Numbers of the widest layer of the decoders for one latent."""
        return max(stack.widest for stack in self._stacks)

    def prior(self) -> Posterior:
        """``p(z)``, ``(E, 1, 1, k)``: standard normal, or Laplace with learned scales of mean 1, as in MMVAE."""
        location = torch.zeros_like(self.prior_logits)
        if self.architecture.model_class.family == "normal":
            return Posterior(location, torch.ones_like(location))
        scale = self.architecture.latents * torch.softmax(self.prior_logits, dim=-1)
        return Posterior(location, scale, "laplace")

    def experts(self, x: Sequence[Tensor]) -> tuple[Posterior, Posterior]:
        """``q(z|x_m)`` and ``q(u_m|x_m)``, ``(E, M, N, k)`` and ``(E, M, N, private)``, of data ``(E, N, units)``."""
        coded = self._ordered([stack.encode(stack.of(x)) for stack in self._stacks])
        location, log_scale = coded.chunk(2, dim=-1)
        k, family = self.architecture.latents, self.architecture.model_class.family
        scale = torch.exp(log_scale)
        return (
            Posterior(location[..., :k], scale[..., :k], family),
            Posterior(location[..., k:], scale[..., k:]),
        )

    def decode(self, z: Tensor, private: Tensor) -> list[tuple[Density, Tensor]]:
        """The density of each stack of modalities and the outputs of its decoders, ``(E, G, S, N, units * k)``.

        Args:
            z: ``(E, S, N, k)``.
            private: ``(E, S, N, M, private)``.
        """
        found = []
        for stack in self._stacks:
            latents = z.unsqueeze(1).expand(-1, len(stack.which), -1, -1, -1)
            if self.architecture.private:
                own = torch.stack([private[..., m, :] for m in stack.which], dim=1)
                latents = torch.cat([latents, own], dim=-1)
            found.append((stack.density, stack.decode(latents)))
        return found

    def by_modality(self, of_stacks: Sequence[Tensor]) -> list[Tensor]:
        """``(E, G, ...)`` of each stack to ``(E, ...)`` of each modality."""
        found = {
            m: part[:, g]
            for stack, part in zip(self._stacks, of_stacks, strict=True)
            for g, m in enumerate(stack.which)
        }
        return [found[m] for m in sorted(found)]

    def log_likelihood(self, x: Sequence[Tensor], z: Tensor, private: Tensor) -> Tensor:
        """``ln p(x_m|z, u_m)`` of every modality, its units summed: ``(E, S, N, M)``.

        Args:
            x: for each modality ``(E, 1, N, units)``, or ``(E, S, N, units)`` if it is not the same for every subset.
            z: ``(E, S, N, k)``.
            private: ``(E, S, N, M, private)``.
        """
        decoded = zip(self._stacks, self.decode(z, private), strict=True)
        fits = [density.log_prob(outputs, stack.of(x)).sum(-1) for stack, (density, outputs) in decoded]
        return self._ordered(fits).movedim(1, -1)

    def forward(self, x: Sequence[Tensor], noise: Tensor, targets: Sequence[Tensor] | None = None) -> Pass:
        """All encoded subsets at once.

        Args:
            x: for each modality ``(E, N, units)``.
            noise: ``(E, S, K, N, latents + M * private)``, standard draws.
            targets: what the decoders are to reproduce for each subset, ``(E, S, N, units)``; by default ``x``.
        """
        a = self.architecture
        experts, private = self.experts(x)
        posterior: Posterior = self.fusion(experts)
        wide = Posterior(posterior.location.unsqueeze(2), posterior.scale.unsqueeze(2), posterior.family)
        z = wide.reparametrised(noise[..., : a.latents])
        u, private_kl = z.new_zeros((*z.shape[:-1], len(a.modalities), 0)), None
        if a.private:
            u = self._private_draws(private, noise[..., a.latents :].unflatten(-1, (len(a.modalities), a.private)))
            private_kl = private.kl(Posterior(torch.zeros_like(private.location), torch.ones_like(private.scale)))
        subsets, draws = z.shape[1:3]
        wanted = [part[:, None] for part in x]
        if targets is not None:
            wanted = [part.repeat_interleave(draws, dim=1) for part in targets]
        fits = self.log_likelihood(wanted, z.flatten(1, 2), u.flatten(1, 2))
        return Pass(
            weights=self.weights,
            members=self.fusion.members,
            prior=self.prior(),
            experts=experts,
            posterior=posterior,
            z=z,
            log_likelihood=fits.unflatten(1, (subsets, draws)),
            private_kl=private_kl,
        )

    def objective(self, x: Sequence[Tensor], noise: Tensor, beta: Tensor) -> Tensor:
        """``(E, N)``: what the model maximises, of each example; ``beta`` is ``(E, 1)``."""
        return OBJECTIVES[self.architecture.model_class.objective](self(x, noise), beta)

    def _private_draws(self, private: Posterior, noise: Tensor) -> Tensor:
        """``(E, S, K, N, M, private)``: from its encoder where a subset sees the modality, else from ``r_m``."""
        own = private.location.transpose(1, 2)[:, None, None]
        spread = private.scale.transpose(1, 2)[:, None, None]
        sees = self.fusion.members[:, None, None, :, None] > 0
        auxiliary = torch.exp(self.auxiliary)[:, None, None, None]
        return torch.where(sees, own + spread * noise, auxiliary * noise)

    def _ordered(self, of_stacks: Sequence[Tensor]) -> Tensor:
        """``(E, G, ...)`` of each stack to ``(E, M, ...)``."""
        return of_stacks[0] if len(of_stacks) == 1 else torch.cat(list(of_stacks), dim=1).index_select(1, self.order)

    @property
    def _stacks(self) -> list[Stack]:
        return [stack for stack in self.stacks if isinstance(stack, Stack)]


def _check_image(modality: Modality) -> None:
    fits = len(modality.shape) == 3 and modality.shape[1] % 4 == 0 and modality.shape[2] % 4 == 0
    if not fits or modality.symbols is not None:
        raise InputError(
            f"{modality.name} has shape {modality.shape}: conv needs real images (channels, height, width) whose sides "
            "are multiples of 4; use network='mlp'"
        )
