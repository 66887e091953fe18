"use strict";
// Charts as SVG without a viewBox: a position across is a share of the width, one down is in pixels, so that a chart
// fills its column and its text is as large as the page's. A value that is not known is not drawn; classes s0, s1, ...
// colour the series.

// A linear scale from 0 to 100 over the known values with a margin, within the bounds that such values have.
class Scale {
    constructor(values, { least = -Infinity, most = Infinity, whole = false, words = tickText } = {}) {
        const all = values.filter(known);
        let [low, high] = [Math.min(...all), Math.max(...all)];
        if (!(low < high)) {
            const centre = known(low) ? low : 0;
            const half = whole ? 1 : Math.abs(centre) * 0.1 || 0.5;
            [low, high] = [centre - half, centre + half];
        }
        const margin = (high - low) * 0.05;
        this.low = Math.max(low - margin, least);
        this.high = Math.min(high + margin, most);
        Object.assign(this, { whole, words });
    }
    at(value) {
        return (100 * (value - this.low)) / (this.high - this.low);
    }
    // About `count`, at least two, multiples of a step that is 1, 2 or 5 times a power of ten, or the half of such.
    ticks(count) {
        const raw = (this.high - this.low) / count;
        const power = 10 ** Math.floor(Math.log10(raw));
        let step = power * [1, 2, 5, 10].find((factor) => raw / power <= factor || factor === 10);
        if (this.whole) step = Math.max(1, Math.round(step));
        const multiples = () => {
            const first = Math.ceil(this.low / step - 1e-6), last = Math.floor(this.high / step + 1e-6);
            return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
        };
        let ticks = multiples();
        while (ticks.length < 2 && !(this.whole && step === 1)) {
            step = this.whole ? Math.max(1, Math.round(step / 2)) : step / 2;
            ticks = multiples();
        }
        return ticks.map((value) => ({ value, text: this.words(value, step) }));
    }
}

// With the digits that tell one tick from the next.
function tickText(value, step) {
    let digits = 0; // of the step
    while (digits < 12 && Math.abs(step * 10 ** digits - (Math.round(step * 10 ** digits) || 1)) > 1e-6) ++digits;
    if (value !== 0 && Math.abs(value) < 1e-3) {
        const power = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
        return value.toExponential(Math.max(0, digits + power));
    }
    return Math.abs(value) >= 1e4 && digits === 0 ? grouped(value) : fixed(value, digits);
}

const at = (position) => fixed(position, 1);
const share = (position) => `${fixed(position, 2)}%`;

const line = (name, [x1, y1], [x2, y2]) => html`<line class="${name}" x1="${share(x1)}" y1="${at(y1)}"
    x2="${share(x2)}" y2="${at(y2)}"/>`;
const dot = (name, [x, y], radius, title = "") => html`<circle class="${name}" cx="${share(x)}" cy="${at(y)}"
    r="${radius}">${title ? html`<title>${title}</title>` : ""}</circle>`;
const bar = (name, from, to, y, height) => html`<rect class="${name}" x="${share(from)}" y="${at(y)}"
    width="${share(Math.max(0, to - from))}" height="${at(height)}"/>`;
const text = (name, [x, y], content, anchor = "middle", dx = 0) => html`<text class="${name}" x="${share(x)}"
    y="${at(y)}" dx="${at(dx)}" text-anchor="${anchor}">${content}</text>`;

const key = (series, name) => html`<span class="key s${series}">${name}</span>`;

// A chart in a frame with both axes. keys: [{series, name}]; marks(x, y) draws at shares and pixels.
function plot({ title, xLabel, yLabel = "", keys = [], x, y, height = 220, marks }) {
    const down = (value) => height - (y.at(value) * height) / 100;
    const xAxis = x.ticks(5).map(({ value, text: words }) => [
        line("grid", [x.at(value), 0], [x.at(value), height]), text("tick", [x.at(value), height + 18], words)]);
    const yAxis = y.ticks(4).map(({ value, text: words }) => [
        line("grid", [0, down(value)], [100, down(value)]), text("tick", [0, down(value) + 4], words, "end", -8)]);
    return html`<figure><figcaption><b>${title}</b>${keys.map((k) => key(k.series, k.name))}</figcaption>
        <p class="axis">${yLabel}</p>
        <div class="plot"><svg height="${height}" role="img" aria-label="${title}">${xAxis}${yAxis}
        ${marks((value) => x.at(value), down)}</svg></div><p class="axis">${xLabel}</p></figure>`;
}

// series: [{name, x: [...], y: [...]}]; x are whole numbers, such as epochs; `marked`: one of them; `xWords`: the text of
// one.
function lineChart({ title, xLabel, series, bounds, marked, xWords }) {
    const all = (axis) => series.flatMap((s) => s[axis]);
    const points = (s) => s.x.map((x, i) => [x, s.y[i]]).filter(([, y]) => known(y));
    const draw = (atX, atY) => series.map((s, k) => {
        const places = points(s).map(([x, y]) => [atX(x), atY(y)]);
        const radius = places.length > 40 ? 0 : 2.5;
        return [places.slice(1).map((place, i) => line(`s${k} curve`, places[i], place)),
            places.map((place, i) => (radius > 0 ? dot(`s${k}`, place, radius) : ""))];
    });
    return plot({
        title, xLabel, keys: series.length > 1 ? series.map((s, k) => ({ series: k, name: s.name })) : [],
        x: new Scale(all("x"), { whole: true, least: Math.min(...all("x")), words: xWords }), y: new Scale(all("y"), bounds),
        marks: (atX, atY) => [marked ? line("marked", [atX(marked), 0], [atX(marked), 220]) : "", draw(atX, atY)],
    });
}

