"use strict";
// Accuracy and fairness of one model or of two side by side. sides: [{name, of: report}]; with two, `comparison` may
// hold the differences, second minus first.

const lastOf = (list) => list[list.length - 1];
const kMetrics = ["accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "macro_auc", "ece"];

// "0.329 [0.269, 0.392]"; where there is no interval, a mark for the reason.
function figureCell(figure, notes) {
    if (!known(figure.value)) return html`n/a${figure.reason ? notes.mark(figure.reason) : ""}`;
    if (known(figure.low)) return measured(figure);
    const reason = figure.reason ?? (figure.signed
        ? "The interval is that of the signed difference, which is in report.json: an absolute value is biased near 0."
        : "");
    return html`${fixed(figure.value, 3)}${reason ? notes.mark(reason) : ""}`;
}

// "+0.021 [-0.012, 0.054]" with its words; bold where the interval excludes 0.
function changeCell(difference, notes) {
    if (!difference) return "";
    const { value, low, high, reason, verdict } = difference;
    if (!known(value)) return html`n/a${reason ? notes.mark(reason) : ""}`;
    const text = known(low) && (low > 0 || high < 0) ? html`<b>${signed(value)}</b>` : signed(value);
    const range = known(low) ? html` ${interval(difference)}` : reason ? notes.mark(reason) : "";
    return html`${text}${range}${verdict ? html`<br><span class="soft">${verdict}</span>` : ""}`;
}

// What --skip-bad left out.
const skippedText = (skipped) => skipped ? html`<p>${plural(skipped.images, "image")} could not be read and
    ${skipped.images === 1 ? "was" : "were"} left out, the first: ${skipped.first}.</p>` : "";

// Which images were judged.
function judgedText({ samples, units, unit, judged, confidence = 0.95 }) {
    const of = judged && judged.of > judged.images ? ` of ${grouped(judged.of)}` : "";
    const part = judged ? (judged.split === "all" ? "All images: " : `Split ${judged.split}: `) : "";
    const whole = units && units < samples && unit ? ` of ${grouped(units)} units (${unit})` : "";
    return `${part}${grouped(samples)}${of} images${whole}; ${percent(confidence)} intervals by resampling whole units.`;
}

// How often the test split was read, by the record.
function readsSection(reads) {
    if (!reads) return "";
    const split = `the test split (n=${grouped(reads.images)}, ${reads.split.slice(0, 8)})`;
    if (!known(reads.count)) return html`<p>How often ${split} was read is not on record: ${reads.reason}.</p>`;
    const by = Object.entries(reads.by).map(([tool, n]) => `${tool} ${grouped(n)}`).join(", ");
    return html`<p>T${split.slice(1)} was read ${plural(reads.count, "time")} on record since ${reads.since.slice(0, 10)}
        (${by}; ${plural(reads.models, "model")}).</p>`;
}

function accuracySection(title, sides, comparison) {
    const notes = new Notes();
    const heads = ["", ...sides.map((s) => s.name), ...(comparison ? ["change"] : [])];
    const rows = kMetrics.filter((k) => k in sides[0].of).map((k) => row([inWords(k),
        ...sides.map((s) => figureCell(s.of[k], notes)), ...(comparison ? [changeCell(comparison[k], notes)] : [])]));
    return html`<h2>${title}</h2><p class="soft">${judgedText(lastOf(sides).of)}${comparison
        ? " Bold changes: the interval excludes 0; not corrected, since that would hide harm." : ""}</p>${table(heads, rows)}${notes.list()}
        ${confusionPair("Confusion matrix", sides, (s) => s.of)}`;
}

// Counts, and below them the shares of the class; a deeper background is a larger share.
function confusionTable(name, classes, rows) {
    const body = rows.map((counts, t) => {
        const all = counts.reduce((sum, n) => sum + n, 0);
        return html`<tr><th>${classes[t]}</th>${counts.map((n, p) => {
            const part = all > 0 ? n / all : 0;
            return html`<td class="${p === t ? "right" : "wrong"}"${depth(part)}>${grouped(n)}
                <span class="soft">${percent(part)}</span></td>`;
        })}</tr>`;
    });
    return html`<div class="scroll"><table class="confusion"><caption>${name}</caption><tr><th>true \\ predicted</th>
        ${classes.map((c) => html`<th>${c}</th>`)}</tr>${body}</table></div>`;
}

// Of many classes the mistakes that are made most often. cells: [truth, predicted, count].
function confusionList(name, classes, cells) {
    const kMost = 30;
    const wrong = cells.filter(([t, p]) => t !== p).sort((a, b) => b[2] - a[2]);
    const rows = wrong.slice(0, kMost).map(([t, p, count]) => row([classes[t], classes[p], grouped(count)]));
    const more = wrong.length > kMost
        ? html`<p class="soft">${plural(wrong.length - kMost, "kind")} of mistakes more.</p>` : "";
    return html`<div><p><b>${name}</b></p>${table(["true", "predicted", "images"], rows, "left")}${more}</div>`;
}

// counts: what has the confusion matrix of a side, or, of many classes, its confusion_cells.
function confusionPair(title, sides, counts) {
    const [matrix, list] = ["confusion", "confusion_cells"].map((key) => sides.every((s) => counts(s)[key]));
    if (!matrix && !list) return "";
    const draw = ({ name, of: { classes } }, { confusion, confusion_cells: cells }) =>
        matrix ? confusionTable(name, classes, confusion) : confusionList(name, classes, cells);
    return folded(matrix ? title : title.replace("Confusion matrix", "Mistakes made most often"),
        html`<div class="pair${matrix && sides[0].of.classes.length > 6 ? " many" : ""}">${sides.map((s) =>
            draw(s, counts(s)))}</div>`);
}

// A row per group and model.
function groupsTable(attribute, sides) {
    const notes = new Notes();
    const first = sides[0].of.attributes[attribute];
    const keys = ["accuracy", "balanced_accuracy", "macro_f1", "macro_auc"].filter((k) =>
        Object.values(first.groups).some((g) => k in g));
    const rows = Object.entries(first.groups).flatMap(([name, group]) => sides.map((s, i) => {
        const left = group.in_gaps === false
            ? notes.mark(group.reason || "Not among the groups whose gaps are measured.") : "";
        const head = i === 0 ? [html`${name}${left}`, grouped(group.samples)] : ["", ""];
        const figures = keys.map((k) => figureCell(s.of.attributes[attribute].groups[name][k], notes));
        return row([...head, ...(sides.length > 1 ? [s.name] : []), ...figures], i + 1 < sides.length ? "joined" : "");
    }));
    const heads = ["group", "images", ...(sides.length > 1 ? ["model"] : []), ...keys.map(inWords)];
    const worst = first.worst_group?.accuracy;
    const words = worst ? html`<p class="soft">Least accurate: ${sides.map((s, i) => {
        const { group, value, stays_worst: stays } = s.of.attributes[attribute].worst_group.accuracy;
        return html`${i > 0 ? "; " : ""}${s.name} ${group} (${shown(value, 3)}, also in ${percent(stays)} of the
            resamples)`;
    })}.</p>` : "";
    return html`${table(heads, rows)}${words}${notes.list()}`;
}

// Per model a band over the fair range, a bar over the interval and a dot at the value.
function gapMarks(figure, series, scale, y) {
    return [
        known(figure.fair_low)
            ? bar("fair", scale.at(figure.fair_low), scale.at(figure.fair_high), y - 6, 12) : "",
        known(figure.low) ? line(`s${series} bar`, [scale.at(figure.low), y], [scale.at(figure.high), y]) : "",
        known(figure.value) ? dot(`s${series}`, [scale.at(figure.value), y], 4.5) : "",
    ];
}

function gapCell(gap, notes) {
    const fair = known(gap.fair_low) ? html`chance ${fixed(gap.fair_low, 3)} to ${fixed(gap.fair_high, 3)},
        p&nbsp;${pValue(gap.p)}` : "no range of chance is known";
    return html`${figureCell(gap, notes)}<br><span class="soft">${fair}</span>`;
}

// The gap that decides: of each model a band up to the end of its fair range, its interval and its words; of two models
// the words on their difference.
function primarySection(attribute, sides, comparison) {
    const primaryOf = (s) => s.of.attributes[attribute].primary;
    if (!primaryOf(sides[0])) return "";
    const all = sides.map(primaryOf);
    const scale = new Scale([0, ...all.flatMap((g) => [g.rms, g.high, g.fair_high])], { least: 0 });
    const rows = sides.map((s, i) => {
        const { rms: value, low, high, fair_high, reason, verdict } = all[i];
        const marks = gapMarks({ value, low, high, fair_low: known(fair_high) ? 0 : null, fair_high }, i, scale, 12);
        return row([s.name, lane(scale, 24, marks, "the gap"), measured({ value, low, high }),
            verdict ?? reason ?? ""]);
    });
    const words = comparison?.attributes[attribute]?.primary?.verdict;
    const { formula, classes, pairs } = all[0];
    return html`${table(["", "", "the gap (eodd_rms)", ""], [...rows, row(["", laneAxis(scale, "gap, 0 is none"), "",
        ""], "axis-row")], "gaps words")}${words ? html`<p><b>The change: ${words}</b></p>` : ""}<p class="soft">${formula};
        ${grouped(classes)} ${classes === 1 ? "class" : "classes"}, ${plural(pairs, "pair")} of groups.</p>`;
}

// The gaps whose best value is 0 and that one axis can hold: the parity sums over classes, and ratios are best at 1.
const onAxis = (key) => !["dp", "pqd", "dpm", "eom", "nar"].includes(key);

function gapsTable(attribute, sides, comparison) {
    const gapsOf = (s) => s.of.attributes[attribute].gaps;
    const keys = Object.keys(gapsOf(sides[0]));
    if (keys.length === 0) return html`<p class="soft">${sides[0].of.attributes[attribute].reason ?? ""}</p>`;
    const notes = new Notes();
    const figures = keys.filter(onAxis).flatMap((k) => sides.map((s) => gapsOf(s)[k]));
    const scale = new Scale([0, ...figures.flatMap((g) => [g.value, g.low, g.high, g.fair_high])], { least: 0 });
    const height = 20 * sides.length + 4;
    const differences = comparison?.attributes[attribute]?.gaps;
    const rows = keys.map((k) => row([html`${inWords(k)}<br><span class="soft">${k}</span>`,
        onAxis(k) ? lane(scale, height, sides.map((s, i) => gapMarks(gapsOf(s)[k], i, scale, 12 + 20 * i)), inWords(k))
            : html`<span class="soft">of another scale</span>`,
        ...sides.map((s) => gapCell(gapsOf(s)[k], notes)),
        ...(differences ? [changeCell(differences[k], notes)] : [])]));
    const blanks = Array(sides.length + (differences ? 1 : 0)).fill("");
    const heads = ["also, not corrected", html`<span class="keys">${sides.map((s, i) => key(i, s.name))}</span>`,
        ...sides.map((s) => s.name), ...(differences ? ["change"] : [])];
    const axis = row(["", laneAxis(scale, "gap, 0 is none"), ...blanks], "axis-row");
    return html`${table(heads, [...rows, axis], "gaps")}${notes.list()}`;
}

function fairnessSection(title, sides, comparison) {
    const names = Object.keys(sides[0].of.attributes ?? {});
    if (names.length === 0) return "";
    const sections = names.map((name) => {
        const { groups, unknown } = sides[0].of.attributes[name];
        const matrices = Object.keys(groups).map((group) => confusionPair(`Confusion matrix of ${group}`, sides,
            (s) => s.of.attributes[name].groups[group]));
        return html`<h3>By ${name}</h3>${unknown > 0
            ? html`<p class="soft">${plural(unknown, "image")} of an unknown group, left out of gaps.</p>` : ""}
            ${groupsTable(name, sides)}${primarySection(name, sides, comparison)}
            ${gapsTable(name, sides, comparison)}${calibrationSection(name, sides)}${matrices}`;
    });
    return html`<h2>${title}</h2><p class="soft">The band is the range of gaps that a classifier shows by chance if it
        treats the groups alike, whatever the groups' case mix: a gap inside it cannot be told from none. One gap decides,
        eodd_rms; its p is corrected over the attributes. The others describe: their p, of a gap as large by chance, is
        not corrected.</p>${sections}`;
}

// Mistakes as images, by group; images of patients, so there only if asked for.
function gallerySection(gallery) {
    if (!gallery) return "";
    const card = (m) => html`<figure class="mistake"><img src="${m.png}" alt="${m.image}"><figcaption>
        <b>${m.image}</b><br>${m.label}, predicted ${m.predicted} (${percent(m.probability)})</figcaption></figure>`;
    const groups = gallery.map(({ attribute, group, mistakes }) => html`<h3>${attribute
        ? `${attribute}: ${group}` : "All images"}</h3>${mistakes.length > 0
        ? html`<div class="gallery">${mistakes.map(card)}</div>` : html`<p class="soft">No mistake.</p>`}`);
    return html`<h2>The surest mistakes</h2><p class="soft">Of the wrong predictions on
        the judged images, those of the highest probability.</p>${groups}`;
}

// Those of which the summary has the whole text.
const kInSummary = ["seen_in_training", "at_chance", "classes_absent", "few_resamples"];

// A verdict is {summary, findings: [{kind, attribute, text}]}, the findings by size: listed by attribute, the first five
// of each.
function verdictSection(verdict) {
    if (!verdict?.summary) return "";
    const findings = verdict.findings.filter((f) => !kInSummary.includes(f.kind));
    const attributes = [...new Set(findings.map((f) => f.attribute ?? ""))];
    const list = (some) => html`<ul>${some.map((f) => html`<li>${f.text}</li>`)}</ul>`;
    const groups = attributes.map((attribute) => {
        const of = findings.filter((f) => (f.attribute ?? "") === attribute);
        const head = attributes.length === 1 && !attribute ? ""
            : html`<h3>${attribute ? `By ${attribute}` : "Overall"}</h3>`;
        return [head, list(of.slice(0, 5)), of.length > 5 ? folded(`${of.length - 5} more`, list(of.slice(5))) : ""];
    });
    return html`<div class="verdict"><b>${verdict.summary}</b>${groups}</div>`;
}

// One class against the rest, predicted where its probability reaches a threshold: fp_eval --threshold.
function thresholdSection(threshold) {
    if (!threshold) return "";
    const { positive, value, rule, validation, report } = threshold;
    const notes = new Notes();
    const complement = ({ value: v, low, high, ...rest }) => ({ ...rest, value: known(v) ? 1 - v : null,
        low: known(high) ? 1 - high : null, high: known(low) ? 1 - low : null });
    const rates = (name, { per_class: { [positive]: { tpr, fpr, positives } } }) => row([name,
        figureCell(tpr, notes), figureCell(complement(fpr), notes), grouped(positives)]);
    const groups = Object.entries(report.attributes).flatMap(([attribute, { groups: of }]) =>
        Object.entries(of).map(([name, group]) => rates(`${attribute}: ${name}`, group)));
    const chosen = validation ? html`, chosen on ${plural(validation.images, "validation image")}: sensitivity
        ${fixed(validation.sensitivity, 3)}, specificity ${fixed(validation.specificity, 3)},
        F1 ${fixed(validation.f1, 3)}` : "";
    return html`<h2>${positive} at a threshold</h2><p>${positive} is predicted where its probability is at least
        <b>${fixed(value, 4)}</b> (${rule}${chosen}).</p>${verdictSection(report.verdict)}
        ${table(["", "sensitivity", "specificity", "positives"], [rates("all", report), groups])}${notes.list()}
        ${fairnessSection("Fairness at the threshold", [{ name: "model", of: report }], report.comparison)}`;
}

// An evaluation (fp_eval --report); `other`: of the model that it is compared with.
function evaluationSections({ evaluation, other, names, gallery }) {
    const sides = [...(other ? [{ name: "other", of: other }] : []), { name: "model", of: evaluation }];
    const notes = evaluation.judged?.notes ?? [];
    return [verdictSection(evaluation.verdict),
        other ? html`<p>Model: <b>${names[1]}</b>; other: <b>${names[0]}</b>. A change is the model minus the other.</p>`
            : "",
        notes.map((note) => html`<p class="soft">${note}</p>`),
        readsSection(evaluation.test_reads), accuracySection("Accuracy", sides, evaluation.comparison),
        fairnessSection("Fairness", sides, evaluation.comparison), thresholdSection(evaluation.threshold),
        gallerySection(gallery)];
}
