/** Requests to the server this page came from. */

import { isDark } from "./shade.js";

/**
 * @typedef {{id: string, modality: "image" | "audio", title: string, category: string | null,
 *   attributes: Record<string, string | number | boolean | null>,
 *   media: {position: number, modality: string, version?: string}[]}} Item
 * @typedef {{rank: number, id: string, score: number, closer_than: number, facets: Record<string, number>,
 *   duplicates: string[], item: Item}} Hit
 * @typedef {{relation: string, method: string, recall: number, generation: number, notes: string[],
 *   hits: Hit[]}} Answer
 * @typedef {{name: string, rule: string, why: string, modalities: string[], weights: Record<string, number>,
 *   learned: boolean}} Relation
 */

/** What the server refused, in its own words. */
export class ApiError extends Error {
  /** @param {number} status @param {string} type @param {string} message */
  constructor(status, type, message) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

/** @param {unknown} error @returns {boolean} Whether a newer request took this one's place. */
export const isAborted = (error) => error instanceof DOMException && error.name === "AbortError";

/** @typedef {Record<string, string | number | null | undefined | readonly string[]>} Asked */

/**
 * @param {string} path
 * @param {Asked} query Empty values are left out; of several values each has the name.
 * @returns {string} An address relative to this page.
 */
export function address(path, query = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) for (const each of value) params.append(name, each);
    else if (value !== "" && value !== null && value !== undefined) params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}

/**
 * @param {string} path
 * @param {Asked} [query]
 * @param {AbortSignal} [signal]
 */
export function get(path, query = {}, signal) {
  return request(address(path, query), { signal });
}

/**
 * @param {string} path
 * @param {unknown} body Sent as JSON, or as a form if it is one.
 * @param {AbortSignal} [signal]
 */
export function post(path, body, signal) {
  if (body instanceof FormData) return request(path, { method: "POST", body, signal });
  const headers = { "Content-Type": "application/json" };
  return request(path, { method: "POST", body: JSON.stringify(body), headers, signal });
}

/** @param {string} path @param {RequestInit} options */
async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (isAborted(error)) throw error;
    throw new ApiError(0, "Unreachable", "The server does not answer. Is simkin serve still running?");
  }
  if (response.ok) return response.json();
  const said = await response.json().catch(() => ({}));
  const message = said.error?.message ?? (typeof said.detail === "string" ? said.detail : response.statusText);
  throw new ApiError(response.status, said.error?.type ?? "Error", message || `status ${response.status}`);
}

/**
 * Items by id, in order.
 * @param {string[]} ids
 * @param {Record<string, Item>} known Those that an answer brought along; the others are asked for.
 * @param {AbortSignal} [signal]
 * @returns {Promise<Item[]>}
 */
export const itemsOf = (ids, known, signal) =>
  Promise.all(ids.map((id) => (Object.hasOwn(known, id) ? known[id] : get("api/item", { id }, signal))));

/**
 * @param {{id: string, modality?: string, media?: Item["media"]}} item With its media, the browser keeps the picture until it changes.
 * @param {number} width Pixels on the page.
 * @param {number} [position] Which of its files.
 * @returns {string} Address of the thumbnail that is sharp enough on this screen.
 */
export function thumbnail({ id, modality, media = [] }, width, position = 0) {
  const wanted = width * Math.min(devicePixelRatio || 1, 2) * 0.85;
  const size = [160, 320].find((each) => each >= wanted) ?? 640;
  const dark = modality === "audio" && isDark() ? 1 : ""; // its wave is drawn for the page
  return address("api/thumbnail", { id, position: position || "", size, dark, v: media[position]?.version });
}

/** @param {string} id @returns {string} Address of the item's own file. */
export const media = (id) => address("api/media", { id });
