/** A grid of any number of items that draws only the rows in view, and is walked with the arrow keys. */

import { h } from "./dom.js";

const GAP = 16;
const TEXT = 58;
/** What buttons below the picture take, where there is no pointer that could bring them up. */
const BUTTONS = 42;
const SPARE = 3;
const TALLEST = 15_000_000;
const SETTLED = 90;

/**
 * @typedef {object} Source
 * @property {(position: number) => import("./api.js").Item | undefined} at
 * @property {(first: number, last: number) => void} want
 */

export class Grid {
  /**
   * @param {(item: import("./api.js").Item, width: number, later: boolean) => HTMLElement} draw Makes a card, whose
   *   pictures wait in `data-src` when later.
   * @param {(item: import("./api.js").Item, key: string) => void} onKey Keys that the grid does not use itself.
   */
  constructor(draw, onKey) {
    this.draw = draw;
    this.onKey = onKey;
    this.element = h("div", { class: "grid", role: "grid", "aria-label": "Items" });
    /** @type {Source | null} */
    this.source = null;
    this.total = 0;
    this.active = 0;
    /** @type {Map<number, HTMLElement>} */
    this.rows = new Map();
    this.frame = 0;
    this.settling = 0;
    this.moving = false;
    this.lastTop = 0;
    this.element.addEventListener("keydown", (event) => this.#onKeyDown(event));
    this.element.addEventListener("focusin", (event) => this.#onFocus(event));
    this.onScroll = () => this.#schedule();
    this.resizing = new ResizeObserver(() => this.#measure());
  }

  /** Begin to follow the window. */
  attach() {
    window.addEventListener("scroll", this.onScroll, { passive: true });
    this.resizing.observe(this.element);
    this.#measure();
  }

  detach() {
    window.removeEventListener("scroll", this.onScroll);
    this.resizing.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settling);
  }

  /**
   * Show other items.
   * @param {Source} source
   * @param {number} total
   * @param {number} active Which of them the Tab key leads to.
   */
  show(source, total, active) {
    this.active = active;
    this.source = source;
    this.total = total;
    this.#clear();
    this.#layout();
  }

  /** Draw what has come in since. */
  refresh() {
    for (const [number, row] of this.rows) if (row.dataset.waits) this.#drop(number, row);
    this.update();
  }

  /** @param {number} position Gets the focus, scrolled into view. */
  focus(position) {
    if (!this.total) return;
    const wanted = Math.max(0, Math.min(this.total - 1, position));
    const row = Math.floor(wanted / this.columns);
    const top = this.#top() + row * this.rowHeight;
    const header = document.querySelector("header")?.getBoundingClientRect().height ?? 0;
    if (top < scrollY + header + GAP) scrollTo({ top: top - header - GAP });
    else if (top + this.rowHeight > scrollY + innerHeight) scrollTo({ top: top + this.rowHeight - innerHeight + GAP });
    this.update();
    const cell = this.rows.get(row)?.children[wanted % this.columns];
    const link = /** @type {HTMLElement | null} */ (cell?.querySelector("a"));
    (link ?? this.element).focus({ preventScroll: true });
  }

  #top() {
    return this.element.getBoundingClientRect().top + scrollY;
  }

  #measure() {
    const width = this.element.clientWidth;
    if (width === this.width || !width) return;
    this.width = width;
    const least = innerWidth < 600 ? 140 : 176;
    this.columns = Math.max(2, Math.floor((width + GAP) / (least + GAP)));
    this.cardWidth = Math.floor((width - GAP * (this.columns - 1)) / this.columns);
    this.rowHeight = this.cardWidth + TEXT + GAP + (matchMedia("(hover: none)").matches ? BUTTONS : 0);
    this.element.style.setProperty("--columns", String(this.columns));
    this.element.style.setProperty("--gap", `${GAP}px`);
    this.element.setAttribute("aria-colcount", String(this.columns));
    this.#clear();
    this.#layout();
  }

