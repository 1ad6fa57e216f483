// Charts: <div class="chart" data-source="/…" data-range="day" data-channels='[{"label", "unit", "kind"}]'>.
// The source answers {"start", "end", "interval", "time": […], "series": [[…], …], "words"}; times
// are the ends of intervals in seconds, null is a gap. A "news" event on the element loads it again.
"use strict";
(() => {
  const charts = new Map(); // element -> {plot, answer}
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const narrow = matchMedia("(max-width: 40rem)");
  const font = "12px system-ui, sans-serif";

  const counting = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
  const number = (value) => counting.format(value).replaceAll(",", "\u202f");
  const amount = (value, unit) => (value == null ? "–" : `${number(value)}\u202f${unit}`);
  const clocks = new Map();
  const clock = (zone) => {
    // Swedish writes times as ISO 8601 does.
    if (!clocks.has(zone)) {
      clocks.set(zone, new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "short" }));
    }
    return (seconds) => clocks.get(zone).format(new Date(seconds * 1e3));
  };

  const axis = (extra) => ({
    stroke: color("--soft"), font, grid: { stroke: color("--line"), width: 1 },
    ticks: { stroke: color("--line"), width: 1, size: 5 }, ...extra,
  });

  const PATHS = {
    bars: () => uPlot.paths.bars({ size: [0.8, 48], align: -1 }),
    steps: () => uPlot.paths.stepped({ align: -1 }),
  };

  const series = (element, channel, index) => {
    const bars = channel.kind === "bars";
    const ink = color(`--series-${index + 1}`);
    return {
      label: channel.label,
      stroke: ink,
      fill: bars ? color("--bars") : undefined,
      width: bars ? 0 : 2,
      paths: PATHS[channel.kind](),
      points: { show: false },
      value: (_plot, _value, place, at) =>
        amount(at == null ? null : charts.get(element).answer.series[place - 1][at], channel.unit),
    };
  };

  // A curve over the bars shows where there is something; nothing is not drawn as a line at zero.
  const drawn = (channels, answer) => [answer.time, ...answer.series.map((values, index) =>
    (channels[index].kind === "bars" ? values : values.map((value) => value || null)))];

  const size = (element) => ({ width: element.clientWidth, height: narrow.matches ? 200 : 280 });

  const build = (element) => {
    const channels = JSON.parse(element.dataset.channels);
    const zone = element.dataset.zone;
    const time = clock(zone);
    const day = "\n{YYYY}-{MM}-{DD}";
    const state = charts.get(element);
    state.plot?.destroy();
    element.replaceChildren();
    state.plot = new uPlot({
      ...size(element),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), zone),
      cursor: { drag: { x: true, y: false }, points: { show: false } },
      scales: {
        x: { range: () => [state.answer.start, state.answer.end] },
        y: { range: (_plot, _low, high) => [0, (high || 1) * 1.05] },
      },
      axes: [
        axis({ space: 64, values: [
          [86400, "{MM}-{DD}", null, null, null, null, null, null, 1],
          [3600, "{HH}:{mm}", day, null, day, null, null, null, 1],
          [60, "{HH}:{mm}", day, null, day, null, null, null, 1],
        ] }),
        axis({ size: 54, values: (_plot, splits) => splits.map(number), label: channels[0].unit, labelSize: 16, labelGap: 0, labelFont: font }),
      ],
      series: [
        { label: "to", value: (_plot, seconds) => (seconds == null ? "–" : time(seconds)) },
        ...channels.map((channel, index) => series(element, channel, index)),
      ],
    }, drawn(channels, state.answer), element);
  };

  const update = (element) => {
    const { plot, answer, before } = charts.get(element);
    const { min, max } = plot.scales.x;
    const whole = min === before.start && max === before.end;
    plot.setData(drawn(JSON.parse(element.dataset.channels), answer), false);
    // What a person has looked closer at stays; else the range moves along with the time.
    plot.setScale("x", whole ? { min: answer.start, max: answer.end } : { min, max });
  };

  const tell = (element, text) => {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = text;
    charts.get(element)?.plot.destroy();
    charts.delete(element);
    element.replaceChildren(note);
    element.dataset.points = "0";
  };

  const show = (element, answer) => {
    document.getElementById(`${element.id}-words`).textContent = answer.time.length ? answer.words : "";
    if (!answer.time.length) {
      tell(element, answer.words);
    } else {
      const state = charts.get(element);
      const same = state && state.range === element.dataset.range;
      charts.set(element, { plot: state?.plot, before: state?.answer, answer, range: element.dataset.range });
      if (same) update(element); else build(element);
      element.dataset.points = String(answer.time.length);
    }
    tabulate(document.querySelector(`details[data-chart="${element.id}"]`));
  };

  const load = async (element) => {
    if (element.getAttribute("aria-busy") === "true") { element.dataset.again = ""; return; }
    element.setAttribute("aria-busy", "true");
    const range = element.dataset.range;
    try {
      const response = await fetch(`${element.dataset.source}?range=${range}`, { headers: { Accept: "application/json" } });
      if (response.status === 401) { location.reload(); return; }
      if (!response.ok) throw new Error(`the head-end answered ${response.status}`);
      const answer = await response.json();
      if (range === element.dataset.range) show(element, answer);
    } catch (error) {
      // A chart that is there stays: old figures are better than none, and the next news try again.
      if (!charts.has(element)) tell(element, `The chart could not be loaded: ${error.message}.`);
    } finally {
      element.setAttribute("aria-busy", "false");
      if ("again" in element.dataset) { delete element.dataset.again; load(element); }
    }
  };

  // --- the same as a table, made when it is opened -------------------------------------------
  const cells = (row, kind, texts) => texts.forEach((text, index) => {
    const cell = document.createElement(kind);
    cell.textContent = text;
    if (kind === "th") cell.scope = "col";
    if (index) cell.className = "num";
    row.append(cell);
  });

  const tabulate = (details) => {
    if (!details?.open) return;
    const element = document.getElementById(details.dataset.chart);
    const state = charts.get(element);
    const place = details.querySelector("div");
    if (!state) { place.replaceChildren(); return; }
    const channels = JSON.parse(element.dataset.channels);
    const time = clock(element.dataset.zone);
    const table = document.createElement("table");
    cells(table.createTHead().insertRow(), "th", ["End of interval", ...channels.map((c) => c.label)]);
    const body = table.createTBody();
    for (let at = state.answer.time.length - 1; at >= 0; at -= 1) {
      cells(body.insertRow(), "td", [time(state.answer.time[at]),
        ...channels.map((channel, index) => amount(state.answer.series[index][at], channel.unit))]);
    }
    place.replaceChildren(table);
  };
  document.addEventListener("toggle", (event) => {
    if (event.target.matches("details[data-chart]")) tabulate(event.target);
  }, true);

  // --- what changes them ---------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-range]");
    if (!button) return;
    const element = document.getElementById(button.getAttribute("aria-controls"));
    element.dataset.range = button.dataset.range;
    for (const other of button.parentElement.children) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    load(element);
  });
  document.addEventListener("themechange", () => { for (const element of charts.keys()) build(element); });
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => {
      for (const [element, { plot }] of charts) plot.setSize(size(element));
    }, 100);
  });
  for (const element of document.querySelectorAll(".chart")) {
    element.addEventListener("news", () => load(element));
    load(element);
  }
})();
