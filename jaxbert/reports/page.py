# SPDX-License-Identifier: Apache-2.0
"""`report.json` as a page: one HTML file with its style and charts in it, which asks for nothing and runs nothing."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jaxbert.reports import charts
from jaxbert.reports.charts import Words

Part = Mapping[str, Any]

_LONGEST = 400  # characters of a text that are shown
_MOST_CURVES = 6  # of metrics
_NOT_METRICS = ("step", "learning_rate", "gradient_norm", "scale")
_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2129; --quiet: #5c6470; --line: #d5d9e0; --shade: #2563c9;
  --series-1: #2563c9; --series-2: #c2570c; --series-3: #15803d; --series-4: #9333b8; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e4e7ec; --quiet: #9aa3b0; --line: #343a44;
  --shade: #5b93f0; --series-1: #6ea2f5; --series-2: #f0975a; --series-3: #5fc98a; --series-4: #c78be6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 66rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
p { margin: .25rem 0 .75rem; max-width: 45rem; }
.quiet { color: var(--quiet); }
.scroll { overflow-x: auto; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 23rem), 1fr)); }
figure { margin: 0; max-width: 32rem; }
figcaption { font-weight: 600; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
td:first-child { min-width: 5rem; }
td.n, th.n { text-align: right; overflow-wrap: normal; }
.matrix td { background: color-mix(in srgb, var(--shade) calc(var(--share) * 55%), transparent); text-align: right; }
.mistakes td { overflow-wrap: break-word; } .mistakes td:last-child { min-width: 16rem; }
.mistakes td p { margin: 0 0 .25rem; }
"""


def page(report: Part) -> str:
    """The whole file, of what `report.json` holds; equal reports give equal bytes."""
    task, kind = report["data"]["task"], report["kind"]
    title = f"Report on {task}" + (f": {kind}" if kind != task else "")
    sections = (
        _results(report),
        _groups(report.get("settings")),
        _curves(report["curves"], report["results"]["metrics"]),
        _classes(report.get("classes", ())),
        _confusion([one["name"] for one in report.get("classes", ())], report.get("confusion")),
        _calibration(report.get("calibration")),
        _residuals(report.get("residuals")),
        *(_groups(one) for one in report.get("groups", ())),
        _lengths(report.get("lengths")),
        _mistakes(report.get("mistakes", ())),
        _about(report),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n"
        f"{''.join(part for section in sections for part in section)}</body>\n</html>\n"
    )


def _results(report: Part) -> Iterator[str]:
    results = report["results"]
    step = f" after step {results['step']:,}" if "step" in results else ""
    yield f'<p class="quiet">Written {_text(report["written"])}.</p>\n<h2>Results</h2>\n'
    if "resamples" in results:
        yield (
            f"<p>Of {results['examples']:,} examples{step}. Between the last two numbers of a row lie 95 % of the"
            f" values of {results['resamples']:,} samples drawn with replacement: by so much the"
            " choice of the examples may move it. What another seed of training would do they do not show.</p>\n"
        )
    if "note" in results:
        yield f"<p>{_text(results['note'])}</p>\n"
    rows = [
        (name, *(_number(one[key]) if one["low"] != one["high"] or key == "value" else "" for key in one))
        for name, one in results["metrics"].items()
    ]
    if not rows:
        return
    heads = ("Metric", "Value", "From", "To") if "resamples" in results else ("Metric", "Value")
    yield _table(heads, [row[: len(heads)] for row in rows], first_texts=1)


def _curves(curves: Part, metrics: Part) -> Iterator[str]:
    """Loss, learning rate, and the metrics that have intervals, or where none has the first ones."""
    train, validation = curves["train"], curves["validation"]
    if not train and not validation:
        return
    yield '<h2>Training</h2>\n<div class="charts">\n'
    losses = {"training": _series(train, "loss"), "evaluation": _series(validation, "loss")}
    yield _chart("Loss", {name: points for name, points in losses.items() if points[0]})
    if (rates := _series(train, "learning_rate"))[0]:
        yield _chart("Learning rate", {"rate": rates})
    names = dict.fromkeys(name for line in validation for name in line if name not in (*_NOT_METRICS, "loss"))
    uncertain = [name for name in names if name in metrics and metrics[name]["low"] != metrics[name]["high"]]
    for name in (uncertain or [*names])[:_MOST_CURVES]:
        points = _series(validation, name)
        if points[0]:
            yield _chart(f"Evaluation: {name}", {name: points})
    yield "</div>\n"


def _series(lines: Iterable[Part], name: str) -> tuple[list[float], list[float]]:
    """Steps, and the values of this name that were written."""
    found = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
    return [float(step) for step, _ in found], [float(value) for _, value in found]


