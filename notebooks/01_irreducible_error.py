"""Notebook: what encoding subsets of the modalities costs, on a law whose dials the reader turns."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="1. The irreducible error")


@app.cell
def imports():
    import marimo as mo

    import bounds
    from bounds import plots
    from bounds.information_atoms import information_atoms
    from bounds.ladder import ladders
    from bounds.pictures import picture, settle
    from bounds.report import table_rows
    from bounds.report_words import LEVELS
    from toy_models.playground import dialled_label, known_law

    return LEVELS, bounds, dialled_label, information_atoms, known_law, ladders, mo, picture, plots, settle, table_rows


@app.cell(hide_code=True)
def title(mo):
    mo.md(r"""
    # 1. The irreducible error

    A multimodal VAE is trained to rebuild **all** modalities from **some** of them: MMVAE from one at a time, MoPoE-VAE
    from every subset. What was not seen has to be guessed. How much does that cost, even for the best of all models?

    Here you build the data yourself. Every modality shows one common bit, perhaps through noise (*shared* information),
    and bits of its own (*private* information), each of them drawn on several pixels.
    """)
    return


@app.cell(hide_code=True)
def turn(mo):
    modalities = mo.ui.slider(2, 6, value=3, label="modalities", show_value=True)
    shared = mo.ui.slider(0.0, 0.69, step=0.03, value=0.3, label="nats shared by two modalities", show_value=True)
    private = mo.ui.slider(0, 3, value=1, label="private bits of each modality", show_value=True)
    pixels = mo.ui.slider(1, 3, value=1, label="pixels that show each private bit", show_value=True)
    scheme = mo.ui.dropdown(["mmvae", "mopoe"], value="mmvae", label="subsets are encoded as in")
    decoder = mo.ui.radio(
        {"each pixel by itself": True, "the whole modality at once": False},
        value="each pixel by itself",
        label="the decoder models",
    )
    mo.hstack(
        [
            mo.vstack([mo.md("**the data**"), modalities, shared, private, pixels]),
            mo.vstack([mo.md("**the model**"), scheme, decoder]),
        ],
        justify="start",
        gap=3,
        wrap=True,
    )
    return decoder, modalities, pixels, private, scheme, shared


@app.cell
def choose(decoder, modalities, pixels, private, scheme, shared, view):
    chosen = {
        "modalities": modalities.value,
        "shared": shared.value,
        "private": private.value,
        "pixels": pixels.value,
        "scheme": scheme.value,
        "decoder": decoder.value,
        "view": view.value,
    }
    return (chosen,)


@app.cell
def compute(bounds, chosen, dialled_label, known_law):
    law = known_law(
        dialled_label(chosen["modalities"], chosen["shared"], chosen["private"], chosen["pixels"]), chosen["decoder"]
    )
    result = bounds.irreducible_error(law, chosen["scheme"], source="your data")
    return law, result


@app.cell(hide_code=True)
def count(LEVELS, chosen, mo, result, table_rows):
    _rows = [f"| {_row.name} | {_row.cells[0].value} |" for _row in table_rows(result) if _row.level != LEVELS[0][0]]
    numbers = mo.md("\n".join([f"| nats per example | {chosen['scheme']} |", "|:---|---:|", *_rows]))
    return (numbers,)


@app.cell(hide_code=True)
def see(mo):
    view = mo.ui.radio(
        {"floor, ceilings, optimum": "ladder", "growth with modalities": "growth", "who shares what": "shares"},
        value="floor, ceilings, optimum",
        inline=True,
    )
    return (view,)


@app.cell(hide_code=True)
def draw(chosen, information_atoms, ladders, law, mo, picture, plots, result):
    ladder = None
    if chosen["view"] == "ladder":
        (ladder,) = ladders(law, result, seconds=0.06)
        drawn = mo.vstack(
            [
                picture(
                    plots.ladder,
                    ladder,
                    alt="numbers above and below the ELBO, from the highest to the lowest",
                    size=(4.2, 2.7),
                ),
                mo.md("\n".join(f"- {note}" for note in ladder.notes)),
            ]
        )
    elif chosen["view"] == "growth":
        drawn = picture(
            plots.growth,
            result,
            alt="Delta and the irreducible ELBO loss of the first 1, 2, ... modalities",
            size=(4.2, 2.6),
        )
    elif chosen["modalities"] <= plots.MOST:
        drawn = picture(
            plots.information_diagram,
            information_atoms(result.entropies, [_one.scheme for _one in result.schemes]),
            alt="a bar for what each group of modalities shares and the others do not tell; hatched: counted by Delta",
            size=(4.2, 2.9),
        )
    else:
        drawn = mo.md("*(Drawn for up to four modalities.)*")
    return drawn, ladder


@app.cell(hide_code=True)
def look(drawn, mo, numbers, view):
    _picture = mo.vstack([view, drawn]).style({"max-width": "34rem"})
    mo.hstack([mo.vstack([numbers]), _picture], justify="start", align="start", gap=3, wrap=True)
    return


@app.cell(hide_code=True)
def about(mo):
    mo.md(r"""
    ## What they say

    **The numbers.** $\Delta$ is the paper's *generative discrepancy*: what is unknown about the unseen modalities. The
    *distortion floor* is what rebuilding the unseen costs at least. The *irreducible ELBO loss* is how far
    every ELBO of this kind stays below $-H(X)$: the *ELBO ceiling*. The loss counts only what the unseen parts
    share **with each other** and the seen part does not tell.

    **Floor, ceilings, optimum.** No ELBO is above the ceiling. The *optimum* is what the best of all models reaches. It
    is searched for and certified from both sides while you wait, for up to four modalities with at most 256 different
    values. The *quoted bound* is what Theorem 1, as it is usually quoted, would allow; models exceed it, as notebook 2
    shows.

    **The growth with modalities.** What the first two, three, ... modalities lose.

    **Who shares what.** Each bar is what the modalities of the filled dots share and the others do not tell. $\Delta$
    counts the hatched part: all that the seen modalities do not tell. What is private to one modality, the first bars,
    is no part of the irreducible loss of a decoder that models the whole modality.
    """)
    return


@app.cell(hide_code=True)
def closing(mo):
    mo.md(r"""
    ## What to try

    - Raise the **private bits** at one pixel each: $\Delta$ grows, the loss does not. Private information costs the
      ELBO nothing when the decoder can treat it as noise.
    - Now show each private bit on **two pixels**. A decoder that models each pixel by itself cannot know that the two
      agree: the loss jumps. Let it model the whole modality at once, and the loss is gone.
    - Set the private bits to 0 and move the **shared** information from 0 upwards with four modalities. With nothing
      shared, and with everything shared, nothing is lost. In between, what is unseen
      has a common cause.
    - Change **mmvae** to **mopoe**: larger subsets see more, and lose less.

    *This notebook shows T1 (the distortion floor), T2 (the ELBO ceiling), T4 (the optimum) and T8 (growth with the
    number of modalities).*
    """)
    return


@app.cell
def ready(settle):
    settle()
    return


if __name__ == "__main__":
    app.run()
