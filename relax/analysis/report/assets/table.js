"use strict";

// A table of many rows, of which only those in sight are in the page.

const ROW = 28; // height of a row, px
const BEYOND = 6; // rows that are drawn beyond the edges

/** Return what a filter asks for: words that a row must have, and limits of its numbers such as calls>50. */
function readFilter(text, columns) {
  const tests = [];
  for (const word of text.toLowerCase().split(/\s+/).filter(Boolean)) {
    const limit = /^([a-z]+)(<=|>=|<|>|=)(-?\d+(?:\.\d*)?)$/.exec(word);
    const column = limit && columns.find((each) => each.key === limit[1] && each.digits !== undefined);
    if (column) {
      const bound = Number(limit[3]);
      const fits = {
        "<": (v) => v < bound,
        ">": (v) => v > bound,
        "<=": (v) => v <= bound,
        ">=": (v) => v >= bound,
        "=": (v) => v === bound,
      }[limit[2]];
      tests.push((row) => row[column.key] !== null && fits(row[column.key]));
    } else {
      tests.push((row) => row.text.includes(word));
    }
  }
  return (row) => tests.every((test) => test(row));
}

class Table {
  /** Columns have key, title, width (px) and, of numbers, digits; `chosen` is told of a selected row. */
  constructor(columns, rows, chosen) {
    Object.assign(this, { columns, rows, chosen, shown: rows, sorted: null, falling: false, at: -1 });
    this.heads = columns.map((column) =>
      make(
        "th",
        {
          scope: "col",
          role: "columnheader",
          "aria-sort": "none",
          class: column.digits === undefined ? "" : "number",
        },
        make("button", { type: "button", text: column.title, onclick: () => this.sortBy(column.key) }),
      ),
    );
    this.body = make("tbody");
    const least = columns.reduce((sum, column) => sum + column.width, 0);
    this.table = make(
      "table",
      { role: "grid", class: "grid", "aria-label": "Structures" },
      make(
        "colgroup",
        {},
        ...columns.map((column) => {
          const col = make("col");
          col.style.width = column.width + "px";
          return col;
        }),
      ),
      make("thead", {}, make("tr", { role: "row", "aria-rowindex": "1" }, ...this.heads)),
      this.body,
    );
    this.table.style.minWidth = least + "px";
    this.pane = make(
      "div",
      {
        class: "pane",
        tabindex: "0",
        role: "region",
        "aria-label": "Table of structures; arrow keys select a row",
        onscroll: () => this.draw(),
        onkeydown: (event) => this.key(event),
      },
      this.table,
    );
    new ResizeObserver(() => this.draw()).observe(this.pane);
  }

  filter(test) {
    const row = this.shown[this.at];
    this.shown = this.rows.filter(test);
    this.order();
    this.at = this.shown.indexOf(row);
    this.pane.scrollTop = 0;
    this.draw();
  }

  sortBy(key) {
    this.falling = this.sorted === key ? !this.falling : false;
    this.sorted = key;
    this.heads.forEach((head, k) =>
      head.setAttribute(
        "aria-sort",
        this.columns[k].key !== key ? "none" : this.falling ? "descending" : "ascending",
      ),
    );
    const row = this.shown[this.at];
    this.order();
    this.at = this.shown.indexOf(row);
    this.pane.scrollTop = 0;
    this.draw();
  }

  order() {
    const key = this.sorted;
    if (key === null) return;
    const numeric = this.columns.find((column) => column.key === key).digits !== undefined;
    const way = this.falling ? -1 : 1;
    const missing = (value) => value === null || value === "";
    const words = new Intl.Collator("en", { numeric: true });
    this.shown = [...this.shown].sort((one, other) => {
      const [a, b] = [one[key], other[key]];
      if (missing(a) || missing(b)) return missing(a) - missing(b) || one.place - other.place;
      return (numeric ? a - b : words.compare(a, b)) * way || one.place - other.place;
    });
  }

  draw() {
    const height = this.pane.clientHeight || 400;
    const first = Math.max(0, Math.floor(this.pane.scrollTop / ROW) - BEYOND);
    const last = Math.min(this.shown.length, first + Math.ceil(height / ROW) + 2 * BEYOND);
    const gap = (rows) => {
      const row = make("tr", { class: "gap", "aria-hidden": "true" });
      row.style.height = rows * ROW + "px";
      return row;
    };
    this.table.setAttribute("aria-rowcount", String(this.shown.length + 1));
    this.body.replaceChildren(
      gap(first),
      ...this.shown.slice(first, last).map((row, k) => this.row(row, first + k)),
      gap(this.shown.length - last),
    );
    const focused = this.at >= first && this.at < last;
    focused
      ? this.pane.setAttribute("aria-activedescendant", "row-" + this.at)
      : this.pane.removeAttribute("aria-activedescendant");
  }

  row(row, place) {
    const cells = this.columns.map(({ key, digits, sign }) => {
      if (key === "status") return make("td", { role: "gridcell" }, statusMark(row.status));
      if (key === "formula")
        return make("td", { role: "gridcell", title: row.formula }, formula(row.formula));
      if (key === "name")
        return make(
          "td",
          { role: "gridcell", class: "name", title: row.name },
          make("bdi", { text: row.short }),
        );
      if (digits === undefined)
        return make("td", { role: "gridcell", title: row[key], text: row[key] || "–" });
      return make("td", {
        role: "gridcell",
        class: "number",
        text: sign ? signed(row[key] ?? null, digits) : fixed(row[key], digits),
      });
    });
    return make(
      "tr",
      {
        id: "row-" + place,
        role: "row",
        "aria-rowindex": String(place + 2),
        "aria-selected": String(place === this.at),
        onclick: () => this.select(place),
      },
      ...cells,
    );
  }

  select(place) {
    if (!this.shown.length) return;
    this.at = Math.max(0, Math.min(this.shown.length - 1, place));
    const head = this.table.tHead.offsetHeight;
    const top = this.at * ROW;
    if (top < this.pane.scrollTop) this.pane.scrollTop = top;
    const bottom = top + ROW + head - this.pane.clientHeight;
    if (bottom > this.pane.scrollTop) this.pane.scrollTop = bottom;
    this.draw();
    this.chosen(this.shown[this.at]);
  }

  key(event) {
    if (event.target !== this.pane) return;
    const page = Math.max(1, Math.floor(this.pane.clientHeight / ROW) - 2);
    const moves = {
      ArrowDown: this.at + 1,
      ArrowUp: Math.max(0, this.at - 1),
      PageDown: this.at + page,
      PageUp: this.at - page,
      Home: 0,
      End: Infinity,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.select(moves[event.key]);
  }
}
