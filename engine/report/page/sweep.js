"use strict";
// A search: all points that were tried ("sweep" of report.json). Figures over tunings are {mean, low, high}.

const averaged = (figure, text = (mean) => fixed(mean, 3)) =>
    known(figure?.mean) ? withInterval(text(figure.mean), figure) : "n/a";

// A colour per criterion, in the order of the points; what is left when there are more shares the last one. The
// controls have a colour of their own.
const kControl = 8;
function seriesOf(points) {
    const criteria = [...new Set(points.filter((p) => !p.control).map((p) => p.criterion))];
    return {
        of: (p) => (p.control ? kControl : Math.min(criteria.indexOf(p.criterion), kControl - 1)),
        keys: [...criteria.map((name, i) => ({ series: Math.min(i, kControl - 1), name })),
            ...(points.some((p) => p.control) ? [{ series: kControl, name: "controls" }] : [])],
    };
}

const stateOf = (p, selected) =>
    [p.name === selected ? "chosen" : "", p.near_chance ? "too near chance" : p.dominated ? "dominated" : ""]
        .filter((word) => word).join(", ");

// The mean of an objective over tunings such that less is better: that of an rms as an rms, any other with its sign
// turned.
function objectiveCost(figure, objective) {
    const cost = ofRms(objective) ? (value) => Math.sqrt(Math.max(0, -value)) : (value) => -value;
    const { mean, low, high } = figure ?? {};
    return known(mean) ? { mean: cost(mean), ...(known(low) ? { low: cost(high), high: cost(low) } : {}) } : {};
}

function objectiveFigure(figure, objective) {
    if (!known(figure?.mean)) return "n/a";
    if (!ofRms(objective)) return averaged(figure, (mean) => fixed(mean, 4));
    return withInterval(rmsOf(figure.mean), objectiveCost(figure, objective), 4);
}

function paretoCharts({ points, selected, objective }) {
    const series = seriesOf(points);
    const dots = points.map((p, i) => ({
        label: String(i + 1),
        title: `${i + 1}. ${p.name}`,
        series: series.of(p),
        hollow: p.dominated || p.near_chance,
        best: !p.near_chance,
        objective: objectiveCost(p.val.objective, objective),
        time: { mean: p.latency, low: p.latency_low, high: p.latency_high },
        y: p.val.balanced_accuracy,
    }));
    // Those of the best points are placed first.
    dots.sort((a, b) => (points[b.label - 1].name === selected) - (points[a.label - 1].name === selected) ||
        a.hollow - b.hollow);
    const chart = (title, key, xLabel, xBounds) => {
        const there = dots.filter((d) => known(d.y?.mean) && known(d[key]?.mean)).map((d) => ({ ...d, x: d[key] }));
        return there.length > 0 ? scatterChart({ title, xLabel, yLabel: "balanced accuracy", keys: series.keys,
            points: there, xBounds, yBounds: { least: 0, most: 1 } }) : "";
    };
    return html`<div class="charts">${chart("Validation: accuracy against objective", "objective", ofRms(objective)
        ? `${objective}, less is better` : `minus ${objective}, less is better`, ofRms(objective) ? { least: 0 } : {})}
        ${chart("Validation: accuracy against time", "time", "time over the dense model's", { least: 0 })}</div>
        <p class="soft">Numbers are those of the table. The line joins the best: no other point is both as accurate and
        as good in objective (left), or as fast (right). Hollow: another point is at least as accurate, as good in
        objective and as fast and better in something, or the classifier is too near chance to count. Thin lines: 95 %
        intervals, of means over tunings and of the measured time; an interval that is far wider than the points are
        apart is cut.</p>`;
}

const pointName = (series, p, i) => html`<span class="key s${series.of(p)}"></span>${i + 1}. ${p.name}`;

function validationTable({ points, selected, objective }) {
    const series = seriesOf(points);
    const rows = points.map((p, i) => {
        const time = withInterval(`${fixed(p.latency, 2)}x`, { low: p.latency_low, high: p.latency_high }, 2);
        return row([pointName(series, p, i), averaged(p.val.balanced_accuracy),
            objectiveFigure(p.val.objective, objective), time, grouped(p.runs[0].parameters), stateOf(p, selected)],
        p.name === selected ? "cut" : "");
    });
    return table(["on validation", "balanced accuracy", ofRms(objective) ? `${objective} (less is better)`
        : `${objective} (more is better)`, "time", "parameters", ""], rows, "words");
}

// "0.11 [0.09, 0.13]", and below what a classifier that treats the groups alike shows, and the gap that is not tested.
const gapOverTunings = (gap) => (!known(gap?.rms) ? "n/a" : html`${withInterval(fixed(gap.rms, 3), gap)}<br><span
    class="soft">${known(gap.fair_high) ? html`fair: up to ${fixed(gap.fair_high, 3)}; ` : ""}eodd_mean
    ${shown(gap.eodd_mean, 3)}</span>`);

