/** Lists of liked items, kept in this browser. */

import { toast } from "./announce.js";

/**
 * @typedef {Pick<import("./api.js").Item, "id" | "title" | "modality" | "category" | "attributes">} Kept
 * @typedef {{key: string, name: string, items: Kept[]}} List
 */

const KEY = "simkin.lists";

/** Fires "change" after every change, also one made in another tab. */
export const changes = new EventTarget();

/** @type {List[]} */
let lists = read();

window.addEventListener("storage", (event) => {
  if (event.key !== KEY) return;
  lists = read();
  changes.dispatchEvent(new Event("change"));
});

/** @returns {List[]} */
function read() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(stored) ? stored.filter((list) => list.key && Array.isArray(list.items)) : [];
  } catch {
    return [];
  }
}

function write() {
  try {
    localStorage.setItem(KEY, JSON.stringify(lists));
  } catch {
    toast("This browser keeps nothing: the lists last until the page is closed. Export them.");
  }
  changes.dispatchEvent(new Event("change"));
}

/** @returns {readonly List[]} The one that hearts go into comes first. */
export const all = () => lists;

/** @param {string} key @returns {List | undefined} */
export const list = (key) => lists.find((each) => each.key === key);

/** @param {string} id @returns {boolean} Whether the list in use holds the item. */
export const holds = (id) => lists[0]?.items.some((item) => item.id === id) ?? false;

/**
 * @param {string} name
 * @param {Kept[]} items
 * @returns {List} The new list; hearts go into it from now on.
 */
export function add(name, items = []) {
  const made = { key: crypto.randomUUID?.() ?? String(Date.now()), name, items: items.map(kept) };
  lists = [made, ...lists];
  write();
  return made;
}

/** @param {Kept} item @returns {boolean} Whether the list in use holds it now. */
export function toggle(item) {
  const used = lists[0] ?? add("My list");
  const present = holds(item.id);
  replace(used.key, {
    items: present ? used.items.filter((each) => each.id !== item.id) : [...used.items, kept(item)],
  });
  return !present;
}

/** @param {string} key @param {Partial<List>} change */
export function replace(key, change) {
  lists = lists.map((each) => (each.key === key ? { ...each, ...change } : each));
  write();
}

/** @param {string} key Hearts go into this list from now on. */
export function use(key) {
  lists = [...lists.filter((each) => each.key === key), ...lists.filter((each) => each.key !== key)];
  write();
}

/** @param {string} key */
export function remove(key) {
  lists = lists.filter((each) => each.key !== key);
  write();
}

/** @param {Kept} item @returns {Kept} */
const kept = ({ id, title, modality, category, attributes }) => ({ id, title, modality, category, attributes });
