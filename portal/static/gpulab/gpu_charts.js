// Draws what live.js hears: a card's utilisation and memory, a lab's use, a card's last day. Numbers in the page
// ([data-gpu] with [data-value="…"]) are written anew; without JavaScript they are what the server rendered.
(() => {
  "use strict";

  const WINDOW_S = 300;
  const STEPS_S = [30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 14400, 21600];
  const RELOAD_AFTER_MS = 20000;
  const charts = new Set();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const gib = (mib) => (mib === null || mib === undefined ? "–" : `${(mib / 1024).toFixed(1)}`);
  const or = (value, unit, digits = 0) => (value === null || value === undefined ? "–" : `${Number(value).toFixed(digits)}${unit}`);

  // A canvas knows no CSS variables: colours are resolved when it is drawn, and drawn again when the theme changes.
  const axis = (more) => ({
    stroke: () => colour("--tblr-secondary"),
    grid: { stroke: () => colour("--lab-line"), width: 1 },
    ticks: { show: false },
    font: "11px Inter, sans-serif",
    ...more,
  });

  const line = (label, scale, variable, fill) => ({
    label,
    scale,
    width: 1.5,
    stroke: () => colour(variable),
    fill: fill ? () => `color-mix(in srgb, ${colour(variable)} 14%, transparent)` : undefined,
    points: { show: false },
    spanGaps: false,
  });

  class Chart {
    // `lines`: [{label, scale, variable, fill, pick}]; `scales`: {name: [low, high] | unit}
    constructor(host, { lines, left, right, windowS = WINDOW_S, height }) {
      this.host = host;
      this.windowS = windowS;
      this.height = height;
      this.data = [[], ...lines.map(() => [])];
      const scales = { x: { time: true, range: () => this.span() } };
      const axes = [axis({ space: 56, size: 24, incrs: STEPS_S, values: (u, times) => this.clocks(times) })];
      [left, right].filter(Boolean).forEach((one, place) => {
        scales[one.scale] = { range: one.range };
        axes.push(axis({ scale: one.scale, side: place ? 1 : 3, size: 44, space: 24, grid: { show: !place, stroke: () => colour("--lab-line"), width: 1 }, values: (u, ticks) => ticks.map(one.words) }));
      });
      this.plot = new uPlot(
        {
          width: host.clientWidth || 320,
          height,
          scales,
          axes,
          legend: { show: false },
          cursor: { show: false },
          padding: [8, right ? 0 : 8, 0, 0],
          series: [{}, ...lines.map((one) => line(one.label, one.scale, one.variable, one.fill))],
        },
        this.data,
        host,
      );
      new ResizeObserver(() => this.resize()).observe(host);
      charts.add(this);
    }

    span() {
      const last = this.data[0].at(-1) ?? Date.now() / 1000;
      return [last - this.windowS, last];
    }

    clocks(times) {
      const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
      if (times.some((at) => at % 60)) options.second = "2-digit";
      return times.map((at) => new Date(at * 1000).toLocaleTimeString(undefined, options));
    }

    resize() {
      if (this.host.clientWidth) this.plot.setSize({ width: this.host.clientWidth, height: this.height });
    }

    replace(columns) {
      this.data = columns;
      this.draw();
    }

    append(values) {
      if (values[0] <= (this.data[0].at(-1) ?? 0)) return;
      values.forEach((value, place) => this.data[place].push(value ?? null));
      const first = this.data[0].findIndex((at) => at >= values[0] - this.windowS);
      if (first > 0) this.data.forEach((column) => column.splice(0, first));
      this.draw();
    }

    draw() {
      this.plot.setData(this.data);
    }
  }

  const percent = { scale: "%", range: [0, 100], words: (value) => `${value} %` };

  // Cards -------------------------------------------------------------------------------------------------------------
  const cards = new Map(); // uuid -> {node, element, charts}

  const memoryAxis = (total) => ({ scale: "GiB", range: [0, Math.max(total / 1024, 1)], words: (value) => `${value} G` });

  const adopt = (element) => {
    const total = Number(element.dataset.total) || 1024;
    const made = [];
    element.querySelectorAll("[data-chart]").forEach((host) => {
      const height = Number(host.dataset.height) || 112;
      if (host.dataset.chart === "use") {
        const lines = [{ label: "GPU", scale: "%", variable: "--lab-accent", fill: true }];
        made.push({ names: ["gpu_pct"], chart: new Chart(host, { lines, left: percent, height }) });
      } else if (host.dataset.chart === "memory") {
        const lines = [{ label: "Memory", scale: "GiB", variable: "--lab-good", fill: true }];
        made.push({ names: ["memory_used_mib"], scale: 1 / 1024, chart: new Chart(host, { lines, left: memoryAxis(total), height }) });
      } else if (host.dataset.chart === "heat") {
        const lines = [
          { label: "Power", scale: "W", variable: "--lab-accent" },
          { label: "Temperature", scale: "°C", variable: "--lab-wait" },
        ];
        const left = { scale: "W", range: [0, Math.max(Number(element.dataset.powerLimit) || 300, 100)], words: (value) => `${value} W` };
        const right = { scale: "°C", range: [20, 100], words: (value) => `${value}°` };
        made.push({ names: ["power_w", "temperature_c"], chart: new Chart(host, { lines, left, right, height }) });
      }
    });
    cards.set(element.dataset.gpu, { element, charts: made });
  };

  const column = (values, scale) => (scale ? values.map((value) => (value === null ? null : value * scale)) : [...values]);

  const past = (message) => {
    Object.entries(message.cards).forEach(([uuid, columns]) => {
      (cards.get(uuid)?.charts ?? []).forEach(({ names, scale, chart }) => {
        const fresh = [[...message.at], ...names.map((name) => column(columns[name], scale))];
        if (message.after) fresh[0].forEach((at, row) => chart.append(fresh.map((values) => values[row])));
        else chart.replace(fresh);
      });
    });
  };

  const write = (element, name, words) => {
    element.querySelectorAll(`[data-value="${name}"]`).forEach((place) => {
      if (place.textContent !== words) place.textContent = words;
    });
  };

  // A screen on a wall names nobody. A card that is not offered to anybody is not free.
  const holder = (element, card) => {
    if (card.holder) return "anonymous" in element.dataset ? "in use" : card.holder;
    const health = element.querySelector("[data-health]")?.dataset.health ?? "ok";
    return card.fault || health !== "ok" ? "nobody" : "free";
  };

  const numbers = (element, card) => {
    write(element, "gpu_pct", or(card.gpu_pct, " %"));
    write(element, "memory", `${gib(card.memory_used_mib)} of ${gib(card.memory_total_mib)} GiB`);
    write(element, "temperature", or(card.temperature_c, " °C"));
    write(element, "power", card.power_limit_w ? `${or(card.power_w, "")} of ${or(card.power_limit_w, " W")}` : or(card.power_w, " W"));
    write(element, "clocks", `${or(card.sm_mhz, "")} / ${or(card.memory_mhz, " MHz")}`);
    write(element, "ecc", card.ecc_errors === null ? "not counted" : `${card.ecc_errors}`);
    const whose = holder(element, card);
    write(element, "holder", whose);
    write(element, "fault", card.fault);
    element.querySelectorAll("[data-bar='memory']").forEach((bar) => (bar.value = card.memory_used_mib ?? 0));
    element.classList.toggle("gpu-faulty", Boolean(card.fault));
    element.classList.toggle("gpu-mine", Boolean(card.mine) && !("anonymous" in element.dataset));
    element.classList.toggle("gpu-free", whose === "free");
  };

  const processes = (element, card) => {
    const body = element.querySelector("[data-processes]");
    if (!body || !card.processes) return;
    const rows = card.processes.map((one) => {
      const row = document.createElement("tr");
      const memory = one.memory_mib === null ? "–" : `${gib(one.memory_mib)} GiB`;
      const cells = { PID: one.pid, Name: one.name || "ended", Memory: memory, Lab: one.lab || "none", Command: one.command };
      Object.entries(cells).forEach(([label, words]) => {
        const cell = row.appendChild(document.createElement("td"));
        cell.dataset.label = label;
        cell.classList.toggle("nowrap", label === "Memory");
        (label === "Command" ? cell.appendChild(document.createElement("code")) : cell).textContent = words;
      });
      return row;
    });
    body.replaceChildren(...rows);
    body.closest("[data-processes-table]").hidden = rows.length === 0;
    element.querySelectorAll("[data-no-processes]").forEach((words) => (words.hidden = rows.length > 0));
  };

  // A card that joined the fleet after the page was opened has no place in it yet.
  const grow = (message) => {
    if (!document.querySelector("[data-gpu-grid]") || message.cards.every((card) => cards.has(card.uuid))) return;
    if (performance.now() > RELOAD_AFTER_MS) location.reload();
  };

  const now = (message) => {
    grow(message);
    message.cards.forEach((card) => {
      const known = cards.get(card.uuid);
      if (!known) return;
      known.charts.forEach(({ names, scale, chart }) => {
        chart.append([message.at, ...names.map((name) => (card[name] === null ? null : card[name] * (scale ?? 1)))]);
      });
      numbers(known.element, card);
      processes(known.element, card);
    });
    document.querySelectorAll("[data-free]").forEach((place) => {
      const kind = place.dataset.free === "slice" ? "[data-slice]" : ":not([data-slice])";
      place.textContent = document.querySelectorAll(`.gpu-card.gpu-free${kind}`).length;
    });
  };

  // A card's last day, from the table that the page brings -------------------------------------------------------------
  const day = (host) => {
    const source = document.getElementById(host.dataset.day);
    const data = JSON.parse(source.textContent);
    const lines = [
      { label: "GPU", scale: "%", variable: "--lab-accent", fill: true },
      { label: "Memory", scale: "%", variable: "--lab-good" },
    ];
    const chart = new Chart(host, { lines, left: percent, height: 160, windowS: 86400 });
    chart.replace([data.at, data.gpu, data.memory]);
  };

  // A lab's use: [data-lab-charts=<id>] with data-memory (MiB), data-shm (MiB) and data-cpus ------------------------------
  const labs = new Map();

  const adoptLab = (element) => {
    const kinds = {
      cpu: { top: Number(element.dataset.cpus) * 100, words: (value) => `${value} %`, pick: (one) => one.cpu_pct, variable: "--lab-accent" },
      memory: { top: Number(element.dataset.memory) / 1024, words: (value) => `${value} G`, pick: (one) => one.memory_mib / 1024, variable: "--lab-good" },
      shm: { top: Number(element.dataset.shm) / 1024, words: (value) => `${value} G`, pick: (one) => (one.shm_mib === null ? null : one.shm_mib / 1024), variable: "--lab-wait" },
      gpu: { top: 100, words: (value) => `${value} %`, pick: (one) => mean(one.gpus.map((gpu) => gpu.gpu_pct)), variable: "--lab-accent" },
    };
    const made = [...element.querySelectorAll("[data-chart]")].map((host) => {
      const kind = kinds[host.dataset.chart];
      const left = { scale: "y", range: [0, kind.top || 1], words: kind.words };
      const lines = [{ label: host.dataset.chart, scale: "y", variable: kind.variable, fill: true }];
      return { pick: kind.pick, chart: new Chart(host, { lines, left, height: Number(host.dataset.height) || 112 }) };
    });
    labs.set(element.dataset.labCharts, { element, charts: made });
  };

  const mean = (values) => {
    const known = values.filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };

  const labNumbers = (element, one) => {
    const total = (name) => one.gpus.reduce((sum, gpu) => sum + (gpu[name] ?? 0), 0);
    write(element, "cpu", or(one.cpu_pct, " %"));
    write(element, "memory", `${gib(one.memory_mib)} of ${gib(Number(element.dataset.memory))} GiB`);
    write(element, "shm", `${gib(one.shm_mib)} of ${gib(Number(element.dataset.shm))} GiB`);
    write(element, "gpu", or(mean(one.gpus.map((gpu) => gpu.gpu_pct)), " %"));
    write(element, "gpu_memory", `${gib(total("memory_used_mib"))} of ${gib(total("memory_total_mib"))} GiB`);
    write(element, "gpu_power", or(total("power_w"), " W"));
  };

  const usage = (message, samples) => {
    const known = labs.get(message.topic.slice("lab.".length));
    if (!known || !samples.length) return;
    known.charts.forEach(({ pick, chart }) => samples.forEach((one) => chart.append([one.at, pick(one)])));
    labNumbers(known.element, samples.at(-1));
  };

  // ---------------------------------------------------------------------------------------------------------------------
  const adopted = new WeakSet();
  const once = (element, adoptIt) => {
    if (adopted.has(element)) return;
    adopted.add(element);
    adoptIt(element);
  };

  const adoptAll = (root) => {
    root.querySelectorAll("[data-gpu]").forEach((element) => once(element, adopt));
    root.querySelectorAll("[data-lab-charts]").forEach((element) => once(element, adoptLab));
    root.querySelectorAll("[data-day]").forEach((host) => once(host, day));
  };

  adoptAll(document);
  document.body.addEventListener("gpulab:history", (event) => past(event.detail));
  document.body.addEventListener("gpulab:sample", (event) => now(event.detail));
  document.body.addEventListener("gpulab:usage", (event) => usage(event.detail, [event.detail]));
  document.body.addEventListener("gpulab:usage-history", (event) => usage(event.detail, event.detail.samples));
  document.addEventListener("htmx:afterSwap", (event) => adoptAll(event.target));
  document.addEventListener("gpulab:theme", () => charts.forEach((chart) => chart.plot.redraw(false, true)));
})();
