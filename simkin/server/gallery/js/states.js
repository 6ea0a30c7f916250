/** What a view says while it waits, when there is nothing, and when something went wrong. */

import { h } from "./dom.js";

/**
 * @param {string} title
 * @param {...(Node | string)} more
 * @returns {HTMLElement}
 */
export const empty = (title, ...more) => h("div", { class: "state" }, h("h2", {}, title), ...more);

/** @param {string} message @returns {HTMLElement[]} A sentence, and the command that it names as one to copy. */
export function withCommand(message) {
  const [told, command] = message.split(/with: (?=simkin )/);
  if (!command) return [h("p", {}, message)];
  const sentence = told.replace(/[;:,][^;:,]*$/, "");
  return [h("p", {}, `${sentence}. To go on, run:`), h("pre", {}, h("code", {}, command))];
}

/**
 * @param {Error} error
 * @param {() => void} [again] Offers to try again.
 * @param {Node | null} [other] Another way on.
 * @returns {HTMLElement}
 */
export function failed(error, again, other = null) {
  return h(
    "div",
    { class: "state state-error", role: "alert" },
    h("h2", {}, "That did not work"),
    ...withCommand(error.message),
    h(
      "div",
      { class: "row" },
      again && h("button", { type: "button", class: "button", onclick: again }, "Try again"),
      other,
    ),
  );
}

/** @param {number} cards @returns {HTMLElement} Grey cards in place of those to come. */
export function waiting(cards) {
  const skeletons = Array.from({ length: cards }, () => h("div", { class: "card skeleton" }));
  return h("div", { class: "cards", "aria-hidden": "true" }, ...skeletons);
}
