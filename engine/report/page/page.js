"use strict";
// Draws the document that stands in the page.

function environmentRows(environment) {
    return Object.entries(environment).filter(([key]) => !["earlier", "command", "command_line"].includes(key))
        .map(([key, value]) => {
            if (key === "memory_bytes") return row(["memory", byteText(value)]);
            return row([inWords(key), typeof value === "object" ? JSON.stringify(value) : value]);
        });
}

function originSection({ command, data, environment }) {
    return html`<h2>To repeat this</h2>${data ? html`<p class="spec">Data: ${data}</p>` : ""}<pre>${command}</pre>
        <h2>Environment</h2>${table(["what", "value"], environmentRows(environment), "left")}`;
}

// What each kind of document is drawn by.
function sectionsOf(report) {
    if ("sets" in report) return scanSections(report);
    if ("training" in report) return trainSections(report);
    if ("benchmarks" in report) return benchSections(report);
    if ("trainings" in report) return trainingsSections(report);
    if ("evaluation" in report) return evaluationSections(report);
    return reportSections(report);
}

function draw(main, text) {
    // An object lists keys like "1" before all others, whatever the order of the text; a space before them, which the
    // page does not show, keeps groups of such names in their places.
    const report = JSON.parse(text.replace(/"(\d+)":/g, '" $1":'));
    document.title = report.title;
    main.innerHTML = html`<h1>${report.title}</h1>${skippedText(report.skipped ??
        report.evaluation?.skipped)}${sectionsOf(report)}${originSection(report)}`.text;
}

// A table that is wider than the page says so, and can be scrolled by keys.
function markScrolled() {
    for (const box of document.querySelectorAll(".scroll")) {
        const cut = box.scrollWidth > box.clientWidth + 1;
        box.classList.toggle("cut-off", cut);
        cut ? box.setAttribute("tabindex", "0") : box.removeAttribute("tabindex");
    }
}

const main = document.querySelector("main");
try {
    draw(main, document.getElementById("document").textContent);
    markScrolled();
    addEventListener("resize", markScrolled);
    for (const fold of document.querySelectorAll("details")) {
        fold.addEventListener("toggle", markScrolled);
        addEventListener("beforeprint", () => { fold.open = true; });
    }
} catch (error) {
    main.textContent = `This page could not be drawn: ${error.message}. ` +
        "The same figures are in report.json beside it (scan.json for a scan).";
}
