"use strict";

// A slider along the frames of a path, with its buttons and keys.

const FRAME_TIME = 120; // ms between frames that play

class Player {
  /** Call `moved` with the place of the frame whenever it changes. */
  constructor(count, moved) {
    this.count = count;
    this.moved = moved;
    this.at = 0;
    this.timer = null;
    const button = (text, label, act) =>
      make("button", { type: "button", "aria-label": label, text, onclick: act });
    this.slider = make("input", {
      type: "range",
      id: "frame",
      min: "0",
      max: String(count - 1),
      step: "1",
      "aria-label": "Frame of the path",
      oninput: () => this.go(Number(this.slider.value)),
    });
    this.play = button("▶", "Play", () => this.toggle());
    this.box = make(
      "div",
      { class: "player" },
      button("«", "First frame", () => this.go(0)),
      button("‹", "Frame before", () => this.go(this.at - 1)),
      this.play,
      button("›", "Next frame", () => this.go(this.at + 1)),
      button("»", "Last frame", () => this.go(count - 1)),
      this.slider,
    );
  }

  go(place) {
    this.at = Math.max(0, Math.min(this.count - 1, place));
    this.slider.value = String(this.at);
    this.moved(this.at);
  }

  toggle() {
    if (this.timer !== null) {
      this.stop();
      return;
    }
    if (this.at === this.count - 1) this.go(0);
    this.play.textContent = "❚❚";
    this.play.setAttribute("aria-label", "Pause");
    this.timer = setInterval(() => {
      this.go(this.at + 1);
      if (this.at === this.count - 1) this.stop();
    }, FRAME_TIME);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = "▶";
    this.play.setAttribute("aria-label", "Play");
  }
}
