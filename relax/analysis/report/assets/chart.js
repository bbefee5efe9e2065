"use strict";

// Curves and bars, by uPlot.

const FONT = "12px system-ui, sans-serif";

/** Return an axis of a chart. */
function axis(more) {
  return {
    stroke: () => theme.colour("quiet"),
    font: FONT,
    labelFont: FONT,
    labelSize: 18,
    labelGap: 2,
    grid: { stroke: () => theme.colour("grid"), width: 1 },
    ticks: { stroke: () => theme.colour("grid"), width: 1, size: 4 },
    ...more,
  };
}

/** Return a number as the label of a tick. */
function tickText(value) {
  if (value === null) return "";
  const large = Math.abs(value);
  if (large !== 0 && (large < 1e-3 || large >= 1e6)) return value.toExponential(0).replace("-", MINUS);
  return String(Number(value.toPrecision(6))).replace("-", MINUS);
}

/** Draw a chart into a box when it has its width, and again when that changes. */
function drawChart(host, height, options, data) {
  const plot = new uPlot(
    { width: host.clientWidth || 400, height, legend: { show: false }, ...options },
    data,
    host,
  );
  new ResizeObserver(() => plot.setSize({ width: host.clientWidth, height })).observe(host);
  theme.listeners.push(() => plot.redraw());
  return plot;
}

/** Return the limits of a logarithmic axis: whole powers of ten around what is above zero. */
function powers(values) {
  const above = values.filter((value) => value > 0);
  if (!above.length) return [0.1, 1];
  const low = Math.floor(Math.log10(Math.min(...above)) + 1e-9);
  const high = Math.ceil(Math.log10(Math.max(...above)) - 1e-9);
  return [10 ** low, 10 ** Math.max(high, low + 1)];
}

/** Return the powers of ten between two of them, at most six. */
function decades([low, high]) {
  const [first, last] = [low, high].map((value) => Math.round(Math.log10(value)));
  const stride = Math.ceil((last - first + 1) / 6);
  return Array.from(
    { length: Math.floor((last - first) / stride) + 1 },
    (_, k) => 10 ** (first + k * stride),
  );
}

/** Draw a curve against force calls, and its limit dashed; `picked` is told of the point that is clicked. */
function curve(host, { label, x, y, limit = null, log, xLabel, picked, marked, height = 170 }) {
  const series = (limit ? [y, limit] : [y]).map((values) =>
    log ? values.map((value) => (value > 0 ? value : null)) : values,
  );
  const limits = log ? powers(series.flat()) : null;
  const plot = drawChart(
    host,
    height,
    {
      scales: {
        x: { time: false, range: x.length > 1 ? undefined : [x[0] - 1, x[0] + 1] },
        y: log ? { distr: 3, range: () => limits } : {},
      },
      padding: [8, 10, 0, 0],
      cursor: { y: false, sync: { key: "path" }, points: { size: 7 }, drag: { x: false, y: false } },
      axes: [
        axis({
          label: xLabel,
          size: 34,
          space: 60,
          incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 1e5, 1e6],
        }),
        axis({
          size: 62,
          values: (_, ticks) => ticks.map(tickText),
          ...(log ? { splits: () => decades(limits) } : {}),
        }),
      ],
      series: [
        {},
        {
          label,
          stroke: () => theme.colour("accent"),
          width: 1.6,
          spanGaps: true,
          points: {
            show: x.length <= 60,
            size: 5,
            fill: () => theme.colour("accent"),
            stroke: () => theme.colour("accent"),
          },
        },
        ...(limit
          ? [{ stroke: () => theme.colour("quiet"), width: 1.2, dash: [5, 4], points: { show: false } }]
          : []),
      ],
      hooks: {
        draw: [
          (self) => {
            const at = marked();
            if (at === null) return;
            const context = self.ctx;
            const left = Math.round(self.valToPos(x[at], "x", true)) + 0.5;
            context.save();
            context.strokeStyle = theme.colour("force");
            context.lineWidth = 1.5 * devicePixelRatio;
            context.setLineDash([]);
            context.beginPath();
            context.moveTo(left, self.bbox.top);
            context.lineTo(left, self.bbox.top + self.bbox.height);
            context.stroke();
            context.restore();
          },
        ],
      },
    },
    [x, ...series],
  );
  plot.over.addEventListener("click", () => plot.cursor.idx !== null && picked(plot.cursor.idx));
  return plot;
}

/** Draw bars; `words` says what they are. */
function bars(host, { edges, counts, words, height = 122 }) {
  const middles = counts.map((_, k) => (edges[k] + edges[k + 1]) / 2);
  host.setAttribute("role", "img");
  host.setAttribute("aria-label", words);
  const width = edges[1] - edges[0];
  return drawChart(
    host,
    height,
    {
      scales: {
        x: { time: false, range: [edges[0] - width / 2, edges[edges.length - 1] + width / 2] },
        y: { range: (_, __, high) => [0, Math.max(high, 1) * 1.05] },
      },
      padding: [8, 10, 0, 0],
      cursor: { y: false, drag: { x: false, y: false } },
      axes: [
        axis({ size: 28, space: 54, grid: { show: false }, values: (_, ticks) => ticks.map(tickText) }),
        axis({
          size: 46,
          incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5],
          values: (_, ticks) => ticks.map(whole),
        }),
      ],
      series: [
        {},
        {
          fill: () => theme.colour("bar"),
          stroke: () => theme.colour("bar"),
          width: 0,
          points: { show: false },
          paths: uPlot.paths.bars({ size: [0.92, 100] }),
        },
      ],
    },
    [middles, counts],
  );
}
