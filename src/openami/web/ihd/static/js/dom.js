// Small helpers over the document. Texts go in as text only: nothing said by others becomes markup.

export const $ = (id) => document.getElementById(id);

export const el = (tag, props = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value == null) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
};

export const svg = (tag, props = {}) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) made.setAttribute(name, value);
  return made;
};

// A text is written only when it changes: else assistive technology would read it each second.
export const say = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

export const show = (node, shown) => {
  node.toggleAttribute("hidden", !shown); // an SVG element has no property for it
};

// Put new children in place without losing the focus of a control that is still there.
export const renew = (node, ...children) => {
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  node.replaceChildren(...children.flat().filter(Boolean));
  if (focused) node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
};

let told = 0;
export const tell = (text) => {
  const place = $("said");
  clearTimeout(told);
  place.textContent = text;
  told = setTimeout(() => { place.textContent = ""; }, 10_000);
};
