"use strict";

// What all parts of the page use: elements, numbers as text, data that is unpacked, and the theme.

const byId = (id) => document.getElementById(id);

/** Return a new element; text is always text, whatever is in it. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Return the list that a part of the page holds, deflated and in base64. */
async function unpack(name) {
  const text = atob(JSON.parse(byId("part-" + name).textContent));
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

const MINUS = "\u2212";

/** Return a number with so many digits after the point; a dash of none. */
function fixed(value, digits) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 1e7) return value.toExponential(3).replace("-", MINUS);
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", MINUS);
}

/** Return a change, with its sign. */
function signed(value, digits) {
  const text = fixed(value, digits);
  return value > 0 && Number(value.toFixed(digits)) > 0 ? "+" + text : text;
}

const whole = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
const several = (count, word) => `${whole(count)} ${word}${count === 1 ? "" : "s"}`;

/** Return a chemical formula with its numbers lowered. */
function formula(text) {
  const found = make("span", { class: "formula" });
  for (const piece of text.split(/(\d+)/)) {
    found.append(/^\d+$/.test(piece) ? make("sub", { text: piece }) : piece);
  }
  return found;
}

/** Wait until the page is on the screen, so that nobody waits for drawings that take longer. */
const painted = () =>
  new Promise((done) => setTimeout(() => requestAnimationFrame(() => setTimeout(done)), 0));

/** Return a section with a heading. */
function card(title, ...children) {
  return make("section", { class: "card", "aria-label": title }, make("h2", { text: title }), ...children);
}

const theme = {
  listeners: [],
  get dark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  },
  colour: (name) =>
    getComputedStyle(document.documentElement)
      .getPropertyValue("--" + name)
      .trim(),
  changed() {
    byId("theme").textContent = theme.dark ? "Light" : "Dark";
    for (const listener of theme.listeners) listener();
  },
  begin() {
    byId("theme").addEventListener("click", () => {
      document.documentElement.dataset.theme = theme.dark ? "light" : "dark";
      theme.changed();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme.changed);
    theme.changed();
  },
};

/** Return how a status is coloured; its word is always written beside. */
function tone(status) {
  if (status === "converged") return "good";
  if (status === "-" || status === "" || status === "waiting") return "none";
  return ["saddle", "max_steps", "stalled", "timeout", "interrupted"].includes(status) ? "warn" : "bad";
}

/** Return a status in words, with a mark in its colour. */
function statusMark(status) {
  return make("span", { class: "status " + tone(status), text: status === "-" ? "no status" : status });
}

async function start() {
  const meta = JSON.parse(byId("meta").textContent);
  const main = byId("main");
  byId("title").textContent = meta.title;
  byId("notes").append(...meta.notes.map((note) => make("li", { text: note })));
  byId("made").textContent = `relax ${meta.version} · structures drawn by 3Dmol.js, curves by uPlot`;
  theme.begin();
  try {
    await (meta.kind === "path" ? showPath : showMany)(meta, main);
  } catch (error) {
    main.append(
      make("p", { class: "card", role: "alert", text: `This page cannot be shown here: ${error.message}` }),
    );
    throw error;
  } finally {
    main.setAttribute("aria-busy", "false");
    main.dataset.drawn = "";
  }
}

// When all of the page is there.
document.addEventListener("DOMContentLoaded", start);
