/** What a view says while it waits, when there is nothing, and when something went wrong. */

import { h } from "./dom.js";

/**
 * @param {string} title
 * @param {...(Node | string)} more
 * @returns {HTMLElement}
 */
export const empty = (title, ...more) => h("div", { class: "state" }, h("h2", {}, title), ...more);

/**
 * @param {Error} error
 * @param {() => void} [again] Offers to try again.
 * @returns {HTMLElement}
 */
export function failed(error, again) {
  return h(
    "div",
    { class: "state state-error", role: "alert" },
    h("h2", {}, "That did not work"),
    h("p", {}, error.message),
    again && h("button", { type: "button", class: "button", onclick: again }, "Try again"),
  );
}

/** @param {number} cards @returns {HTMLElement} Grey cards in place of those to come. */
export function waiting(cards) {
  const skeletons = Array.from({ length: cards }, () => h("div", { class: "card skeleton" }));
  return h("div", { class: "cards", "aria-hidden": "true" }, ...skeletons);
}
