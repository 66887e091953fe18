"use strict";
// Charts as SVG. A value that is not known is not drawn; classes s0, s1, ... colour the series.

// From the least to the greatest known value with a margin; one value alone gets a range of 1.
function rangeOf(values) {
    const all = values.filter(known);
    let [low, high] = [Math.min(...all), Math.max(...all)];
    if (!(low < high)) {
        const centre = known(low) ? low : 0;
        [low, high] = [centre - 0.5, centre + 0.5];
    }
    const margin = (high - low) * 0.04;
    return { low: low - margin, high: high + margin };
}

// About `count` multiples of a step that is 1, 2 or 5 times a power of ten.
function ticksOf({ low, high }, count) {
    const raw = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor) => raw / power <= factor || factor === 10);
    const ticks = [];
    for (let v = Math.ceil(low / step) * step; v <= high; v += step)
        ticks.push(Math.abs(v) < step * 1e-9 ? 0 : v);
    return ticks;
}

const tickText = (v) => Number(v.toPrecision(4));
const at = (position) => fixed(position, 1);

class Frame {
    constructor({ title, xLabel, yLabel, x, y = [], height = 240, left = 52 }) {
        Object.assign(this, { title, xLabel, yLabel, left, height, width: 420 });
        [this.x, this.y] = [rangeOf(x), rangeOf(y)];
        [this.right, this.top, this.bottom] = [this.width - 12, 26, height - 36];
    }
    atX(v) {
        const { low, high } = this.x;
        return this.left + ((v - low) / (high - low)) * (this.right - this.left);
    }
    atY(v) {
        const { low, high } = this.y;
        return this.bottom - ((v - low) / (high - low)) * (this.bottom - this.top);
    }
    horizontal(from, to, y, name) {
        return html`<line class="${name}" x1="${at(from)}" x2="${at(to)}" y1="${at(y)}" y2="${at(y)}"/>`;
    }
    vertical(x, from, to, name) {
        return html`<line class="${name}" x1="${at(x)}" x2="${at(x)}" y1="${at(from)}" y2="${at(to)}"/>`;
    }
    text(name, x, y, text, anchor = "start") {
        return html`<text class="${name}" x="${at(x)}" y="${at(y)}" text-anchor="${anchor}">${text}</text>`;
    }
    dot(name, x, y, radius) {
        return html`<circle class="${name}" cx="${at(x)}" cy="${at(y)}" r="${radius}"/>`;
    }
    xAxis() {
        const lines = ticksOf(this.x, 5).map((v) => [
            this.vertical(this.atX(v), this.top, this.bottom, "grid"),
            this.text("tick", this.atX(v), this.bottom + 14, tickText(v), "middle"),
        ]);
        return [lines, this.text("label", (this.left + this.right) / 2, this.height - 6, this.xLabel, "middle")];
    }
    yAxis() {
        return ticksOf(this.y, 4).map((v) => [
            this.horizontal(this.left, this.right, this.atY(v), "grid"),
            this.text("tick", this.left - 5, this.atY(v) + 4, tickText(v), "end"),
        ]);
    }
    around(marks) {
        return html`<svg viewBox="0 0 ${this.width} ${this.height}" role="img" aria-label="${this.title}">
            ${this.text("title", this.left, 16, this.title)}${marks}</svg>`;
    }
}

// series: [{name, x: [...], y: [...]}]
function lineChart(title, xLabel, series) {
    const all = (axis) => series.flatMap((s) => s[axis]);
    const f = new Frame({ title, xLabel, x: all("x"), y: all("y") });
    let legend = f.right; // from right to left, in the line of the title
    const lines = series.map((s, k) => {
        const points = s.x.map((x, i) => [x, s.y[i]]).filter(([, y]) => known(y)).map(([x, y]) => [f.atX(x), f.atY(y)]);
        const path = points.map((p) => p.map(at).join(",")).join(" ");
        const name = series.length > 1 ? f.text(`legend s${k}`, legend, 16, s.name, "end") : "";
        legend -= 12 + 6 * s.name.length;
        const dots = points.map(([x, y]) => f.dot(`s${k}`, x, y, 2.5));
        return html`${dots}<polyline class="s${k}" points="${path}"/>${name}`;
    });
    return f.around([f.xAxis(), f.yAxis(), lines]);
}

// rows: [{label, series, value, low, high, fair_low, fair_high}]: per row a dot at the value, a bar over the interval,
// and a band over the fair range.
function intervalChart(title, xLabel, rows) {
    const x = rows.flatMap((r) => [r.value, r.low, r.high, r.fair_low, r.fair_high]);
    const f = new Frame({ title, xLabel, x: [0, ...x], left: 118, height: 62 + 22 * rows.length });
    const band = (r, y) => html`<rect class="fair" x="${at(f.atX(r.fair_low))}" y="${at(y - 7)}"
        width="${at(f.atX(r.fair_high) - f.atX(r.fair_low))}" height="14"/>`;
    const marks = rows.map((r, i) => {
        const y = f.top + 22 * i + 11;
        return [
            f.text("tick", f.left - 6, y + 4, r.label, "end"),
            known(r.fair_low) ? band(r, y) : "",
            known(r.low) ? f.horizontal(f.atX(r.low), f.atX(r.high), y, `s${r.series} bar`) : "",
            known(r.value) ? f.dot(`s${r.series}`, f.atX(r.value), y, 4) : "",
        ];
    });
    return f.around([f.xAxis(), marks]);
}

// points: [{number, series, hollow, x: {mean, low, high}, y: likewise}]; `number` is the row in the table of points.
function scatterChart(title, xLabel, yLabel, points) {
    const all = (axis) => points.flatMap((p) => [p[axis].mean, p[axis].low, p[axis].high]);
    const f = new Frame({ title, xLabel, x: all("x"), y: all("y"), height: 260 });
    const marks = points.filter((p) => known(p.x.mean) && known(p.y.mean)).map((p) => {
        const [x, y, thin] = [f.atX(p.x.mean), f.atY(p.y.mean), `s${p.series} thin`];
        return [
            known(p.x.low) ? f.horizontal(f.atX(p.x.low), f.atX(p.x.high), y, thin) : "",
            known(p.y.low) ? f.vertical(x, f.atY(p.y.low), f.atY(p.y.high), thin) : "",
            f.dot(`s${p.series}${p.hollow ? " hollow" : ""}`, x, y, 5),
            f.text("tick", x + 7, y - 5, p.number),
        ];
    });
    const label = f.text("label", f.left + 4, f.top + 10, yLabel);
    return f.around([f.xAxis(), f.yAxis(), label, marks]);
}

// One tick per value; those at the indices `marked` stand out.
function stripChart(title, xLabel, values, marked) {
    const f = new Frame({ title, xLabel, x: values, left: 16, height: 96 });
    const marks = values.map((v, i) => {
        const [name, from] = marked.includes(i) ? ["s1 cut", 2] : ["s0 thin", 10];
        return known(v) ? f.vertical(f.atX(v), f.top + from, f.bottom, name) : "";
    });
    return f.around([f.xAxis(), marks]);
}
