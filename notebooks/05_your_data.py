"""Notebook: upload a table, say which columns make up which modality, read the report."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="5. Bring your own data")


@app.cell
def imports():
    import marimo as mo

    import bounds
    from bounds.report import to_html
    from bounds.uploads import read_uploaded
    from toy_models.playground import sample_csv

    return bounds, mo, read_uploaded, sample_csv, to_html


@app.cell(hide_code=True)
def title(mo):
    mo.md(r"""
    # 5. Bring your own data

    How much must a multimodal VAE lose on **your** data because it encodes subsets? Choose a file with one row for each
    example, say which columns belong to which modality, and read the report. The file stays on this computer.

    Without a file you see a sample: 4000 rows of an image of five pixels, a caption of two words and a price.
    """)
    return


@app.cell
def sample(sample_csv):
    sample_file = ("sample.csv", sample_csv())
    return (sample_file,)


@app.cell(hide_code=True)
def choose_file(mo):
    upload = mo.ui.file(
        filetypes=[".csv", ".parquet", ".npz"], label="a .csv or .parquet table, or an .npz file", kind="area"
    )
    upload
    return (upload,)


@app.cell
def receive(sample_file, upload):
    file = (upload.name(), upload.contents()) if upload.value else sample_file
    return (file,)


@app.cell(hide_code=True)
def turn(file, mo, sample_file):
    modalities = mo.ui.text_area(
        value="image=px_*\ntext=w0:w1\nprice=price" if file == sample_file else "",
        label="modalities, one a line: name=columns (names, patterns such as px_*, ranges such as w0:w9, with "
        "commas between); empty: every column is a modality",
        rows=4,
        full_width=True,
    )
    schemes = mo.ui.multiselect(["mvae", "mmvae", "mopoe"], value=["mmvae", "mopoe"], label="schemes")
    confidence = mo.ui.slider(0.5, 0.99, step=0.01, value=0.95, label="confidence of intervals", show_value=True)
    unit = mo.ui.radio(["nats", "bits"], value="nats", label="unit", inline=True)
    mo.vstack([modalities, schemes, mo.hstack([confidence, unit], justify="start", gap=2, wrap=True)])
    return confidence, modalities, schemes, unit


@app.cell
def choose(confidence, modalities, schemes, unit):
    chosen = {
        "modalities": modalities.value,
        "schemes": schemes.value,
        "confidence": confidence.value,
        "unit": unit.value,
    }
    return (chosen,)


@app.cell
def compute(bounds, chosen, file, read_uploaded):
    _name, _contents = file
    try:
        _data = read_uploaded(_name, _contents, [line for line in chosen["modalities"].splitlines() if line.strip()])
        result = bounds.irreducible_error(_data, chosen["schemes"], confidence=chosen["confidence"], source=_name)
        problem = None
    except bounds.InputError as error:
        result, problem = None, str(error)
    return problem, result


@app.cell(hide_code=True)
def short(mo, problem, result):
    if problem:
        _shown = mo.callout(mo.md(f"This cannot be done.\n\n```\n{problem}\n```"), kind="warn")
    else:
        _shown = mo.vstack([mo.md("## In short (nats)"), mo.md(result._repr_html_())])
    _shown
    return


@app.cell(hide_code=True)
def report(chosen, mo, result, to_html):
    _shown = None
    if result:
        _shown = mo.vstack([mo.md("## The report"), mo.iframe(to_html(result, unit=chosen["unit"]), height="720px")])
    _shown
    return


@app.cell(hide_code=True)
def closing(mo):
    mo.md(r"""
    ## What to try

    - Move two pixels of the sample from the image to the text (`image=px_0:px_2`, `text=px_3,px_4,w0:w1`). They show
      the same texture: now the text knows something of the image, and the loss falls.
    - Raise the **confidence**: intervals grow, values stay. With 50 % they are narrow and often wrong.
    - Leave the mapping empty: every column becomes a modality, and the loss grows.
    - Read what the report says where there is *no* number. An estimate that data cannot support is not made up.

    The same on the command line: `bounds irreducible your.csv --modalities "image=px_*" --html page.html`.

    *This notebook shows T1, T2 and T9 (what depends on units of measurement) on data instead of a known law.*
    """)
    return


if __name__ == "__main__":
    app.run()