function testTable({ points, selected, attributes }) {
    if (!points.some((p) => p.test)) return "";
    const series = seriesOf(points);
    const rows = points.map((p, i) => row([pointName(series, p, i), averaged(p.test?.balanced_accuracy),
        ...attributes.map((a) => gapOverTunings(p.test?.gaps?.[a]))], p.name === selected ? "cut" : ""));
    return table(["on test", "balanced accuracy", ...attributes.map((a) => `eodd_rms by ${a}`)], rows,
        "words");
}

// Of rms^2.
const squareChange = (gap) => (known(gap?.mean)
    ? withInterval(`${gap.mean > 0 ? "+" : ""}${fixed(gap.mean, 4)}`, gap, 4) : "n/a");

// rms^2 of a point minus that of a control, in a sentence for each attribute.
const differenceText = (attribute, gap) =>
    html`<li>rms&sup2; of the gap by ${attribute}: ${squareChange(gap)}${gap.verdict
        ? html`, p ${pValue(gap.p)} (Holm ${pValue(gap.p_holm)}): ${gap.verdict}` : ""}</li>`;

// The chosen point against the dense model that was tuned alike, next to the verdict, which compares it with the dense
// model as it was.
function againstControl({ points, selected, tests }) {
    const chosen = points.find((p) => p.name === selected);
    const control = Object.keys(chosen?.against ?? {}).find((name) => name.startsWith("dense"));
    if (!control) return "";
    const { gaps, balanced_accuracy: accuracy } = chosen.against[control];
    return html`<p><b>Against the control &ldquo;${control}&rdquo;</b> the choice, ${selected}, differs by
        ${averaged(accuracy, signed)} in balanced accuracy, and in:</p>
        <ul>${Object.entries(gaps ?? {}).map(([a, gap]) => differenceText(a, gap))}</ul><p class="soft">${tests.text}.</p>`;
}

// One table per control: the figures of the points minus those of the control.
function againstTables({ points, attributes, tests }) {
    const differences = points.flatMap((p) =>
        Object.entries(p.against ?? {}).map(([control, d]) => ({ control, name: p.name, ...d })));
    if (differences.length === 0) return "";
    const words = (d) => attributes.filter((a) => d.gaps?.[a]?.verdict)
        .map((a) => (attributes.length > 1 ? `${a}: ` : "") + d.gaps[a].verdict).join("; ");
    const rowOf = (d) => row([d.name, ...attributes.map((a) => squareChange(d.gaps?.[a])),
        averaged(d.balanced_accuracy, signed), words(d)]);
    const tables = [...new Set(differences.map((d) => d.control))].map((control) => html`<h3>Minus ${control}</h3>
        ${table(["on test", ...attributes.map((a) => `rms\u00b2 by ${a}`), "balanced accuracy", ""],
            differences.filter((d) => d.control === control).map(rowOf), "words")}`);
    return html`${tables}<p class="soft">${tests.text}.</p>`;
}

// The lower triangle of Kendall's tau; a deeper background is more alike.
function rankingsTable({ names, tau }) {
    if (names.length < 2) return "";
    const cell = (t) => known(t)
        ? html`<td class="right"${depth(Math.max(0, t))}>${fixed(t, 2)}</td>` : html`<td>n/a</td>`;
    const columns = names.slice(1).map((_, j) => j);
    const rows = names.map((name, i) => html`<tr><td>${i + 1}. ${name}</td>
        ${columns.map((j) => (j < i ? cell(tau[i][j]) : html`<td></td>`))}</tr>`);
    return html`<h3>How alike the orders are</h3><p class="soft">Kendall's tau-b between the orders in which channels
        are removed, mean over the sets of tied channels, of the first seed: 1 is the same order, 0 unrelated.</p>
        ${table(["", ...columns.map((j) => j + 1)], rows)}`;
}

function sweepSection(sweep) {
    const none = sweep.selected === null
        ? html`<p>No run kept enough balanced accuracy on validation: none is chosen.</p>` : "";
    return html`<h2>All that was tried</h2><p>${sweep.rule}</p>
        <p class="soft">Figures: ${sweep.figures}. The gap that is chosen by and tested is the primary one, ${sweep.gap}:
        here the root of the mean of rms&sup2; over tunings, 0 below noise; eodd_mean is shown beside it. Time is
        measured, over the dense model's.</p>${none}${paretoCharts(sweep)}${validationTable(sweep)}${testTable(sweep)}
        ${againstTables(sweep)}${rankingsTable(sweep.rankings)}`;
}
