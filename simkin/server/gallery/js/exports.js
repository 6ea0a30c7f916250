/** Lists as files: CSV for tables, M3U8 for music players. */

import { toast } from "./announce.js";
import { media, post } from "./api.js";
import { h } from "./dom.js";

/** @typedef {import("./liststore.js").Kept} Kept */

/** Items whose files are asked for at once. */
const AT_ONCE = 500;

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

/** @typedef {Kept & {seconds?: number | null}} Sound */

/** @param {Sound} item @returns {string} Where it plays from this server, for players that open addresses. */
const addressOf = (item) => new URL(media(item.id), document.baseURI.split("#")[0]).href;

/**
 * @param {readonly Sound[]} items
 * @returns {Promise<Map<string, string>>} Names of their files inside the folder that was indexed, by id.
 */
async function filesOf(items) {
  const found = new Map();
  const ids = items.map(({ id }) => id);
  for (let start = 0; start < ids.length; start += AT_ONCE) {
    const { files } = await post("api/files", { ids: ids.slice(start, start + AT_ONCE) });
    for (const [id, file] of Object.entries(files)) found.set(id, /^[# ]/.test(file) ? `./${file}` : file);
  }
  return found;
}

/**
 * @param {string} name
 * @param {readonly Sound[]} items
 * @param {(item: Sound) => string} placeOf Where a player finds each.
 * @returns {string}
 */
export function m3u8(name, items, placeOf) {
  const line = (text) => String(text).replace(/[\r\n]+/g, " ");
  const entries = items.flatMap((item) => {
    const artist = item.attributes?.artist;
    const seconds = Math.round(Number(item.seconds ?? item.attributes?.duration)) || -1;
    return [
      `#EXTINF:${seconds},${line(artist ? `${artist} - ${item.title}` : item.title)}`,
      placeOf(item),
    ];
  });
  return ["#EXTM3U", `#PLAYLIST:${line(name)}`, ...entries, ""].join("\n");
}

/** @param {string} text @returns {string} As file systems take it. */
const fileName = (text) => text.replace(/[\\/:*?"<>|\u0000-\u001f]+/g, "-");

/** @param {string} name @param {string} type @param {string} content */
export function download(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }));
  h("a", { href: address, download: fileName(name) }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** @param {number} many @param {string} thing @returns {string} `1 song`, `2 songs` */
const some = (many, thing) => `${many} ${thing}${many === 1 ? "" : "s"}`;

/**
 * The buttons that write a list to a file, and say what they wrote.
 * @param {() => string} name
 * @param {() => readonly Kept[]} items Those of the moment; M3U8 takes the sounds among them.
 * @returns {HTMLElement[]}
 */
export function exportButtons(name, items) {
  const button = (label, title, onclick) => h("button", { type: "button", class: "button", title, onclick }, label);
  const sounds = () => items().filter(({ modality }) => modality === "audio");
  const table = button("CSV", "A table: ids, titles and attributes", () => {
    download(`${name()}.csv`, "text/csv", csv(items()));
    toast(`Saved ${some(items().length, "item")} as ${fileName(name())}.csv.`);
  });
  if (!sounds().length) return [table];
  /** @param {readonly Sound[]} songs @param {(item: Sound) => string} placeOf @param {string} told */
  const save = (songs, placeOf, told) => {
    download(`${name()}.m3u8`, "audio/x-mpegurl", m3u8(name(), songs, placeOf));
    toast(`Saved ${some(songs.length, "song")} as ${fileName(name())}.m3u8; ${told}`);
  };
  const files = button("M3U8 playlist", "File names, for music players that have the same folder", async () => {
    const wanted = sounds();
    try {
      const places = await filesOf(wanted);
      const songs = wanted.filter(({ id }) => places.has(id));
      const lacking = wanted.length - songs.length;
      const left = lacking ? ` ${some(lacking, "song")} without a file left out.` : "";
      const told = `entries are file names relative to your music folder.${left}`;
      save(songs, ({ id }) => places.get(id) ?? "", told);
    } catch (error) {
      toast(/** @type {Error} */ (error).message);
    }
  });
  const links = button("Web links (M3U8)", "Addresses of this server, for players that open them", () =>
    save(sounds(), addressOf, "entries are web links, which play while this server runs."),
  );
  return [files, links, table];
}
