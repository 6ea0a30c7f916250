/** Lists as files: CSV for tables, M3U8 for music players. */

import { media } from "./api.js";
import { h } from "./dom.js";

/** @typedef {import("./liststore.js").Kept} Kept */

/** @param {unknown} value @returns {string} One cell; one that a spreadsheet would run as a formula is kept a text. */
function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {readonly Kept[]} items @returns {string} Ids, titles, categories, then every attribute. */
export function csv(items) {
  const names = [...new Set(items.flatMap((item) => Object.keys(item.attributes ?? {})))].filter(
    (name) => !["title", "category"].includes(name),
  );
  const head = ["id", "title", "category", ...names].map(cell).join(",");
  const lines = items.map((item) =>
    [item.id, item.title, item.category, ...names.map((name) => item.attributes?.[name])].map(cell).join(","),
  );
  return [head, ...lines, ""].join("\r\n");
}

/**
 * A playlist whose entries play from this server, in any player that opens addresses.
 * @param {string} name
 * @param {readonly (Kept & {seconds?: number | null})[]} items
 * @returns {string}
 */
export function m3u8(name, items) {
  const line = (text) => String(text).replace(/[\r\n]+/g, " ");
  const entries = items.flatMap((item) => {
    const artist = item.attributes?.artist;
    const seconds = Math.round(Number(item.seconds ?? item.attributes?.duration)) || -1;
    return [
      `#EXTINF:${seconds},${line(artist ? `${artist} - ${item.title}` : item.title)}`,
      new URL(media(item.id), document.baseURI.split("#")[0]).href,
    ];
  });
  return ["#EXTM3U", `#PLAYLIST:${line(name)}`, ...entries, ""].join("\n");
}

/** @param {string} name @param {string} type @param {string} content */
export function download(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }));
  h("a", { href: address, download: name.replace(/[\\/:*?"<>|\u0000-\u001f]+/g, "-") }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/**
 * The two buttons that write a list to a file.
 * @param {() => string} name
 * @param {() => readonly Kept[]} items Those of the moment; M3U8 takes the sounds among them.
 * @returns {HTMLElement[]}
 */
export function exportButtons(name, items) {
  const button = (label, onclick) => h("button", { type: "button", class: "button", onclick }, label);
  const sounds = () => items().filter(({ modality }) => modality === "audio");
  const table = button("CSV", () => download(`${name()}.csv`, "text/csv", csv(items())));
  if (!sounds().length) return [table];
  return [button("M3U8 playlist", () => download(`${name()}.m3u8`, "audio/x-mpegurl", m3u8(name(), sounds()))), table];
}
