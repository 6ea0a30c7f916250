/** What is known of the whole catalog: asked once, shared by all views. */

import { get } from "./api.js";

/**
 * @typedef {{name: string, items: number, modalities: Record<string, number>, generation: number, state: string,
 *   categories: {name: string, count: number}[], attributes: string[], facets: Record<string, string[]>}} Info
 *   `state` is "current", or says what to run before questions can be answered.
 */

/** @type {Map<string, Promise<unknown>>} */
const asked = new Map();

/** @param {string} path */
function once(path) {
  let answer = asked.get(path);
  if (!answer) {
    answer = get(path);
    answer.catch(() => asked.delete(path));
    asked.set(path, answer);
  }
  return answer;
}

/** @returns {Promise<Info>} */
export const info = () => /** @type {Promise<Info>} */ (once("api/info"));

/** @returns {Promise<import("./api.js").Relation[]>} */
export const relations = () => /** @type {Promise<import("./api.js").Relation[]>} */ (once("api/relations"));

const HEADINGS = {
  substitute: "Instead of it",
  style: "Goes with it",
  "similar-track": "Sounds like it",
  similar: "Most alike",
};
const ORDER = ["substitute", "style", "similar-track"];

/**
 * The relations that apply to a modality: substitutes, style and tracks first, learned ones next, the plain
 * neighbour last.
 * @param {string} modality
 * @returns {Promise<import("./api.js").Relation[]>}
 */
export async function relationsOf(modality) {
  const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : name === "similar" ? 99 : 50);
  const applying = (await relations()).filter((relation) => relation.modalities.includes(modality));
  return applying.sort((a, b) => place(a.name) - place(b.name));
}

/** @param {string} relation @returns {string} What a person calls it. */
export const heading = (relation) => HEADINGS[relation] ?? relation;
