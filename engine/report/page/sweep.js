"use strict";
// A search: all points that were tried ("sweep" of report.json). Figures of several seeds are {mean, low, high}.

const averaged = (figure, text = (mean) => fixed(mean, 3)) =>
    known(figure?.mean) ? withInterval(text(figure.mean), figure) : "n/a";

// On test where that split was read, else on validation.
const figureOf = (point, key) => point.test?.[key] ?? point.val[key];

function paretoCharts({ points, selected }) {
    const dots = points.map((p, i) => ({
        number: i + 1,
        series: p.control ? 0 : p.name === selected ? 2 : 1,
        hollow: p.dominated,
        gap: figureOf(p, "gap"),
        time: { mean: p.latency, low: p.latency_low, high: p.latency_high },
        y: figureOf(p, "balanced_accuracy"),
    }));
    const chart = (title, key, label) => {
        const there = dots.filter((d) => d.y && d[key]).map((d) => ({ ...d, x: d[key] }));
        return there.length > 0 ? scatterChart(title, label, "balanced accuracy", there) : "";
    };
    return html`<div class="charts">${chart("Accuracy against gap, by number", "gap", "gap (0 = none)")}
        ${chart("Accuracy against time, by number", "time", "time over the dense model's")}</div>
        <p class="soft"><span class="key s0"></span>controls <span class="key s1"></span>criteria
        <span class="key s2"></span>chosen. Hollow: another point is at least as accurate, as fair and as fast, and
        better in something. Lines: 95 % intervals, of means over seeds and of the measured time.</p>`;
}

function pointsTable({ points, selected }) {
    const rows = points.map((p, i) => {
        const chosen = p.name === selected;
        const time = withInterval(`${fixed(p.latency, 2)}x`, { low: p.latency_low, high: p.latency_high }, 2);
        return row([`${i + 1}. ${p.name}`, averaged(figureOf(p, "balanced_accuracy")), averaged(figureOf(p, "gap")),
            time, p.runs[0].parameters, averaged(figureOf(p, "objective"), (mean) => fixed(mean, 4)),
            chosen ? "chosen" : p.dominated ? "dominated" : ""], chosen ? "cut" : "");
    });
    return table(["what", "balanced accuracy", "gap", "time", "parameters", "validation objective", ""], rows, "words");
}

function gapVerdict(gap) {
    if (!known(gap.low)) return "";
    if (!known(gap.p_holm) || gap.p_holm > 0.05) return "no evidence of a difference";
    return gap.high < 0 ? "smaller gap" : "larger gap";
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
        ? html`<td style="background:rgba(80,140,210,${fixed(0.5 * Math.max(0, t), 2)})">${fixed(t, 2)}</td>`
        : html`<td>n/a</td>`;
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
        <p class="soft">${plural(sweep.points[0].runs.length, "seed")} each; the gap is ${sweep.gap}${by}.
        Time is measured, over the dense model's.</p>${none}
        ${paretoCharts(sweep)}${pointsTable(sweep)}${againstTables(sweep)}${rankingsTable(sweep.rankings)}`;
}
