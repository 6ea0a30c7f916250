/** The filters beside the grid: kind, values with counts, price, and any attribute by the filter grammar. */

import { choiceList } from "./choices.js";
import { count, debounced, h } from "./dom.js";

/**
 * @typedef {{text: string, modality: string, chosen: Record<string, string[]>, low: string, high: string,
 *   where: string, sort: string}} Filters `chosen`: values by attribute, of which one must be an item's.
 */

/** Attributes whose values are offered to choose among, and which of them only sounds have. */
const CHOICES = [
  { name: "category", label: "Category", sounds: false },
  { name: "artist", label: "Artist", sounds: true },
  { name: "genre", label: "Genre", sounds: true },
  { name: "style", label: "Style", sounds: true },
];

/** @param {URLSearchParams} params @returns {Filters} */
export function parse(params) {
  const text = (name) => params.get(name) ?? "";
  return {
    text: text("text"),
    modality: text("modality"),
    chosen: Object.fromEntries(CHOICES.map(({ name }) => [name, params.getAll(name)])),
    low: text("low"),
    high: text("high"),
    where: text("where"),
    sort: text("sort"),
  };
}

/** @param {Filters} filters @returns {URLSearchParams} */
export function params(filters) {
  const written = new URLSearchParams();
  for (const name of ["text", "modality", "low", "high", "where", "sort"]) {
    if (filters[name]) written.set(name, filters[name]);
  }
  for (const [name, values] of Object.entries(filters.chosen)) for (const value of values) written.append(name, value);
  return written;
}

/** @returns {Filters["chosen"]} */
const none = () => Object.fromEntries(CHOICES.map(({ name }) => [name, []]));

/** @param {string} value @returns {string} Written so that the filter grammar reads it back. */
export const quoted = (value) => `'${value.replaceAll("'", "''")}'`;

/** @param {string} name @returns {string} An attribute's name, in back quotes where it needs them. */
export const named = (name) => (/^[\p{L}_][\p{L}\p{N}_-]*$/u.test(name) ? name : `\`${name}\``);

/**
 * @param {Filters} filters
 * @param {string} [except] An attribute whose chosen values are left out, to count the others beside them.
 * @returns {string} All of them in the filter grammar.
 */
export function where(filters, except = "") {
  const parts = [];
  for (const [name, values] of Object.entries(filters.chosen)) {
    if (values.length && name !== except) parts.push(`${name} in (${values.map(quoted).join(", ")})`);
  }
  if (filters.low) parts.push(`price>=${filters.low}`);
  if (filters.high) parts.push(`price<=${filters.high}`);
  if (filters.where.trim()) parts.push(parts.length ? `(${filters.where})` : filters.where);
  return parts.join(" and ");
}

/**
 * @param {import("./catalog.js").Info} info
 * @param {() => Filters} now
 * @param {(change: Partial<Filters>) => void} onChange
 * @param {() => void} onDone Folds the filters away, where they stand before the grid.
 * @returns {{element: HTMLElement, paint: () => void, complain: (message: string) => void,
 *   tell: (total: number) => void}}
 */
export function filterPanel(info, now, onChange, onDone) {
  const problem = h("p", { class: "problem", id: "where-problem", role: "alert" });
  const kinds = kindChoice(info, onChange);
  const offered = CHOICES.filter(({ name }) => name === "category" || info.attributes.includes(name));
  const lists = offered.map((choice) => ({ ...choice, ...choiceList(choice.name, choice.label, now, onChange) }));
  const songsOnly = !info.modalities.image;
  const soon = debounced(250, onChange);
  /** @param {"low" | "high"} name @param {string} label */
  const bound = (name, label) =>
    h("input", {
      type: "number",
      name,
      min: "0",
      step: "any",
      inputmode: "decimal",
      placeholder: label,
      "aria-label": `Price ${label}`,
      oninput: (event) => soon({ [name]: event.target.value }),
    });
  const prices = info.attributes.includes("price")
    ? h(
        "fieldset",
        {},
        h("legend", {}, "Price"),
        h("div", { class: "pair" }, bound("low", "from"), bound("high", "to")),
      )
    : null;
  const any = h("input", {
    type: "text",
    id: "where",
    placeholder: example(info),
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    "aria-describedby": "where-problem",
    oninput: (event) => soon({ where: event.target.value }),
  });
  const done = h("button", { type: "button", class: "button primary filters-done", onclick: onDone }, "Show the items");
  const element = h(
    "div",
    { class: "filters" },
    kinds,
    ...lists.map(({ element }) => element),
    prices,
    h(
      "fieldset",
      {},
      h("legend", {}, h("label", { for: "where" }, "Any attribute")),
      any,
      problem,
      h("p", { class: "hint" }, "and · or · not · in (…) · ~ contains"),
    ),
    done,
  );
  const paint = () => {
    const filters = now();
    for (const radio of kinds?.querySelectorAll("input") ?? []) radio.checked = radio.value === filters.modality;
    for (const input of element.querySelectorAll("input[name=low], input[name=high], #where")) {
      const field = /** @type {HTMLInputElement} */ (input);
      const value = filters[field.name || "where"];
      if (document.activeElement !== field && field.value !== value) field.value = value;
    }
    const sounds = songsOnly || filters.modality === "audio";
    for (const { name, sounds: theirs, follow } of lists) follow(!theirs || sounds || filters.chosen[name].length > 0);
    if (prices) prices.hidden = sounds && !filters.low && !filters.high;
  };
  return {
    element,
    paint,
    complain: (message) => (problem.textContent = message),
    tell: (total) => (done.textContent = `Show ${count(total)} item${total === 1 ? "" : "s"}`),
  };
}

/** @param {import("./catalog.js").Info} info @returns {string} */
function example(info) {
  const name = ["color", "genre", "artist", "style", "brand"].find((known) => info.attributes.includes(known));
  return name ? `${name} ~ '…'` : "name = value";
}

/** @param {import("./catalog.js").Info} info @param {(change: Partial<Filters>) => void} onChange */
function kindChoice(info, onChange) {
  if (Object.values(info.modalities).filter((items) => items > 0).length < 2) return null;
  const choice = (value, label) =>
    h(
      "label",
      {},
      h("input", { type: "radio", name: "modality", value, onchange: () => onChange({ modality: value, chosen: none() }) }),
      h("span", {}, label),
    );
  const choices = [choice("", "All"), choice("image", "Pictures"), choice("audio", "Sounds")];
  return h("fieldset", { class: "segments" }, h("legend", { class: "visually-hidden" }, "Kind"), ...choices);
}
