// openami console: theme, live state and charts. Everything else is HTML from the server.
"use strict";
(() => {
  const root = document.documentElement;
  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // --- theme: the system's, unless the person has chosen -----------------------------------
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const applyTheme = (theme) => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
  };
  applyTheme(stored());
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

  // --- charts --------------------------------------------------------------------------------
  // <div class="chart" data-source="/…" data-channels='[{"label":…,"unit":…,"kind":"bars"}]'>
  // The source answers {"time":[s…],"series":[[…]…],"interval":s}; null draws a gap.
  const charts = new Map();

  const axis = (extra) => ({
    stroke: color("--soft"), font: "12px system-ui", grid: { stroke: color("--line"), width: 1 },
    ticks: { stroke: color("--line"), width: 1 }, ...extra,
  });

  const draw = (element, answer) => {
    const channels = JSON.parse(element.dataset.channels);
    const zone = element.dataset.zone || "UTC";
    const series = channels.map((channel, index) => ({
      label: channel.label,
      stroke: color(`--series-${index + 1}`),
      fill: channel.kind === "bars" ? color(`--series-${index + 1}`) + "33" : undefined,
      width: 1.5,
      spanGaps: false,
      paths: channel.kind === "bars"
        ? uPlot.paths.bars({ size: [0.85, 60], align: -1 })
        : uPlot.paths.linear(),
      points: { show: answer.time.length < 40 && channel.kind !== "bars" },
      value: (_, value) => (value == null ? "–" : `${Number(value.toFixed(3)).toLocaleString()} ${channel.unit}`),
    }));
    const existing = charts.get(element);
    if (existing) existing.destroy();
    element.replaceChildren();
    const plot = new uPlot({
      width: element.clientWidth,
      height: Math.max(element.clientHeight - 34, 120),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), zone),
      cursor: { drag: { x: true, y: false } },
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.05] } },
      axes: [
        axis({ values: [
          [86400, "{M}/{D}", null, null, null, null, null, null, 1],
          [3600, "{HH}:{mm}", "\n{M}/{D}", null, "\n{M}/{D}", null, null, null, 1],
          [60, "{HH}:{mm}", "\n{M}/{D}", null, "\n{M}/{D}", null, null, null, 1],
          [1, "{HH}:{mm}:{ss}", "\n{M}/{D}", null, "\n{M}/{D}", null, null, null, 1],
        ] }),
        axis({ size: 62, label: channels[0].unit, labelSize: 18, labelFont: "12px system-ui" }),
      ],
      series: [{ label: "end of interval", value: (_, s) => (s == null ? "–" : new Date(s * 1e3).toLocaleString(undefined, { timeZone: zone })) }, ...series],
    }, [answer.time, ...answer.series], element);
    charts.set(element, plot);
    element.dataset.points = String(answer.time.length);
  };

  const load = async (element) => {
    if (element.dataset.loading) { element.dataset.again = "1"; return; }
    element.dataset.loading = "1";
    element.setAttribute("aria-busy", charts.has(element) ? "false" : "true");
    try {
      const response = await fetch(element.dataset.source, { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const answer = await response.json();
      delete element.dataset.empty;
      if (answer.time.length === 0 && !charts.has(element)) {
        element.dataset.empty = "";
        element.dataset.note = "No readings in this range yet.";
      } else {
        draw(element, answer);
      }
    } catch (error) {
      element.dataset.empty = "";
      element.dataset.note = `The chart could not be loaded: ${error.message}.`;
    } finally {
      element.setAttribute("aria-busy", "false");
      delete element.dataset.loading;
      if (element.dataset.again) { delete element.dataset.again; load(element); }
    }
  };

  const loadAll = (within = document) => within.querySelectorAll(".chart[data-source]").forEach(load);

  const redraw = () => charts.forEach((_, element) => load(element));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => charts.forEach((plot, element) => plot.setSize({
      width: element.clientWidth, height: Math.max(element.clientHeight - 34, 120),
    })), 120);
  });

  // --- buttons ---------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.action === "theme") {
      const theme = dark() ? "light" : "dark";
      try { localStorage.setItem("theme", theme); } catch { /* private window: for this page only */ }
      applyTheme(theme);
      redraw();
    }
    if (button.dataset.range) {
      const chart = document.getElementById(button.getAttribute("aria-controls"));
      const url = new URL(chart.dataset.source, location.href);
      url.searchParams.set("range", button.dataset.range);
      chart.dataset.source = url.pathname + url.search;
      button.parentElement.querySelectorAll("button").forEach((other) =>
        other.setAttribute("aria-pressed", String(other === button)));
      load(chart);
    }
  });

  // --- live ------------------------------------------------------------------------------------
  const setLive = (state, text) => document.querySelectorAll(".live").forEach((element) => {
    element.dataset.state = state;
    element.textContent = text;
  });
  document.addEventListener("htmx:sseOpen", () => setLive("open", "live"));
  document.addEventListener("htmx:sseError", () => setLive("lost", "connection lost, trying again"));
  let pending = 0;
  document.addEventListener("htmx:sseMessage", () => {
    // Readings come in bursts: one redraw for each burst.
    if (pending) return;
    pending = setTimeout(() => { pending = 0; redraw(); document.querySelectorAll(".chart[data-empty]").forEach(load); }, 800);
  });
  // A value that has changed since the last swap is shown for a moment.
  const before = new Map();
  document.addEventListener("htmx:beforeSwap", () => {
    document.querySelectorAll("[data-value]").forEach((e) => before.set(e.dataset.value, e.textContent));
  });
  document.addEventListener("htmx:afterSwap", () => {
    document.querySelectorAll("[data-value]").forEach((e) => {
      const old = before.get(e.dataset.value);
      if (old !== undefined && old !== e.textContent) e.classList.add("fresh");
    });
  });

  document.addEventListener("DOMContentLoaded", () => loadAll());
})();
