/** Completing a set, such as an outfit: for some items and chosen kinds of things, the best of each kind together. */

import { toast } from "./announce.js";
import { get, isAborted, itemsOf, post } from "./api.js";
import { itemHref, picture, subtitle } from "./card.js";
import { heading, info, relationsOf } from "./catalog.js";
import { debounced, h } from "./dom.js";
import { add } from "./liststore.js";
import { rename } from "./router.js";
import { empty, failed, waiting } from "./states.js";

/** Kinds of things to choose from, the most numerous ones. */
const MOST = 40;

/** @typedef {{score: number, price: number | null, items: {slot: string, id: string}[]}} Completed */

/** @param {HTMLElement} root @param {URLSearchParams} params */
export async function open(root, params) {
  const ids = params.getAll("id");
  root.append(waiting(6));
  const [given, known] = await Promise.all([Promise.all(ids.map((id) => get("api/item", { id }))), info()]);
  const judges = given[0] ? await relationsOf(given[0].modality) : [];
  let relation = params.get("relation") ?? preferred(judges);
  const taken = new Set(given.map(({ category }) => category));
  const others = known.categories.filter(({ name }) => !taken.has(name)).sort((a, b) => b.count - a.count);
  const offered = others.slice(0, MOST).map(({ name }) => name);
  let slots = params.getAll("slot");
  if (!slots.length) slots = offered.slice(0, 3);
  let price = params.get("max") ?? "";
  let diversity = params.get("diversity") ?? "0.3";
  /** @type {AbortController | null} */
  let control = null;

  const results = h("div", { class: "outfits" });
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Kinds of things" });
  const judge = h(
    "select",
    {
      "aria-label": "What goes together is judged by",
      onchange: () => {
        relation = judge.value;
        ask();
      },
    },
    ...judges.map(({ name }) => h("option", { value: name, selected: name === relation }, heading(name))),
  );
  const cap = h("input", {
    type: "number",
    min: 0,
    step: "any",
    value: price,
    placeholder: "no limit",
    "aria-label": "Highest price in all",
    oninput: () => soon(() => (price = cap.value)),
  });
  const variety = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.1,
    value: diversity,
    "aria-label": "How varied",
    oninput: () => soon(() => (diversity = variety.value)),
  });
  const soon = debounced(150, (/** @type {() => void} */ set) => {
    set();
    ask();
  });

  function paintChips() {
    chips.replaceChildren(
      ...offered.map((name) =>
        h(
          "button",
          {
            type: "button",
            class: "chip",
            "aria-pressed": String(slots.includes(name)),
            onclick: () => {
              slots = slots.includes(name) ? slots.filter((each) => each !== name) : [...slots, name];
              paintChips();
              /** @type {HTMLElement | undefined} */ (
                [...chips.children].find((chip) => chip.textContent === name)
              )?.focus();
              ask();
            },
          },
          name,
        ),
      ),
    );
  }

  async function ask() {
    const written = [
      ...ids.map((id) => ["id", id]),
      ...slots.map((slot) => ["slot", slot]),
      ["relation", relation === preferred(judges) ? "" : relation],
      ["max", price],
      ["diversity", diversity],
    ];
    rename("outfit", new URLSearchParams(written));
    control?.abort();
    control = new AbortController();
    if (!slots.length) {
      results.replaceChildren(
        empty("Choose what is missing", h("p", {}, "Each kind chosen above gets its best item.")),
      );
      return;
    }
    try {
      const body = {
        items: ids,
        slots,
        relation,
        alternatives: 4,
        diversity: Number(diversity),
        max_price: price ? Number(price) : null,
      };
      const found = await post("api/complete", body, control.signal);
      /** @type {Completed[]} */
      const alternatives = found.alternatives;
      const wanted = new Set(alternatives.flatMap(({ items }) => items.map(({ id }) => id)));
      const pieces = await itemsOf([...wanted], found.items ?? {}, control.signal);
      const items = new Map(pieces.map((item) => [item.id, item]));
      const outfits = alternatives.map((one, place) => outfit(given, one, items, place));
      const notes = found.notes.map((note) => h("p", { class: "muted" }, note));
      results.replaceChildren(
        ...notes,
        ...(outfits.length ? outfits : [empty("Nothing fits", h("p", {}, "Raise the price or choose other kinds."))]),
      );
    } catch (error) {
      if (!isAborted(error)) results.replaceChildren(failed(/** @type {Error} */ (error), ask));
    }
  }

  root.replaceChildren(
    h("h1", {}, "Complete the set"),
    h(
      "div",
      { class: "outfit-form" },
      chips,
      judges.length > 1 ? h("label", {}, "Judged by", judge) : null,
      h("label", {}, "Price in all", cap),
      h("label", {}, "Variety", variety),
    ),
    results,
  );
  paintChips();
  ask();
  return { title: "Set", close: () => control?.abort() };
}

/** @param {import("./api.js").Relation[]} judges @returns {string} What says what goes together, first of all. */
const preferred = (judges) =>
  (
    judges.find(({ name }) => name === "style") ??
    judges.find(({ rule }) => rule === "other category") ??
    judges.find(({ learned }) => learned) ??
    judges[0]
  )?.name ?? "style";

/**
 * @param {import("./api.js").Item[]} given
 * @param {Completed} found
 * @param {Map<string, import("./api.js").Item>} items
 * @param {number} place
 */
function outfit(given, found, items, place) {
  const all = [...given, ...found.items.map(({ id }) => items.get(id)).filter((item) => item !== undefined)];
  const save = () => {
    add(`Set ${place + 1}`, all);
    toast("Saved as a list");
  };
  const piece = (item) =>
    h(
      "a",
      { class: "piece", href: itemHref(item.id) },
      h("span", { class: "card-picture" }, picture(item, 160, { alt: "" })),
      h("span", { class: "card-title" }, item.title),
      h("span", { class: "card-subtitle" }, subtitle(item)),
    );
  return h(
    "section",
    { class: "outfit", "aria-label": `Set ${place + 1}` },
    h(
      "header",
      { class: "row" },
      h("h2", {}, `Set ${place + 1}`),
      h("span", { class: "score" }, found.score.toFixed(2)),
      found.price === null ? null : h("span", { class: "muted" }, `${found.price.toFixed(2)} in all`),
      h("button", { type: "button", class: "button", onclick: save }, "Save as a list"),
    ),
    h("div", { class: "pieces" }, ...all.map(piece)),
  );
}
