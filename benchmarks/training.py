"""Many small models trained at once against one after the other.

``E`` models of one architecture (3 real modalities of 4 units, one hidden layer, 4 latents) that differ in their
seed. Ours trains them as one batched model. Against it: the same models one after the other, written with plain
``torch.nn.Linear``, all subsets in one pass, and torch's fused Adam; ours with one model at a time; and the trainer of
MultiVae, if it is installed, with networks of the same sizes. ``compiled`` is ours with torch.compile, if asked for.

Rates are models times steps per second. A loop over ``E`` models is timed on one of them where that is said
(``timed_share``). Compilation, construction and first steps are outside the clock, all data inside.

``share_of_floor`` is the least time of the operations of our step over the time that it took: each operation takes at
least what a copy of as many bytes takes, read and written, on this device and in this run; on a GPU copies are launched
as one graph. It says how much is lost beside these operations, and not whether fewer would do.

    python benchmarks/training.py [--quick] [--out FILE] [--compiled] [--device cuda]
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

import harness  # before NumPy: sets the number of threads
import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bounds.schemes import mmvae, mopoe
from toy_models.datasets import Dataset, Modality
from toy_models.devices import launched
from toy_models.fusion import membership
from toy_models.models import Architecture
from toy_models.train import BLOCK, CPU_GROUP, Member, Training, _Group

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from multivae_models import import_multivae

try:
    theirs_models = import_multivae("multivae.trainers")
    import multivae.trainers
    from multivae.data.datasets.base import MultimodalBaseDataset
    from pythae.models.base.base_model import BaseDecoder, BaseEncoder
    from pythae.models.base.base_utils import ModelOutput

    logging.disable(logging.WARNING)
except ImportError:
    theirs_models = None

MODALITIES, UNITS, LATENTS, SCALE = 3, 4, 4, 0.75
#: Widths of the hidden layer, and rows of a batch.
SIZES = ((16, 32), (64, 64), (64, 128))
SCHEMES = {"mmvae": mmvae, "mopoe": mopoe}
#: Which ratios this module is meant to reach, by device: at how many models, and against what.
TARGETS = {
    "cpu": (16, {"loop of plain modules, fused Adam": 4, "MultiVae's trainer": 30}),
    "cuda": (64, {"loop of plain modules, fused Adam": 100}),
}
#: Share of its floor that a step on a GPU is meant to reach at as many models.
FLOOR_TARGET = 0.5
#: Members, by device and whether the run is quick.
MEMBERS = {
    ("cpu", True): (4, 16),
    ("cpu", False): (1, 4, 16, 32),
    ("cuda", True): (64,),
    ("cuda", False): (1, 16, 64, 256),
}


def dataset():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8192, MODALITIES, UNITS)) + rng.normal(size=(8192, 1, 1))
    rows = tuple(x[:, m] for m in range(MODALITIES))
    return Dataset("benchmark", tuple(Modality(f"X{m + 1}", (UNITS,)) for m in range(MODALITIES)), rows, rows)


def groups_of(name, data, members, size, device, compiled=False):
    """Our groups of models, as training makes them."""
    hidden, batch = size
    a = Architecture.of(data, name, f"gaussian:{SCALE}", LATENTS, hidden=(hidden,))
    settings, on = Training(1_000_000, batch), torch.device(device)
    together = min(members, CPU_GROUP) if device == "cpu" else members
    return [
        _Group(
            a, [Member(seed) for seed in range(start, start + together)], [data], settings, on, torch.float32, compiled
        )
        for start in range(0, members, together)
    ]


def ours(name, data, members, size, device, compiled):
    """Groups of our own that train ``BLOCK`` steps at each call."""
    groups = groups_of(name, data, members, size, device, compiled)
    steps = [group.steps(None) for group in groups]

    def run():
        for one in steps:
            next(one)
        synchronize(device)

    return run


# --- the floor ----------------------------------------------------------------------------------------------------


class Traffic(TorchDispatchMode):
    """The bytes that each operation on tensors reads and writes; views, which write nothing, are left out."""

    def __init__(self):
        super().__init__()
        self.bytes = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        given, results = (
            [one for one in tree_leaves(part) if isinstance(one, torch.Tensor)] for part in ((args, kwargs), found)
        )
        known = {one.untyped_storage().data_ptr() for one in given}
        if function._schema.is_mutable or any(one.untyped_storage().data_ptr() not in known for one in results):
            moved = {
                id(one): min(one.numel() * one.element_size(), one.untyped_storage().nbytes())
                for one in given + results
            }
            self.bytes.append(sum(moved.values()))
        return found


def copy_times(device):
    """Bytes read and written by a copy, from few to many, and the seconds that it takes."""
    on, sizes, seconds = torch.device(device), [2**power for power in range(2, 29, 2)], []
    for size in sizes:
        one, other = (torch.zeros(size, dtype=torch.uint8, device=on) for _ in range(2))
        copies = max(1, min(1000, 2**28 // size))

        def work(one=one, other=other, copies=copies):
            for _ in range(copies):
                other.copy_(one)

        step, best = launched(work, on), float("inf")
        for _ in range(10):
            start = time.perf_counter()
            step()
            synchronize(device)
            best = min(best, time.perf_counter() - start)
        seconds.append(best / copies)
    return [2 * size for size in sizes], seconds


def floor_seconds(name, data, members, size, device, copies):
    """Least seconds of ``BLOCK`` steps of all members, and the number of operations of one."""
    groups = groups_of(name, data, members, size, device)
    groups[0]._step()  # allocates what Adam keeps
    with Traffic() as traffic:
        groups[0]._step()
    return BLOCK * len(groups) * float(np.interp(traffic.bytes, *copies).sum()), len(traffic.bytes)


def synchronize(device):
    """Waits for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


