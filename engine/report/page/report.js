"use strict";
// A pruning run (report.json).

// What was asked for, in one sentence.
function askedSection({ settings: s, tuning }) {
    const layers = { last: "the last layer", all: "all layers" }[s.layers] ?? s.layers;
    const definition = `${s.definition}${s.given_class ? ", given the class" : ""}${s.centre ? ", centred" : ""}`;
    return html`<p>Channels of ${layers} chosen by ${s.criterion}${s.criterion === "snnl"
        ? ` (${definition}, at the ${s.tap} output)` : ""}${s.attributes.length > 0
        ? ` against ${s.attributes.join(", ")}` : ""}: ${s.amount} per round, ${plural(s.iterations, "round")}, then
        ${plural(tuning.epochs, "epoch")} of fine-tuning of ${s.finetune} (sampling: ${tuning.sampler})${tuning.snnl
        ? ` with an SNNL penalty of weight ${tuning.snnl.weight}` : ""}${s.removal !== "cut"
        ? "; filters were set to zero as in the released code, nothing was cut" : ""}.</p>`;
}

const tile = (value, words) => html`<div class="tile"><b>${value}</b><span>${words}</span></div>`;
const change = (a, b, digits) => html`${shown(a, digits)} &rarr; ${shown(b, digits)}`;

function tilesSection({ models: { dense, pruned }, speed, test }) {
    const percent = (key) => `${fixed((100 * pruned[key]) / dense[key], 1)} %`;
    const tiles = [
        tile(percent("parameters"), `of ${fixed(dense.parameters * 1e-6, 2)} M parameters are left`),
        tile(percent("macs"), `of ${fixed(dense.macs * 1e-6, 0)} M multiply-adds`),
        ...speed.map(({ batch, speedup: { value, low, high } }) =>
            tile(`${fixed(value, 2)}x`, `measured speed, batch ${batch} [${fixed(low, 2)}, ${fixed(high, 2)}]`)),
    ];
    if (test) {
        const figures = (of) => change(of(test.dense).value, of(test.pruned).value, 3);
        tiles.push(tile(figures((t) => t.balanced_accuracy), "balanced accuracy on test"));
        for (const [name, { gaps }] of Object.entries(test.dense.attributes))
            if (gaps.eodd_mean)
                tiles.push(tile(figures((t) => t.attributes[name].gaps.eodd_mean), `equalized-odds gap by ${name}`));
    }
    return html`<div class="tiles">${tiles}</div>`;
}

