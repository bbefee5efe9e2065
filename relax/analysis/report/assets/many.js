"use strict";

// The page of many runs.

const COLUMNS = [
  { key: "name", title: "structure", width: 112 },
  { key: "formula", title: "formula", width: 82 },
  { key: "status", title: "status", width: 108 },
  { key: "atoms", title: "atoms", width: 48, digits: 0 },
  { key: "calls", title: "calls", width: 46, digits: 0 },
  { key: "energy", title: "energy, eV/atom", width: 80, digits: 4 },
  { key: "change", title: "change, meV/atom", width: 80, digits: 1, sign: true },
  { key: "volume", title: "volume, %", width: 68, digits: 2, sign: true },
  { key: "before", title: "space group before", width: 106 },
  { key: "after", title: "space group after", width: 106 },
];
const HISTOGRAMS = {
  calls: ["Force calls", 0], change: ["Energy change, meV/atom", 1], volume: ["Volume change, %", 2],
};
const SWING = 0.5; // A, the largest displacement along a mode that is shown
const PERIOD = 1600; // ms

/** Return the folder that all names begin with; nothing where there is none. */
function sharedFolder(names) {
  let shared = names.length ? names[0].slice(0, names[0].lastIndexOf("/") + 1) : "";
  for (const name of names) {
    while (!name.startsWith(shared)) shared = shared.slice(0, shared.lastIndexOf("/", shared.length - 2) + 1);
  }
  return shared;
}

/** Return the counts by status, each a button that filters the table. */
function statusBar(meta, switched) {
  const chosen = new Set();
  const buttons = meta.statuses.map(([status, count]) => {
    const name = status || "-";
    const part = (100 * count) / meta.total;
    const button = make("button", {
      type: "button", class: "chip", "aria-pressed": "false",
      onclick: () => {
        chosen.has(name) ? chosen.delete(name) : chosen.add(name);
        button.setAttribute("aria-pressed", String(chosen.has(name)));
        switched(chosen);
      },
    }, statusMark(name), make("b", { text: whole(count) }), make("span", { class: "quiet", text: `${fixed(part, part < 10 ? 1 : 0)} %` }));
    return button;
  });
  const strip = make("div", { class: "strip", "aria-hidden": "true" }, ...meta.statuses.map(([status, count]) => {
    const piece = make("span", { class: tone(status) });
    piece.style.flexGrow = String(count);
    return piece;
  }));
  return make("div", { class: "statuses" }, strip, make("div", { class: "chips", role: "group", "aria-label": "Show only these statuses" }, ...buttons));
}

function histogramCards(meta) {
  const found = Object.entries(HISTOGRAMS).filter(([key]) => meta.histograms[key].counts.length);
  return found.map(([key, [title, digits]]) => {
    const { edges, counts, below, above, median } = meta.histograms[key];
    const host = make("div", { class: "chart" });
    const outside = [[below, "below"], [above, "above"]].filter(([count]) => count).map(([count, where]) => `${whole(count)} ${where}`);
    const beyond = outside.length ? `; beyond the bars: ${outside.join(", ")}` : "";
    const words = `median ${fixed(median, digits)}${beyond}`;
    const box = card(title, host, make("p", { class: "quiet small", text: words }));
    return [box, () => bars(host, { edges, counts, words: `Histogram of ${title}, ${words}` })];
  });
}

/** What is shown of the structure that is selected. */
class Detail {
  constructor(meta, structures) {
    this.meta = meta;
    this.structures = structures;
    this.viewers = { before: new Viewer("Structure before", meta.elements), after: new Viewer("Structure after", meta.elements) };
    this.heading = make("h2", { text: "Structure" });
    this.facts = make("dl", { class: "facts" });
    this.reason = make("p", { class: "small" });
    this.swing = make("button", { type: "button", text: "Animate the soft mode", onclick: () => this.animate() });
    const sides = Object.entries(this.viewers).map(([name, viewer]) => make("figure", {}, make("figcaption", { text: name }), viewer.box));
    this.box = make("section", { class: "card detail", "aria-label": "Selected structure", "aria-live": "polite" },
      this.heading, this.reason, this.facts, make("div", { class: "sides" }, ...sides),
      make("div", { class: "controls" }, toggle("Atom numbers", false, (on) => {
        for (const viewer of Object.values(this.viewers)) { viewer.options.labels = on; viewer.draw(); }
      }), this.swing));
    this.timer = null;
  }

  begin() {
    const { before, after } = this.viewers;
    before.begin();
    after.begin();
    if (before.view && after.view) {
      before.view.linkViewer(after.view);
      after.view.linkViewer(before.view);
    }
  }

