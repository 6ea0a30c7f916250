/** Keys that work everywhere, and the page that tells of them. */

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { current, leave } from "./router.js";

const KEYS = [
  ["/", "search"],
  ["← ↑ ↓ →", "walk the grid, or the answers from column to column"],
  ["Enter", "open"],
  ["s", "save, or no longer save"],
  ["+", "in the grid: gather to ask about several together; among answers: more like this"],
  ["−", "among answers: less like this"],
  ["w", "among answers: why"],
  ["Esc", "back to the grid, or close what is open"],
  ["Space", "play or pause; on a song among answers: listen to it"],
  ["x", "switch between the two songs"],
  ["?", "this page"],
];

/** @param {HTMLButtonElement} button Opens the help. */
export function listenForKeys(button) {
  button.append(icon("help"));
  const dialog = h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "help-title" }, "What you can do here"),
      h(
        "ul",
        {},
        h("li", {}, "Open anything: what could replace it, what goes with it, what sounds like it."),
        h("li", {}, "Drop, paste or choose a picture or a song to ask about it; cut out a part of a picture."),
        h("li", {}, "Say what counts more or less; put further items in, or against, and watch the answers move."),
        h("li", {}, "“Why?” shows what makes two alike; for songs, it plays the moments that match."),
        h("li", {}, "Save with the heart; lists become sets, playlists and files."),
      ),
      h("h3", {}, "Keys"),
      h("dl", { class: "keys" }, ...KEYS.flatMap(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)])),
      h("button", { class: "button primary", value: "close" }, "Close"),
    ),
  );
  document.body.append(dialog);
  button.addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const typing = target.matches("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select");
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape" && !dialog.open) {
      if (typing) target.blur();
      else if (current().name !== "browse") leave();
    }
    if (typing || dialog.open) return;
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("search")?.focus();
    } else if (event.key === "?") {
      dialog.showModal();
    }
  });
}
