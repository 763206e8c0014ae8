"""Five models of MultiVae, trained on a law that is known, audited, and their own ln p(x) held against the truth.

    python examples/audit_multivae.py [--steps 3000] [--out results/audit_multivae.json]

Two modalities of three and two variables share two latents; the noise is that of the decoders, so that a perfect model
exists. Takes about five minutes on one core, most of it for the library's ``ln p(x)``.
Needs ``pip install 'multimodal-bounds[adapters]'``.
"""

import argparse
import json
import math
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from multivae_models import import_multivae, small_networks

from bounds import Gaussian, audit, elbo_ceiling, full, mmvae, mopoe
from toy_models.adapters.multivae import MultiVaeModel
from toy_models.evaluate import evaluate
from toy_models.evidence import check_log_evidence, log_evidence

SIZES = {"a": 3, "b": 2}
LATENTS = 2
NOISE = 0.5
TRAINING, HELD_OUT, SCORED = 20000, 40000, 2500
DRAWS = 1000

NORMAL = {"prior_and_posterior_dist": "normal", "K": 1, "loss": "iwae_looser"}
#: Class, scheme of its subsets, private latents, options.
MODELS = {
    "MVAE": (full(2), 0, {"use_subsampling": False, "warmup": 0}),
    "MMVAE": (mmvae(2), 0, NORMAL),
    "MoPoE": (mopoe(2), 0, {}),
    "MMVAEPlus": (mmvae(2), 1, NORMAL),
    "MVTCAE": (full(2), 0, {"alpha": 0.1, "beta": 1.0}),
}


def law_and_data(seed=0):
    """The law, and data from it: training examples, held-out ones, and the law's log-density of these."""
    rng = np.random.default_rng(seed)
    loading = rng.normal(size=(sum(SIZES.values()), LATENTS))
    cov = loading @ loading.T + NOISE**2 * np.eye(len(loading))
    law = Gaussian(cov, sizes=list(SIZES.values()), names=list(SIZES), units="scalar")
    x = rng.multivariate_normal(np.zeros(len(cov)), cov, size=TRAINING + HELD_OUT)
    rows = torch.as_tensor(x, dtype=torch.float32)
    parts = dict(zip(SIZES, rows.split(list(SIZES.values()), dim=1), strict=True))
    held_out = {m: part[TRAINING:] for m, part in parts.items()}
    exact = x[TRAINING:].astype(np.float32).astype(np.float64)  # as the models see it
    squares = np.einsum("ni,ij,nj->n", exact, np.linalg.inv(cov), exact)
    density = -0.5 * (squares + np.linalg.slogdet(2 * math.pi * cov)[1])
    return law, {m: part[:TRAINING] for m, part in parts.items()}, held_out, density