  #layout() {
    if (!this.columns) return;
    const rows = Math.min(Math.ceil(this.total / this.columns), Math.floor(TALLEST / this.rowHeight));
    this.rowCount = rows;
    this.element.style.height = `${rows * this.rowHeight}px`;
    this.element.setAttribute("aria-rowcount", String(rows));
    this.update();
  }

  /** @returns {number} Items that fit into the tallest page a browser can scroll. */
  get reachable() {
    return Math.min(this.total, (this.rowCount ?? 0) * (this.columns ?? 0));
  }

  #schedule() {
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.moving = Math.abs(scrollY - this.lastTop) > innerHeight / 2;
        this.lastTop = scrollY;
        this.update();
      });
    }
    clearTimeout(this.settling);
    this.settling = window.setTimeout(() => {
      this.moving = false;
      this.update();
    }, SETTLED);
  }

  /** Draw the rows in view and forget the others. */
  update() {
    if (!this.columns || !this.source) return;
    const top = scrollY - this.#top();
    const first = Math.max(0, Math.floor(top / this.rowHeight) - SPARE);
    const last = Math.min(this.rowCount - 1, Math.ceil((top + innerHeight) / this.rowHeight) + SPARE);
    for (const [number, row] of this.rows) {
      const away = number < first || number > last;
      if (away && !row.contains(document.activeElement)) this.#drop(number, row);
    }
    if (!this.moving) this.source.want(first * this.columns, Math.min(this.total, (last + 1) * this.columns) - 1);
    for (let number = first; number <= last; number++) if (!this.rows.has(number)) this.#add(number);
    if (!this.moving) this.#load();
  }

  /** @param {number} number */
  #add(number) {
    const row = h("div", { class: "grid-row", role: "row", "aria-rowindex": number + 1 });
    row.style.transform = `translateY(${number * this.rowHeight}px)`;
    const end = Math.min(this.total, (number + 1) * this.columns);
    for (let position = number * this.columns; position < end; position++) {
      const item = this.source.at(position);
      if (!item) row.dataset.waits = "1";
      const inside = item ? this.draw(item, this.cardWidth, this.moving) : h("div", { class: "card skeleton" });
      const cell = h("div", { role: "gridcell", "data-position": position }, inside);
      this.#setTab(cell, position === this.active);
      row.append(cell);
    }
    this.rows.set(number, row);
    this.element.append(row);
  }

  /** @param {number} number @param {HTMLElement} row */
  #drop(number, row) {
    for (const image of row.querySelectorAll("img:not(.loaded)")) image.removeAttribute("src"); // cancels the request
    row.remove();
    this.rows.delete(number);
  }

  #clear() {
    for (const [number, row] of this.rows) this.#drop(number, row);
  }

  #load() {
    for (const image of this.element.querySelectorAll("img[data-src]")) {
      image.setAttribute("src", /** @type {HTMLElement} */ (image).dataset.src ?? "");
      image.removeAttribute("data-src");
    }
  }

  /** @param {Element} cell @param {boolean} reachable */
  #setTab(cell, reachable) {
    for (const control of cell.querySelectorAll("a, button")) control.setAttribute("tabindex", reachable ? "0" : "-1");
  }

  /** @param {FocusEvent} event */
  #onFocus(event) {
    const cell = /** @type {HTMLElement} */ (event.target).closest("[data-position]");
    if (!cell) return;
    const before = this.element.querySelector(`[data-position="${this.active}"]`);
    if (before) this.#setTab(before, false);
    this.active = Number(/** @type {HTMLElement} */ (cell).dataset.position);
    this.#setTab(cell, true);
  }

  /** @param {KeyboardEvent} event */
  #onKeyDown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = this.columns * Math.max(1, Math.floor(innerHeight / this.rowHeight) - 1);
    const steps = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.columns,
      ArrowUp: -this.columns,
      PageDown: page,
      PageUp: -page,
      Home: -this.active,
      End: this.reachable - 1 - this.active,
    };
    if (event.key in steps) {
      event.preventDefault();
      const next = this.active + steps[event.key];
      if (next >= 0 && next < this.reachable) this.focus(next);
      return;
    }
    const item = this.source?.at(this.active);
    if (item && /** @type {Element} */ (event.target).matches("a")) this.onKey(item, event.key);
  }
}