# --- plain modules ------------------------------------------------------------------------------------------------


def mlp(inputs, hidden, outputs):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Plain(nn.Module):
    """One model with all its subsets in one pass, without an axis for members."""

    def __init__(self, scheme, hidden):
        super().__init__()
        self.encoders = nn.ModuleList(mlp(UNITS, hidden, 2 * LATENTS) for _ in range(MODALITIES))
        self.decoders = nn.ModuleList(mlp(LATENTS, hidden, UNITS) for _ in range(MODALITIES))
        self.register_buffer("chosen", membership(scheme.weights, MODALITIES).float())
        self.register_buffer("weights", torch.tensor([float(weight) for _, weight in scheme]))
        self.constant = UNITS * (np.log(SCALE) + 0.5 * np.log(2 * np.pi))

    def forward(self, x, noise):
        coded = torch.stack([encoder(part) for encoder, part in zip(self.encoders, x, strict=True)])
        mean, log_scale = coded.chunk(2, dim=-1)
        precision = torch.exp(-2 * log_scale).flatten(1)
        total = self.chosen @ precision
        location = (self.chosen @ (precision * mean.flatten(1)) / total).unflatten(1, mean.shape[1:])
        scale = (total**-0.5).unflatten(1, mean.shape[1:])
        z = location + scale * noise
        kl = (0.5 * (scale**2 + location**2 - 1) - torch.log(scale)).sum(-1)
        fit = 0
        for decoder, part in zip(self.decoders, x, strict=True):
            fit = fit - 0.5 * ((part - decoder(z)) / SCALE).pow(2).sum(-1) - self.constant
        return self.weights @ (fit - kl)


def plain(name, data, members, size, device):
    """One model after the other, ``BLOCK`` steps each, with torch's fused Adam."""
    hidden, batch = size
    rows = [torch.tensor(part, dtype=torch.float32, device=device) for part in data.train]
    models = [Plain(SCHEMES[name](MODALITIES), hidden).to(device) for _ in range(members)]
    optimizers = [torch.optim.Adam(model.parameters(), 2e-3, fused=True) for model in models]

    def run():
        for model, optimizer in zip(models, optimizers, strict=True):
            for _ in range(BLOCK):
                index = torch.randint(len(rows[0]), (batch,), device=device)
                noise = torch.randn(len(model.weights), batch, LATENTS, device=device)
                optimizer.zero_grad()
                (-model([part[index] for part in rows], noise).mean()).backward()
                optimizer.step()
        synchronize(device)

    return run


# --- MultiVae -----------------------------------------------------------------------------------------------------


