/** Making a playlist: from a song, around it, away from it, or on to another. */

import { toast } from "./announce.js";
import { get, isAborted, itemsOf, post } from "./api.js";
import { itemHref, picture, subtitle } from "./card.js";
import { clock, debounced, h } from "./dom.js";
import * as dock from "./dock.js";
import { exportButtons } from "./exports.js";
import { add, all } from "./liststore.js";
import { rename } from "./router.js";
import { failed, waiting } from "./states.js";

const TRENDS = [
  ["", "As it comes"],
  ["tempo up", "Faster and faster"],
  ["tempo down", "Slower and slower"],
  ["energy up", "More and more energy"],
  ["energy down", "Less and less energy"],
];

const MODES = [
  ["radius", "Around it", "All stay close to the first."],
  ["chain", "Onwards", "Each is close to the one before."],
  ["path", "On the way to …", "Small steps from the first to the last."],
];

/** @param {HTMLElement} root @param {URLSearchParams} params */
export async function open(root, params) {
  const seeds = params.getAll("id");
  const asked = {
    mode: params.get("mode") ?? "radius",
    to: params.get("to") ?? "",
    length: params.get("length") ?? "20",
    trend: params.get("trend") ?? "",
    seed: params.get("seed") ?? "0",
  };
  root.append(waiting(6));
  const given = await Promise.all(seeds.map((id) => get("api/item", { id })));
  const name = given[0] ? `Like ${given[0].title}` : "Playlist";
  /** @type {AbortController | null} */
  let control = null;
  /** @type {(import("./api.js").Item & {seconds: number | null})[]} */
  let tracks = [];

  const results = h("div", { "aria-live": "polite" });
  const hint = h("p", { class: "hint" });
  const soon = debounced(200, () => ask());
  const mode = h(
    "fieldset",
    { class: "segments" },
    h("legend", { class: "visually-hidden" }, "Kind of playlist"),
    ...MODES.map(([value, label]) =>
      h(
        "label",
        {},
        h("input", {
          type: "radio",
          name: "mode",
          value,
          checked: asked.mode === value,
          onchange: () => set({ mode: value }),
        }),
        h("span", {}, label),
      ),
    ),
  );
  const length = h("input", {
    type: "number",
    min: 2,
    max: 200,
    value: asked.length,
    "aria-label": "How many songs",
    oninput: () => set({ length: length.value }),
  });
  const to = toChoice(asked.to, (id) => set({ to: id }));
  const trend = h(
    "select",
    { "aria-label": "What rises or falls", onchange: () => set({ trend: trend.value }) },
    ...TRENDS.map(([value, label]) => h("option", { value, selected: value === asked.trend }, label)),
  );
  const again = h(
    "button",
    { type: "button", class: "button", onclick: () => set({ seed: String(Number(asked.seed) + 1) }) },
    "Another one",
  );

  /** @param {Partial<typeof asked>} change */
  function set(change) {
    Object.assign(asked, change);
    soon();
  }

  async function ask() {
    rename("playlist", new URLSearchParams([...seeds.map((id) => ["id", id]), ...Object.entries(asked)]));
    hint.textContent = MODES.find(([value]) => value === asked.mode)?.[2] ?? "";
    to.hidden = asked.mode !== "path";
    if (asked.mode === "path" && !asked.to) return;
    control?.abort();
    control = new AbortController();
    results.setAttribute("aria-busy", "true");
    try {
      const body = {
        seeds,
        mode: asked.mode,
        to: asked.mode === "path" ? asked.to : null,
        length: Number(asked.length) || 20,
        trend: asked.trend || null,
        seed: Number(asked.seed) || 0,
      };
      const found = await post("api/playlist", body, control.signal);
      const ids = found.tracks.map(({ id }) => id);
      const items = await itemsOf(ids, found.items ?? {}, control.signal);
      tracks = items.map((item, place) => ({ ...item, seconds: found.tracks[place].seconds }));
      results.replaceChildren(
        ...found.notes.map((/** @type {string} */ note) => h("p", { class: "muted" }, note)),
        shown(found.seconds),
      );
    } catch (error) {
      if (!isAborted(error)) results.replaceChildren(failed(/** @type {Error} */ (error), ask));
    } finally {
      results.removeAttribute("aria-busy");
    }
  }

  /** @param {number | null} seconds */
  function shown(seconds) {
    const save = h(
      "button",
      {
        type: "button",
        class: "button",
        onclick: () => {
          add(name, tracks);
          toast("Saved as a list");
        },
      },
      "Save as a list",
    );
    const line = (track, place) =>
      h(
        "li",
        { class: "line" },
        h("span", { class: "number" }, place + 1),
        h(
          "a",
          { class: "line-link", href: itemHref(track.id) },
          picture(track, 56),
          h("span", {}, h("b", {}, track.title), h("span", { class: "muted" }, subtitle(track))),
        ),
        h("span", { class: "time" }, track.seconds ? clock(track.seconds) : ""),
        dock.playButton(track, `Play ${track.title}`, () =>
          place ? dock.compare(tracks[place - 1], track) : dock.play(track),
        ),
      );
    return h(
      "div",
      { class: "playlist" },
      h(
        "div",
        { class: "row" },
        h("p", { class: "total" }, `${tracks.length} songs${seconds ? `, ${clock(seconds)}` : ""}`),
        ...exportButtons(
          () => name,
          () => tracks,
        ),
        save,
        again,
      ),
      h("ol", { class: "lines" }, ...tracks.map(line)),
    );
  }

  root.replaceChildren(
    h("h1", {}, name),
    h("div", { class: "outfit-form" }, mode, h("label", {}, "Songs", length), trend, to),
    hint,
    results,
  );
  ask();
  return { title: name, close: () => control?.abort() };
}

/** @param {string} chosen @param {(id: string) => void} onChange A song to end with: one that was saved, or an id. */
function toChoice(chosen, onChange) {
  const saved = all()
    .flatMap(({ items }) => items)
    .filter(({ modality }) => modality === "audio");
  const field = h("input", {
    type: "text",
    value: chosen,
    list: "songs-to",
    placeholder: "search a song",
    autocomplete: "off",
  });
  const options = h("datalist", { id: "songs-to" }, ...saved.map(({ id, title }) => h("option", { value: id }, title)));
  const find = debounced(200, async () => {
    const found = await get("api/items", { text: field.value, modality: "audio", limit: 12 }).catch(() => ({
      items: [],
    }));
    options.replaceChildren(
      ...found.items.map(({ id, title, attributes }) =>
        h("option", { value: id }, attributes.artist ? `${title}, ${attributes.artist}` : title),
      ),
    );
    if (found.items.some(({ id }) => id === field.value) || found.items.length === 1)
      onChange(found.items.length === 1 ? found.items[0].id : field.value);
  });
  field.addEventListener("input", find);
  return h("label", {}, "To", field, options);
}
