"use strict";
// How all sections make markup, numbers and tables.

class Markup {
    constructor(text) {
        this.text = text;
    }
}

function escaped(value) {
    if (value instanceof Markup) return value.text;
    if (Array.isArray(value)) return value.map(escaped).join("");
    if (value === undefined || value === null) throw new Error("the document lacks a value");
    return String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

// html`<td>${value}`: markup in which every value is escaped, unless html`` itself made it.
function html(strings, ...values) {
    return new Markup(String.raw({ raw: strings }, ...values.map(escaped)));
}

// JSON has no NaN: a figure that could not be computed is null.
const known = Number.isFinite;

// As C's %.3f: toFixed differs in rounding an exact tie away from zero, printf takes the even digit.
function fixed(value, digits) {
    const longer = value.toFixed(digits + 1);
    const even = longer.slice(0, -1);
    const tie = longer.endsWith("5") && Number.isInteger(value * 2 ** (digits + 1));
    if (tie && /[02468]\.?$/.test(even)) return even.replace(/\.$/, "");
    return value.toFixed(digits);
}

const shown = (value, digits) => (known(value) ? fixed(value, digits) : "n/a");
const signed = (value) => {
    const text = fixed(Math.abs(value), 3);
    return (Number(text) === 0 ? "" : value < 0 ? "-" : "+") + text;
};
const plural = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
const percent = (share, digits = 0) => `${fixed(100 * share, digits)} %`;
// How deep the background of a cell is, of a share.
const depth = (share) => html` style="--share:${fixed(100 * share, 0)}%"`;
const pValue = (p) => (!known(p) ? "n/a" : p < 0.001 ? "< 0.001" : fixed(p, 3));

// 1917940 as 1 917 940, with narrow spaces that do not break.
const grouped = (count) => fixed(count, 0).replace(/\B(?=(\d{3})+$)/g, "\u202f");

// Bytes in the unit that keeps the number below 1024.
function byteText(bytes) {
    const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    for (; bytes >= 1024 && unit + 1 < units.length; ++unit) bytes /= 1024;
    return `${fixed(bytes, unit === 0 ? 0 : 1)} ${units[unit]}`;
}

const interval = ({ low, high }, digits = 3) =>
    html`<span class="soft">[${fixed(low, digits)}, ${fixed(high, digits)}]</span>`;
// The text, and in brackets the 95 % interval of a figure that has one.
const withInterval = (text, figure, digits = 3) =>
    known(figure.low) ? html`${text} ${interval(figure, digits)}` : text;
const measured = (figure) => withInterval(shown(figure.value, 3), figure);
const change = (a, b, text) => (text(a) === text(b) ? text(a) : html`${text(a)} &rarr; ${text(b)}`);

// The document's names of figures in words; a name that is not among them is shown as it is, without underscores.
const kWords = {
    macro_precision: "macro precision", macro_recall: "macro recall", macro_f1: "macro F1", macro_auc: "macro AUC",
    ece: "calibration error (ECE)", eopp0: "equal opportunity, negatives", eopp1: "equal opportunity, positives",
    eodd: "equalized odds", eodd_mean: "equalized odds, mean", eodd_max: "equalized odds, worst class",
    eopp1_present: "equal opportunity, classes present", eodd_tnr: "equalized odds, TPR and TNR",
    dp: "demographic parity", pqd: "accuracy, worst over best", dpm: "predictions, worst over best",
    accuracy_standardised: "accuracy, classes alike in all groups", eom: "true positives, worst over best",
    eodd_confusion: "equalized odds, whole confusion matrices", nar: "accuracy, spread over mean", lr: "learning rate",
};
const inWords = (key) => kWords[key] ?? key.replaceAll("_", " ");

// What footnotes say: one number for each text.
class Notes {
    texts = [];
    mark(text) {
        if (!this.texts.includes(text)) this.texts.push(text);
        return html`<sup>${this.texts.indexOf(text) + 1}</sup>`;
    }
    list() {
        if (this.texts.length === 0) return "";
        return html`<p class="soft">${this.texts.map((text, i) => html`<span class="note"><sup>${i + 1}</sup>&nbsp;${text}
            </span>`)}</p>`;
    }
}

const withClass = (name) => (name ? html` class="${name}"` : "");
const row = (cells, name) => html`<tr${withClass(name)}>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`;
const table = (heads, rows, name) => html`<div class="scroll"><table${withClass(name)}>
    <thead><tr>${heads.map((head) => html`<th>${head}</th>`)}</tr></thead>${rows}</table></div>`;
const folded = (title, content) => html`<details><summary>${title}</summary>${content}</details>`;
