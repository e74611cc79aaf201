/*
 * Enhancements only: every page works without this file. It owns six things, each found by an attribute in the page:
 *
 *   .countdown[data-seconds]     seconds left of the confirm window; counts down and then loads the page again
 *   form.edit                    asks before one leaves the page with edits that were not sent
 *   form                         is sent once: its buttons are disabled until an answer is there (data-repeat: not so)
 *   form[data-upload="/lbadmin/…"]  is sent with its file, its p.upload tells how far it is; then the page named is loaded.
 *                                input[data-most]: a file of more bytes is not sent
 *   [sse-connect] span[id]       a value that the live view sends anew
 *   .chart[data-src="/lbadmin/…"] a graph from JSON, drawn by uPlot (loaded on the first page with a graph):
 *        {"unit": "bytes/s", "times": [unix seconds], "series": [{"label": "in", "values": [number or null]}]}
 *        data-refresh="30"       asks again every 30 s; what is inside the element stays (a table for those without graphs)
 *
 * Nothing here evaluates text, writes HTML or speaks to another host.
 */
(() => {
  "use strict";
  const uplotUrl = document.currentScript?.dataset.uplot;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // ---- confirm window ----
  let edited = null;
  const ends = new WeakMap();
  const tick = () => {
    for (const element of all(".countdown[data-seconds]")) {
      if (!ends.has(element)) ends.set(element, Date.now() + 1000 * Number(element.dataset.seconds));
      const left = Math.ceil((ends.get(element) - Date.now()) / 1000);
      element.textContent = Math.max(0, left);
      // The unit needs a moment; what somebody is typing is not thrown away for it.
      if (left < -2 && !edited?.isConnected) {
        ends.set(element, Infinity);
        location.reload();
      }
    }
  };

  // ---- edited forms ----
  let leaving = false;
  document.addEventListener("input", (event) => {
    const form = event.target.closest?.("form.edit");
    if (form) edited = form;
  });
  addEventListener("beforeunload", (event) => {
    if (edited?.isConnected && !leaving) event.preventDefault();
  });

  // ---- an upload tells how far it is; before "send once", which leaves alone what is sent here ----
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const input = form.matches("[data-upload]") && form.querySelector("input[type=file]");
    const file = input && input.files[0];
    if (!file) return;
    event.preventDefault();
    if (form.hasAttribute("aria-busy")) return;
    const line = form.querySelector(".upload");
    const [words, bar] = [line.querySelector("span"), line.querySelector("progress")];
    const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 99.5e5 ? 1 : 0)} MB`;
    line.hidden = false;
    if (input.dataset.most && file.size > Number(input.dataset.most) + 8192) {
      bar.hidden = true;
      words.textContent = `✕ The file has ${megabytes(file.size)}, and ${megabytes(Number(input.dataset.most))} is the most.`;
      return;
    }
    bar.hidden = false;
    form.setAttribute("aria-busy", "true");
    const buttons = all("button", form);
    buttons.forEach((button) => (button.disabled = true));
    const data = new FormData(form);
    const request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded, total }) => {
      bar.value = (100 * loaded) / total;
      words.textContent = loaded < total ? `… ${megabytes(loaded)} of ${megabytes(total)}` : "… The signature is checked";
    };
    request.onload = () => {
      edited = null;
      // Whatever became of it, the page says so.
      location.assign(form.dataset.upload);
    };
    request.onerror = () => {
      words.textContent = "✕ The upload broke off; nothing was changed. Try again.";
      form.removeAttribute("aria-busy");
      buttons.forEach((button) => (button.disabled = false));
    };
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "text/plain");
    request.send(data);
  });

  // ---- send once ----
  const release = (form) => {
    for (const button of all("[data-sent]", form)) {
      button.disabled = false;
      delete button.dataset.sent;
    }
    form.removeAttribute("aria-busy");
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented && !form.matches("[hx-post], [hx-get], [hx-put], [hx-delete]")) return;
    leaving = true;
    if (form.matches("[data-repeat]")) return;
    // After this turn: a disabled button would not send its own name and value.
    setTimeout(() => {
      leaving = false;
      if (form === edited) edited = null;
      form.setAttribute("aria-busy", "true");
      for (const button of all("button:not([type=button]):not([disabled])", form)) {
        button.dataset.sent = "";
        button.disabled = true;
      }
      // A download does not leave the page.
      setTimeout(() => release(form), 8000);
    }, 0);
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.target.closest?.("form");
    if (form) release(form);
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) all("form").forEach(release);
  });

  // ---- the menu of a phone closes by Escape ----
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || location.hash !== "#menu") return;
    location.hash = "#main";
    document.querySelector(".menu-button")?.focus();
  });

  // ---- logs that follow stay at their end, unless one has scrolled up ----
  const follow = () => all("pre.log[data-follow]").forEach((log) => {
    if (log.scrollHeight - log.scrollTop - log.clientHeight < 80 || !log.dataset.placed) log.scrollTop = log.scrollHeight;
    log.dataset.placed = "1";
  });

  // ---- live values: a cell takes the place of the one with its id; those that this page does not have are left out ----
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    event.preventDefault();
    const news = new DOMParser().parseFromString(event.detail.data, "text/html");
    for (const cell of all("span[id]", news)) document.getElementById(cell.id)?.replaceWith(document.adoptNode(cell));
    follow();
  });

  // ---- graphs ----
  const plots = new Map();
  let uplot = null;
  const loadUplot = () => uplot ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = uplotUrl;
    script.onload = resolve;
    script.onerror = () => reject(new Error("the graph library did not load"));
    document.head.append(script);
  });
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dashes = [[], [6, 3], [2, 3], [10, 4], [6, 3, 2, 3], [1, 4]];
  // 1500000 B/s -> 1.5 MB/s
  const measured = (value, unit) => {
    const steps = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];
    const [size, letter] = steps.find(([least]) => Math.abs(value) >= least) ?? [1, ""];
    const number = Number((value / size).toPrecision(3));
    return letter === "" && (unit === "" || unit.startsWith("/")) ? `${number}${unit}` : `${number} ${letter}${unit}`;
  };
  const note = (chart, text) => {
    let line = chart.querySelector(".chart-note");
    if (!line) {
      line = document.createElement("p");
      line.className = "chart-note";
      chart.append(line);
    }
    line.textContent = text;
    line.hidden = text === "";
  };
  const draw = (chart, data) => {
    const values = [data.times, ...data.series.map((one) => one.values)];
    const known = plots.get(chart);
    if (known && known.unit === data.unit && known.plot.series.length === values.length) {
      known.data = data;
      known.plot.setData(values);
      return;
    }
    known?.plot.destroy();
    known?.watch.disconnect();
    let place = chart.querySelector(".chart-plot");
    if (!place) {
      place = document.createElement("div");
      place.className = "chart-plot";
      const heading = chart.querySelector("h2, h3");
      heading ? heading.after(place) : chart.prepend(place);
    }
    const clock = (time, withDay) => {
      const at = new Date(time * 1000);
      const two = (n) => String(n).padStart(2, "0");
      const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      return `${withDay ? `${day} ` : ""}${two(at.getHours())}:${two(at.getMinutes())}`;
    };
    // A tick at midnight says the day instead.
    const days = (_, ticks) => ticks.map((time) => (clock(time) === "00:00" ? clock(time, true).slice(5, 10) : clock(time)));
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { stroke: colour("--grid"), width: 1 }, font: "12px system-ui" };
    const unit = data.unit ?? "";
    const plot = new window.uPlot({
      width: Math.max(200, place.clientWidth),
      height: 210,
      cursor: { y: false, drag: { x: true, y: false } },
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1] } },
      axes: [{ ...axis, values: days, size: 32 }, { ...axis, size: 72, values: (_, ticks) => ticks.map((value) => measured(value, unit)) }],
      series: [
        { value: (_, time) => (time == null ? "–" : clock(time, true)) },
        ...data.series.map((one, index) => ({
          label: one.label,
          stroke: colour(`--series-${1 + (index % 6)}`),
          width: 1.6,
          dash: dashes[index % dashes.length],
          spanGaps: false,
          points: { show: data.times.length < 3 },
          value: (_, value) => (value == null ? "–" : measured(value, unit)),
        })),
      ],
    }, values, place);
    const watch = new ResizeObserver(() => plot.setSize({ width: Math.max(200, place.clientWidth), height: 210 }));
    watch.observe(place);
    plots.set(chart, { plot, unit: data.unit, data, watch });
  };
  const fetchChart = async (chart) => {
    try {
      const [answer] = await Promise.all([fetch(chart.dataset.src, { headers: { Accept: "application/json" } }), loadUplot()]);
      if (!answer.ok) throw new Error(`the load balancer answered ${answer.status}`);
      const data = await answer.json();
      const empty = !data.times.length || !data.series.length;
      note(chart, empty ? "Nothing recorded in this period yet." : "");
      if (!empty) draw(chart, data);
    } catch (error) {
      note(chart, `No graph: ${error.message}.`);
    }
  };
  const startCharts = () => {
    for (const [chart, { plot, watch }] of plots) {
      if (chart.isConnected) continue;
      watch.disconnect();
      plot.destroy();
      plots.delete(chart);
    }
    for (const chart of all(".chart[data-src]:not([data-started])")) {
      chart.dataset.started = "";
      fetchChart(chart);
      const seconds = Number(chart.dataset.refresh);
      if (!(seconds > 0)) continue;
      const timer = setInterval(() => {
        if (!chart.isConnected) clearInterval(timer);
        else if (!document.hidden) fetchChart(chart);
      }, 1000 * seconds);
    }
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [chart, { plot, watch, data }] of [...plots]) {
      watch.disconnect();
      plot.destroy();
      plots.delete(chart);
      draw(chart, data);
    }
  });

  const start = () => {
    tick();
    startCharts();
    follow();
  };
  document.addEventListener("htmx:afterSettle", start);
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
  setInterval(tick, 500);
})();
