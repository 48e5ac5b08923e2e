// Draws the usage page's plots from the numbers that the page brings; without it the table says the same.
(() => {
  "use strict";

  const source = document.getElementById("usage-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const places = data.labels.map((_, place) => place);
  const charts = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = (more) => ({ stroke: () => colour("--tblr-secondary"), grid: { stroke: () => colour("--lab-line"), width: 1 }, ticks: { show: false }, font: "11px Inter, sans-serif", ...more });
  const top = (values) => Math.max(...values.flat().filter((value) => value !== null), 0) * 1.05 || 1;
  const words = (value, unit) => `${Number(value.toFixed(1))}${unit}`;

  const draw = (host, series, columns, unit) => {
    const high = top(columns);
    const plot = new uPlot(
      {
        width: host.clientWidth || 320,
        height: 208,
        scales: { x: { time: false, range: [-0.6, places.length - 0.4] }, y: { range: [0, high] } },
        axes: [
          axis({ space: 56, size: 24, grid: { show: false }, incrs: [1, 2, 7, 14, 28, 56], values: (u, ticks) => ticks.map((place) => data.labels[place] ?? "") }),
          axis({ size: 56, space: 32, values: (u, ticks) => ticks.map((value) => words(value, unit)) }),
        ],
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 8, 0, 0],
        series: [{}, ...series],
      },
      [places, ...columns],
      host,
    );
    new ResizeObserver(() => host.clientWidth && plot.setSize({ width: host.clientWidth, height: 208 })).observe(host);
    charts.push(plot);
  };

  const bars = (variable) => ({ width: 0, fill: () => colour(variable), stroke: () => colour(variable), paths: uPlot.paths.bars({ size: [0.7, 48], radius: 0.1 }), points: { show: false } });
  const line = (variable) => ({ width: 1.5, stroke: () => colour(variable), spanGaps: true, points: { show: true, size: 5, fill: () => colour(variable) } });

  document.querySelectorAll("[data-usage-key], [data-usage-panel], [data-usage-chart]").forEach((element) => (element.hidden = false));
  document.querySelectorAll("[data-usage-table]").forEach((table) => (table.open = false));
  document.querySelectorAll("[data-usage-chart]").forEach((host) => {
    if (host.dataset.usageChart === "hours") draw(host, [bars("--lab-control"), bars("--lab-accent")], [data.hours, data.busy], " h");
    else draw(host, [line("--lab-wait"), line("--lab-accent")], [data.p95, data.median], " min");
  });
  document.addEventListener("gpulab:theme", () => charts.forEach((plot) => plot.redraw(false, true)));
})();