function accuracySection({ dense, pruned }) {
    const rows = ["accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "macro_auc", "ece"]
        .filter((key) => key in dense).map((key) => row([key, measured(dense[key]), measured(pruned[key])]));
    return html`<h2>Accuracy on the test split</h2><p class="soft">${dense.samples} images; 95 % intervals by resampling
        whole lesions.</p>${table(["metric", "dense", "pruned"], rows)}`;
}

function groupsTable(dense, pruned) {
    const rows = Object.entries(dense.groups).map(([name, a]) => {
        const b = pruned.groups[name];
        return row([name, a.samples, ...[a.accuracy, b.accuracy, a.macro_f1, b.macro_f1].map(measured)]);
    });
    return table(["group", "images", "accuracy, dense", "accuracy, pruned", "macro-F1, dense", "macro-F1, pruned"],
        rows);
}

function gapsOf(attribute, dense, pruned) {
    const keys = ["eopp0", "eopp1", "eodd", "eodd_mean", "eodd_max", "dp", "accuracy"];
    const gaps = keys.filter((key) => key in dense.gaps);
    const bars = gaps.filter((key) => key !== "dp").flatMap((key) => [
        { ...dense.gaps[key], label: `${key}, dense`, series: 0 },
        { ...pruned.gaps[key], label: `${key}, pruned`, series: 1 },
    ]);
    const rows = gaps.map((key) => {
        const [a, b] = [dense.gaps[key], pruned.gaps[key]];
        const fair = `${shown(b.fair_low, 3)} .. ${shown(b.fair_high, 3)}`;
        return row([key, measured(a), measured(b), fair, shown(b.p, 4)]);
    });
    return html`<div class="charts">${intervalChart(`Gaps by ${attribute}`, "gap (0 = none)", bars)}</div>
        ${table(["gap", "dense", "pruned", "fair range (pruned)", "p"], rows)}`;
}

function fairnessSection({ dense, pruned }) {
    const attributes = Object.entries(dense.attributes).map(([name, a]) => {
        const b = pruned.attributes[name];
        return html`<h3>${name}</h3>${groupsTable(a, b)}${gapsOf(name, a, b)}`;
    });
    return html`<h2>Fairness on the test split</h2><p class="soft">The band is the range of gaps that a classifier
        shows by chance if it treats the groups alike: a gap inside it cannot be told from none.</p>${attributes}`;
}

function scoresSection(scores) {
    if (scores.length === 0) return "";
    const ofSets = scores[0].attribute === null;
    const meaning = ofSets
        ? "Each score over the mean magnitude of its set; the lowest are removed first."
        : "Normalised soft nearest neighbour loss of each channel: at 1 its neighbours carry no information on the " +
          "group, below 1 they do.";
    const strips = scores.map(({ layer, attribute, values, removed }) =>
        stripChart(ofSets ? layer : `${layer} by ${attribute}`, ofSets ? "score" : "score / chance", values, removed));
    return html`<h2>Scores of the channels</h2><p class="soft">${meaning} One tick per channel; taller and coloured:
        removed in the first round.</p><div class="charts">${strips}</div>`;
}

function roundsSection({ rounds, best_round, curves }) {
    const outcome = (r) => r.round === best_round ? "kept"
        : !r.within_max_drop ? "below --max-drop"
        : !r.enough_accuracy ? "too near chance" : "";
    const rows = rounds.map((r) => row([r.round, r.channels, r.parameters, shown(r.cut.balanced_accuracy, 4),
        shown(r.val.balanced_accuracy, 4), `${r.objective.by} ${shown(r.objective.value, 4)}`, outcome(r)]));
    return html`<h2>Rounds</h2>${table(["round", "channels removed", "parameters", "balanced accuracy, cut", "tuned",
        "objective", ""], rows)}<p class="soft">On validation; of an objective, more is better. The test split was read
        once, after the choice.</p>${curves.length > 0 ? curveCharts(curves) : ""}`;
}

function curveCharts(curves) {
    const series = (name, figure) => ({ name, x: curves.map((_, i) => i + 1), y: curves.map(figure) });
    const epoch = "epoch, over all rounds";
    return html`<div class="charts">${lineChart("Fine-tuning: loss", epoch,
        [series("training loss", (c) => c.train.loss), series("validation loss", (c) => c.val.loss)])}
        ${lineChart("Fine-tuning: balanced accuracy on validation", epoch,
            [series("balanced accuracy", (c) => c.val.balanced_accuracy)])}</div>`;
}

function layersSection(layers) {
    const rows = layers.map(({ layer, map, channels, parameters, macs, ms }) => row([layer,
        html`${map[0]}&times;${map[1]}`, change(...channels, 0), change(...parameters, 0),
        change(macs[0] * 1e-6, macs[1] * 1e-6, 2), change(...ms, 2)], macs[0] !== macs[1] ? "cut" : ""));
    return html`<h2>Layers before and after</h2><p class="soft">Shaded: layers that lost channels. Times are those of
        one batch in evaluation, the fastest of several passes.</p>
        ${table(["layer", "map", "channels", "parameters", "multiply-adds (M)", "ms"], rows)}`;
}

function reportSections(r) {
    return [askedSection(r), r.verdict ? html`<div class="verdict">${r.verdict.summary ?? r.verdict}</div>` : "", tilesSection(r),
        r.sweep ? sweepSection(r.sweep) : "", r.test ? [accuracySection(r.test), fairnessSection(r.test)] : "",
        scoresSection(r.scores), roundsSection(r), layersSection(r.layers)];
}
