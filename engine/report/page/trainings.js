"use strict";
// Several trainings of one method, or pairs with those of another (fp_eval --report with several --predictions).

// A dot per training, and a bar over the interval of the mean.
function trainingsLane(estimate, scale, words) {
    const { values, low, high } = estimate;
    return lane(scale, 24, [known(low) ? line("s0 bar", [scale.at(low), 12], [scale.at(high), 12]) : "",
        scale.low < 0 && scale.high > 0 ? line("marked", [scale.at(0), 0], [scale.at(0), 24]) : "",
        values.filter(known).map((v) => dot("s1", [scale.at(v), 12], 3))], words);
}

// What each pair changes, or without pairs the figure of each training.
const estimateOf = (figure) => figure.difference ?? figure.ours;

function figureRow(name, figure, scale, notes) {
    const pairs = Boolean(figure.difference), of = estimateOf(figure);
    const mean = (e) => (known(e.mean) ? fixed(e.mean, 3) : html`n/a${e.reason ? notes.mark(e.reason) : ""}`);
    const own = (e) => html`${mean(e)}${!pairs && known(e.low) ? html` ${interval(e)}` : ""}${known(e.mean) && !known(e.low) && e.reason && !pairs
        ? notes.mark(e.reason) : ""}`;
    const excluded = known(of.low) && (of.low > 0 || of.high < 0);
    const changed = pairs ? [known(of.mean) ? html`${excluded ? html`<b>${signed(of.mean)}</b>` : signed(of.mean)}${known(of.low)
        ? html` ${interval(of)}` : of.reason ? notes.mark(of.reason) : ""}` : mean(of), pValue(of.p), shown(of.detectable, 3)]
        : [shown(of.sd_trainings, 3), shown(of.error_units, 3)];
    return row([name, scale ? trainingsLane(of, scale, name) : "", own(figure.ours),
        ...(pairs ? [own(figure.other)] : []), ...changed]);
}

function figuresTable(title, entries) {
    if (entries.length === 0) return "";
    const notes = new Notes(), pairs = Boolean(entries[0][1].difference);
    const all = entries.map(([, figure]) => estimateOf(figure));
    const places = all.flatMap((e) => [...e.values, e.low, e.high]).filter(known);
    const scale = places.length > 0 ? new Scale(pairs ? [0, ...places] : places) : null;
    const rows = entries.map(([name, figure]) => figureRow(name, figure, scale, notes));
    const heads = pairs ? [title, html`<span class="keys">${key(1, "change of each pair")}</span>`, "ours", "other", "change", "p", "detectable"]
        : [title, html`<span class="keys">${key(1, "each training")}</span>`, "mean", "sd of trainings", "error of units"];
    const blanks = Array(heads.length - 2).fill("");
    const axis = scale ? [row(["", laneAxis(scale, pairs ? "change, 0 is none" : ""), ...blanks], "axis-row")] : [];
    return html`${table(heads, [...rows, ...axis], "gaps")}${notes.list()}`;
}

function attributeFigures(name, { figures, reason }) {
    const entries = Object.entries(figures);
    const part = (keep, words) => entries.filter(([key]) => keep(key)).map(([key, figure]) => [words(key), figure]);
    const primary = part((key) => key === "rms_squared", () => html`rms&sup2; of the gap (eodd_rms)`);
    const worst = part((key) => key.startsWith("worst_"), (key) => `${inWords(key.slice(6))}, worst group`);
    const groups = part((key) => key.includes(":"), (key) => `${inWords(key.split(":")[0])}: ${key.slice(key.indexOf(":") + 1)}`);
    const more = part((key) => key !== "rms_squared" && !key.startsWith("worst_") && !key.includes(":"), inWords);
    return html`<h2>By ${name}</h2>${reason ? html`<p class="soft">No gaps: ${reason}.</p>` : ""}
        ${figuresTable("the gap that decides", primary)}${figuresTable("", [...worst, ...more])}
        ${groups.length > 0 ? folded("Each group", figuresTable("", groups)) : ""}`;
}

function trainingsSections({ trainings: t }) {
    const first = Object.values(t.metrics)[0], pairs = Boolean(first?.difference);
    const units = t.units < t.samples ? ` of ${grouped(t.units)} units` : "";
    const list = (title, files) => html`<p class="spec">${title}: ${files.join(", ")}</p>`;
    const files = t.files ? [list(pairs ? "Ours" : "Trainings", t.files[0]), pairs ? list("Other", t.files[1]) : ""] : "";
    return html`<p>${pairs ? html`<b>${t.trainings} pairs of trainings</b>, ours and those of another method`
        : html`<b>${t.trainings} trainings</b> of one method`}, judged on the same ${grouped(t.samples)} images${units}.</p>${files}
        ${readsSection(t.test_reads)}<p class="soft">${percent(t.confidence)} intervals are for other units and other
        trainings: crossed random effects, Student's t; of a share they end at what a share can be.${pairs ? ` A change is ours minus
        other, bold where its interval excludes 0; p are those of single tests: name the figure before looking, or correct
        them. Detectable: the smallest change that so many pairs on these units find with power 0.8.` : ""}</p>
        <h2>Overall</h2>${figuresTable("", Object.entries(t.metrics).map(([key, figure]) => [inWords(key), figure]))}
        ${Object.entries(t.attributes).map(([name, attribute]) => attributeFigures(name, attribute))}`;
}