def theirs(name, data, size, device):
    """One model of MultiVae for ``BLOCK`` steps of its own trainer: an epoch of as many batches."""
    hidden, batch = size

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.latent_dim = LATENTS
            self.body = nn.Sequential(nn.Linear(UNITS, hidden), nn.ReLU())
            self.mean, self.log_var = nn.Linear(hidden, LATENTS), nn.Linear(hidden, LATENTS)

        def forward(self, x):
            features = self.body(x)
            return ModelOutput(embedding=self.mean(features), log_covariance=self.log_var(features))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.body = mlp(LATENTS, hidden, UNITS)

        def forward(self, z):
            return ModelOutput(reconstruction=self.body(z))

    names = [modality.name for modality in data.modalities]
    common = {
        "n_modalities": MODALITIES,
        "latent_dim": LATENTS,
        "input_dims": dict.fromkeys(names, (UNITS,)),
        "decoders_dist": dict.fromkeys(names, "normal"),
        "decoder_dist_params": {key: {"scale": SCALE} for key in names},
    }
    networks = {"encoders": {key: Encoder() for key in names}, "decoders": {key: Decoder() for key in names}}
    if name == "mmvae":
        more = {"K": 1, "prior_and_posterior_dist": "normal", "loss": "iwae_looser", "learn_prior": False}
        model = theirs_models.MMVAE(theirs_models.MMVAEConfig(**common, **more), **networks)
    else:
        model = theirs_models.MoPoE(theirs_models.MoPoEConfig(**common), **networks)
    rows = {key: torch.tensor(part, dtype=torch.float32) for key, part in zip(names, data.train, strict=True)}
    repeated = {key: part.repeat(-(-BLOCK * batch // len(part)), 1)[: BLOCK * batch] for key, part in rows.items()}
    config = multivae.trainers.BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        num_epochs=1,
        learning_rate=2e-3,
        per_device_train_batch_size=batch,
        no_cuda=device == "cpu",
    )
    trainer = multivae.trainers.BaseTrainer(
        model, train_dataset=MultimodalBaseDataset(repeated), training_config=config, callbacks=[]
    )
    trainer.callback_handler.callbacks.clear()  # no progress bars

    def run():
        trainer.trained_epochs = 0
        trainer.model.train()
        trainer.train_step(1)

    return run


# --- cases --------------------------------------------------------------------------------------------------------


def case(name, members, size, data, options):
    """Candidates, and the share of all ``members`` that some of them are timed on."""
    one = 1 / members
    candidates = {
        "ours": ours(name, data, members, size, options.device, False),
        "loop of plain modules, fused Adam": plain(name, data, min(members, 4), size, options.device),
        "loop of ours, one at a time": ours(name, data, 1, size, options.device, False),
    }
    shares = {"loop of ours, one at a time": one, "loop of plain modules, fused Adam": min(members, 4) * one}
    if options.compiled:
        torch.compiler.reset()  # or what is compiled after eight cases runs as it is
        candidates["ours, compiled"] = ours(name, data, members, size, options.device, True)
    if theirs_models is not None:
        candidates["MultiVae's trainer"] = theirs(name, data, size, options.device)
        shares["MultiVae's trainer"] = one
    return candidates, shares


def main():
    parser = harness.arguments(__doc__, "training")
    parser.add_argument("--compiled", action="store_true", help="also with torch.compile; needs a C++ compiler")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, found, copies = dataset(), [], copy_times(options.device)
    at, targets = TARGETS[options.device]
    rows = [("case", "candidate", "models x steps / s", "times slower", "target")]
    for name in SCHEMES:
        for size in SIZES[1:2] if options.quick else SIZES:
            for members in MEMBERS[options.device, options.quick]:
                candidates, shares = case(name, members, size, data, options)
                timed = harness.compared(harness.interleaved(candidates, 2 if options.quick else 5), "ours", shares)
                for candidate, result in timed.items():
                    result["models_steps_per_second"] = float(f"{members * BLOCK / result['seconds']:.4g}")
                    target = targets.get(candidate) if members == at else None
                    if target is not None:
                        result |= {"target_times_slower": target, "reached": result["times_slower"] >= target}
                    slower = f"{result['times_slower']:.3g}" if "times_slower" in result else ""
                    rate = f"{result['models_steps_per_second']:.4g}"
                    rows.append(
                        (
                            f"{name} E={members} hidden {size[0]} batch {size[1]}",
                            candidate,
                            rate,
                            slower,
                            str(target or ""),
                        )
                    )
                least, operations = floor_seconds(name, data, members, size, options.device, copies)
                floor = {"operations": operations, "share_of_floor": float(f"{least / timed['ours']['seconds']:.3g}")}
                if options.device == "cuda" and members == at:
                    floor |= {"floor_target": FLOOR_TARGET, "floor_reached": floor["share_of_floor"] >= FLOOR_TARGET}
                print(f"{name} E={members} hidden {size[0]} batch {size[1]}: {floor['share_of_floor']} of the floor")
                found.append(
                    {"model": name, "members": members, "hidden": size[0], "batch": size[1]}
                    | floor
                    | {"candidates": timed}
                )
    harness.table(rows)
    results = {
        "what": __doc__.split("\n\n    python")[0],
        "sizes": {"modalities": MODALITIES, "units": UNITS, "latents": LATENTS, "steps": BLOCK},
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "copies": [
            {"bytes_moved": moved, "seconds": float(f"{seconds:.3g}")} for moved, seconds in zip(*copies, strict=True)
        ],
        "machine": harness.machine(),
        "versions": harness.versions("numpy", "torch", "multivae", "pythae"),
        "cases": found,
    }
    harness.save(results, options.out, "training" if options.device == "cpu" else "training_gpu", options.quick)


if __name__ == "__main__":
    main()
