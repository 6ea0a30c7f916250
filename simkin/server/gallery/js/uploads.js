/** Files that were asked about, kept in this browser so that reload and back find them again. */

const KEPT = 12;

/** Also held in memory, for browsers that keep nothing. @type {Map<string, File>} */
const held = new Map();

/** @returns {Promise<IDBDatabase>} */
function database() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("simkin", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("files");
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T>}
 */
async function inStore(mode, work) {
  const opened = await database();
  return new Promise((resolve, reject) => {
    const request = work(opened.transaction("files", mode).objectStore("files"));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  }).finally(() => opened.close());
}

/** @param {File} file @returns {Promise<string>} Its key. */
export async function keep(file) {
  const key = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
  held.set(key, file);
  try {
    await inStore("readwrite", (store) => store.put(file, key));
    const keys = await inStore("readonly", (store) => store.getAllKeys());
    for (const old of keys.sort().slice(0, -KEPT)) await inStore("readwrite", (store) => store.delete(old));
  } catch {
    // Kept in memory only: a reload will ask for the file again.
  }
  return key;
}

/** @param {string} key @returns {Promise<File | undefined>} */
export async function find(key) {
  const file = held.get(key) ?? (await inStore("readonly", (store) => store.get(key)).catch(() => undefined));
  if (file) held.set(key, file);
  return file;
}

const SOUNDS = /\.(mp3|flac|wav|ogg|oga|opus|m4a|aac|aiff?|wma)$/i;
const PICTURES = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|heic)$/i;

/** @param {File} file @returns {"image" | "audio" | null} */
export function modalityOf(file) {
  if (file.type.startsWith("image/") || PICTURES.test(file.name)) return "image";
  if (file.type.startsWith("audio/") || SOUNDS.test(file.name)) return "audio";
  return null;
}
