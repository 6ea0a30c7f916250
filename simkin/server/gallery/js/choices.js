/** Values of one attribute to choose among, each with how many items have it as the search stands. */

import { get, isAborted } from "./api.js";
import { count, h } from "./dom.js";
import { where } from "./filters.js";

/** @typedef {import("./filters.js").Filters} Filters @typedef {{name: string, count: number}} Value */

const SHOWN = 14;
const MOST = 200;

/**
 * @param {string} attribute
 * @param {string} label
 * @param {() => Filters} now
 * @param {(change: Partial<Filters>) => void} onChange
 * @returns {{element: HTMLElement, follow: (wanted: boolean) => void}} `follow` asks how many there are now.
 */
export function choiceList(attribute, label, now, onChange) {
  const list = h("ul", { class: "categories" });
  const more = h("button", { type: "button", class: "link" });
  const element = h("fieldset", { hidden: true, "data-attribute": attribute }, h("legend", {}, label), list, more);
  let whole = false;
  /** @type {Value[]} */
  let values = [];
  let asked = "";
  /** @type {AbortController | null} */
  let control = null;
  more.addEventListener("click", () => {
    whole = !whole;
    paint();
  });

  /** @returns {string[]} */
  const chosen = () => now().chosen[attribute] ?? [];

  /** @param {boolean} wanted Else it hides. */
  async function follow(wanted) {
    if (!wanted) {
      element.hidden = true;
      return;
    }
    paint();
    const filters = now();
    const query = { attribute, text: filters.text, modality: filters.modality, where: where(filters, attribute) };
    const key = JSON.stringify(query);
    if (key === asked) return;
    asked = key;
    control?.abort();
    control = new AbortController();
    try {
      const answer = await get("api/counts", { ...query, limit: MOST }, control.signal);
      values = attribute === "category" ? answer.values.sort((a, b) => a.name.localeCompare(b.name)) : answer.values;
      paint();
    } catch (error) {
      if (!isAborted(error)) asked = ""; // a filter that is being typed: the grid says what is wrong with it
    }
  }

  function paint() {
    const held = new Set(values.map(({ name }) => name));
    const lost = chosen().filter((name) => !held.has(name));
    const all = [...values, ...lost.map((name) => ({ name, count: 0 }))];
    const shown = all.filter(({ name }, place) => whole || place < SHOWN || chosen().includes(name));
    const focused = list.contains(document.activeElement) && document.activeElement?.getAttribute("value");
    list.replaceChildren(...shown.map(line));
    if (focused !== false)
      [...list.querySelectorAll("input")].find((input) => input.getAttribute("value") === focused)?.focus();
    more.hidden = all.length <= SHOWN;
    more.textContent = whole ? "Fewer" : `All ${all.length}`;
    element.hidden = !all.length;
  }

  /** @param {Value} value */
  const line = ({ name, count: items }) =>
    h(
      "li",
      {},
      h(
        "label",
        {},
        h("input", { type: "checkbox", value: name, checked: chosen().includes(name), onchange: () => flip(name) }),
        h("span", { class: "name", title: name }, name),
        h("span", { class: "number" }, count(items)),
      ),
    );

  /** @param {string} name */
  function flip(name) {
    const before = chosen();
    const after = before.includes(name) ? before.filter((each) => each !== name) : [...before, name];
    onChange({ chosen: { ...now().chosen, [attribute]: after } });
  }

  return { element, follow };
}
