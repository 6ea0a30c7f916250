/** A question and its answers: what was asked on one side, each relation's hits side by side on the other. */

import { announce } from "./announce.js";
import { AnswerColumn } from "./answer.js";
import { get } from "./api.js";
import { info, relationsOf } from "./catalog.js";
import { h } from "./dom.js";
import * as dock from "./dock.js";
import { kindOf, legend } from "./facets.js";
import { having, params, parse } from "./question.js";
import { questionPanel } from "./questionpanel.js";
import { go, rename } from "./router.js";
import { empty, waiting, withCommand } from "./states.js";
import { find, modalityOf } from "./uploads.js";
import { focusAnswers, walkAnswers } from "./walk.js";

/** @typedef {import("./question.js").Question} Question */

/** @param {HTMLElement} root @param {URLSearchParams} given */
export async function open(root, given) {
  let asked = parse(given);
  const waits = h("div", { class: "ask" }, waiting(6));
  root.append(waits);
  const file = asked.file ? await find(asked.file) : null;
  if (asked.file && !file) return gone(root);
  if (!file && !asked.items.length) return nothing(root);
  const leads = file ? [] : [await get("api/item", { id: asked.items[0].id })];
  const modality = file ? (modalityOf(file) ?? "image") : leads[0].modality;
  const [known, relations] = await Promise.all([info(), relationsOf(modality)]);
  const kinds = [...new Set((known.facets[modality] ?? []).map(kindOf))];
  const lead = leadOf(asked);
  const actions = {
    onPart: (id, against) => go("ask", params(having(asked, id, against))),
    onListen:
      modality === "audio" ? (hit) => (leads[0] ? dock.compare(leads[0], hit.item) : dock.play(hit.item)) : null,
  };
  const columns = relations.map((relation) => new AnswerColumn(relation, kinds, actions, leads[0]?.category ?? null));
  const side = h("aside", { class: "question", "aria-label": "The question" });
  const answers = h(
    "div",
    { class: "answers", "data-columns": columns.length },
    ...columns.map(({ element }) => element),
  );
  walkAnswers(answers);
  waits.remove();
  root.append(h("div", { class: "ask" }, side, h("div", { class: "answer-side" }, legend(kinds), answers)));
  if (!columns.length) {
    answers.append(
      known.state === "current"
        ? empty("Nothing to ask", h("p", {}, "No relation applies to this kind of item."))
        : empty("Nothing can be asked yet", ...withCommand(known.state)),
    );
  }

  const view = {
    title: file ? file.name : leads[0].title,
    /** @param {URLSearchParams} changed */
    update(changed) {
      const next = parse(changed);
      if (leadOf(next) !== lead) return false;
      asked = next;
      paint();
      ask();
      return true;
    },
    close() {
      for (const column of columns) column.cancel();
    },
  };

  /** @param {Partial<Question>} changed @param {boolean} [repaint] */
  function change(changed, repaint = false) {
    asked = { ...asked, ...changed };
    rename("ask", params(asked));
    if (repaint) paint();
    ask();
  }

  function paint() {
    side.replaceChildren(
      ...questionPanel({ asked, item: leads[0] ?? null, file: file ?? null, modality, kinds, known, change }),
    );
    side.querySelector("h1")?.after(skip(answers));
  }

  async function ask() {
    answers.setAttribute("aria-busy", "true");
    const found = await Promise.all(columns.map((column) => column.ask(asked, file ?? null)));
    if (found.some((hits) => hits === null)) return; // a newer question is on its way
    fold(columns, /** @type {import("./api.js").Hit[][]} */ (found));
    answers.removeAttribute("aria-busy");
    announce("Answers renewed");
  }

  paint();
  ask();
  return view;
}

/**
 * Hide a column whose answers are those of an earlier one, and say so there.
 * @param {AnswerColumn[]} columns
 * @param {import("./api.js").Hit[][]} found
 */
function fold(columns, found) {
  const keys = found.map((hits) => JSON.stringify(hits.map(({ id }) => id)));
  columns.forEach((column, place) => {
    const first = keys.indexOf(keys[place]);
    const folded = first < place && found[place].length > 0;
    column.element.hidden = folded;
    if (folded) columns[first].tellSame(column.relation);
  });
}

/** @param {HTMLElement} answers @returns {HTMLElement} Seen only with the focus, as the page's first skip link is. */
const skip = (answers) =>
  h("button", { type: "button", class: "skip", onclick: () => focusAnswers(answers) }, "Skip to the answers");

/** @param {Question} asked @returns {string} What the page is about; further items do not change it. */
const leadOf = (asked) => asked.file || (asked.items[0]?.id ?? "");

const chooser = () =>
  h(
    "button",
    { type: "button", class: "button primary", onclick: () => document.getElementById("choose-file")?.click() },
    "Choose a file",
  );

/** @param {HTMLElement} root */
function gone(root) {
  root.replaceChildren(
    h("h1", { class: "visually-hidden" }, "A file"),
    empty(
      "That file is no longer here",
      h("p", {}, "This browser has let go of it. Drop it again, or choose it."),
      chooser(),
    ),
  );
  return { title: "A file" };
}

/** @param {HTMLElement} root */
function nothing(root) {
  root.replaceChildren(
    h("h1", { class: "visually-hidden" }, "Ask"),
    empty(
      "Ask about anything",
      h("p", {}, "Open an item of the catalog, or drop a picture or a sound here."),
      chooser(),
    ),
  );
  return { title: "Ask" };
}
