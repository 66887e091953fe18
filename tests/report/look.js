// What a reader would stumble over in the page that is open: a list of sentences. Run by tests/report/look.
(() => {
    const found = [];
    const say = (what, element, more = "") => {
        const words = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
        found.push(`${what}: <${element.tagName.toLowerCase()}${element.className?.baseVal ?? element.className
            ? "." + (element.className.baseVal ?? element.className) : ""}> "${words}" ${more}`.trim());
    };

    // The page is no wider than the window.
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth)
        found.push(`wider than the window: ${root.scrollWidth} of ${root.clientWidth} pixels`);

    // Lines are lines, not areas.
    for (const shape of document.querySelectorAll("svg polyline, svg path"))
        if (getComputedStyle(shape).fill !== "none") say("a line that is filled", shape);

    // Texts with their places.
    const texts = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walk.nextNode());) {
        const parent = node.parentElement;
        if (!node.data.trim() || parent.closest("script, style, title, noscript")) continue;
        if (!parent.checkVisibility()) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        const rects = [...range.getClientRects()].filter((r) => r.width > 0);
        if (rects.length > 0) texts.push({ parent, rects });
    }

    // No text leaves its box, or the page's column.
    for (const { parent, rects } of texts) {
        const box = parent.closest("td, th, .tile, figure, pre, .verdict, main") ?? document.body;
        const { left, right } = box.getBoundingClientRect();
        if (rects.some((r) => r.left < left - 1 || r.right > right + 1)) say("text that leaves its box", parent);
    }

    // No text of a chart lies over another one, nor over the text around it. Letters are lower than their boxes.
    for (const box of document.querySelectorAll("figure, td, svg")) {
        if (box.tagName === "svg" && box.closest("figure, td")) continue;
        if (!box.querySelector("svg") && box.tagName !== "svg") continue;
        const inside = texts.filter(({ parent }) => box.contains(parent))
            .flatMap(({ parent, rects }) => rects.map((r) => ({ parent, r })));
        inside.forEach((a, i) => inside.slice(i + 1).forEach((b) => {
            const across = Math.min(a.r.right, b.r.right) - Math.max(a.r.left, b.r.left);
            const down = Math.min(a.r.bottom, b.r.bottom) - Math.max(a.r.top, b.r.top);
            if (a.parent !== b.parent && across > 1 && down > 4)
                say("text over text", a.parent, `and "${b.parent.textContent.trim()}"`);
        }));
    }

    // Contrast of 4.5 to 1 or more (WCAG 2.1, 1.4.3).
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
    };
    const light = ([r, g, b]) => {
        const [R, G, B] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * R + 0.7152 * G + 0.0722 * B;
    };
    for (const { parent } of texts) {
        const style = getComputedStyle(parent);
        const ground = behind(parent);
        const ink = over(rgba(parent.closest("svg") ? style.fill : style.color), ground);
        const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) say("text that is hard to read", parent, `${ratio.toFixed(2)} to 1`);
    }
    return [...new Set(found)];
})()
