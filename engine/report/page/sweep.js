"use strict";
// A search: all points that were tried ("sweep" of report.json). Figures of several seeds are {mean, low, high}.

const averaged = (figure, text = (mean) => fixed(mean, 3)) =>
    known(figure?.mean) ? withInterval(text(figure.mean), figure) : "n/a";

// On test where that split was read, else on validation.
const figureOf = (point, key) => point.test?.[key] ?? point.val[key];

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

// The mean of an objective over seeds with its interval; that of an rms as an rms.
function objectiveFigure(figure, objective) {
    if (!ofRms(objective)) return averaged(figure, (mean) => fixed(mean, 4));
    if (!known(figure?.mean)) return "n/a";
    const root = (square) => Math.sqrt(Math.max(0, -square));
    const range = known(figure.low) ? { low: root(figure.high), high: root(figure.low) } : {};
    return withInterval(rmsOf(figure.mean), range, 4);
}

function paretoCharts({ points, selected }) {
    const series = seriesOf(points);
    const dots = points.map((p, i) => ({
        label: String(i + 1),
        title: `${i + 1}. ${p.name}`,
        series: series.of(p),
        hollow: p.dominated || p.near_chance,
        best: !p.near_chance,
        gap: figureOf(p, "gap"),
        time: { mean: p.latency, low: p.latency_low, high: p.latency_high },
        y: figureOf(p, "balanced_accuracy"),
    }));
    // Those of the best points are placed first.
    dots.sort((a, b) => (points[b.label - 1].name === selected) - (points[a.label - 1].name === selected) ||
        a.hollow - b.hollow);
    const chart = (title, key, xLabel) => {
        const there = dots.filter((d) => known(d.y?.mean) && known(d[key]?.mean)).map((d) => ({ ...d, x: d[key] }));
        return there.length > 0 ? scatterChart({ title, xLabel, yLabel: "balanced accuracy", keys: series.keys,
            points: there, xBounds: { least: 0 }, yBounds: { least: 0, most: 1 } }) : "";
    };
    return html`<div class="charts">${chart("Accuracy against gap", "gap", "gap, 0 is none")}
        ${chart("Accuracy against time", "time", "time over the dense model's")}</div>
        <p class="soft">Numbers are those of the table. The line joins the best: no other point is both as accurate and
        as fair (left), or as fast (right). Hollow: another point is at least as accurate, as fair and as fast and
        better in something, or the classifier is too near chance to count. Thin lines: 95 % intervals, of means over
        seeds and of the measured time; an interval that is far wider than the points are apart is cut.</p>`;
}

function pointsTable({ points, selected, objective }) {
    const series = seriesOf(points);
    const rows = points.map((p, i) => {
        const time = withInterval(`${fixed(p.latency, 2)}x`, { low: p.latency_low, high: p.latency_high }, 2);
        return row([html`<span class="key s${series.of(p)}"></span>${i + 1}. ${p.name}`,
            averaged(figureOf(p, "balanced_accuracy")), averaged(figureOf(p, "gap")), time,
            grouped(p.runs[0].parameters), objectiveFigure(figureOf(p, "objective"), objective),
            stateOf(p, selected)], p.name === selected ? "cut" : "");
    });
    return table(["what", "balanced accuracy", "gap", "time", "parameters", ofRms(objective) ? "validation rms (less is better)" : "validation objective (more is better)", ""], rows, "words");
}

function gapVerdict(gap) {
    if (!known(gap.low)) return "";
    if (!known(gap.p_holm) || gap.p_holm > 0.05) return "no evidence of a difference";
    return gap.high < 0 ? "smaller gap" : "larger gap";
}

// The chosen point against the dense model that was tuned alike, next to the verdict, which compares it with the dense
// model as it was.
function againstControl({ points, selected }) {
    const chosen = points.find((p) => p.name === selected);
    const control = Object.keys(chosen?.against ?? {}).find((name) => name.startsWith("dense"));
    if (!control) return "";
    const { gap, balanced_accuracy: accuracy } = chosen.against[control];
    const words = gapVerdict(gap);
    return html`<p><b>Against the control &ldquo;${control}&rdquo;</b> the choice, ${selected}, differs by
        ${averaged(gap, signed)} in gap${words ? ` (${words})` : ""} and by ${averaged(accuracy, signed)} in balanced
        accuracy.</p>`;
}

// One table per control: the figures of the points minus those of the control.
function againstTables({ points }) {
    const differences = points.flatMap((p) =>
        Object.entries(p.against ?? {}).map(([control, d]) => ({ control, name: p.name, ...d })));
    const rowOf = (d) =>
        row([d.name, averaged(d.gap, signed), averaged(d.balanced_accuracy, signed), gapVerdict(d.gap)]);
    const tables = [...new Set(differences.map((d) => d.control))].map((control) => html`<h3>Minus ${control}</h3>
        ${table(["what", "gap", "balanced accuracy", ""], differences.filter((d) => d.control === control).map(rowOf),
            "words")}`);
    const oneSeed = differences.some((d) => !known(d.gap.low));
    return html`${tables}<p class="soft">The words follow p after Holm's correction over all differences of a gap.</p>
        ${oneSeed ? html`<p class="soft">One seed decides nothing.</p>` : ""}`;
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
    const by = sweep.attribute ? ` by ${sweep.attribute}` : "";
    const none = sweep.selected === null
        ? html`<p>No run kept enough balanced accuracy on validation: none is chosen.</p>` : "";
    return html`<h2>All that was tried</h2><p>${sweep.rule}</p>
        <p class="soft">${plural(sweep.points[0].runs.length, "seed")} each; the gap is ${inWords(sweep.gap)}${by}.
        Time is measured, over the dense model's.</p>${none}
        ${paretoCharts(sweep)}${pointsTable(sweep)}${againstTables(sweep)}${rankingsTable(sweep.rankings)}`;
}
