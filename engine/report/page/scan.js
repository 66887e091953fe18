"use strict";
// A sensitivity scan (scan.json): what removing some channels of one set of tied channels changes.

// A change for the worse has an orange background, for the better a blue one; bold: more than noise.
function scanCell(figure, moreIsBetter, largest) {
    if (!figure) return html`<td>-</td>`;
    const { change: by, p_holm: p } = figure;
    if (!known(by)) return html`<td>n/a</td>`;
    const better = by > 0 === moreIsBetter;
    const share = largest > 0 ? Math.abs(by) / largest : 0;
    const text = known(p) && p <= 0.05 ? html`<b>${signed(by)}</b>` : signed(by);
    return html`<td class="${better ? "right" : "wrong"}"${depth(share)}>${text}</td>`;
}

function changesTable({ sets, shares }, key, moreIsBetter) {
    const largest = Math.max(0, ...sets.flatMap(({ points }) => points.map((p) => Math.abs(p[key]?.change ?? 0))));
    const rows = sets.map(({ set, channels, points }) => html`<tr><td>${set}</td><td>${channels}</td>
        ${points.map((p) => scanCell(p[key], moreIsBetter, largest))}</tr>`);
    return table(["set", "channels", ...shares], rows);
}

function scanSections(r) {
    const { balanced_accuracy: accuracy, gap } = r.dense;
    const gaps = () => html`<h2>Gap by ${r.attribute} (dense: ${fixed(gap, 3)})</h2><p class="soft">The gap is
        the primary one, ${r.gap}, 0 below noise. A model that knows less also has a smaller gap: read this with the
        table above.</p>
        ${changesTable(r, "gap", false)}`;
    return html`<p>One set of tied channels at a time loses a share of its channels, those that ${r.criterion} ranks
        first; nothing is tuned. Changes are from the dense model, on validation. Bold: p at most .05 after Holm's
        correction over the table, of accuracy by the swap test, of the gap by the change of rms&sup2;. Blue: better, orange: worse, a dash: not possible.</p>
        <h2>Balanced accuracy (dense: ${shown(accuracy, 3)})</h2>
        ${changesTable(r, "balanced_accuracy", true)}${known(gap) ? gaps() : ""}`;
}
