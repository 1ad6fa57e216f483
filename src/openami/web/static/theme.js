// The colour scheme: the system's, unless the person has chosen. Runs before the first paint.
"use strict";
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const changed = () => document.dispatchEvent(new Event("themechange"));
  // A browser may forbid storage; then the choice holds for this page only.
  const remember = (theme) => { try { localStorage.setItem("theme", theme); } catch { return; } };
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };

  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  };
  apply(remembered());
  system.addEventListener("change", changed);
  addEventListener("storage", (event) => {
    if (event.key === "theme") { apply(event.newValue); changed(); }
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-action=theme]")) return;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    apply(dark ? "light" : "dark");
    remember(root.dataset.theme);
    changed();
  });
})();
