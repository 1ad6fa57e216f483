// Ten large keys: for the meter's code, and for the household's PIN.

import { el, renew, say } from "./dom.js";
import { problem } from "./ask.js";
import { t } from "./texts.js";

// `words` are keys of texts; `send(digits)` is what the last key does; `more()` what stands below.
export const keypad = (box, { title, text, code, digit, button, wait, least, most, hidden, more, send }) => {
  let digits = "";
  let busy = false;
  const cells = el("p", { class: "cells", role: "img" });
  const status = el("p", { class: "status", role: "status" });
  const go = el("button", { class: "strong go", type: "button" }, t(button));
  const paint = () => {
    const shown = hidden ? [...digits].map(() => "•") : [...digits];
    const places = Math.max(least, digits.length);
    cells.replaceChildren(...Array.from({ length: places }, (_, at) =>
      el("span", { class: at === digits.length ? "next" : shown[at] ? "full" : "" }, shown[at] ?? "")));
    cells.setAttribute("aria-label", `${t(code)}: ${t(digit, { count: digits.length })}`);
    go.disabled = busy || digits.length < least;
  };
  const type = (figure) => {
    if (busy || digits.length >= most) return;
    say(status, "");
    digits += figure;
    paint();
  };
  const clear = () => {
    digits = digits.slice(0, -1);
    paint();
  };
  const submit = async () => {
    if (busy || digits.length < least) return;
    busy = true;
    say(status, wait ? t(wait) : "");
    paint();
    try {
      await send(digits);
      say(status, "");
    } catch (error) {
      say(status, problem(error));
      box.classList.add("refused");
      setTimeout(() => box.classList.remove("refused"), 600);
    }
    busy = false;
    digits = "";
    paint();
  };
  const key = (figure) => el("button", { type: "button", class: "key", onclick: () => type(figure) }, figure);
  go.addEventListener("click", submit);
  // A keyboard types wherever the focus is, as long as the keys are on the screen.
  document.onkeydown = (event) => {
    if (!box.checkVisibility() || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[0-9]$/.test(event.key)) type(event.key);
    else if (event.key === "Backspace") clear();
    else if (event.key === "Enter" && event.target.tagName !== "BUTTON") submit();
    else return;
    event.preventDefault();
  };
  renew(box,
    el("div", { class: "about" },
      el("h1", { class: "title", id: "first-title" }, t(title)), el("p", { class: "lead" }, t(text)), cells, status, more?.() || null),
    el("div", { class: "keypad" }, [..."123456789"].map(key),
      el("button", { type: "button", class: "key word", onclick: clear }, t("first.clear")), key("0"), go));
  paint();
};