// A row of a chart in a table: marks at the shares of `scale`, over the lines of its ticks.
const lane = (scale, height, marks, title) => html`<svg class="lane" height="${height}" role="img"
    aria-label="${title}">${scale.ticks(4).map(({ value }) => line("grid", [scale.at(value), 0],
        [scale.at(value), height]))}${marks}</svg>`;
// The axis below such rows.
const laneAxis = (scale, label) => html`<svg class="lane" height="36" role="img" aria-label="${label}">
    ${scale.ticks(4).map(({ value, text: words }) => text("tick", [scale.at(value), 12], words))}
    ${text("tick", [50, 30], label)}</svg>`;

// Places for the labels of points, given as shares across and pixels down: at each of several widths of the chart no
// label lies over another, over a point, or outside. A label that has no such place is left out. Returns
// {anchor, dx, dy} or null for each point.
function labelPlaces(points, height) {
    const widths = [240, 320, 440, 620, 900];
    const [wide, high, gap] = [9, 13, 8]; // of a character; from the point's centre
    const choices = [["start", gap, 4], ["end", -gap, 4], ["middle", 0, -gap], ["middle", 0, gap + 9],
        ["start", gap, -6], ["end", -gap, -6], ["start", gap, 14], ["end", -gap, 14]];
    const boxAt = (p, [anchor, dx, dy], width) => {
        const length = wide * p.label.length;
        const left = (p.x * width) / 100 + dx - { start: 0, middle: length / 2, end: length }[anchor];
        return { left, right: left + length, top: p.y + dy - high + 3, bottom: p.y + dy + 3 };
    };
    const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
    const around = (p, width) => ({ left: (p.x * width) / 100 - 5, right: (p.x * width) / 100 + 5, top: p.y - 5,
        bottom: p.y + 5 });
    const taken = widths.map((width) => points.map((p) => around(p, width)));
    return points.map((p, own) => {
        const fits = (choice) => widths.every((width, w) => {
            const box = boxAt(p, choice, width);
            return box.left >= -2 && box.right <= width + 2 && box.top >= -6 && box.bottom <= height + 2 &&
                taken[w].every((other, i) => i === own || apart(box, other));
        });
        const choice = choices.find(fits);
        if (!choice) return null;
        widths.forEach((width, w) => taken[w].push(boxAt(p, choice, width)));
        const [anchor, dx, dy] = choice;
        return { anchor, dx, dy };
    });
}

// The points that no other one beats: least x, most y, in the order of x.
function frontier(points) {
    const sorted = [...points].sort((a, b) => a.x.mean - b.x.mean || b.y.mean - a.y.mean);
    return sorted.filter((p, i) => sorted.slice(0, i).every((q) => q.y.mean < p.y.mean));
}

// points: [{label, title, series, hollow, best, x: {mean, low, high}, y: likewise}]; a line joins those that may be
// `best` and that no other such point beats.
function scatterChart({ title, xLabel, yLabel, keys, points, xBounds, yBounds }) {
    const there = points.filter((p) => known(p.x.mean) && known(p.y.mean));
    const height = 300;
    // Intervals are cut where they would press the means together.
    const scaleOf = (axis, bounds) => {
        const means = there.map((p) => p[axis].mean);
        const spread = Math.max(...means) - Math.min(...means) || Math.abs(means[0]) || 1;
        const near = (v) => known(v) && v > Math.min(...means) - spread && v < Math.max(...means) + spread;
        return new Scale([...means, ...there.flatMap((p) => [p[axis].low, p[axis].high].filter(near))], bounds);
    };
    const [x, y] = [scaleOf("x", xBounds), scaleOf("y", yBounds)];
    const marks = (atX, atY) => {
        const across = (v) => Math.min(100, Math.max(0, atX(v)));
        const down = (v) => Math.min(height, Math.max(0, atY(v)));
        const places = labelPlaces(there.map((p) => ({ x: atX(p.x.mean), y: atY(p.y.mean), label: p.label })), height);
        const best = frontier(there.filter((p) => p.best)).map((p) => [atX(p.x.mean), atY(p.y.mean)]);
        const drawn = there.map((p, i) => {
            const [left, top, thin, place] = [atX(p.x.mean), atY(p.y.mean), `s${p.series} thin`, places[i]];
            return [
                known(p.x.low) ? line(thin, [across(p.x.low), top], [across(p.x.high), top]) : "",
                known(p.y.low) ? line(thin, [left, down(p.y.low)], [left, down(p.y.high)]) : "",
                dot(`s${p.series}${p.hollow ? " hollow" : ""}`, [left, top], 5, p.title),
                place ? text("tick", [left, top + place.dy], p.label, place.anchor, place.dx) : "",
            ];
        });
        return [best.slice(1).map((place, i) => line("frontier", best[i], place)), drawn];
    };
    return plot({ title, xLabel, yLabel, keys, x, y, height, marks });
}
