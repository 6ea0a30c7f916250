/** Lists of what was liked: named, reordered, exported, and made into sets and playlists. */

import { announce } from "./announce.js";
import { action, itemHref, picture, subtitle } from "./card.js";
import { h } from "./dom.js";
import * as dock from "./dock.js";
import { exportButtons } from "./exports.js";
import { icon } from "./icons.js";
import * as store from "./liststore.js";
import { href, rename } from "./router.js";
import { empty } from "./states.js";

/** @param {HTMLElement} root @param {URLSearchParams} params */
export function open(root, params) {
  let key = params.get("list") ?? "";
  const chosen = () => store.list(key) ?? store.all()[0];

  function paint() {
    const list = chosen();
    const make = h(
      "button",
      { type: "button", class: "button", onclick: () => show(store.add(`List ${store.all().length + 1}`)) },
      icon("plus"),
      "New list",
    );
    if (!list) {
      const browse = h("a", { class: "button primary", href: href("browse") }, "Browse");
      root.replaceChildren(
        h("h1", { class: "visually-hidden" }, "Lists"),
        empty("Nothing saved yet", h("p", {}, "The heart on a card saves it here."), browse),
      );
      return;
    }
    const names = store
      .all()
      .map((each) =>
        h(
          "li",
          {},
          h(
            "a",
            { href: href("lists", { list: each.key }), "aria-current": each.key === list.key ? "page" : null },
            h("span", { class: "name" }, each.name),
            h("span", { class: "number" }, each.items.length),
          ),
        ),
      );
    root.replaceChildren(
      h(
        "div",
        { class: "browse" },
        h("nav", { class: "list-names", "aria-label": "Lists" }, h("ul", {}, ...names), make),
        h("section", { class: "list", "aria-label": list.name }, head(list), contents(list)),
      ),
    );
  }

  /** @param {store.List} list */
  function show(list) {
    key = list.key;
    rename("lists", { list: key });
    paint();
    /** @type {HTMLInputElement | null} */ (root.querySelector(".list-name"))?.select();
  }

  /** @param {store.List} list */
  function head(list) {
    const name = h("input", {
      type: "text",
      class: "list-name",
      value: list.name,
      "aria-label": "Name of the list",
      maxlength: 120,
    });
    name.addEventListener("change", () => store.replace(list.key, { name: name.value.trim() || "List" }));
    const used = store.all()[0].key === list.key;
    const sounds = list.items.filter(({ modality }) => modality === "audio");
    const pictures = list.items.filter(({ modality }) => modality === "image");
    const drop = h(
      "button",
      {
        type: "button",
        class: "button",
        onclick: () => {
          if (!list.items.length || confirm(`Delete the list “${list.name}” with ${list.items.length} items?`)) {
            store.remove(list.key);
            show(store.all()[0] ?? { key: "", name: "", items: [] });
          }
        },
      },
      "Delete",
    );
    const buttons = [
      ...(list.items.length
        ? exportButtons(
            () => chosen().name,
            () => chosen().items,
          )
        : []),
      pictures.length ? h("a", { class: "button", href: many("outfit", pictures) }, "Complete the set") : null,
      sounds.length ? h("a", { class: "button", href: many("playlist", sounds.slice(0, 5)) }, "Make a playlist") : null,
      used
        ? null
        : h("button", { type: "button", class: "button", onclick: () => store.use(list.key) }, "Save into this one"),
      drop,
    ];
    return h(
      "header",
      { class: "list-head" },
      h("h1", {}, name),
      used ? h("p", { class: "muted" }, "Hearts save into this list.") : null,
      h("div", { class: "row" }, ...buttons),
    );
  }

  /** @param {store.List} list */
  function contents(list) {
    if (!list.items.length) return empty("Empty so far", h("p", {}, "The heart on a card saves it here."));
    const lines = h("ol", { class: "lines" });
    const move = (from, to) => {
      if (to < 0 || to >= list.items.length || from === to) return;
      const items = [...list.items];
      items.splice(to, 0, ...items.splice(from, 1));
      store.replace(list.key, { items });
      announce(`${items[to].title} is number ${to + 1}`);
      const steps = [...root.querySelectorAll(`[data-place="${to}"] [data-step]:not(:disabled)`)];
      const same = steps.find((step) => step.getAttribute("data-step") === (to > from ? "1" : "-1"));
      /** @type {HTMLElement | undefined} */ (same ?? steps[0])?.focus(); // at the end only the way back is left
    };
    list.items.forEach((item, place) => {
      const step = (by, sign, label) => {
        const button = action(sign, `${label} ${item.title}`, () => move(place, place + by));
        button.dataset.step = String(by);
        button.disabled = place + by < 0 || place + by >= list.items.length;
        return button;
      };
      const line = h(
        "li",
        { class: "line", draggable: "true", "data-place": place },
        h("span", { class: "number" }, place + 1),
        h(
          "a",
          { href: itemHref(item.id), class: "line-link" },
          picture(item, 56),
          h("span", {}, h("b", {}, item.title), h("span", { class: "muted" }, subtitle(item))),
        ),
        item.modality === "audio"
          ? action("play", `Play ${item.title}`, () => dock.play({ ...item, media: [] }))
          : null,
        step(-1, "up", "Move up"),
        step(1, "down", "Move down"),
        action("close", `Take out ${item.title}`, () =>
          store.replace(list.key, { items: list.items.filter((each) => each !== item) }),
        ),
      );
      line.addEventListener("dragstart", (event) => event.dataTransfer?.setData("text/x-place", String(place)));
      line.addEventListener(
        "dragover",
        (event) => event.dataTransfer?.types.includes("text/x-place") && event.preventDefault(),
      );
      line.addEventListener("drop", (event) => {
        const from = event.dataTransfer?.getData("text/x-place");
        if (from) move(Number(from), place);
      });
      lines.append(line);
    });
    return lines;
  }

  paint();
  store.changes.addEventListener("change", paint);
  return {
    title: "Lists",
    /** @param {URLSearchParams} changed */
    update(changed) {
      key = changed.get("list") ?? "";
      paint();
      return true;
    },
    close: () => store.changes.removeEventListener("change", paint),
  };
}

/** @param {string} view @param {readonly store.Kept[]} items */
const many = (view, items) => href(view, new URLSearchParams(items.map(({ id }) => ["id", id])));
