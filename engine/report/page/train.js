"use strict";
// A training run (report.json of fp_train): curves of the epochs, groups on validation, what the data hold.

function trainingText({ training: t, model, data_words: data, finished, curves }) {
    const stem = model.spec.stem === "small" ? " with a small stem" : "";
    const done = finished ? "" : ` Stopped after ${plural(curves.length, "epoch")}; --resume goes on from there.`;
    return html`<p>${model.spec.arch}${stem} at ${model.image_size}&times;${model.image_size} pixels, trained on
        ${data} for ${plural(t.epochs, "epoch")} by ${t.optimizer} (learning rate ${t.lr}, ${t.schedule}),
        augmentation ${t.augment}, sampling ${t.sampler}${t.snnl
        ? `, with an SNNL penalty of weight ${t.snnl.weight}` : ""}${t.sample_weights
        ? `, sample weights ${t.sample_weights}` : ""}${t.group_dro
        ? `, GroupDRO over ${t.group_dro.over} with step ${t.group_dro.eta}` : ""}${t.placebo
        ? html`; <b>${t.placebo.note}</b>` : ""}.${done}</p>`;
}

function trainTiles({ model, curves, best_epoch: best }) {
    const tiles = [tile(fixed(model.parameters * 1e-6, 2), "M parameters"),
        tile(fixed(model.macs * 1e-6, model.macs < 1e7 ? 2 : 0), "M multiply-adds per image")];
    const row = curves.find((c) => c.epoch === best);
    if (row) tiles.unshift(tile(shown(row.val.balanced_accuracy, 3), "balanced accuracy on validation"),
        tile(String(best), `best epoch of ${curves.length}`, `by ${inWords(row.select.by)}`));
    return tileRows(tiles);
}

const kParts = [["training", "train"], ["validation", "val"]];

function epochCharts({ curves, best_epoch: marked }) {
    const epochs = curves.map((c) => c.epoch);
    const chart = (title, bounds, lines) => {
        const series = lines.map(([name, figure]) => ({ name, x: epochs, y: curves.map(figure) }))
            .filter((s) => s.y.some(known));
        return lineChart({ title, xLabel: "epoch", series, bounds, marked });
    };
    const both = (figure) => kParts.map(([name, part]) => [name, (c) => c[part][figure]]);
    const charts = [
        chart("Loss", { least: 0 }, both("loss")),
        chart("Accuracy", { least: 0, most: 1 }, both("accuracy")),
        chart("Balanced accuracy on validation", { least: 0, most: 1 }, [["", (c) => c.val.balanced_accuracy]]),
        chart("Learning rate", { least: 0 }, [["", (c) => c.train.lr]]),
    ];
    const gaps = Object.keys(lastOf(curves).val.attributes ?? {});
    if (gaps.length > 0)
        charts.push(chart("Equalized-odds gap on validation", { least: 0 }, gaps.map((name) =>
            [`by ${name}`, (c) => c.val.attributes[name].gaps.eodd_mean])));
    if (curves.some((c) => c.train.snnl_penalty))
        charts.push(chart("SNNL penalty", {}, [["", (c) => c.train.snnl_penalty]]));
    return html`<div class="charts">${charts}</div>${marked > 0
        ? html`<p class="soft">The dashed line is the best epoch.</p>` : ""}`;
}

function epochTable(curves) {
    const rows = curves.map((c) => row([c.epoch, shown(c.train.loss, 4), shown(c.val.loss, 4),
        shown(c.train.accuracy, 3), shown(c.val.accuracy, 3), shown(c.val.balanced_accuracy, 3),
        c.train.lr.toPrecision(3)]));
    return table(["epoch", "training loss", "validation loss", "training accuracy", "validation accuracy",
        "balanced accuracy", "learning rate"], rows);
}

function curvesSection(r) {
    if (r.curves.length === 0) return html`<h2>Training</h2><p>No epoch has been finished.</p>`;
    return html`<h2>Training</h2>${r.curves.length > 1 ? [epochCharts(r), folded("All epochs", epochTable(r.curves))]
        : epochTable(r.curves)}`;
}

// Metrics are plain numbers here: validation has no intervals.
function validationSection({ curves, best_epoch: best }) {
    const chosen = curves.find((c) => c.epoch === best) ?? lastOf(curves);
    if (!chosen?.val.attributes) return "";
    const keys = ["accuracy", "balanced_accuracy", "macro_f1", "macro_auc"];
    const sections = Object.entries(chosen.val.attributes).map(([name, { groups, gaps }]) => {
        const rows = Object.entries(groups).map(([group, figures]) =>
            row([group, grouped(figures.samples), ...keys.map((k) => shown(figures[k], 3))]));
        const gapRows = Object.entries(gaps).map(([k, value]) => row([inWords(k), k, shown(value, 3)]));
        return html`<h3>By ${name}</h3>${table(["group", "images", ...keys.map(inWords)], rows)}
            ${gapRows.length > 0 ? folded("Gaps", table(["gap", "name", "value"], gapRows)) : ""}`;
    });
    return html`<h2>Groups on validation</h2><p class="soft">Of epoch ${chosen.epoch}. Validation chose the epoch, so
        these figures are too good; fp_eval on the test split gives intervals, and the ranges that chance
        explains.</p>${sections}`;
}

// A table of classes by groups, or by splits.
function countsTable(classes, columns, counts) {
    const sums = columns.map((_, c) => counts.reduce((sum, of) => sum + of[c], 0));
    return table(["class", ...columns], [...classes.map((name, i) => row([name, ...counts[i].map(grouped)])),
        row(["all", ...sums.map(grouped)], "sum")]);
}

function dataSection({ classes, counts, notes }) {
    const splits = Object.keys(counts);
    const bySplit = countsTable(classes, splits, classes.map((_, c) => splits.map((s) => counts[s].classes[c])));
    const byGroup = splits.flatMap((split) => Object.entries(counts[split].attributes).map(([name, a]) => {
        const used = a.groups.map((_, g) => g).filter((g) => a.counts.some((of) => of[g] > 0));
        return html`<h3>${inWords(split)} by ${name}</h3>${countsTable(classes, used.map((g) => a.groups[g]),
            a.counts.map((of) => used.map((g) => of[g])))}`;
    }));
    return html`<h2>Data</h2>${notes.map((note) => html`<p class="soft">${note}</p>`)}${bySplit}
        ${byGroup.length > 0 ? folded("Classes by groups", byGroup) : ""}`;
}

// What each costs for one image; fp_bench --layers measures the time.
function modelSection(layers) {
    const million = (v) => fixed(v * 1e-6, 2);
    const rows = layers.map(({ layer, map, channels, parameters, macs, bytes }) => row([layer,
        html`${map[0]}&times;${map[1]}`, html`${channels[0]}&rarr;${channels[1]}`, grouped(parameters), million(macs),
        million(bytes)]));
    return html`<h2>Layers</h2><p class="soft">Of one image, in evaluation. fp_bench --layers measures their
        times.</p>${folded("Convolutions and linear layers", table(["layer", "map", "channels", "parameters",
            "M multiply-adds", "MB moved"], rows))}`;
}

function trainSections(r) {
    return [trainingText(r), trainTiles(r), curvesSection(r), validationSection(r), dataSection(r),
        modelSection(r.layers)];
}
