"""Notebook: where Theorem 1 as usually quoted fails, as a playground of encoder and decoder tables."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="2. Why the quoted inequality fails")


@app.cell
def imports():
    import marimo as mo

    from bounds import plots
    from bounds.finite import elbo_terms
    from bounds.pictures import picture, settle
    from bounds.schemes import parse_scheme
    from toy_models.playground import alike_bits, bit_model, both_sides

    return alike_bits, bit_model, both_sides, elbo_terms, mo, parse_scheme, picture, plots, settle


@app.cell(hide_code=True)
def title(mo):
    mo.md(r"""
    # 2. Why the quoted inequality fails

    Theorem 1 of "On the Limitations of Multimodal VAEs" is usually quoted as
    $\mathbb E \log p_\theta(x) \ge \mathcal L + \Delta$: the ELBO $\mathcal L$ would be at least $\Delta$ below the
    evidence, whatever the model. Here is a model small enough to write down in full. Its data are two bits, its latent
    is one bit, and all its tables are sliders. **Break the inequality yourself.**

    The repair moves the left side: $\sum_A w_A\,\mathbb E \log p_\theta(x_A) \ge \mathcal L + \text{floor}$ has the
    evidence of *what was encoded*, and no slider can break it.
    """)
    return


@app.cell
def starts():
    # data first, then p(x=1|z=0), p(x=1|z=1) of each modality, then q(z=1|x=0), q(z=1|x=1) of each
    presets = {
        "a constant latent: nothing is encoded": (0.0, False, [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
        "private noise: the latent is the common bit": (1.0, True, [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]),
        "the true law with blurred decoders": (0.64, False, [0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9]),
        "a sharp second decoder": (0.78, False, [0.1, 0.9, 0.01, 0.99, 0.1, 0.9, 0.01, 0.99]),
        "decoders that know nothing": (0.64, False, [0.5, 0.5, 0.5, 0.5, 0.0, 1.0, 0.0, 1.0]),
    }
    return (presets,)


@app.cell(hide_code=True)
def begin(mo, presets):
    start = mo.ui.dropdown(presets, value="private noise: the latent is the common bit", label="start from")
    start
    return (start,)


@app.cell(hide_code=True)
def turn(mo, start):
    _correlation, _private, _tables = start.value

    def _probability(value, label):
        return mo.ui.slider(0.0, 1.0, step=0.01, value=value, label=label, show_value=True)

    correlation = _probability(_correlation, "correlation")
    private = mo.ui.checkbox(value=_private, label="each modality has a private bit too")
    scheme = mo.ui.dropdown(
        {"both in turn": "X1:1/2,X2:1/2", "the first only": "X1:1", "the second only": "X2:1"},
        value="both in turn",
        label="encoded is",
    )
    prior = _probability(0.5, "prior p(z=1)")
    p10 = _probability(_tables[0], "p(x₁=1|z=0)")
    p11 = _probability(_tables[1], "p(x₁=1|z=1)")
    p20 = _probability(_tables[2], "p(x₂=1|z=0)")
    p21 = _probability(_tables[3], "p(x₂=1|z=1)")
    q10 = _probability(_tables[4], "q(z=1|x₁=0)")
    q11 = _probability(_tables[5], "q(z=1|x₁=1)")
    q20 = _probability(_tables[6], "q(z=1|x₂=0)")
    q21 = _probability(_tables[7], "q(z=1|x₂=1)")
    mo.hstack(
        [
            mo.vstack([mo.md("**the data**"), correlation, private, scheme, prior]),
            mo.vstack([mo.md("**decoders**"), p10, p11, p20, p21]),
            mo.vstack([mo.md("**encoders**"), q10, q11, q20, q21]),
        ],
        justify="start",
        gap=2,
        wrap=True,
    )
    return correlation, p10, p11, p20, p21, prior, private, q10, q11, q20, q21, scheme


@app.cell
def choose(correlation, p10, p11, p20, p21, prior, private, q10, q11, q20, q21, scheme):
    chosen = {
        "correlation": correlation.value,
        "private": private.value,
        "scheme": scheme.value,
        "prior": prior.value,
        "p10": p10.value,
        "p11": p11.value,
        "p20": p20.value,
        "p21": p21.value,
        "q10": q10.value,
        "q11": q11.value,
        "q20": q20.value,
        "q21": q21.value,
    }
    return (chosen,)


@app.cell
def compute(alike_bits, bit_model, both_sides, chosen, elbo_terms, parse_scheme):
    _law = alike_bits(2, chosen["correlation"], chosen["private"])
    _scheme = parse_scheme(chosen["scheme"], _law.names)
    _model = bit_model(
        chosen["prior"],
        [(chosen["p10"], chosen["p11"]), (chosen["p20"], chosen["p21"])],
        [(chosen["q10"], chosen["q11"]), (chosen["q20"], chosen["q21"])],
        chosen["private"],
    )
    terms = elbo_terms(_model, _law, _scheme)
    sides = both_sides(_model, _law, _scheme)
    return sides, terms


@app.cell(hide_code=True)
def watch(mo, picture, plots, sides, terms):
    def _row(claim, one):
        _verdict = "**holds**" if one.holds else "**fails**"
        return f"| {claim} | {_verdict} | {one.left:.4f} | {one.right:.4f} | {one.margin:+.4f} |"

    _rows = [
        "| inequality | here it | left | right | margin |",
        "|:---|:---|---:|---:|---:|",
        _row("as quoted", terms.quoted),
        _row("repaired", terms.repaired),
    ]
    mo.vstack(
        [
            mo.md("## Both sides"),
            mo.md("\n".join(_rows)),
            mo.md(rf"""
            In nats per example: $\mathcal L$ = {terms.elbo:.4f}, reconstruction error {terms.distortion:.4f}, KL
            {terms.kl:.4f}, $\Delta$ = {terms.discrepancy:.4f}, floor {terms.floor:.4f}, gap $\mathbb E\log p(x) -
            \mathcal L$ = {terms.gap:.4f}.
            """),
            picture(
                plots.ladder,
                sides,
                alt="both sides of the inequality as quoted and repaired, and the ceiling, on one axis",
                size=(4.2, 3.3),
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def closing(mo):
    mo.md(r"""
    ## What to try

    - Start from **private noise**. The latent is the common bit, either modality tells it for sure, and the decoder
      draws the private bit as a fair coin: the gap is exactly 0, though $\Delta = \ln 2$. *Private information modelled
      as decoder noise costs nothing.*
    - Start from **a constant latent**. A model that encodes nothing reaches $-H(X)$ for independent bits.
    - Start from **a sharp second decoder** and encode *the first only*: the quoted inequality holds. Encode *the second
      only*: it fails. That is why it looks right for decoders with a small fixed scale.
    - Start from **decoders that know nothing**: bad models make the gap large, and then the inequality holds easily.
    - Try to make the repaired inequality fail. Where is its margin zero?

    *This notebook shows T0 (the quoted inequality, and its repair) and T2 (the ELBO stays below its ceiling whatever
    you do).*
    """)
    return


@app.cell
def ready(settle):
    settle()
    return


if __name__ == "__main__":
    app.run()
