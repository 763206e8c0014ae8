"""Notebook: type an inequality between entropies, get an exact certificate or a counterexample."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="3. Proving an inequality")


@app.cell
def imports():
    import marimo as mo

    import bounds
    from bounds import plots
    from bounds.information_atoms import information_atoms
    from bounds.pictures import picture
    from bounds.shannon import t2_core

    return bounds, information_atoms, mo, picture, plots, t2_core


@app.cell(hide_code=True)
def title(mo):
    mo.md(r"""
    # 3. Proving an inequality

    Many steps of the theory are inequalities between entropies. Those that follow from Shannon's basic ones
    ($H \ge 0$, $I(X;Y|Z) \ge 0$) can be decided by a computer, **exactly**: either it finds a sum of basic inequalities
    that gives yours, or it finds entropies that satisfy all basic ones and violate yours. Both can be checked by hand.

    Write `H(X|Y)`, `I(X;Y|Z)`, `TC(X;Y;Z|W)` with fractions before them and `<=`, `>=` or `=` between two sums.
    Assumptions are written in the same way, or as Markov chains such as `X - Y - Z`; separate them with line breaks.
    """)
    return


@app.cell
def starts():
    presets = {
        "data processing": ("I(X;Z) <= I(X;Y)", "X - Y - Z"),
        "conditioning lowers information? (no)": ("I(X;Y|Z) <= I(X;Y)", ""),
        "entropies add up? (no)": ("H(X) + H(Y) <= H(X,Y)", ""),
        "Han's inequality, three variables": ("H(X,Y) + H(Y,Z) + H(X,Z) >= 2 H(X,Y,Z)", ""),
        "Ingleton's inequality (not Shannon's)": ("I(A;B) <= I(A;B|C) + I(A;B|D) + I(C;D)", ""),
        "the core of the ELBO ceiling (T2)": None,
    }
    return (presets,)


@app.cell(hide_code=True)
def begin(mo, presets):
    start = mo.ui.dropdown(presets, value="data processing", label="start from")
    modalities = mo.ui.slider(2, 5, value=3, label="modalities, for the core of T2", show_value=True)
    mo.hstack([start, modalities], justify="start", gap=2, wrap=True)
    return modalities, start


@app.cell(hide_code=True)
def turn(mo, modalities, start, t2_core):
    _statement, _given = start.value or t2_core(modalities.value, 1)
    statement = mo.ui.text(value=_statement, label="is it true that", full_width=True)
    given = mo.ui.text_area(
        value=_given if isinstance(_given, str) else "\n".join(_given), label="given", rows=2, full_width=True
    )
    mo.vstack([statement, given])
    return given, statement


@app.cell
def choose(given, statement):
    chosen = {"statement": statement.value, "given": given.value}
    return (chosen,)


@app.cell
def compute(bounds, chosen):
    try:
        proof = bounds.prove(chosen["statement"], [line for line in chosen["given"].splitlines() if line.strip()])
        problem = None
    except bounds.InputError as error:
        proof, problem = None, str(error)
    return problem, proof


@app.cell(hide_code=True)
def answer(bounds, information_atoms, mo, picture, plots, problem, proof):
    _shown = []
    if problem:
        _shown = [mo.callout(mo.md(f"This cannot be read.\n\n```\n{problem}\n```"), kind="warn")]
    elif proof.proved:
        _shown = [
            mo.callout(mo.md("**Proved.** The weights below add up to your inequality, exactly."), kind="success"),
            mo.md(proof._repr_html_()),
        ]
    else:
        _point = bounds.EntropyVector(proof.names, [float(value) for value in proof.counterexample.values])
        _drawn = (
            picture(
                plots.information_diagram,
                information_atoms(_point),
                alt="the atoms of the counterexample: what some variables share and the others do not tell",
                size=(4.2, 3.0),
            )
            if len(proof.names) <= 4
            else mo.md("")
        )
        _shown = [
            mo.callout(mo.md("**Not provable.** These entropies obey all of Shannon's inequalities."), kind="danger"),
            mo.md(proof._repr_html_()),
            mo.md("Each bar is what the variables of the filled dots share and the others do not tell."),
            _drawn,
        ]
    mo.vstack([mo.md("## The answer"), *_shown])
    return


@app.cell(hide_code=True)
def closing(mo):
    mo.md(r"""
    ## What to try

    - **Data processing**: delete the assumption. The proof becomes a counterexample.
    - **Conditioning**: what are X, Y and Z in the counterexample? (Think of two coins and their sum modulo 2.)
    - **Ingleton's inequality** holds for most variables one can think of, but not for all: the answer is a point that
      no proof by Shannon's inequalities can exclude.
    - **The core of T2**: the inequality behind the ELBO ceiling, with the encoder's Markov chain as its assumption, for
      as many modalities as the slider says. Delete the chain, and it fails: an encoder that peeks at what it must not
      see can beat the ceiling.

    *This notebook shows the entropy inequalities behind T1 and T2, with the certificates that `bounds theorems`
    replays.*
    """)
    return


if __name__ == "__main__":
    app.run()
