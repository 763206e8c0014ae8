"""Notebook: a small VAE trained while you wait, below the ceilings of its data, across the collapse threshold."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="4. Toy models")


@app.cell
def imports():
    import marimo as mo

    from bounds import plots
    from bounds.pictures import picture, settle
    from toy_models.live import train_live

    return mo, picture, plots, settle, train_live


@app.cell(hide_code=True)
def title(mo):
    mo.md(r"""
    # 4. Toy models: training below a ceiling

    A ceiling is known **before** training. Here an MMVAE small enough for exact training is trained again whenever you
    move a slider. Its data are modalities that are all alike: bits, or numbers, any two with the same correlation.

    Watch two things. How close does training come to the ceilings? And does the model use its latent at all? With
    little correlation the best model encodes *nothing*, because a latent that one modality wrote costs the others more
    than it tells them. The KL says how much the latent carries; near 0 it has **collapsed**.
    """)
    return


@app.cell(hide_code=True)
def turn(mo):
    toy = mo.ui.radio(
        {"bits, and a latent of three values": "tabular", "numbers, and one latent number": "linear-Gaussian"},
        value="bits, and a latent of three values",
        label="modalities are",
    )
    modalities = mo.ui.slider(2, 4, value=2, label="modalities", show_value=True)
    correlation = mo.ui.slider(0.0, 0.98, step=0.02, value=0.6, label="correlation of any two", show_value=True)
    steps = mo.ui.slider(steps=[2, 5, 10, 20, 50, 100, 200, 500], value=50, label="steps of training", show_value=True)
    starts = mo.ui.slider(1, 5, value=3, label="random starts", show_value=True)
    seed = mo.ui.slider(0, 20, value=0, label="seed", show_value=True)
    mo.hstack(
        [
            mo.vstack([mo.md("**the data**"), toy, modalities, correlation]),
            mo.vstack([mo.md("**the training**"), steps, starts, seed]),
        ],
        justify="start",
        gap=3,
        wrap=True,
    )
    return correlation, modalities, seed, starts, steps, toy


@app.cell
def choose(correlation, modalities, seed, starts, steps, toy):
    chosen = {
        "toy": toy.value,
        "modalities": modalities.value,
        "correlation": correlation.value,
        "steps": steps.value,
        "starts": starts.value,
        "seed": seed.value,
    }
    return (chosen,)


@app.cell
def compute(chosen, train_live):
    found = train_live(
        chosen["toy"],
        chosen["modalities"],
        chosen["correlation"],
        steps=chosen["steps"],
        starts=chosen["starts"],
        seed=chosen["seed"],
    )
    return (found,)


@app.cell(hide_code=True)
def watch(found, mo, picture, plots):
    _rows = [
        "| nats per example | |",
        "|:---|---:|",
        *(f"| {_name} | {_value:.4f} |" for _name, _value in found.ceilings.items()),
        f"| **ELBO reached** | **{found.elbo:.4f}** |",
        f"| **KL: what the latent says** | **{found.kl:.4f}** |",
    ]
    _side = "above" if found.above else "below"
    _proved = {
        True: "No model is more than 0.0002 nats better than one that encodes nothing.",
        False: "Models that use their latent are better than those that encode nothing.",
        None: "Whether encoding nothing is the best was not decided in the time that a slider has.",
    }[found.collapsed]
    mo.vstack(
        [
            mo.md("## The training curve"),
            picture(
                plots.training_curve,
                found.curves,
                first=0,
                ceilings=found.ceilings,
                alt="the ELBO of every start against the steps of training, and the ceilings as horizontal lines",
                size=(4.2, 2.9),
            ),
            mo.hstack(
                [
                    mo.md("\n".join(_rows)),
                    mo.md(
                        f"The correlation is **{_side}** the threshold of {found.threshold:.4f}, above which the "
                        f"latent must be used. {_proved}"
                    ),
                ],
                widths=[1, 1],
                gap=2,
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def closing(mo):
    mo.md(r"""
    ## What to try

    - Two modalities of bits: move the **correlation** from 0.3 to 0.5 across the threshold $\sqrt 2 - 1 = 0.4142$. The
      KL leaves 0, and the optimum leaves the constant latent.
    - Near the threshold training is slow: watch how many **steps** it needs at 0.42, and at 0.8.
    - Three modalities: now T2's ceiling is below $-H(X)$, because two unseen bits share
      what the seen one does not tell.
    - **Numbers**: noise that does not depend on the latent costs more than T2 says. T7's ceiling is closer, and the
      best linear model is known exactly.
    - Change the **seed**: starts differ, ends do not.

    *This notebook shows T2 (the ceiling), T4 (the optimum, and when a latent collapses) and T7 (Gaussian noise).*
    """)
    return


@app.cell
def ready(settle):
    settle()
    return


if __name__ == "__main__":
    app.run()
