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
  calls: ["Force calls", 0],
  change: ["Energy change, meV/atom", 1],
  volume: ["Volume change, %", 2],
};

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
    const button = make(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": "false",
        onclick: () => {
          chosen.has(name) ? chosen.delete(name) : chosen.add(name);
          button.setAttribute("aria-pressed", String(chosen.has(name)));
          switched(chosen);
        },
      },
      statusMark(name),
      make("b", { text: whole(count) }),
      make("span", { class: "quiet", text: `${fixed(part, part < 10 ? 1 : 0)} %` }),
    );
    return button;
  });
  const strip = make(
    "div",
    { class: "strip", "aria-hidden": "true" },
    ...meta.statuses.map(([status, count]) => {
      const piece = make("span", { class: tone(status) });
      piece.style.flexGrow = String(count);
      return piece;
    }),
  );
  return make(
    "div",
    { class: "statuses" },
    strip,
    make("div", { class: "chips", role: "group", "aria-label": "Show only these statuses" }, ...buttons),
  );
}

function histogramCards(meta) {
  const found = Object.entries(HISTOGRAMS).filter(([key]) => meta.histograms[key].counts.length);
  return found.map(([key, [title, digits]]) => {
    const { edges, counts, below, above, median } = meta.histograms[key];
    const host = make("div", { class: "chart" });
    const outside = [
      [below, "below"],
      [above, "above"],
    ]
      .filter(([count]) => count)
      .map(([count, where]) => `${whole(count)} ${where}`);
    const beyond = outside.length ? `; beyond the bars: ${outside.join(", ")}` : "";
    const words = `median ${fixed(median, digits)}${beyond}`;
    const box = card(title, host, make("p", { class: "quiet small", text: words }));
    return [box, () => bars(host, { edges, counts, words: `Histogram of ${title}, ${words}` })];
  });
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
  const used = COLUMNS.filter(
    ({ key }) =>
      key === "name" || rows.some((row) => row[key] !== null && row[key] !== "" && row[key] !== "-"),
  );
  const table = new Table(used, rows, (row) => detail.show(row));
  const count = make("span", { class: "quiet", role: "status" });
  let statuses = new Set();
  const search = make("input", {
    type: "search",
    id: "search",
    placeholder: "Filter: words, or limits such as calls>50 volume<-5",
    "aria-label": "Filter the table by words, or by limits such as calls>50",
    oninput: () => filter(),
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
  main.append(
    card("How they ended", chips),
    make("div", { class: "triple" }, ...histograms.map(([box]) => box)),
    make(
      "div",
      { class: "columns wide" },
      make(
        "section",
        { class: "card", "aria-label": "Table" },
        make("div", { class: "bar" }, search, count),
        table.pane,
      ),
      detail.box,
    ),
  );
  for (const [, draw] of histograms) draw();
  filter();
  main.setAttribute("aria-busy", "false");
  await painted();
  detail.begin();
  if (rows.length) table.select(0);
}
