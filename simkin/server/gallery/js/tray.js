/** Items gathered while browsing, to be asked about together. */

import { announce } from "./announce.js";
import { picture } from "./card.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { params, question } from "./question.js";
import { go } from "./router.js";

/** @type {import("./api.js").Item[]} */
let gathered = [];

/** @param {import("./api.js").Item} item In, or out again. */
export function put(item) {
  const present = gathered.some(({ id }) => id === item.id);
  const other = gathered.some(({ modality }) => modality !== item.modality);
  if (present) gathered = gathered.filter(({ id }) => id !== item.id);
  else gathered = other ? [item] : [...gathered, item];
  announce(present ? `${item.title} taken out` : `${item.title} added, ${gathered.length} to ask about`);
  paint();
}

export function clear() {
  gathered = [];
  paint();
}

function paint() {
  const tray = /** @type {HTMLElement} */ (document.getElementById("tray"));
  tray.hidden = !gathered.length;
  const ask = () => {
    const items = gathered.map(({ id }) => ({ id, weight: 1 }));
    clear();
    go("ask", params(question({ items })));
  };
  const taken = (item) =>
    h(
      "button",
      { type: "button", class: "tray-item", "aria-label": `Take out ${item.title}`, onclick: () => put(item) },
      picture(item, 48),
      icon("close"),
    );
  tray.replaceChildren(
    h("div", { class: "tray-items" }, ...gathered.map(taken)),
    h(
      "button",
      { type: "button", class: "button primary", onclick: ask },
      gathered.length > 1 ? `Ask about these ${gathered.length} together` : "Ask about this",
    ),
    h(
      "button",
      { type: "button", class: "icon-button", "aria-label": "Empty the tray", onclick: clear },
      icon("close"),
    ),
  );
}
