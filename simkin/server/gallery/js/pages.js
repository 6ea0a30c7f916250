/** The catalog's items by position: pages are fetched when they come into view, and cancelled when scrolled past. */

import { get, isAborted } from "./api.js";

const SIZE = 120;
const KEPT = 60;

export class Pages {
  /**
   * @param {Record<string, string>} query What is looked for: text, where, modality, sort.
   * @param {() => void} onChange Called when items have come in, or could not.
   */
  constructor(query, onChange) {
    this.query = query;
    this.onChange = onChange;
    /** @type {number | null} */
    this.total = null;
    /** @type {Error | null} */
    this.error = null;
    /** @type {Map<number, import("./api.js").Item[]>} */
    this.pages = new Map();
    /** @type {Map<number, AbortController>} */
    this.pending = new Map();
  }

  /** @param {number} position @returns {import("./api.js").Item | undefined} */
  at(position) {
    return this.pages.get(Math.floor(position / SIZE))?.[position % SIZE];
  }

  /**
   * Have these positions fetched, and others no longer.
   * @param {number} first
   * @param {number} last
   */
  want(first, last) {
    const from = Math.floor(Math.max(0, first) / SIZE);
    const to = Math.floor(Math.max(0, last) / SIZE);
    for (const [page, control] of this.pending) if (page < from || page > to) control.abort();
    for (let page = from; page <= to; page++) if (!this.pages.has(page) && !this.pending.has(page)) this.#fetch(page);
  }

  /** Stop fetching. */
  cancel() {
    for (const control of this.pending.values()) control.abort();
  }

  /** @param {number} page */
  async #fetch(page) {
    const control = new AbortController();
    this.pending.set(page, control);
    try {
      const answer = await get("api/items", { ...this.query, offset: page * SIZE, limit: SIZE }, control.signal);
      this.total = answer.total;
      this.error = null;
      this.pages.set(page, answer.items);
      if (this.pages.size > KEPT) this.pages.delete(this.pages.keys().next().value);
    } catch (error) {
      if (isAborted(error)) return;
      this.error = /** @type {Error} */ (error);
    } finally {
      if (this.pending.get(page) === control) this.pending.delete(page);
    }
    this.onChange();
  }
}