def _chart(title: str, series: Mapping[str, charts.Points]) -> str:
    told = [
        f"{name} {_number(values[0])} at step {steps[0]:g}, {_number(values[-1])} at step {steps[-1]:g},"
        f" between {_number(min(values))} and {_number(max(values))}"
        for name, (steps, values) in series.items()
    ]
    words = Words(title, f"{title} over step: {'; '.join(told)}", "step", "")  # the title says what y is
    few = max(len(steps) for steps, _ in series.values()) <= 40
    return _figure(words, charts.lines(words, series, marked=few))


def _classes(classes: Sequence[Part]) -> Iterator[str]:
    if classes:
        columns = [name for name in classes[0] if name != "name"]
        rows = [(one["name"], *(_number(one[name]) for name in columns)) for one in classes]
        yield "<h2>Classes</h2>\n<p>Support is how many examples have the class.</p>\n"
        yield _table(("Class", *(name.capitalize() for name in columns)), rows, first_texts=1)


def _confusion(names: Sequence[str], confusion: Part | None) -> Iterator[str]:
    if confusion is None:
        return
    yield "<h2>Confusion</h2>\n<p>Rows: the label. Columns: what was predicted.</p>\n"
    if confusion["matrix"] is not None:
        yield '<div class="scroll"><table class="matrix">\n'
        heads = (f'<th scope="col" class="n">{_text(name)}</th>' for name in names)
        yield f"<tr><td></td>{''.join(heads)}</tr>\n"
        for name, counts in zip(names, confusion["matrix"], strict=True):
            cells = (f'<td style="--share: {count / max(1, sum(counts)):.3f}">{count:,}</td>' for count in counts)
            yield f'<tr><th scope="row">{_text(name)}</th>{"".join(cells)}</tr>\n'
        yield "</table></div>\n"
    else:
        yield "<p>Of many classes only the pairs are shown that are confused most often.</p>\n"
        rows = [(one["label"], one["predicted"], _number(one["count"])) for one in confusion["most_often"]]
        yield _table(("Label", "Predicted", "Examples"), rows, first_texts=2)


def _calibration(calibration: Part | None) -> Iterator[str]:
    if calibration is None:
        return
    filled = [one for one in calibration["bins"] if one["count"]]
    points = ([one["confidence"] for one in filled], [one["accuracy"] for one in filled])
    told = ", ".join(f"{one['accuracy']:.2f} at {one['confidence']:.2f}" for one in filled)
    words = Words(
        "Calibration",
        f"Share of right predictions over their probability, {told}; on the dashed diagonal both are the same",
        "probability of the prediction",
        "share that is right",
    )
    yield "<h2>Calibration</h2>\n"
    yield (
        f"<p>Expected calibration error {_number(calibration['error'])}: by so much probabilities and shares of right"
        " predictions differ on average. Points below the diagonal: surer than it should be.</p>\n"
    )
    svg = charts.shares(words, points, [one["count"] for one in filled])
    yield f'<div class="charts">{_figure(words, svg)}</div>\n'


def _residuals(residuals: Part | None) -> Iterator[str]:
    if residuals is None:
        return
    points, bars = residuals["points"], residuals["histogram"]
    yield "<h2>Predicted and true</h2>\n"
    yield (
        f"<p>Predicted minus true: {_number(residuals['mean'])} on average, with a deviation of"
        f" {_number(residuals['deviation'])}; {_number(residuals['mean_absolute'])} off on average.</p>\n"
    )
    described = f"Predictions over labels, {len(points['labels'])} examples; on the dashed diagonal both are the same"
    of_points = Words("Predictions", described, "label", "prediction")
    of_bars = Words(
        "Residuals", f"Histogram of predicted minus true, {_told(bars)}", "predicted minus true", "examples"
    )
    yield '<div class="charts">\n'
    yield _figure(of_points, charts.scatter(of_points, (points["labels"], points["predictions"])))
    yield _figure(of_bars, charts.histogram(of_bars, bars["edges"], bars["counts"]))
    yield "</div>\n"


def _groups(groups: Part | None) -> Iterator[str]:
    """A table and a chart of the last score by groups: `title`, `note`, `by`, and `rows` of `name`, `count`, scores."""
    if groups is None or not groups["rows"]:
        return
    rows = groups["rows"]
    scores = [name for name in rows[0] if name not in ("name", "count")]
    shown = scores[-1]
    values = {one["name"]: one[shown] for one in rows}
    told = ", ".join(f"{name} {_number(value)}" for name, value in values.items())
    words = Words(groups["title"], f"{shown} by group: {told}", groups["by"], shown)
    yield f"<h2>{_text(groups['title'])}</h2>\n"
    yield f"<p>{_text(groups['note'])}</p>\n" if groups["note"] else ""
    table = [(one["name"], *(_number(one[name]) for name in ("count", *scores))) for one in rows]
    yield '<div class="charts">\n'
    yield _table((groups["by"].capitalize(), "Count", *scores), table, first_texts=1)
    yield _figure(words, charts.bars(words, values))
    yield "</div>\n"


