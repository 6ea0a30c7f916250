/** One relation's answers as a column of hits with scores, facet bars and reasons. */

import { isAborted, post } from "./api.js";
import { action, card, worded } from "./card.js";
import { heading } from "./catalog.js";
import { playButton } from "./dock.js";
import { closerThan, h } from "./dom.js";
import { facetBar, inWords } from "./facets.js";
import { body, params } from "./question.js";
import { reorder } from "./reorder.js";
import { href } from "./router.js";
import { failed, waiting } from "./states.js";
import { focusCard, settle, stopOf } from "./walk.js";

/**
 * @typedef {import("./api.js").Hit} Hit
 * @typedef {object} Actions
 * @property {(id: string, against: boolean) => void} onPart Puts an item into the question, for or against.
 * @property {((hit: Hit) => void) | null} onListen Plays a song, beside the one asked about; null among pictures.
 */

const FIRST = 12;
const MORE = 36;
const CLOSE = 0.9;

export class AnswerColumn {
  /**
   * @param {import("./api.js").Relation} relation
   * @param {string[]} facets
   * @param {Actions} actions
   * @param {string | null} category Of the item that the page is about.
   */
  constructor(relation, facets, actions, category) {
    this.relation = relation;
    this.facets = facets;
    this.actions = actions;
    this.category = category;
    this.k = FIRST;
    /** @type {AbortController | null} */
    this.control = null;
    this.notes = h("div", { class: "notes" });
    this.list = h("div", { class: "cards hits" });
    this.list.classList.toggle("rows", actions.onListen !== null);
    this.recall = h("p", { class: "recall" });
    this.more = h("button", { type: "button", class: "button", hidden: true }, "Show more");
    this.more.addEventListener("click", () => {
      this.k = MORE;
      const walked = document.activeElement === this.more;
      this.ask(this.asked, this.file).then(() => walked && focusCard(this.list, FIRST));
    });
    const title = heading(relation.name);
    this.element = h(
      "section",
      { class: "answer", "data-relation": relation.name, "aria-label": title },
      h("header", {}, h("h2", { title: relation.why }, title)),
      this.notes,
      this.list,
      this.more,
      this.recall,
    );
    this.list.append(...waiting(6).children);
  }

  /**
   * Ask, and show the answer unless a newer question was asked meanwhile.
   * @param {import("./question.js").Question} asked
   * @param {File | null} file
   * @returns {Promise<Hit[] | null>}
   */
  async ask(asked, file) {
    this.asked = asked;
    this.file = file;
    this.control?.abort();
    const control = new AbortController();
    this.control = control;
    this.element.setAttribute("aria-busy", "true");
    try {
      const answer = await send(body(asked, this.relation, this.facets, this.k, this.category), asked, file, control.signal);
      if (this.control !== control) return null;
      this.#show(answer);
      return answer.hits;
    } catch (error) {
      if (isAborted(error)) return null;
      this.notes.replaceChildren();
      this.recall.textContent = "";
      this.more.hidden = true;
      this.list.replaceChildren(failed(/** @type {Error} */ (error), () => this.ask(asked, file)));
      return [];
    } finally {
      if (this.control === control) this.element.removeAttribute("aria-busy");
    }
  }

  /** @param {import("./api.js").Relation} other Gives the same answers. */
  tellSame(other) {
    this.recall.textContent += ` “${heading(other.name)}” gives the same answers.`;
  }

  cancel() {
    this.control?.abort();
  }

  /** @param {import("./api.js").Answer} answer */
  #show(answer) {
    const notes = answer.notes.map((note) => h("p", {}, note));
    const [best] = answer.hits;
    if (!best) notes.unshift(h("p", { class: "nothing-close" }, "Nothing may answer: loosen the filter."));
    else if (best.closer_than < CLOSE) {
      const told = `Nothing here is close: the best is ${closerThan(best.closer_than)}.`;
      notes.unshift(h("p", { class: "nothing-close" }, told));
    }
    this.notes.replaceChildren(...notes);
    const holds = () => this.list.contains(document.activeElement);
    const walked = holds();
    const place = stopOf(this.list);
    reorder(
      this.list,
      answer.hits.map((hit) => this.#hit(hit)),
    );
    if (!holds()) settle(this.list, place);
    if (walked && !holds()) focusCard(this.list, place); // the card that had the focus went into the question
    this.more.hidden = this.k >= MORE || answer.hits.length < this.k;
    const found =
      answer.recall >= 0.9995
        ? "finds every true answer"
        : `finds ${(100 * answer.recall).toFixed(1)} % of the true answers`;
    this.recall.textContent = answer.hits.length ? `Searched ${answer.method}: ${found}.` : "";
  }

  /** @param {Hit} hit */
  #hit(hit) {
    const { item } = hit;
    const seed = this.asked?.items[0]?.id;
    const far = hit.closer_than < CLOSE;
    const alike = hit.duplicates.length
      ? h("span", { class: "alike", title: hit.duplicates.join(", ") }, `+${hit.duplicates.length} like it`)
      : null;
    const why =
      seed && !this.file
        ? h(
            "a",
            {
              class: "link why",
              href: whyHref(seed, hit.id, this.relation.name, this.asked),
              "data-act": "why",
              "aria-label": `Why ${item.title}?`,
            },
            "Why?",
          )
        : null;
    const listen =
      this.actions.onListen && item.modality === "audio"
        ? playButton(item, `Listen to ${item.title}`, () => this.actions.onListen?.(hit))
        : null;
    const more = worded(
      action("plus", `More like ${item.title}`, () => this.actions.onPart(hit.id, false)),
      "More like this",
      "More",
    );
    const less = worded(
      action("minus", `Less like ${item.title}`, () => this.actions.onPart(hit.id, true)),
      "Less like this",
      "Less",
    );
    for (const [act, button] of Object.entries({ listen, more, less })) button?.setAttribute("data-act", act);
    const score = h(
      "span",
      { class: "score", title: closerThan(hit.closer_than) },
      hit.score.toFixed(2),
    );
    const made = card(item, this.actions.onListen ? 72 : 180, {
      actions: [more, less],
      last: listen,
      more: [
        h("div", { class: "card-score" }, score, facetBar(hit.score, hit.facets)),
        h(
          "div",
          { class: "card-why" },
          h("span", { class: "shares" }, far ? "not close" : leading(hit.facets, this.actions.onListen ? 2 : 1)),
          alike,
          why,
        ),
      ],
    });
    if (far) made.classList.add("far");
    return made;
  }
}

/** @param {string} a @param {string} b @param {string} relation @param {import("./question.js").Question} asked */
function whyHref(a, b, relation, asked) {
  const written = new URLSearchParams({ a, b, relation });
  for (const each of params(asked).getAll("more")) written.append("more", each);
  return href("why", written);
}

/** @param {Record<string, number>} shares @param {number} many @returns {string} Those that say most. */
const leading = (shares, many) => inWords(shares).split(", ").slice(0, many).join(", ");

/**
 * @param {ReturnType<typeof body>} request
 * @param {import("./question.js").Question} asked
 * @param {File | null} file
 * @param {AbortSignal} signal
 * @returns {Promise<import("./api.js").Answer>}
 */
function send(request, asked, file, signal) {
  if (!file) return post("api/recommend", request, signal);
  const form = new FormData();
  form.set("file", file);
  form.set("query", JSON.stringify(request));
  if (asked.crop) form.set("crop", asked.crop);
  return post("api/recommend/upload", form, signal);
}
