/** One item as a card: picture, title, what it is, and what can be done with it. */

import { thumbnail } from "./api.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { changes, holds, toggle } from "./liststore.js";
import { params, question } from "./question.js";
import { href } from "./router.js";
import { announce } from "./announce.js";
import { isDark, shade } from "./shade.js";

/** @typedef {import("./api.js").Item} Item */

/** @param {string} id @returns {string} Address of the item's own view. */
export const itemHref = (id) => href("ask", params(question({ items: [{ id, weight: 1 }] })));

/** @param {Pick<Item, "attributes" | "category">} item @returns {string} Artist, or category with price. */
export function subtitle(item) {
  const { artist, price } = item.attributes;
  const parts = [artist ?? item.category, typeof price === "number" ? price.toFixed(2) : price];
  return parts.filter((part) => part !== null && part !== undefined && part !== "").join(" · ");
}

/**
 * A picture of the item, square; sounds show their cover or their wave.
 * @param {Pick<Item, "id" | "modality"> & {media?: Item["media"]}} item
 * @param {number} width Pixels on the page.
 * @param {{later?: boolean, alt?: string}} [options] `later` leaves the address in `data-src`.
 */
export function picture(item, width, { later = false, alt = "" } = {}) {
  const source = thumbnail(item, width);
  const image = h("img", { alt, width, height: width, decoding: "async", draggable: "false" });
  image.addEventListener("error", () => image.replaceWith(missing(item)));
  image.addEventListener("load", () => image.classList.add("loaded"));
  image.dataset.drawn = item.modality;
  if (later) image.dataset.src = source;
  else image.src = source;
  return image;
}

shade.addEventListener("change", () => {
  for (const image of document.querySelectorAll('img[data-drawn="audio"]')) {
    const { dataset } = /** @type {HTMLElement} */ (image);
    const source = new URL(dataset.src ?? image.getAttribute("src") ?? "", document.baseURI);
    source.searchParams.delete("dark");
    if (isDark()) source.searchParams.set("dark", "1");
    if (dataset.src) dataset.src = source.href;
    else image.setAttribute("src", source.href);
  }
});

/** @param {Pick<Item, "modality">} item */
const missing = (item) => h("span", { class: "no-picture" }, icon(item.modality === "audio" ? "note" : "image"));

/**
 * @param {Item} item
 * @param {number} width
 * @param {{later?: boolean, more?: (Node | null)[], actions?: Node[], last?: Node | null, tabindex?: number}} [options]
 * @returns {HTMLElement}
 */
export function card(item, width, { later = false, more = [], actions = [], last = null, tabindex } = {}) {
  return h(
    "article",
    { class: `card ${item.modality}`, "data-id": item.id },
    h(
      "a",
      { class: "card-link", href: itemHref(item.id), tabindex, title: item.title, draggable: "false" },
      h("span", { class: "card-picture" }, picture(item, width, { later })),
      h("span", { class: "card-title" }, item.title),
      h("span", { class: "card-subtitle" }, subtitle(item)),
    ),
    h("div", { class: "card-actions" }, ...actions, heart(item, tabindex), last),
    ...more,
  );
}

/**
 * Have an icon say in words what it does: under the pointer and with the focus, and where there is no pointer, always.
 * @param {HTMLButtonElement} button
 * @param {string} words
 * @param {string} short
 */
export function worded(button, words, short) {
  button.dataset.words = words;
  button.dataset.short = short;
  button.removeAttribute("title"); // the browser would say it a second time
  return button;
}

/** @param {Item} item @param {number} [tabindex] @returns {HTMLButtonElement} Puts it on the list, or takes it off. */
export function heart(item, tabindex) {
  const button = h(
    "button",
    { type: "button", class: "icon-button heart", tabindex, "data-heart": item.id },
    icon("heart"),
  );
  paint(button, item.title);
  button.addEventListener("click", () => {
    const present = toggle(item);
    announce(`${item.title} ${present ? "saved" : "no longer saved"}`);
  });
  return button;
}

/** @param {HTMLElement} button @param {string} [title] */
function paint(button, title) {
  const present = holds(button.dataset.heart ?? "");
  button.setAttribute("aria-pressed", String(present));
  if (title !== undefined) button.setAttribute("aria-label", `Save ${title}`);
}

changes.addEventListener("change", () => {
  for (const button of document.querySelectorAll("[data-heart]")) paint(/** @type {HTMLElement} */ (button));
});

/**
 * @param {Parameters<typeof icon>[0]} sign
 * @param {string} label
 * @param {() => void} onclick
 * @param {number} [tabindex]
 */
export const action = (sign, label, onclick, tabindex) =>
  h(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, tabindex, onclick },
    icon(sign),
  );
