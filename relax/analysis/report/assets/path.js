"use strict";

// The page of one run.

/** Return a row of the table of changes. */
function changeRow([name, unit, before, after, digits]) {
  const words = typeof before === "string" || typeof after === "string";
  const cell = (value) =>
    make("td", { class: words ? "text" : "number", text: words ? value : fixed(value, digits) });
  let change = "";
  if (words) change = before === after ? "kept" : "changed";
  else if (before !== null && after !== null) {
    change = signed(after - before, digits);
    if (name === "volume" && before) change += ` (${signed(100 * (after / before - 1), 2)} %)`;
  }
  return make(
    "tr",
    {},
    make("th", { scope: "row", text: unit ? `${name}, ${unit}` : name }),
    cell(before),
    cell(after),
    make("td", { class: words ? "text" : "number", text: change }),
  );
}

function tableOf(titles, rows, kind = "") {
  const head = titles.map((title, k) => make("th", { scope: "col", class: k ? "number" : "", text: title }));
  return make(
    "table",
    { class: "plain " + kind },
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
}

/** Return what happened to bonds. */
function bondsCard(meta) {
  if (!meta.bonds)
    return card(
      "Bonds",
      make("p", { class: "quiet", text: "There are too many pairs of atoms to look for bonds." }),
    );
  const { counts } = meta.bonds;
  const rows = ["broken", "formed"].flatMap((kind) =>
    meta.bonds[kind].map(([i, j, before, after]) =>
      make(
        "tr",
        {},
        make("th", { scope: "row", text: `${meta.symbols[i]}${i}–${meta.symbols[j]}${j}` }),
        make("td", { class: "text", text: kind }),
        make("td", { class: "number", text: fixed(before, 3) }),
        make("td", { class: "number", text: fixed(after, 3) }),
      ),
    ),
  );
  const [near, far] = meta.bonded;
  const rule =
    `A bond is nearer than ${near} times the sum of the covalent radii; ` +
    `beyond ${far} times there is none.`;
  const count = make("p", {
    text: `${several(counts.broken, "bond")} broken, ${several(counts.formed, "bond")} formed`,
  });
  return card(
    "Bonds",
    count,
    rows.length
      ? make(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": "Bonds" },
          tableOf(["atoms", "", "before, Å", "after, Å"], rows),
        )
      : null,
    make("p", { class: "quiet small", text: rule }),
  );
}

function changesCard(meta) {
  const { displacement } = meta;
  const rows = meta.changes.map(changeRow);
  const atom = displacement.atom;
  const far = atom === null ? "" : `, ${meta.symbols[atom]}${atom}`;
  const [largest, rms] = [displacement.largest, displacement.rms].map((value) => fixed(value, 3));
  const moved = `Largest displacement ${largest} Å${far}; root mean square ${rms} Å`;
  return card(
    "First to last",
    tableOf(["", "first", "last", "change"], rows),
    make("p", { class: "small", text: moved + (meta.strained ? ", beside the change of the cell." : ".") }),
  );
}

async function showPath(meta, main) {
  const [frames, points] = await Promise.all([unpack("frames"), unpack("points")]);
  const column = (name) => points.map((row) => row[meta.columns.indexOf(name)]);
  const [numbers, calls, energy, fmax] = ["frame", "calls", "energy", "fmax"].map(column);
  const lowest = Math.min(...energy);
  byId("subtitle").append(
    formula(meta.formula),
    ` · ${several(meta.atoms, "atom")} · ${several(meta.frames, "frame")}`,
    meta.counted ? ` · ${several(meta.calls, "force call")}` : "",
    meta.optimizer ? ` · ${meta.optimizer}` : "",
  );

  // Where frames are left out, each that is drawn belongs to the nearest point of the curves.
  const nearest = frames.map((frame) => {
    let best = 0;
    numbers.forEach((number, k) => {
      if (Math.abs(number - frame.frame) < Math.abs(numbers[best] - frame.frame)) best = k;
    });
    return best;
  });
  const viewer = new Viewer(`Structure of ${meta.formula}`, meta.elements);
  const told = make("dl", { class: "readout", "aria-live": "polite" });
  const plots = [];
  let current = nearest[0];
  const moved = (at, reset = false) => {
    const frame = frames[at];
    current = nearest[at];
    viewer.show(
      {
        z: meta.z,
        places: vectors(frame.x, meta.scale),
        arrows: vectors(frame.f, meta.forceScale),
        cell: frame.cell ? vectors(frame.cell, meta.scale) : null,
        pbc: frame.pbc,
      },
      reset,
    );
    const said = [
      ["frame", whole(frame.frame)],
      ["force calls", whole(calls[current])],
      ["energy, eV", fixed(energy[current], 4)],
      ["fmax, eV/Å", fixed(fmax[current], 4)],
    ];
    told.replaceChildren(
      ...said.map(([name, text]) => make("div", {}, make("dt", { text: name }), make("dd", { text }))),
    );
    player.slider.setAttribute("aria-valuetext", said.map(([name, text]) => `${name} ${text}`).join(", "));
    for (const plot of plots) plot.redraw(false);
  };
  const player = new Player(frames.length, (at) => moved(at));
  const option = (name) => (checked) => {
    viewer.options[name] = checked;
    viewer.draw();
  };
  const controls = make(
    "div",
    { class: "controls" },
    toggle("Forces", false, option("arrows")),
    toggle("Atom numbers", false, option("labels")),
    make("button", { type: "button", text: "Reset view", onclick: () => viewer.face() }),
  );
  const scene = card("Path", viewer.box, player.box, make("div", { class: "bar" }, told, controls));

  const specs = [
    ["Energy above the lowest, eV", energy.map((value) => value - lowest), true],
    ["Longest force on an atom, eV/Å", fmax, true],
  ];
  const [step, radius] = ["step", "radius"].map(column);
  const limited = radius.some((value) => value !== null);
  if (step.some((value) => value !== null)) {
    const title = "Largest step of an atom, Å";
    specs.push([limited ? `${title}; dashed: the trust radius` : title, step, true, limited ? radius : null]);
  }
  const smax = column("smax");
  if (smax.some((value) => value !== null) && meta.strained) {
    specs.push(["Largest component of the stress, GPa", smax, true]);
  }
  const hosts = specs.map(([title]) =>
    make("figure", {}, make("figcaption", { text: title }), make("div", { class: "chart" })),
  );
  main.append(
    make("div", { class: "columns" }, scene, card("Curves", ...hosts)),
    make("div", { class: "columns" }, changesCard(meta), bondsCard(meta)),
  );
  const picked = (at) => {
    let best = 0;
    nearest.forEach((place, k) => {
      if (Math.abs(place - at) < Math.abs(nearest[best] - at)) best = k;
    });
    player.go(best);
  };
  const height = specs.length > 3 ? 108 : 142;
  specs.forEach(([label, y, log, limit], k) => {
    const last = k === specs.length - 1;
    plots.push(
      curve(hosts[k].lastChild, {
        label,
        x: calls,
        y,
        limit,
        log,
        picked,
        marked: () => current,
        height: last ? height + 22 : height,
        xLabel: last ? (meta.counted ? "force calls" : "force calls (frames)") : undefined,
      }),
    );
  });
  main.setAttribute("aria-busy", "false");
  await painted();
  viewer.begin();
  player.at = frames.length - 1;
  player.slider.value = String(player.at);
  moved(player.at, true);
}
