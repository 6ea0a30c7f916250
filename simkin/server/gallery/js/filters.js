/** The filters beside the grid: kind, categories with counts, price, and any attribute by the filter grammar. */

import { count, debounced, h } from "./dom.js";

/**
 * @typedef {{text: string, modality: string, categories: string[], low: string, high: string, where: string,
 *   sort: string}} Filters
 */

const SHOWN = 14;

/** @param {URLSearchParams} params @returns {Filters} */
export function parse(params) {
  const text = (name) => params.get(name) ?? "";
  return {
    text: text("text"),
    modality: text("modality"),
    categories: params.getAll("category"),
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
  for (const category of filters.categories) written.append("category", category);
  return written;
}

/** @param {string} value @returns {string} Written so that the filter grammar reads it back. */
export const quoted = (value) => `'${value.replaceAll("'", "''")}'`;

/** @param {string} name @returns {string} An attribute's name, in back quotes where it needs them. */
export const named = (name) => (/^[\p{L}_][\p{L}\p{N}_-]*$/u.test(name) ? name : `\`${name}\``);

/** @param {Filters} filters @returns {string} All of them in the filter grammar. */
export function where(filters) {
  const parts = [];
  if (filters.categories.length) parts.push(`category in (${filters.categories.map(quoted).join(", ")})`);
  if (filters.low) parts.push(`price>=${filters.low}`);
  if (filters.high) parts.push(`price<=${filters.high}`);
  if (filters.where.trim()) parts.push(parts.length ? `(${filters.where})` : filters.where);
  return parts.join(" and ");
}

/**
 * @param {import("./catalog.js").Info} info
 * @param {() => Filters} now
 * @param {(change: Partial<Filters>) => void} onChange
 * @returns {{element: HTMLElement, paint: () => void, complain: (message: string) => void}}
 */
export function filterPanel(info, now, onChange) {
  const problem = h("p", { class: "problem", id: "where-problem", role: "alert" });
  const kinds = kindChoice(info, onChange);
  const categories = categoryList(info, now, onChange);
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
  const element = h(
    "div",
    { class: "filters" },
    kinds,
    categories.element,
    prices,
    h(
      "fieldset",
      {},
      h("legend", {}, h("label", { for: "where" }, "Any attribute")),
      any,
      problem,
      h("p", { class: "hint" }, "and · or · not · in (…) · ~ contains"),
    ),
  );
  const paint = () => {
    const filters = now();
    for (const radio of kinds?.querySelectorAll("input") ?? []) radio.checked = radio.value === filters.modality;
    for (const input of element.querySelectorAll("input[name=low], input[name=high], #where")) {
      const field = /** @type {HTMLInputElement} */ (input);
      const value = filters[field.name || "where"];
      if (document.activeElement !== field && field.value !== value) field.value = value;
    }
    categories.paint();
  };
  return { element, paint, complain: (message) => (problem.textContent = message) };
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
      h("input", { type: "radio", name: "modality", value, onchange: () => onChange({ modality: value }) }),
      h("span", {}, label),
    );
  const choices = [choice("", "All"), choice("image", "Pictures"), choice("audio", "Sounds")];
  return h("fieldset", { class: "segments" }, h("legend", { class: "visually-hidden" }, "Kind"), ...choices);
}

/** @param {import("./catalog.js").Info} info @param {() => Filters} now @param {(change: Partial<Filters>) => void} onChange */
function categoryList(info, now, onChange) {
  const legend = h("legend", {}, "Category");
  const list = h("ul", { class: "categories" });
  const more = h("button", { type: "button", class: "link" });
  const element = h("fieldset", { hidden: !info.categories.length }, legend, list, more);
  let whole = false;
  more.addEventListener("click", () => {
    whole = !whole;
    paint();
  });
  const paint = () => {
    const chosen = now().categories;
    const shown = info.categories.filter(({ name }, place) => whole || place < SHOWN || chosen.includes(name));
    const line = ({ name, count: items }) =>
      h(
        "li",
        {},
        h(
          "label",
          {},
          h("input", { type: "checkbox", checked: chosen.includes(name), onchange: () => flip(name) }),
          h("span", { class: "name", title: name }, name),
          h("span", { class: "number" }, count(items)),
        ),
      );
    const focused = list.contains(document.activeElement) && document.activeElement?.closest("li")?.textContent;
    list.replaceChildren(...shown.map(line));
    if (focused)
      [...list.children]
        .find((entry) => entry.textContent === focused)
        ?.querySelector("input")
        ?.focus();
    more.hidden = info.categories.length <= SHOWN;
    more.textContent = whole ? "Fewer" : `All ${info.categories.length}`;
  };
  /** @param {string} name */
  const flip = (name) => {
    const chosen = now().categories;
    onChange({ categories: chosen.includes(name) ? chosen.filter((each) => each !== name) : [...chosen, name] });
  };
  return { element, paint };
}
