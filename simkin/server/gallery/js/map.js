/** A relation's space as a map, with its clusters in a list beside it. */

import { get, isAborted } from "./api.js";
import { itemHref, picture } from "./card.js";
import { heading, info, relations } from "./catalog.js";
import { count, debounced, h, percent } from "./dom.js";
import { MapCanvas } from "./mapcanvas.js";
import { rename } from "./router.js";
import { empty, failed, withCommand } from "./states.js";

/** @param {HTMLElement} root @param {URLSearchParams} params */
export async function open(root, params) {
  const known = (await relations()).filter(({ modalities }) => modalities.length);
  if (!known.length) {
    root.append(
      h("h1", { class: "visually-hidden" }, "Map"),
      empty("Nothing to map yet", ...withCommand((await info()).state)),
    );
    return { title: "Map" };
  }
  const asked = { relation: params.get("relation") || preferred(known), method: params.get("method") || "pca" };
  let place = {
    x: Number(params.get("x") || 0.5),
    y: Number(params.get("y") || 0.5),
    zoom: Number(params.get("z") || 1),
  };
  /** @type {MapCanvas | null} */
  let canvas = null;
  /** @type {AbortController | null} */
  let control = null;
  const select = (name, label, options) => {
    const field = h(
      "select",
      { "aria-label": label },
      ...options.map(([value, text]) => h("option", { value, selected: asked[name] === value }, text)),
    );
    field.addEventListener("change", () => {
      asked[name] = field.value;
      place = { x: 0.5, y: 0.5, zoom: 1 };
      write();
      load();
    });
    return field;
  };
  const status = h("p", { class: "muted" });
  const stage = h("div", { class: "map-stage" });
  const list = h("nav", { class: "clusters", "aria-label": "Clusters" });
  const button = (label, says, onclick) =>
    h("button", { type: "button", class: "icon-button", "aria-label": says, onclick }, label);
  const tools = h(
    "div",
    { class: "map-tools" },
    button("+", "Zoom in", () => canvas?.zoom(1.5)),
    button("−", "Zoom out", () => canvas?.zoom(1 / 1.5)),
    button("⤢", "Whole map", () => canvas?.look(0.5, 0.5, 1)),
  );
  const tip = h("div", { class: "map-tip", hidden: true });
  root.append(
    h(
      "div",
      { class: "map-head" },
      h("h1", {}, "Map"),
      select(
        "relation",
        "Relation",
        known.map(({ name }) => [name, heading(name)]),
      ),
      select("method", "Method", [
        ["pca", "Principal components"],
        ["umap", "Neighbourhoods (UMAP)"],
      ]),
      status,
    ),
    h("div", { class: "map-page" }, stage, list),
  );

  const write = debounced(250, () =>
    rename("map", { ...asked, x: place.x.toFixed(4), y: place.y.toFixed(4), z: place.zoom.toFixed(2) }),
  );

  async function load() {
    control?.abort();
    control = new AbortController();
    canvas?.close();
    status.textContent = "Drawing …";
    try {
      const data = await get("api/map", asked, control.signal);
      status.textContent = `${count(data.count)} items: those that lie close are alike.`;
      canvas = new MapCanvas(data, place, {
        onOpen: (id) => (location.hash = itemHref(id)),
        onMove: (moved) => {
          place = moved;
          write();
        },
        onPoint: point,
      });
      stage.replaceChildren(canvas.element, tools, tip);
      list.replaceChildren(h("h2", {}, "Clusters"), h("ul", {}, ...data.clusters.map(cluster)));
    } catch (error) {
      if (isAborted(error)) return;
      status.textContent = "";
      stage.replaceChildren(failed(/** @type {Error} */ (error), load));
      list.replaceChildren();
    }
  }

  /** @param {string | null} id @param {number} x @param {number} y */
  function point(id, x, y) {
    tip.hidden = id === null;
    if (id === null) return;
    tip.style.setProperty("left", `${Math.min(x + 16, stage.clientWidth - 150)}px`);
    tip.style.setProperty("top", `${Math.min(y + 16, stage.clientHeight - 180)}px`);
    if (tip.dataset.id === id) return;
    tip.dataset.id = id;
    tip.replaceChildren(picture({ id, modality: "image" }, 128), h("span", {}, id));
  }

  /** @param {{x: number, y: number, share: number, label: string, central: string[]}} one */
  function cluster(one) {
    const show = h(
      "button",
      { type: "button", class: "link", onclick: () => canvas?.look(one.x, one.y, 5) },
      one.label,
    );
    return h(
      "li",
      {},
      h("div", { class: "row" }, show, h("span", { class: "muted" }, percent(one.share))),
      h(
        "div",
        { class: "ends" },
        ...one.central
          .slice(0, 4)
          .map((id) => h("a", { href: itemHref(id), title: id }, picture({ id, modality: "image" }, 56, { alt: id }))),
      ),
    );
  }

  await load();
  return {
    title: "Map",
    close() {
      control?.abort();
      canvas?.close();
    },
  };
}

/** @param {import("./api.js").Relation[]} known @returns {string} Style tells pictures apart best; else the first. */
const preferred = (known) => (known.find(({ name }) => name === "style") ?? known[0]).name;
