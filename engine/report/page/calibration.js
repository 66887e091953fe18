"use strict";
// Calibration of the groups of an attribute: how probable the predictions are said to be, and how often they are right.

const kMostCurves = 8; // colours

// One diagram per side: a curve per group over the bins that hold images, larger dots for more of them; below the line the
// model is too sure.
function reliabilityChart(side, groups, all) {
    const most = Math.max(...groups.flatMap((name) => all[name].calibration.reliability.map((b) => b.samples)));
    const unit = { least: 0, most: 1 };
    const [x, y] = [new Scale([0, 1], unit), new Scale([0, 1], unit)];
    const curve = (name, series, atX, atY) => {
        const bins = all[name].calibration.reliability.filter((b) => b.samples > 0);
        const places = bins.map((b) => [atX(b.confidence), atY(b.accuracy)]);
        return [places.slice(1).map((place, i) => line(`s${series} curve`, places[i], place)),
            bins.map((b, i) => dot(`s${series}`, places[i], at(2 + 4 * Math.sqrt(b.samples / most)),
                `${name}: ${plural(b.samples, "image")}, ${percent(b.confidence)} sure, ${percent(b.accuracy)} right`))];
    };
    return plot({ title: `Reliability, ${side.name}`, xLabel: "probability of the predicted class", yLabel: "share that is right",
        keys: groups.map((name, series) => ({ series, name })), x, y,
        marks: (atX, atY) => [line("marked", [atX(0), atY(0)], [atX(1), atY(1)]),
            groups.map((name, series) => curve(name, series, atX, atY))] });
}

function calibrationGapText(sides, attribute) {
    const texts = sides.map((s) => {
        const gap = s.of.attributes[attribute].calibration_gap;
        if (!known(gap?.value)) return gap?.reason ? html`${s.name}: not estimable (${gap.reason})` : "";
        const pair = gap.pair ? ` (${gap.pair[0]} minus ${gap.pair[1]})` : "";
        return html`${s.name} ${fixed(gap.value, 3)}${pair}${known(gap.fair_high)
            ? html`, chance up to ${fixed(gap.fair_high, 3)}, p&nbsp;${pValue(gap.p)}` : ""}`;
    }).filter((text) => text);
    return texts.length === 0 ? "" : html`<p>Gap in classwise ECE: ${texts.map((text, i) => [i > 0 ? "; " : "", text])}.</p>`;
}

function calibrationSection(attribute, sides) {
    const groupsOf = (s) => s.of.attributes[attribute].groups;
    const names = Object.keys(groupsOf(sides[0])).filter((name) => sides.every((s) => groupsOf(s)[name]?.calibration));
    if (names.length === 0) return "";
    const largest = [...names].sort((a, b) => groupsOf(sides[0])[b].samples - groupsOf(sides[0])[a].samples)
        .slice(0, kMostCurves);
    const shownGroups = names.filter((name) => largest.includes(name));
    const ece = (s, name) => {
        const { ece: top, calibration } = groupsOf(s)[name];
        return [shown(top?.value, 3), shown(calibration.classwise_ece, 3)];
    };
    const rows = names.map((name) => row([name, grouped(groupsOf(sides[0])[name].samples),
        ...sides.flatMap((s) => ece(s, name))]));
    const heads = ["group", "images", ...sides.flatMap((s) => ["ECE", "classwise ECE"].map((what) =>
        (sides.length > 1 ? `${what}, ${s.name}` : what)))];
    return html`<h4>Calibration</h4><div class="charts">${sides.map((s) => reliabilityChart(s, shownGroups, groupsOf(s)))}</div>
        ${calibrationGapText(sides, attribute)}${table(heads, rows)}<p class="soft">On the dashed line a model is right as
        often as it says; below it, it is too sure. Noise lifts an ECE, most in a small group, so read the gap beside what
        chance gives.${names.length > shownGroups.length ? " The largest groups are drawn." : ""}</p>`;
}
