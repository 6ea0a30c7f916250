/** The catalog as a grid, searched, filtered and sorted. */

import { announce } from "./announce.js";
import { get } from "./api.js";
import { action, card, itemHref, worded } from "./card.js";
import { info } from "./catalog.js";
import { playButton } from "./dock.js";
import { count, debounced, h } from "./dom.js";
import { filterPanel, params, parse, where } from "./filters.js";
import { Grid } from "./grid.js";
import { icon } from "./icons.js";
import { toggle } from "./liststore.js";
import { Pages } from "./pages.js";
import { rename } from "./router.js";
import { empty, failed, waiting, withCommand } from "./states.js";
import * as tray from "./tray.js";

/** @typedef {import("./filters.js").Filters} Filters */

/** Milliseconds between looks at whether an empty catalog has been filled, or built. */
const FILLED = 3000;

/** The last pages seen, so that going back shows them at once. @type {{key: string, pages: Pages, active: number} | null} */
let last = null;

/** @param {HTMLElement} root @param {URLSearchParams} given */
export function open(root, given) {
  let filters = parse(given);
  const search = /** @type {HTMLInputElement} */ (document.getElementById("search"));
  const grid = new Grid(draw, onKey);
  const state = h("div", {}, waiting(18));
  const total = h("p", { class: "total" });
  const chips = h("div", { class: "chips" });
  const sort = h("select", { "aria-label": "Sort by", hidden: true, onchange: () => change({ sort: sort.value }) });
  const side = h("details", { class: "side" }, h("summary", { class: "button" }, icon("filter"), "Filters"));
  const wide = matchMedia("(min-width: 960px)");
  const onWidth = () => (side.open = wide.matches);
  onWidth();
  wide.addEventListener("change", onWidth);
  const lead = h(
    "p",
    { class: "lead" },
    "Open anything to see what could replace it, what goes with it or what sounds like it. ",
    h("span", {}, "Drop a picture or a song here to ask about it."),
  );
  const notice = h("div", { class: "notice", role: "status", hidden: true });
  const tools = h("div", { class: "grid-tools" }, total, chips, sort);
  root.append(
    h("h1", { class: "visually-hidden" }, "All items"),
    lead,
    notice,
    h("div", { class: "browse" }, side, h("section", { "aria-label": "Items" }, tools, state, grid.element)),
  );
  grid.attach();

  /** @type {ReturnType<typeof filterPanel> | null} */
  let panel = null;
  /** @type {Pages} */
  let pages;
  let watch = 0;

  const typed = debounced(140, () => change({ text: search.value.trim() }));
  search.value = filters.text;
  search.addEventListener("input", typed);
  load();
  info().then(
    (known) => {
      if (!known.items) {
        side.remove();
        return;
      }
      if (known.state !== "current") {
        notice.replaceChildren(h("h2", {}, "Nothing can be asked yet"), ...withCommand(known.state));
        notice.hidden = false;
        lead.hidden = true;
        lookAgain();
      }
      panel = filterPanel(known, () => filters, change, () => {
        side.open = false;
        tools.scrollIntoView({ block: "start" });
      });
      side.append(panel.element);
      panel.paint();
      if (pages.total !== null) panel.tell(pages.total);
      sort.replaceChildren(...sortings(known.attributes).map(([value, label]) => h("option", { value }, label)));
      sort.value = filters.sort;
      sort.hidden = pages.total === 0;
    },
    () => side.remove(),
  );

  /** @param {Partial<Filters>} changed */
  function change(changed) {
    filters = { ...filters, ...changed };
    rename("browse", params(filters));
    scrollTo({ top: 0 });
    load();
  }

  function load() {
    const query = { text: filters.text, modality: filters.modality, where: where(filters), sort: filters.sort };
    const key = JSON.stringify(query);
    pages?.cancel();
    if (last?.key !== key) last = { key, pages: new Pages(query, onPages), active: 0 };
    pages = last.pages;
    pages.onChange = onPages;
    panel?.paint();
    sort.value = filters.sort;
    paintChips();
    if (pages.total === null) pages.want(0, 0);
    else onPages();
  }

  function onPages() {
    const refused = pages.error && pages.total === null;
    panel?.complain(refused && filters.where ? pages.error.message : "");
    if (refused) {
      if (!filters.where) state.replaceChildren(failed(pages.error, () => load()));
      return;
    }
    if (pages.total === null) return;
    if (grid.source === pages && grid.total === pages.total) {
      grid.refresh();
      return;
    }
    state.replaceChildren();
    grid.show(pages, pages.total, last?.active ?? 0);
    sort.hidden = !pages.total;
    const things = pages.total === 1 ? "item" : "items";
    total.textContent = `${count(pages.total)} ${things}`;
    panel?.tell(pages.total);
    if (grid.reachable < pages.total) total.textContent += `, the first ${count(grid.reachable)} shown`;
    announce(`${count(pages.total)} ${things}`);
    if (!pages.total) nothing();
  }

  async function nothing() {
    const known = await info().catch(() => null);
    if (known?.items) {
      const clear = () => {
        search.value = "";
        change(parse(new URLSearchParams()));
      };
      const button = h("button", { type: "button", class: "button", onclick: clear }, "Show everything");
      state.replaceChildren(empty("Nothing passes", h("p", {}, "No item fits this search and these filters."), button));
      return;
    }
    const command = known?.state.split("with: ")[1] ?? "simkin index SOURCE --catalog THIS_CATALOG";
    lead.hidden = tools.hidden = true;
    state.replaceChildren(
      empty(
        "This catalog is empty",
        h("p", {}, "Fill it with a folder or a table of pictures or songs; they show up here by themselves."),
        h("pre", {}, h("code", {}, command.replace("SOURCE", "YOUR_FILES/"))),
      ),
    );
    lookAgain();
  }

  function lookAgain() {
    clearTimeout(watch);
    watch = window.setTimeout(look, FILLED);
  }

  /** Show what has come in, or can be asked, since. */
  async function look() {
    const now = await get("api/info").catch(() => null);
    if (now?.items && now.state === "current") location.reload();
    else lookAgain();
  }

  function paintChips() {
    /** @param {string} label @param {Partial<Filters>} without */
    const chip = (label, without) =>
      h(
        "button",
        { type: "button", class: "chip", "aria-label": `Remove filter ${label}`, onclick: () => drop(without) },
        label,
        icon("close"),
      );
    /** @param {Partial<Filters>} without */
    const drop = (without) => {
      if (without.text === "") search.value = "";
      change(without);
    };
    const shown = [];
    if (filters.text) shown.push(chip(`“${filters.text}”`, { text: "" }));
    for (const [attribute, values] of Object.entries(filters.chosen)) {
      for (const value of values) {
        const others = values.filter((each) => each !== value);
        shown.push(chip(value, { chosen: { ...filters.chosen, [attribute]: others } }));
      }
    }
    if (filters.low) shown.push(chip(`from ${filters.low}`, { low: "" }));
    if (filters.high) shown.push(chip(`to ${filters.high}`, { high: "" }));
    if (filters.where) shown.push(chip(filters.where, { where: "" }));
    chips.replaceChildren(...shown);
  }

  return {
    title: "Browse",
    /** @param {URLSearchParams} changed */
    update(changed) {
      filters = parse(changed);
      search.value = filters.text;
      load();
      return true;
    },
    close() {
      clearTimeout(watch);
      search.removeEventListener("input", typed);
      wide.removeEventListener("change", onWidth);
      pages.cancel();
      grid.detach();
      if (last) last.active = grid.active;
    },
    focus: () => grid.focus(grid.active),
  };
}

/** @param {string[]} attributes @returns {[string, string][]} */
function sortings(attributes) {
  const choices = [
    ["", "In order"],
    ["title", "By title"],
  ];
  if (attributes.includes("price")) choices.push(["price", "Cheapest first"], ["-price", "Dearest first"]);
  for (const name of ["artist", "year"]) if (attributes.includes(name)) choices.push([name, `By ${name}`]);
  return /** @type {[string, string][]} */ (choices);
}

/** @param {import("./api.js").Item} item @param {number} width @param {boolean} later */
const draw = (item, width, later) =>
  card(item, width, {
    later,
    tabindex: -1,
    actions: [worded(action("plus", `Ask with ${item.title}`, () => tray.put(item), -1), "Ask together", "Ask")],
    last: item.modality === "audio" ? listen(item) : null,
  });

/** @param {import("./api.js").Item} item */
function listen(item) {
  const button = playButton(item, `Play ${item.title}`, undefined, -1);
  button.dataset.act = "listen";
  return button;
}

/** @param {import("./api.js").Item} item @param {string} key */
function onKey(item, key) {
  if (key === "s") toggle(item);
  else if (key === "+") tray.put(item);
  else if (key === " ") location.hash = itemHref(item.id);
}
