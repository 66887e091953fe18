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
        ? ` with an SNNL penalty of weight ${tuning.snnl.weight}` : ""}${tuning.sample_weights
        ? `, sample weights ${tuning.sample_weights}` : ""}${tuning.group_dro
        ? `, GroupDRO over ${tuning.group_dro.over} with step ${tuning.group_dro.eta}` : ""}${s.placebo ? html`; <b>${s.placebo.note}</b>` : ""}${s.removal !== "cut"
        ? "; filters were set to zero as in the released code, nothing was cut" : ""}.</p>`;
}

const tile = (value, words, range = "") =>
    html`<div class="tile"><b>${value}</b><span>${words}</span>${range ? html`<span>${range}</span>` : ""}</div>`;
// Rows of at most four tiles, as even as can be.
function tileRows(tiles) {
    const rows = Math.ceil(tiles.length / 4), most = Math.ceil(tiles.length / rows);
    const parts = Array.from({ length: rows }, (_, i) => tiles.slice(i * most, (i + 1) * most));
    return parts.map((part) => html`<div class="tiles">${part}</div>`);
}

function tilesSection({ models: { dense, pruned }, speed, test }) {
    const left = (key) => percent(pruned[key] / dense[key], 1);
    const cost = [
        tile(left("parameters"), `of ${fixed(dense.parameters * 1e-6, 2)} M parameters are left`),
        tile(left("macs"), `of ${fixed(dense.macs * 1e-6, 0)} M multiply-adds`),
        ...speed.map(({ batch, speedup: { value, low, high } }) =>
            tile(`${fixed(value, 2)}x`, `measured speed, batch ${batch}`, `[${fixed(low, 2)}, ${fixed(high, 2)}]`)),
    ];
    if (!test) return tileRows(cost);
    const other = test.tuned ?? test.dense;
    const figures = (of) => change(of(other), of(test.pruned), (v) => shown(v, 3));
    const quality = [tile(figures((t) => t.balanced_accuracy.value), `balanced accuracy on test${test.tuned
        ? ", from the dense model tuned alike" : ""}`)];
    for (const [name, { primary }] of Object.entries(other.attributes))
        if (primary)
            quality.push(tile(figures((t) => t.attributes[name].primary.rms), `gap by ${name} (eodd_rms)`));
    return [tileRows(quality), tileRows(cost)];
}

// How the values of a layer's channels lie: a cell per part of the axis, deeper where there are more; above what stays,
// below what was removed.
function scoreLane({ layer, values, removed }, scale) {
    const cells = 80, gone = new Set(removed);
    const counts = { kept: Array(cells).fill(0), cut: Array(cells).fill(0) };
    values.forEach((v, i) => {
        if (known(v)) ++counts[gone.has(i) ? "cut" : "kept"][Math.min(cells - 1, Math.floor(scale.at(v) * cells / 100))];
    });
    const most = Math.max(...counts.kept, ...counts.cut);
    const draw = (of, series, y) => of.map((n, i) => n > 0
        ? html`<rect class="s${series}" x="${share((i * 100) / cells)}" y="${y}" width="${share(100 / cells)}" height="9"
            opacity="${fixed(0.3 + 0.7 * Math.sqrt(n / most), 2)}"/>` : "");
    return lane(scale, 24, [draw(counts.kept, 0, 2), draw(counts.cut, 1, 13)], layer);
}

function scoresTable(scores, ofSets) {
    const scale = new Scale(scores.flatMap((s) => s.values));
    const rows = scores.map((s) => {
        const all = s.values.filter(known);
        return row([s.layer, scoreLane(s, scale), grouped(s.values.length), grouped(s.removed.length),
            all.length > 0 ? fixed(Math.min(...all), 3) : "n/a"]);
    });
    const axis = row(["", laneAxis(scale, ofSets ? "score" : "score / chance"), "", "", ""], "axis-row");
    return table(["layer", html`<span class="keys">${key(0, "stays")}${key(1, "removed")}</span>`, "channels", "removed",
        "lowest"], [...rows, axis], "gaps");
}

function scoresSection(scores) {
    if (scores.length === 0) return "";
    const ofSets = scores[0].attribute === null;
    const meaning = ofSets
        ? "Each score over the mean magnitude of its set; the lowest are removed first."
        : "Normalised soft nearest neighbour loss of each channel: at 1 its neighbours carry no information on the " +
          "group, below 1 they do.";
    const attributes = [...new Set(scores.map((s) => s.attribute))];
    const tables = attributes.map((attribute) => [attribute !== null ? html`<h3>By ${attribute}</h3>` : "",
        scoresTable(scores.filter((s) => s.attribute === attribute), ofSets)]);
    return html`<h2>Scores of the channels</h2><p class="soft">${meaning} Of each layer's channels, before the first
        round and what it removed; deeper: more channels.</p>${tables}`;
}

// The value of an rms is its negative square, which may be above 0: then the rms is smaller than noise.
const ofRms = (by) => by.startsWith("rms:");
const rmsOf = (value) => (value > 0 ? "smaller than noise" : fixed(Math.sqrt(-value), 4));
const objectiveText = ({ by, value }) => `${by} ${ofRms(by) && known(value) ? rmsOf(value) : shown(value, 4)}`;

function roundsSection({ rounds, best_round, curves }) {
    const outcome = (r) => r.round === best_round ? "kept"
        : !r.within_max_drop ? "below --max-drop"
        : !r.enough_accuracy ? "too near chance" : "";
    const rows = rounds.map((r) => row([r.round, grouped(r.channels), grouped(r.parameters),
        shown(r.cut.balanced_accuracy, 3), shown(r.val.balanced_accuracy, 3),
        objectiveText(r.objective), outcome(r)], r.round === best_round ? "cut" : ""));
    return html`<h2>Rounds</h2>${table(["round", "channels removed", "parameters left", "balanced accuracy, cut",
        "tuned", "objective", ""], rows)}<p class="soft">On validation; of this objective,
        ${rounds.length > 0 && ofRms(rounds[0].objective.by) ? "less" : "more"} is better. The test split
        was read after the choice.</p>${tuningCurves(curves)}`;
}

function tuningCurves(curves) {
    if (curves.length === 0) return "";
    const last = lastOf(curves);
    if (curves.length === 1)
        return html`<p>The one epoch of fine-tuning ended at a training loss of ${shown(last.train.loss, 3)}, a
            validation loss of ${shown(last.val.loss, 3)} and a balanced accuracy on validation of
            ${shown(last.val.balanced_accuracy, 3)}.</p>`;
    const series = (name, figure) => ({ name, x: curves.map((_, i) => i + 1), y: curves.map(figure) });
    const xLabel = "epoch, over all rounds";
    return html`<div class="charts">${lineChart({ title: "Fine-tuning: loss", xLabel, bounds: { least: 0 },
        series: [series("training", (c) => c.train.loss), series("validation", (c) => c.val.loss)] })}
        ${lineChart({ title: "Fine-tuning: balanced accuracy on validation", xLabel, bounds: { least: 0, most: 1 },
            series: [series("balanced accuracy", (c) => c.val.balanced_accuracy)] })}</div>`;
}

// Under a roof that was measured: what the least time that it allows is of the time.
function layersSection(layers, roof) {
    const total = [0, 1].map((side) => layers.reduce((sum, { ms }) => sum + ms[side], 0));
    const million = (v) => fixed(v * 1e-6, 2);
    const rows = layers.map(({ layer, map, channels, parameters, macs, bytes, ms, share_of_roof: of }) => row([layer,
        html`${map[0]}&times;${map[1]}`, change(...channels, grouped), change(...parameters, grouped),
        change(...macs, million), change(...bytes, million), change(...ms, (v) => shown(v, 3)),
        change(ms[0] / total[0], ms[1] / total[1], (v) => percent(v)),
        ...(roof ? [of ? change(...of, (v) => percent(v)) : "-"] : [])], channels[0] !== channels[1] ? "cut" : ""));
    return html`<h2>Layers before and after</h2><p class="soft">Shaded: layers that lost channels of their own.
        Multiply-adds are of one image, bytes and times of one batch in evaluation, the fastest of several
        passes.${roof ? ` The roof, measured in turns with them: ${fixed(roof.flops * 1e-9, 0)} GFLOP/s and
        ${fixed(roof.bytes * 1e-9, 1)} GB/s. Of the roof: the least time that it allows over the time; more than 100 % where the
        maps were in a cache, or a product runs faster than the roof's.` : ""}</p>${table(["layer", "map", "channels",
            "parameters", "M multiply-adds", "MB moved", "ms", "of the time", ...(roof ? ["of the roof"] : [])], rows, "layers")}`;
}

function reportSections(r) {
    const first = r.test?.tuned ? { name: "dense, tuned alike", of: r.test.tuned } : { name: "dense", of: r.test?.dense };
    const sides = r.test ? [first, { name: "pruned", of: r.test.pruned }] : [];
    const judged = r.test ? [accuracySection("Accuracy on the test split", sides, r.test.comparison),
        fairnessSection("Fairness on the test split", sides, r.test.comparison)] : "";
    return [askedSection(r), verdictSection(r.verdict), r.sweep ? againstControl(r.sweep) : "", readsSection(r.test_reads), tilesSection(r), r.sweep ? sweepSection(r.sweep) : "", judged,
        gallerySection(r.gallery), scoresSection(r.scores), roundsSection(r), layersSection(r.layers, r.roof)];
}