def trained(name, data, steps, seed=0):
    """A model of the library after so many steps on its own loss."""
    library = import_multivae()
    _, private, options = MODELS[name]
    torch.manual_seed(seed)
    config = getattr(library, f"{name}Config")(
        n_modalities=len(SIZES),
        latent_dim=LATENTS,
        input_dims={m: (size,) for m, size in SIZES.items()},
        decoders_dist=dict.fromkeys(SIZES, "normal"),
        decoder_dist_params={m: {"scale": NOISE} for m in SIZES},
        **({"modalities_specific_dim": private} if private else {}),
        **options,
    )
    model = getattr(library, name)(config, **small_networks(SIZES, LATENTS, private))
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    model.train()
    for _ in range(steps):
        rows = torch.randint(TRAINING, (256,))
        loss = model(dataset({m: part[rows] for m, part in data.items()}), epoch=2).loss / (
            256 if "MMVAE" in name else 1
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def dataset(data):
    """As the library takes it."""
    from multivae.data.datasets.base import MultimodalBaseDataset

    return MultimodalBaseDataset(data=dict(data))


def librarys_log_evidence(model, data, copies=1, seed=None):
    """The library's ``-compute_joint_nll`` of each example; ``seed`` fixes the encoder that MMVAE draws from.

    MoPoE proposes with another subset's encoder for each part of a batch, so each example is given three times.
    """
    found = []
    for i in range(len(data["a"])):
        if seed is not None:
            np.random.seed(seed)  # noqa: NPY002 (the library draws from NumPy's global generator)
        row = dataset({m: part[i : i + 1].expand(copies, -1) for m, part in data.items()})
        found.append(-float(model.compute_joint_nll(row, K=DRAWS, batch_size_K=DRAWS)) / copies)
    return np.array(found)


def calls(name):
    """The ways to call the library's estimate that differ in what comes out."""
    if name == "MMVAE":
        choices = {}
        for seed in range(20):
            np.random.seed(seed)  # noqa: NPY002
            choices.setdefault(str(np.random.choice(list(SIZES))), seed)  # noqa: NPY002
        return {f"draws from the encoder of {m}": {"seed": seed} for m, seed in sorted(choices.items())}
    if name == "MoPoE":
        return {"one example at a time": {}, "a batch": {"copies": 3}}
    return {"one example at a time": {}}


def study(name, law, data, held_out, density, steps):
    """Everything about one model."""
    scheme = MODELS[name][0]
    started = time.perf_counter()
    model = trained(name, data, steps)
    seconds = time.perf_counter() - started
    adapted = MultiVaeModel(model)
    generator = torch.Generator().manual_seed(1)
    evaluation = evaluate(adapted, held_out, scheme, generator, kind="differential")
    found = audit(evaluation, law, level="units")
    scored = {m: part[:SCORED] for m, part in held_out.items()}
    mine = log_evidence(adapted, scored, scheme, generator, draws=DRAWS)
    own = density[:SCORED]
    theirs = {}
    torch.manual_seed(2)
    for way, options in calls(name).items():
        values = librarys_log_evidence(model, scored, **options)
        checked = check_log_evidence(values, law, log_density=own)
        theirs[way] = {
            "mean": float(values.mean()),
            "minus_ours": float((values - mine.value).mean()),
            "minus_ours_standard_error": float((values - mine.value).std(ddof=1) / math.sqrt(SCORED)),
            "minus_law": checked.mean_difference,
            "verdict": checked.verdict,
        }
    objective = found.checks[0]
    result = {
        "scheme": scheme.label,
        "training_seconds": round(seconds, 1),
        "elbo": objective.value,
        "standard_error": objective.standard_error,
        "ceiling": float(elbo_ceiling(law.unit_entropies(), scheme)),
        "verdict": found.verdict,
        "checks": len(found.checks),
        "log_evidence": {
            "mean": mine.mean,
            "bias": float(mine.bias.mean()),
            "minus_law": float((mine.value - own).mean()),
            "verdict": check_log_evidence(mine.value, law, log_density=own).verdict,
        },
        "library": theirs,
    }
    print(f"{name}: trained in {seconds:.0f} s")
    print(
        f"  ELBO {result['elbo']:.4f} +- {result['standard_error']:.4f}, ceiling {result['ceiling']:.4f}: "
        f"{found.verdict}"
    )
    print(
        f"  E ln p(x), importance-sampled: {mine.mean:.4f}, {result['log_evidence']['minus_law']:+.4f} from the law's"
    )
    for way, one in theirs.items():
        print(f"  the library's, {way}: {one['mean']:.4f}, {one['minus_law']:+.4f} from the law's: {one['verdict']}")
    return result


def as_markdown(result):
    """The table of docs/audit-your-model.md."""
    lines = [
        "| model, and how the library is called | K=1 ELBO | ceiling | audit | `log_evidence` | the library | "
        "library - `log_evidence` | library - law | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in result["models"].items():
        ours = found["log_evidence"]["mean"]
        for way, one in found["library"].items():
            numbers = [f"{one['mean']:.3f}", f"{one['minus_ours']:+.3f}", f"{one['minus_law']:+.3f}", one["verdict"]]
            audited = [f"{found['elbo']:.3f}", f"{found['ceiling']:.3f}", found["verdict"], f"{ours:.3f}"]
            lines.append(f"| {name}, {way} | {' | '.join([*audited, *numbers])} |")
    return "\n".join(lines)


def main():
    """Trains, audits, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    given = parser.parse_args()
    law, data, held_out, density = law_and_data()
    h = law.entropy_vector()
    print(f"-H(X) = {-h['a', 'b']:.4f}; the law's E ln p(x) on {HELD_OUT} held-out examples {density.mean():.4f}")
    found = {name: study(name, law, data, held_out, density, given.steps) for name in given.models}
    if given.out:
        about = {
            "what": "MultiVae models trained on a linear-Gaussian law, audited; nats",
            "machine": {"cpu": platform.machine(), "system": platform.system(), "threads": torch.get_num_threads()},
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("multivae", "pythae", "torch", "numpy")},
            },
            "minus_entropy": -h["a", "b"],
            "law_log_density": {"held_out": float(density.mean()), "scored": float(density[:SCORED].mean())},
            "examples": {"training": TRAINING, "held_out": HELD_OUT, "scored": SCORED},
            "steps": given.steps,
            "draws": DRAWS,
        }
        given.out.write_text(json.dumps({**about, "models": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
