"use strict";

// Structures in three dimensions, by 3Dmol.js.

const CAMERA = 150; // where 3Dmol.js has its camera, and how far that opens, in degrees
const OPENING = 20;
const MOST_ARROWS = 1500;
const MOST_LABELS = 300;

/** Return whether there is no graphics card, as far as the browser tells. */
function drawnInSoftware(context) {
  const told = context.getExtension("WEBGL_debug_renderer_info");
  return (
    told !== null && /swiftshader|llvmpipe|software/i.test(context.getParameter(told.UNMASKED_RENDERER_WEBGL))
  );
}

class Viewer {
  /** Draw in a box of the page; `elements` says what atoms look like. */
  constructor(label, elements) {
    this.stage = make("div", { class: "stage" });
    this.box = make(
      "div",
      {
        class: "viewer",
        tabindex: "0",
        role: "application",
        "aria-label": label + ". Arrow keys turn it, plus and minus zoom, 0 resets the view.",
      },
      this.stage,
    );
    this.kinds = new Map(
      Object.entries(elements).map(([z, [symbol, radius, colour, metal]]) => [
        Number(z),
        { symbol, radius, metal, colour: parseInt(colour.slice(1), 16) },
      ]),
    );
    this.options = { arrows: false, labels: false };
    this.note = make("p", { class: "note quiet", hidden: true });
    this.box.append(this.note);
    this.images = null;
    this.box.addEventListener("keydown", (event) => this.key(event));
  }

  /** Begin to draw, once the box is in the page; where there is no WebGL, say so. */
  begin() {
    const probe = document.createElement("canvas");
    try {
      const context = probe.getContext("webgl2") || probe.getContext("webgl");
      // Four points for each on the screen look better, and take four times as long without a graphics card.
      const upscale = Boolean(context) && !drawnInSoftware(context);
      const backgroundColor = theme.colour("stage");
      this.view = context && $3Dmol.createViewer(this.stage, { backgroundColor, antialias: true, upscale });
    } catch (error) {
      this.view = null;
    }
    if (!this.view) {
      this.box.replaceChildren(
        make("p", { class: "quiet", text: "No WebGL: structures cannot be drawn here." }),
      );
      return;
    }
    this.stage.querySelector("canvas").setAttribute("aria-hidden", "true");
    theme.listeners.push(() => {
      this.view.setBackgroundColor(theme.colour("stage"));
      this.draw();
    });
    new ResizeObserver(() => {
      this.view.resize();
      this.view.render();
    }).observe(this.stage);
  }

  /** Show a structure: atomic numbers, places (A), and cell, periodic axes and arrows if there are any. */
  show(structure, reset = false) {
    this.structure = structure;
    this.note.hidden = true;
    if (reset || !this.images) this.images = faceImages(structure.places, structure.cell, structure.pbc);
    this.draw(reset);
  }

  /** Show words in place of a structure. */
  clear(words) {
    this.structure = null;
    this.note.textContent = words;
    this.note.hidden = false;
    this.draw();
  }

  draw(reset = false) {
    const { view, structure } = this;
    if (!view) return;
    view.removeAllModels();
    view.removeAllShapes();
    view.removeAllLabels();
    if (!structure) {
      view.render();
      return;
    }
    const { places, cell } = structure;
    const shift = ([a, b, c]) => plus(plus(plus([0, 0, 0], cell[0], a), cell[1], b), cell[2], c);
    const all = [...places, ...this.images.map(([atom, way]) => plus(places[atom], shift(way)))];
    const numbers = [...structure.z, ...this.images.map(([atom]) => structure.z[atom])];
    const kinds = numbers.map((z) => this.kinds.get(z));
    const bonds = bondsOf(all, kinds);
    view.addModel().addAtoms(
      all.map((place, k) => ({
        elem: kinds[k].symbol,
        ...point(place),
        color: kinds[k].colour,
        bonds: bonds[k],
        bondOrder: bonds[k].map(() => 1),
        serial: k,
        index: k,
      })),
    );
    for (const z of new Set(numbers)) {
      const { symbol, radius, colour, metal } = this.kinds.get(z);
      const part = this.options.arrows ? 0.3 : metal ? 0.62 : 0.38; // small where arrows begin in it
      const ball = { radius: part * radius + 0.1, color: colour };
      view.setStyle({ elem: symbol }, { sphere: ball, stick: { radius: 0.1, color: colour } });
    }
    if (cell) this.drawCell(cell);
    if (this.options.arrows && structure.arrows) this.drawArrows(places, structure.arrows);
    if (this.options.labels && places.length <= MOST_LABELS) {
      places.forEach((place, k) =>
        view.addLabel(
          kinds[k].symbol + k,
          {
            position: point(place),
            fontSize: 11,
            inFront: true,
            alignment: "center",
            fontColor: theme.colour("text"),
            backgroundColor: theme.colour("stage"),
            backgroundOpacity: 0.65,
          },
          undefined,
          true,
        ),
      );
    }
    view.render();
    if (reset) this.face();
  }

