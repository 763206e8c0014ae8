"""Notebook: load the terms that a model reports, see whether they are possible."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="6. Audit")


@app.cell
def imports():
    import marimo as mo

    import bounds
    from bounds import plots
    from bounds.pictures import picture, settle
    from bounds.uploads import read_uploaded, read_uploaded_evaluation
    from toy_models.playground import sampled_audit

    return bounds, mo, picture, plots, read_uploaded, read_uploaded_evaluation, sampled_audit, settle


@app.cell(hide_code=True)
def title(mo):
    mo.md(r"""
    # 6. Audit: are a model's numbers possible?

    A model reports log-likelihoods and KLs on held-out examples. No model can be above its ceilings. If the numbers
    are, they are not what they are said to be: a constant is missing, the wrong encoder was used, or the examples were
    seen in training. An audit compares every term with every bound that applies, and says how surely.

    Without files you see a small model of three alike bits that evaluates itself. **Plant a fault** and see whether it
    is found.
    """)
    return


@app.cell(hide_code=True)
def choose_files(mo):
    evaluation_file = mo.ui.file(filetypes=[".npz", ".json"], label="an evaluation (.npz, .json)")
    reference_file = mo.ui.file(filetypes=[".npz", ".csv", ".parquet"], label="its law, or held-out data")
    mo.hstack([evaluation_file, reference_file], justify="start", gap=2, wrap=True)
    return evaluation_file, reference_file


@app.cell
def receive(evaluation_file, reference_file):
    files = None
    if evaluation_file.value and reference_file.value:
        files = (
            (evaluation_file.name(), evaluation_file.contents()),
            (reference_file.name(), reference_file.contents()),
        )
    return (files,)


@app.cell(hide_code=True)
def turn(mo):
    examples = mo.ui.slider(
        steps=[200, 500, 1000, 2000, 5000, 10000, 20000, 50000],
        value=20000,
        label="held-out examples",
        show_value=True,
    )
    correlation = mo.ui.slider(0.1, 0.9, step=0.1, value=0.8, label="correlation of the bits", show_value=True)
    fault = mo.ui.dropdown(
        {
            "nothing is wrong": "none",
            "every subset with the encoder of all": "sees everything",
            "the mean over modalities, not the sum": "means for sums",
            "the KL is left out": "no KL",
        },
        value="every subset with the encoder of all",
        label="what is wrong",
    )
    share = mo.ui.slider(0.0, 1.0, step=0.05, value=0.5, label="share of examples with it", show_value=True)
    mo.hstack(
        [
            mo.vstack([mo.md("**the sample**"), examples, correlation]),
            mo.vstack([mo.md("**its fault**"), fault, share]),
        ],
        justify="start",
        gap=3,
        wrap=True,
    )
    return correlation, examples, fault, share


@app.cell
def choose(correlation, examples, fault, share):
    chosen = {
        "examples": examples.value,
        "correlation": correlation.value,
        "fault": fault.value,
        "share": share.value,
    }
    return (chosen,)


@app.cell
def load(bounds, chosen, files, read_uploaded, read_uploaded_evaluation, sampled_audit):
    problem = evaluation = reference = None
    try:
        if files:
            evaluation, _density = read_uploaded_evaluation(*files[0])
            reference = _density or read_uploaded(*files[1])
        else:
            evaluation, reference = sampled_audit(
                chosen["correlation"], chosen["examples"], chosen["fault"], chosen["share"]
            )
    except bounds.InputError as error:
        problem = str(error)
    return evaluation, problem, reference


@app.cell
def compute(bounds, evaluation, problem, reference):
    found, trouble = None, problem
    if not problem:
        try:
            found = bounds.audit(evaluation, reference)
        except (bounds.InputError, bounds.ObjectiveError) as error:
            trouble = str(error)
    return found, trouble


@app.cell(hide_code=True)
def verdicts(found, mo, picture, plots, trouble):
    if trouble:
        _shown = mo.callout(mo.md(f"This cannot be audited.\n\n```\n{trouble}\n```"), kind="warn")
    else:
        _said = {
            "violated": ("danger", "**Violated.** No model has these numbers."),
            "undecided": ("neutral", "**Undecided.** Nothing is above its ceiling, but an excess could hide."),
            "consistent": ("success", "**Consistent.** Nothing is above its ceiling. That does not prove it right."),
        }
        _kind, _words = _said[found.verdict]
        _causes = [f"{_place}. {_cause}" for _place, _cause in enumerate(found.causes, 1)]
        _shown = mo.vstack(
            [
                mo.md("## The verdicts"),
                mo.callout(mo.md(_words), kind=_kind),
                mo.md("\n".join(["The likeliest causes:", "", *_causes]) if _causes else ""),
                picture(
                    plots.verdict_table,
                    found,
                    alt="a row for each check: its verdict, the mean with its standard error, and the ceiling",
                    size=(4.2, 4.4),
                ),
                mo.accordion({"every check with its reason": mo.md(found._repr_html_())}),
            ]
        )
    _shown
    return


@app.cell(hide_code=True)
def closing(mo):
    mo.md(r"""
    ## What to try

    - Lower the **share** of examples with the fault until the audit no longer finds it. More
      **examples** find smaller ones.
    - Choose **nothing is wrong**: the verdict must never be *violated* (in one audit of ten thousand it may be). With
      few examples it is *undecided*.
    - Compare the **causes** that are named for the three faults with what you planted.
    - A model far below its ceilings can be wrong in many ways that no audit sees.

    With your own model: `toy_models.evaluate` writes such a file for any PyTorch model, `docs/audit-your-model.md` says
    how, and `bounds audit FILE DATA` does the same as this page.

    *This notebook shows T1, T2 and T10.2 at work; each row names the theorem that it uses.*
    """)
    return


@app.cell
def ready(settle):
    settle()
    return


if __name__ == "__main__":
    app.run()
