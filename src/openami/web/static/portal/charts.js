// Charts: <div class="chart" data-chart='{"labels", "names", "series": [{"name", "kind", "values"}], "hint"}'>.
// The server has made the words; the same figures are in the table below each chart.
"use strict";
(() => {
  const charts = new Map(); // element -> plot
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const narrow = matchMedia("(max-width: 40rem)");
  const font = "14px Pretendard, system-ui, sans-serif";
  const pen = document.createElement("canvas").getContext("2d"); // measures labels
  pen.font = font;
  const format = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 2 });
  const kwh = (value) => `${format.format(Math.abs(value))}\u202fkWh`;

  const BARS = () => uPlot.paths.bars({ size: [0.72, 64], radius: [0.25, 0] });
  const STYLES = {
    used: () => ({ fill: color("--bar"), width: 0, paths: BARS() }),
    partly: () => ({ fill: color("--bar-partly"), stroke: color("--bar"), width: 1.5, dash: [4, 3], paths: BARS() }),
    given: () => ({ fill: color("--bar-given"), width: 0, paths: BARS() }),
    before: () => ({
      stroke: color("--before"), width: 0, paths: () => null,
      points: { show: true, size: 9, width: 2.5, stroke: color("--before"), fill: color("--card") },
    }),
  };

  const axis = (extra) => ({ stroke: color("--soft"), font, ticks: { show: false }, ...extra });
  const height = () => (narrow.matches ? 240 : 320);

  const readout = (element, data, place) => {
    const said = element.querySelector(".readout");
    said.classList.toggle("hint", place == null);
    if (place == null) { said.textContent = data.hint; return; }
    const values = data.series.filter((each) => each.values[place] != null)
      .map((each) => `${each.name} ${kwh(each.values[place])}`);
    said.textContent = `${data.names[place]}: ${values.join(" · ") || "–"}`;
  };

  const legend = (data) => {
    const list = document.createElement("ul");
    list.className = "legend";
    for (const each of data.series) {
      const item = document.createElement("li");
      const dot = document.createElement("i");
      dot.className = each.kind;
      item.append(dot, each.name);
      list.append(item);
    }
    return list;
  };

  const draw = (element) => {
    const data = JSON.parse(element.dataset.chart);
    charts.get(element)?.destroy();
    const place = document.createElement("div");
    const said = document.createElement("p");
    said.className = "readout";
    element.replaceChildren(said, place, legend(data));
    readout(element, data, null);
    const count = data.labels.length;
    const widest = Math.max(...data.labels.map((label) => pen.measureText(label).width)) + 12;
    const every = Math.ceil((count * widest) / element.clientWidth);
    charts.set(element, new uPlot({
      width: element.clientWidth, height: height(),
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false, points: { show: false } },
      scales: {
        x: { time: false, range: () => [-0.6, count - 0.4] },
        y: { range: (_plot, low, high) => [Math.min(low, 0) * 1.08, Math.max(high, 0.1) * 1.08] },
      },
      axes: [
        axis({ grid: { show: false }, splits: () => data.labels.map((_, at) => at),
          values: (_plot, splits) => splits.map((at) => (at % every ? "" : data.labels[at])), size: 34 }),
        axis({ grid: { stroke: color("--line"), width: 1 }, size: 52, space: 48,
          values: (_plot, splits) => splits.map((value) => format.format(Math.abs(value))) }),
      ],
      series: [{}, ...data.series.map((each) => ({ points: { show: false }, ...STYLES[each.kind]() }))],
      hooks: { setCursor: [(plot) => readout(element, data, plot.cursor.idx)] },
    }, [data.labels.map((_, at) => at), ...data.series.map((each) => each.values)], place));
    element.dataset.bars = String(count);
  };

  const drawAll = () => {
    for (const element of charts.keys()) {
      if (!element.isConnected) { charts.get(element).destroy(); charts.delete(element); }
    }
    for (const element of document.querySelectorAll(".chart")) draw(element);
  };
  drawAll();
  document.fonts.load(font).then(drawAll); // a canvas does not wait for its typeface
  document.addEventListener("htmx:afterSettle", drawAll);
  document.addEventListener("themechange", drawAll);
  let resizing = 0;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(drawAll, 120); });
})();