  show(row) {
    this.stop();
    this.row = row;
    this.heading.replaceChildren(row.name);
    this.reason.replaceChildren(statusMark(row.status), row.reason ? " " + row.reason : "");
    const facts = [["formula", row.formula], ["force calls", whole(row.calls)], ["energy, eV", fixed(row.energy === null ? null : row.energy * row.atoms, 4)],
      ["energy change, eV", signed(row.change === null ? null : (row.change * row.atoms) / 1e3, 4)], ["fmax, eV/Å", fixed(row.fmax, 4)],
      ["volume change, %", signed(row.volume, 2)], ["space group", row.before || row.after ? `${row.before || "none"} → ${row.after || "none"}` : "–"]];
    if (row.curvature !== null) facts.push(["lowest curvature, eV/Å²", fixed(row.curvature, 3)]);
    this.facts.replaceChildren(...facts.map(([name, text]) => make("div", {}, make("dt", { text: name }), make("dd", { text }))));
    const one = row.drawn === null ? null : this.structures[row.drawn];
    const { scale } = this.meta;
    const cell = (integers) => (integers ? vectors(integers, scale) : null);
    const ended = one && { z: one.z, places: vectors(one.x, scale), cell: cell(one.cell), pbc: one.pbc };
    this.ended = ended;
    this.mode = one && one.mode ? vectors(one.mode, scale) : null;
    const begun = one && one.dx ? { ...ended, places: vectors(one.x.map((x, k) => x + one.dx[k]), scale), cell: cell(one.cell0 || one.cell) } : null;
    for (const [name, structure] of [["before", begun], ["after", ended]]) {
      const viewer = this.viewers[name];
      if (structure) viewer.show(structure, true);
      else viewer.clear(one ? "The start is not known." : "Not drawn.");
    }
    this.swing.hidden = !this.mode;
  }

  animate() {
    if (this.timer !== null) {
      this.stop();
      return;
    }
    this.swing.textContent = "Stop";
    const begun = performance.now();
    this.timer = setInterval(() => {
      const swing = SWING * Math.sin((2 * Math.PI * (performance.now() - begun)) / PERIOD);
      this.viewers.after.show({ ...this.ended, places: this.ended.places.map((place, k) => plus(place, this.mode[k], swing)) });
    }, 50);
  }

  stop() {
    if (this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
    this.swing.textContent = "Animate the soft mode";
    this.viewers.after.show(this.ended);
  }
}

async function showMany(meta, main) {
  const [lists, structures] = await Promise.all([unpack("rows"), unpack("structures")]);
  const rows = lists.map((list, place) => {
    const row = Object.fromEntries(meta.columns.map((name, k) => [name, list[k]]));
    row.place = place;
    row.text = [row.name, row.formula, row.status, row.before, row.after, row.reason].join(" ").toLowerCase();
    return row;
  });
  const shared = sharedFolder(rows.map((row) => row.name));
  for (const row of rows) row.short = row.name.slice(shared.length);
  byId("subtitle").append([meta.words, ...meta.settings].join(" · "));
  const detail = new Detail(meta, structures);
  const used = COLUMNS.filter(({ key }) => key === "name" || rows.some((row) => row[key] !== null && row[key] !== "" && row[key] !== "-"));
  const table = new Table(used, rows, (row) => detail.show(row));
  const count = make("span", { class: "quiet", role: "status" });
  let statuses = new Set();
  const search = make("input", {
    type: "search", id: "search", placeholder: "Filter: words, or limits such as calls>50 volume<-5",
    "aria-label": "Filter the table by words, or by limits such as calls>50", oninput: () => filter(),
  });
  const filter = () => {
    const test = readFilter(search.value, COLUMNS);
    table.filter((row) => (!statuses.size || statuses.has(row.status)) && test(row));
    count.textContent = `${whole(table.shown.length)} of ${several(rows.length, "row")}`;
  };
  const histograms = histogramCards(meta);
  const chips = statusBar(meta, (chosen) => {
    statuses = chosen;
    filter();
  });
  main.append(card("How they ended", chips), make("div", { class: "triple" }, ...histograms.map(([box]) => box)),
    make("div", { class: "columns wide" },
      make("section", { class: "card", "aria-label": "Table" }, make("div", { class: "bar" }, search, count), table.pane), detail.box));
  for (const [, draw] of histograms) draw();
  filter();
  main.setAttribute("aria-busy", "false");
  await painted();
  detail.begin();
  if (rows.length) table.select(0);
}