def _lengths(lengths: Part | None) -> Iterator[str]:
    if lengths is None:
        return
    bars, limit = lengths["histogram"], lengths["limit"]
    near = limit if limit is not None and limit < 1.5 * lengths["longest"] else None
    dashed = f"; the dashed line is the limit of {limit}" if near else ""
    words = Words("Lengths", f"Histogram of tokens, {_told(bars)}{dashed}", "tokens", "examples")
    yield "<h2>Lengths</h2>\n"
    yield (
        f"<p>Tokens of an example: {_number(lengths['mean'])} on average, median {_number(lengths['median'])}, at most"
        f" {lengths['longest']:,}."
    )
    if limit is not None and not lengths["at_limit"]:
        yield f" None reaches the limit of {limit:,}."
    elif limit is not None:
        yield f" {lengths['at_limit']:,} reach the limit of {limit:,}: nearly all are longer texts that lost their end."
    yield "</p>\n"
    yield f'<div class="charts">\n{_figure(words, charts.histogram(words, bars["edges"], bars["counts"], near))}'
    rows = [
        (f"{one['low']} to {one['high']}", _number(one["count"]), _number(one["score"])) for one in lengths["bands"]
    ]
    yield f"{_table(('Tokens', 'Examples', lengths['score']), rows, first_texts=1)}</div>\n"


def _told(histogram: Part) -> str:
    edges, counts = histogram["edges"], histogram["counts"]
    top = counts.index(max(counts))
    return f"from {edges[0]:g} to {edges[-1]:g}, most between {edges[top]:g} and {edges[top + 1]:g}"


def _mistakes(mistakes: Sequence[Part]) -> Iterator[str]:
    if not mistakes:
        return
    has_shares = "probability" in mistakes[0]
    yield "<h2>Mistakes</h2>\n"
    yield (
        "<p>Where it is most sure and wrong; texts as the model reads them.</p>\n"
        if has_shares
        else "<p>Where it is furthest off; texts as the model reads them.</p>\n"
    )
    columns = ("Example", "Label", "Predicted", *(["Probability"] if has_shares else []), "Text")
    yield '<div class="scroll"><table class="mistakes">\n'
    yield f"<tr>{''.join(f'<th>{name}</th>' for name in columns)}</tr>\n"
    for one in mistakes:
        cells = [_shown(one[name]) for name in ("example", "label", "predicted")]
        if has_shares:
            cells.append(f"{one['probability']:.1%}")
        texts = "".join(f"<p>{_text(_cut(text))}</p>" for text in one["texts"])
        yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}<td>{texts}</td></tr>\n"
    yield "</table></div>\n"


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else _number(value)


def _about(report: Part) -> Iterator[str]:
    run = report["run"]
    yield "<h2>Model, data and run</h2>\n"
    for title, values in (
        ("Model", report["model"]),
        ("Data", report["data"]),
        ("Flags that differ from their defaults", run["flags"]),
        ("Versions and seed", {**run["versions"], "seed": run["seed"]}),
    ):
        yield f"<h3>{title}</h3>\n" + _table(
            (), [(name, _value(value)) for name, value in values.items()], first_texts=2
        )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_value(one)}" for name, one in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and value > 9999 else str(value)


def _figure(words: Words, svg: str) -> str:
    return f"<figure><figcaption>{_text(words.title)}</figcaption>{svg}</figure>\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], first_texts: int) -> str:
    """Cells of text; those after the first so many are numbers."""

    def row(values: Sequence[str], kind: str) -> str:
        kinds = [kind] * first_texts + [f'{kind} class="n"'] * (len(values) - first_texts)
        cells = (f"<{begin}>{_text(value)}</{kind}>" for begin, value in zip(kinds, values, strict=True))
        return f"<tr>{''.join(cells)}</tr>\n"

    head = row(columns, "th") if columns else ""
    return f'<div class="scroll"><table>\n{head}{"".join(row(values, "td") for values in rows)}</table></div>\n'


def _number(value: float | None) -> str:
    """Whole numbers as they are, others with four digits that count."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _text(value: object) -> str:
    """What comes from data or a user, so that it is nothing but text."""
    return html.escape(str(value))
