/** Tells screen readers what changed, and everyone what went well or wrong in passing. */

import { h } from "./dom.js";

/**
 * Say something to screen readers alone.
 * @param {string} text
 */
export function announce(text) {
  const live = document.getElementById("live");
  if (live && live.textContent !== text) live.textContent = text;
}

/**
 * Show a passing message, and say it.
 * @param {string} text
 */
export function toast(text) {
  document.querySelector(".toast")?.remove();
  const shown = h("div", { class: "toast" }, text);
  document.body.append(shown);
  announce(text);
  setTimeout(() => shown.remove(), 4000);
}
