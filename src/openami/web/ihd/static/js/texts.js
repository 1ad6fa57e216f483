// All that the page says, in the language that was chosen.

export const LANGUAGES = { en: "English", ko: "한국어" };

const catalogues = {};
let language = "en";

export const load = async () => {
  const read = async (name) => {
    catalogues[name] = await (await fetch(`/static/texts/${name}.json`)).json();
  };
  await Promise.all(Object.keys(LANGUAGES).map(read));
};

export const current = () => language;

// What the household chose, else what the tablet speaks.
export const choose = (wanted) => {
  const spoken = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES);
  language = wanted in LANGUAGES ? wanted : spoken ?? "en";
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of document.querySelectorAll("[data-name]")) node.setAttribute("aria-label", t(node.dataset.name));
};

export const t = (key, values = {}) =>
  (catalogues[language]?.[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

// Texts of others come in several languages.
export const said = (texts = {}) => texts[language] ?? texts.en ?? Object.values(texts)[0] ?? "";
