/** Facets in colour: the bar that shows what a score is made of, and its legend. */

import { h, percent } from "./dom.js";

const PLACES = ["shape", "color", "texture", "content", "style", "timbre", "rhythm", "harmony"];

/** @param {string} facet Name, as in `content:resnet50`. @returns {string} Kind, as in `content`. */
export const kindOf = (facet) => facet.split(":")[0];

/** @param {string} facet @returns {string} Class that carries the facet's colour. */
export function tint(facet) {
  const place = PLACES.indexOf(kindOf(facet));
  return `tint-${place < 0 ? [...facet].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % PLACES.length : place}`;
}

/** @param {Record<string, number>} shares @returns {string} `color 60 %, texture 30 %` */
export function inWords(shares) {
  const told = Object.entries(shares).filter(([, share]) => share >= 0.005);
  return told
    .sort((a, b) => b[1] - a[1])
    .map(([name, share]) => `${name} ${percent(share)}`)
    .join(", ");
}

/**
 * A bar as long as the score, divided by facets.
 * @param {number} score
 * @param {Record<string, number>} shares
 * @returns {HTMLElement}
 */
export function facetBar(score, shares) {
  const words = inWords(shares);
  const parts = Object.entries(shares).filter(([, share]) => share > 0);
  const filled = h(
    "span",
    { class: "facet-fill" },
    ...parts.map(([name, share]) =>
      h("span", { class: `facet-part ${tint(name)}`, style: { "flex-grow": String(share) } }),
    ),
  );
  filled.style.width = `${100 * Math.max(0, Math.min(1, score))}%`;
  return h(
    "span",
    { class: "facet-bar", role: "img", "aria-label": words || "no facet speaks for it", title: words },
    filled,
  );
}

/** @param {string[]} facets @param {Record<string, number>} [shares] @returns {HTMLElement} */
export const legend = (facets, shares) =>
  h(
    "ul",
    { class: "legend", "aria-label": "Facets" },
    ...facets.map((facet) =>
      h("li", {}, h("span", { class: `dot ${tint(facet)}` }), shares ? `${facet} ${percent(shares[facet])}` : facet),
    ),
  );
