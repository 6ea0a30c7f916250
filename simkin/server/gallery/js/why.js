/** Why two items are alike: regions of two pictures, or moments of two songs, in words and in colour. */

import { address, get } from "./api.js";
import { itemHref, picture, subtitle } from "./card.js";
import { heading, info, relationsOf } from "./catalog.js";
import { h, percent } from "./dom.js";
import * as dock from "./dock.js";
import { facetBar, kindOf, legend } from "./facets.js";
import { icon } from "./icons.js";
import { momentsPicture } from "./moments.js";
import { matchingRegions } from "./regions.js";
import { parse, weights } from "./question.js";
import { href } from "./router.js";
import { waiting } from "./states.js";

/**
 * @typedef {{facet: string, a: number[], b: number[], strength: number}} Region
 * @typedef {{a: string, b: string, relation: string, modality: string, score: number, closer_than: number,
 *   facets: Record<string, number>, sentence: string, words: string[], notes?: string[], regions?: Region[],
 *   moments?: import("./player.js").Moment[], dimensions?: {share: number, low: string[], high: string[], a: number, b: number}[]}} Explanation
 *   A dimension's `a` and `b`: the shares of items that stand lower than the two, 0 to 1.
 */

/** @param {HTMLElement} root @param {URLSearchParams} params */
export async function open(root, params) {
  const [idA, idB] = [params.get("a") ?? "", params.get("b") ?? ""];
  const relation = params.get("relation") ?? "similar";
  root.append(waiting(2));
  const [a, b, known] = await Promise.all([get("api/item", { id: idA }), get("api/item", { id: idB }), info()]);
  const others = await relationsOf(a.modality);
  const asked = others.find(({ name }) => name === relation);
  const kinds = [...new Set((known.facets[a.modality] ?? []).map(kindOf))];
  const weighed = asked ? weights(parse(params), asked, kinds) : null;
  const written = Object.entries(weighed ?? {}).map(([name, weight]) => `${name}=${weight}`);
  const pair = { a: idA, b: idB, relation, weights: written };
  /** @type {Explanation} */
  const why = await get("api/explain", pair);
  const more = params.getAll("more");
  const judge = (name, emphasis) => {
    const others = emphasis.map((each) => ["more", each]);
    return href("why", new URLSearchParams([["a", idA], ["b", idB], ["relation", name], ...others]));
  };
  const judged = h(
    "nav",
    { class: "row", "aria-label": "Judged by" },
    ...others.map(({ name }) =>
      h(
        "a",
        {
          class: "chip",
          href: judge(name, more),
          "aria-current": name === relation ? "true" : null,
        },
        heading(name),
      ),
    ),
  );
  const shown =
    a.modality === "audio" ? momentsPicture(a, b, why.moments ?? []) : matchingRegions(a, b, why.regions ?? []);
  if (a.modality === "audio") dock.ready(a, b, why.moments ?? []);
  root.replaceChildren(
    h(
      "article",
      { class: "why-page" },
      h(
        "header",
        {},
        h("h1", {}, `${a.title} and ${b.title}`),
        h("p", { class: "sentence" }, why.sentence),
        h(
          "div",
          { class: "why-score" },
          h("span", { class: "score" }, why.score.toFixed(2)),
          facetBar(why.score, why.facets),
        ),
        legend(Object.keys(why.facets), why.facets),
        h("div", { class: "judged" }, h("span", { class: "muted" }, "Judged by"), judged),
        weighed
          ? h(
              "p",
              { class: "muted" },
              "Judged with the sliders as they stood. ",
              h("a", { href: judge(relation, []) }, "Judge by the usual weights"),
            )
          : more.length
            ? h("p", { class: "muted" }, "What was learned from behaviour has no sliders: these are its own weights.")
            : null,
      ),
      shown,
      a.modality === "audio" ? songs(a, b) : null,
      h("ul", { class: "reasons" }, ...(why.words ?? []).map((word) => h("li", {}, word))),
      ...(why.notes ?? []).map((note) => h("p", { class: "muted" }, note)),
      why.dimensions?.length ? dimensions(why.dimensions, a.modality) : null,
      a.modality === "audio" ? everyMoment(pair) : null,
    ),
  );
  return { title: `${a.title} and ${b.title}` };
}

/** @param {import("./api.js").Item} a @param {import("./api.js").Item} b */
function songs(a, b) {
  const one = (item, letter) =>
    h(
      "a",
      { class: "song", href: itemHref(item.id) },
      picture(item, 56),
      h("span", {}, h("b", {}, `${letter} · ${item.title}`), h("span", { class: "muted" }, subtitle(item))),
    );
  const listen = h(
    "button",
    { type: "button", class: "button primary", onclick: () => dock.compare(a, b) },
    icon("play"),
    "Play both",
  );
  return h("div", { class: "songs row" }, one(a, "A"), one(b, "B"), listen);
}

/** @param {import("./api.js").Asked} pair The time-by-time picture, fetched when it is unfolded. */
function everyMoment(pair) {
  const source = address("api/explain.png", pair);
  return h(
    "details",
    { class: "every-moment" },
    h("summary", {}, "Every moment beside every moment"),
    h("img", { src: source, loading: "lazy", alt: "Each point tells how alike one moment of A and one of B are" }),
  );
}

/** @param {NonNullable<Explanation["dimensions"]>} moved What a learned relation found alike, by items at its ends. @param {"image" | "audio"} modality */
function dimensions(moved, modality) {
  const ends = (ids) =>
    h(
      "span",
      { class: "ends" },
      ...ids
        .slice(0, 3)
        .map((id) => h("a", { href: itemHref(id), title: id }, picture({ id, modality }, 64, { alt: id }))),
    );
  return h(
    "section",
    {},
    h("h2", {}, "Learned from behaviour"),
    h("p", { class: "muted" }, "Each line runs between two kinds of items; A and B stand close to each other on it."),
    h(
      "ul",
      { class: "dimensions" },
      ...moved.map(({ share, low, high, a, b }) => h("li", {}, ends(low), axis(share, a, b), ends(high))),
    ),
  );
}

/** @param {number} share @param {number} a @param {number} b @returns {HTMLElement} A line with both items on it. */
function axis(share, a, b) {
  const mark = (letter, place) => {
    const element = h("span", { class: "mark" }, letter);
    element.style.left = `${100 * place}%`;
    return element;
  };
  return h("span", { class: "axis" }, percent(share), mark("A", a), mark("B", b));
}
