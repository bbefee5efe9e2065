"use strict";

// The structure that is selected among many, before and after.

const SWING = 0.5; // A, the largest displacement along a mode that is shown
const PERIOD = 1600; // ms

/** What is shown of the structure that is selected. */
class Detail {
  constructor(meta, structures) {
    this.meta = meta;
    this.structures = structures;
    this.viewers = {
      before: new Viewer("Structure before", meta.elements),
      after: new Viewer("Structure after", meta.elements),
    };
    this.heading = make("h2", { text: "Structure" });
    this.facts = make("dl", { class: "facts" });
    this.reason = make("p", { class: "small" });
    this.swing = make("button", {
      type: "button",
      text: "Animate the soft mode",
      onclick: () => this.animate(),
    });
    const sides = Object.entries(this.viewers).map(([name, viewer]) =>
      make("figure", {}, make("figcaption", { text: name }), viewer.box),
    );
    this.box = make(
      "section",
      { class: "card detail", "aria-label": "Selected structure", "aria-live": "polite" },
      this.heading,
      this.reason,
      this.facts,
      make("div", { class: "sides" }, ...sides),
      make(
        "div",
        { class: "controls" },
        toggle("Atom numbers", false, (on) => {
          for (const viewer of Object.values(this.viewers)) {
            viewer.options.labels = on;
            viewer.draw();
          }
        }),
        this.swing,
      ),
    );
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
    const facts = [
      ["formula", row.formula],
      ["force calls", whole(row.calls)],
      ["energy, eV", fixed(row.energy === null ? null : row.energy * row.atoms, 4)],
      ["energy change, eV", signed(row.change === null ? null : (row.change * row.atoms) / 1e3, 4)],
      ["fmax, eV/Å", fixed(row.fmax, 4)],
      ["volume change, %", signed(row.volume, 2)],
      ["space group", row.before || row.after ? `${row.before || "none"} → ${row.after || "none"}` : "–"],
    ];
    if (row.curvature !== null) facts.push(["lowest curvature, eV/Å²", fixed(row.curvature, 3)]);
    this.facts.replaceChildren(
      ...facts.map(([name, text]) => make("div", {}, make("dt", { text: name }), make("dd", { text }))),
    );
    const one = row.drawn === null ? null : this.structures[row.drawn];
    const { scale } = this.meta;
    const cell = (integers) => (integers ? vectors(integers, scale) : null);
    const ended = one && { z: one.z, places: vectors(one.x, scale), cell: cell(one.cell), pbc: one.pbc };
    this.ended = ended;
    this.mode = one && one.mode ? vectors(one.mode, scale) : null;
    const begun =
      one && one.dx
        ? {
            ...ended,
            places: vectors(
              one.x.map((x, k) => x + one.dx[k]),
              scale,
            ),
            cell: cell(one.cell0 || one.cell),
          }
        : null;
    for (const [name, structure] of [
      ["before", begun],
      ["after", ended],
    ]) {
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
      this.viewers.after.show({
        ...this.ended,
        places: this.ended.places.map((place, k) => plus(place, this.mode[k], swing)),
      });
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
