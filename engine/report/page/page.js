"use strict";
// Draws the document that stands in the page.

function originSection({ command, environment }) {
    const rows = Object.entries(environment).filter(([key]) => key !== "earlier" && key !== "command")
        .map(([key, value]) => row([key, typeof value === "string" ? value : JSON.stringify(value)]));
    return html`<h2>To repeat this</h2><pre>${command}</pre>
        <h2>Environment</h2>${table(["what", "value"], rows, "left")}`;
}

function draw(main, text) {
    // An object lists keys like "1" before all others, whatever the order of the text; a space before them, which the
    // page does not show, keeps groups of such names in their places.
    const report = JSON.parse(text.replace(/"(\d+)":/g, '" $1":'));
    document.title = report.title;
    const sections = "sets" in report ? scanSections(report) : reportSections(report);
    main.innerHTML = html`<h1>${report.title}</h1>${sections}${originSection(report)}`.text;
}

const main = document.querySelector("main");
try {
    draw(main, document.getElementById("document").textContent);
} catch (error) {
    main.textContent = `This page could not be drawn: ${error.message}. ` +
        "The same figures are in report.json beside it (scan.json for a scan).";
}
