// A question before something that is hard to take back, and what to say when something fails.

import { Refused } from "./api.js";
import { $, el, tell } from "./dom.js";
import { t } from "./texts.js";

export const confirmed = (question) => new Promise((resolve) => {
  const dialog = $("ask");
  const close = (answer) => () => { dialog.close(); resolve(answer); };
  dialog.replaceChildren(
    el("p", { id: "ask-words" }, question),
    el("div", { class: "buttons" },
      el("button", { class: "plain", onclick: close(false) }, t("ask.no")),
      el("button", { class: "strong", onclick: close(true) }, t("ask.yes"))),
  );
  dialog.setAttribute("aria-labelledby", "ask-words");
  dialog.oncancel = close(false);
  dialog.showModal();
});

const ERRORS = {
  "home.code": "error.code",
  "home.locked": "error.locked",
  "home.full": "error.full",
  "home.meter": "error.other-meter",
  "home.where": "error.meter",
  "home.pin": "error.pin",
  "home.pin-throttled": "error.locked",
  "home.lost": "error.reach",
};

export const problem = (error) => {
  if (!(error instanceof Refused)) return t("error.gone");
  if (error.code in ERRORS) return t(ERRORS[error.code]);
  if (error.code.startsWith("transport") || error.status === 504) return t("error.reach");
  return t("error.other", { message: error.message });
};

// Run what a button does once at a time, and say what went wrong.
export const doing = (button, work) => async () => {
  if (button.disabled) return;
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    tell(problem(error));
  } finally {
    button.disabled = false;
  }
};

export const press = (label, work, props = {}) => {
  const button = el("button", { class: "plain", ...props }, label);
  button.addEventListener("click", doing(button, work));
  return button;
};
