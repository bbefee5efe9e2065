"use strict";

// Begins when all of the page is there.

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
    main.append(make("p", { class: "card", role: "alert", text: `This page cannot be shown here: ${error.message}` }));
    throw error;
  } finally {
    main.setAttribute("aria-busy", "false");
    main.dataset.drawn = "";
  }
}

start();