  /** Look at the structure from the front, and at a cell from its side. */
  face() {
    const { view, structure } = this;
    if (!view || !structure) return;
    const turned = structure.cell
      ? turn(14, [1, 0, 0], turn(-20, [0, 1, 0], turn(-90, [1, 0, 0])))
      : [0, 0, 0, 1];
    const [a, b, c] = structure.cell || [];
    const corners = a ? [[0, 0, 0], a, b, c, plus(a, b), plus(b, c), plus(c, a), plus(plus(a, b), c)] : [];
    const all = [...structure.places, ...corners];
    const box = [0, 1, 2].map((k) =>
      all.reduce(([low, high], x) => [Math.min(low, x[k]), Math.max(high, x[k])], [Infinity, -Infinity]),
    );
    const middle = box.map(([low, high]) => (low + high) / 2);
    const narrow = Math.min(1, this.stage.clientWidth / Math.max(this.stage.clientHeight, 1)) || 1;
    const reach = Math.max(2.5, 1 + Math.max(...all.map((x) => size(plus(x, middle, -1)))));
    view.setSlab(-4 * reach - 50, 4 * reach + 50);
    // One step: each of rotate, zoomTo and zoom would draw the structure once more.
    view.setView([
      ...middle.map((x) => -x),
      CAMERA - reach / narrow / Math.tan((OPENING * Math.PI) / 360),
      ...turned,
    ]);
  }

  drawCell(cell) {
    const color = theme.colour("edge");
    const radius = 0.0024 * size(plus(plus(cell[0], cell[1]), cell[2])) + 0.01;
    for (let k = 0; k < 3; k++) {
      const [a, b, c] = [cell[k], cell[(k + 1) % 3], cell[(k + 2) % 3]];
      if (!size(a)) continue;
      for (const begin of [[0, 0, 0], b, c, plus(b, c)]) {
        this.view.addCylinder({
          start: point(begin),
          end: point(plus(begin, a)),
          radius,
          color,
          fromCap: 1,
          toCap: 1,
        });
      }
    }
  }

  /** Draw arrows on atoms, the longest as long as a bond; the shortest hundredth would not be seen. */
  drawArrows(places, arrows) {
    const longest = Math.max(...arrows.map(size), 1e-12);
    const shown = arrows.map((arrow, k) => [size(arrow), k]).filter(([length]) => length > 0.01 * longest);
    shown.sort((one, other) => other[0] - one[0]);
    for (const [, k] of shown.slice(0, MOST_ARROWS)) {
      const end = plus(places[k], arrows[k], 2.2 / longest);
      this.view.addArrow({
        start: point(places[k]),
        end: point(end),
        radius: 0.11,
        radiusRatio: 2.1,
        mid: 0.75,
        color: theme.colour("force"),
      });
    }
  }

  key(event) {
    const turns = { ArrowLeft: [-15, "y"], ArrowRight: [15, "y"], ArrowUp: [-15, "x"], ArrowDown: [15, "x"] };
    if (!this.view || event.ctrlKey || event.metaKey || event.altKey) return;
    if (turns[event.key]) this.view.rotate(...turns[event.key]);
    else if (event.key === "+" || event.key === "=") this.view.zoom(1.2);
    else if (event.key === "-") this.view.zoom(1 / 1.2);
    else if (event.key === "0") this.face();
    else return;
    event.preventDefault();
  }
}

/** Return a box that switches something. */
function toggle(text, checked, changed) {
  const box = make("input", { type: "checkbox", onchange: () => changed(box.checked) });
  box.checked = checked;
  return make("label", { class: "toggle" }, box, text);
}
