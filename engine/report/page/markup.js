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
const signed = (value) => (value < 0 ? "" : "+") + fixed(value, 3);
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// The text, and in brackets the 95 % interval of a figure that has one.
function withInterval(text, figure, digits = 3) {
    if (!known(figure.low)) return text;
    const [low, high] = [fixed(figure.low, digits), fixed(figure.high, digits)];
    return html`${text} <span class="soft">[${low}, ${high}]</span>`;
}
const measured = (figure) => withInterval(shown(figure.value, 3), figure);

const withClass = (name) => (name ? html` class="${name}"` : "");
const row = (cells, name) => html`<tr${withClass(name)}>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`;
const table = (heads, rows, name) => html`<div class="scroll"><table${withClass(name)}>
    <tr>${heads.map((head) => html`<th>${head}</th>`)}</tr>${rows}</table></div>`;
