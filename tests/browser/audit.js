// What a page owes to everybody: contrast of all text, a name for every control. Returns what fails.
() => {
  const shown = (element) =>
    element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) &&
    element.getClientRects().length > 0;

  // --- contrast (WCAG 2.2, 1.4.3) ------------------------------------------------------------
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  // Any CSS colour, such as color-mix(), as red, green, blue of 255 and alpha of 1.
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(rgba(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (element) => {
    const below = ground(element);
    const lights = [luminance(over(rgba(getComputedStyle(element).color), below)), luminance(below)];
    return (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
  };
  const large = ({ fontSize, fontWeight }) =>
    parseFloat(fontSize) >= (Number(fontWeight) >= 700 ? 18.66 : 24);

  const failed = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !shown(element) || element.closest("[aria-disabled=true], .visually-hidden")) continue;
    texts += 1;
    const found = ratio(element);
    if (found < (large(getComputedStyle(element)) ? 3 : 4.5)) {
      failed.push(`contrast ${found.toFixed(2)}: ${text.slice(0, 40)}`);
    }
  }

  // --- names (WCAG 2.2, 4.1.2) and the way of the Tab key (2.1.1) ------------------------------
  const named = (element) =>
    element.getAttribute("aria-label") ||
    [...(element.labels ?? [])].map((label) => label.textContent.trim()).join("") ||
    (element.getAttribute("aria-labelledby") && document.getElementById(element.getAttribute("aria-labelledby"))?.textContent) ||
    (element.matches("input, select, textarea") ? "" : element.textContent.trim());
  const controls = [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]:not([tabindex='-1'])",
  )].filter(shown);
  for (const control of controls) {
    if (!named(control)) failed.push(`no name: ${control.outerHTML.slice(0, 80)}`);
    if (control.tabIndex !== 0) failed.push(`not in the order: ${control.outerHTML.slice(0, 80)}`);
  }
  for (const image of document.querySelectorAll("img:not([alt]), [role=img]:not([aria-label])")) {
    failed.push(`no text: ${image.outerHTML.slice(0, 80)}`);
  }
  controls.forEach((control, index) => { control.dataset.audited = index; });
  return { failed, texts, controls: controls.length };
}
