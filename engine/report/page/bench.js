"use strict";
// Timing (fp_bench --report): models by batch size, and their layers against the roof.

const modelsOf = (r) => [...new Set(r.benchmarks.map((b) => b.checkpoint))];

function benchCharts(r) {
    const models = modelsOf(r), sizes = [...new Set(r.benchmarks.map((b) => b.batch_size))];
    if (sizes.length < 2) return "";
    const chart = (title, figure) => lineChart({
        title, xLabel: "images per batch", xWords: (power) => grouped(2 ** power), bounds: { least: 0 },
        series: models.map((name) => {
            const of = r.benchmarks.filter((b) => b.checkpoint === name);
            return { name, x: of.map((b) => Math.log2(b.batch_size)), y: of.map(figure) };
        }),
    });
    return html`<div class="charts">${chart("Images per second", (b) => b.items_per_second)}
        ${chart("Median latency of a batch, ms", (b) => b.latency_ms.median)}</div>`;
}

function latencyTable(r) {
    const keys = ["min", "mean", "median", "p90", "p95", "p99", "max"];
    const rows = r.benchmarks.map((b) => row([b.checkpoint, b.batch_size, grouped(b.items_per_second),
        ...keys.map((k) => b.latency_ms[k].toPrecision(3)), byteText(b.peak_memory_bytes),
        withInterval(`${fixed(b.speedup_over_first.value, 2)}x`, b.speedup_over_first, 2)]));
    return html`<p class="soft">Milliseconds per batch; speed-ups are over the first model, with 95 % intervals.</p>
        ${table(["model", "batch", "images/s", ...keys, "peak memory", "speed-up"], rows)}`;
}

// The share with its interval, where that was measured, and what bounds the layer.
function roofCell({ floor_ms: floor, bound, share_of_roof: share }, ms) {
    if (!floor) return "-";
    const range = share ? ` [${fixed(100 * share.low, 0)}, ${fixed(100 * share.high, 0)}]` : "";
    return html`${percent(share ? share.value : floor / ms)}<span class="soft">${range} ${bound}</span>`;
}

function roofSection(r) {
    if (!r.layers) return "";
    const tables = modelsOf(r).map((name) => {
        const layers = r.layers.filter((l) => l.checkpoint === name);
        const time = (l) => l.forward_ms + l.backward_ms;
        const all = layers.reduce((sum, l) => sum + time(l), 0);
        const rows = layers.filter((l) => time(l) > 0).map((l) => row([l.layer,
            html`${l.channels[0]}&rarr;${l.channels[1]}`, html`${l.map[0]}&times;${l.map[1]}`, fixed(l.macs * 1e-6, 2),
            fixed(l.bytes * 1e-6, 2), l.ms ? withInterval(fixed(l.ms.value, 3), l.ms) : fixed(time(l), 3),
            percent(time(l) / all), roofCell(l, time(l))]));
        return html`<h3>${name}</h3>${table(["layer", "channels", "map", "M multiply-adds", "MB moved", "ms",
            "of the time", "of the roof"], rows, "layers")}`;
    });
    const { flops, bytes } = r.context.roof;
    return html`<h2>Layers against the roof</h2><p class="soft">The roof, measured: ${fixed(flops * 1e-9, 0)} GFLOP/s
        and ${fixed(bytes * 1e-9, 1)} GB/s. Of the roof: the least time that it allows over the measured time.</p>
        ${tables}`;
}

function benchSections(r) {
    return html`<p>${r.context.mode === "train" ? "Training steps" : "Inference"} at
        ${r.context.image_size}&times;${r.context.image_size} pixels on ${r.context.device}. The models take turns.</p>
        <h2>Throughput and latency</h2>${benchCharts(r)}${latencyTable(r)}${roofSection(r)}`;
}
