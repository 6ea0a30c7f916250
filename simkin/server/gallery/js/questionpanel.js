/** What is asked about, and how: the picture or song, further items for and against, and what counts. */

import { media, thumbnail } from "./api.js";
import { action, heart, itemHref, picture } from "./card.js";
import { clock, debounced, h } from "./dom.js";
import { cropFrame, boxText, parseBox } from "./crop.js";
import * as dock from "./dock.js";
import { named, quoted } from "./filters.js";
import { icon } from "./icons.js";
import { lacking, params, question } from "./question.js";
import { go, href } from "./router.js";
import { sliders } from "./sliders.js";
import { keep } from "./uploads.js";
import { toast } from "./announce.js";

/**
 * @typedef {import("./question.js").Question} Question
 * @typedef {object} Given
 * @property {Question} asked
 * @property {import("./api.js").Item | null} item The first item asked about, unless a file is.
 * @property {File | null} file
 * @property {string} modality
 * @property {string[]} kinds Of facets.
 * @property {import("./catalog.js").Info} known
 * @property {(change: Partial<Question>, repaint?: boolean) => void} change
 */

/** @param {Given} given @returns {HTMLElement[]} */
export function questionPanel(given) {
  const { asked, item, file, modality, kinds, known, change } = given;
  const adjust = h(
    "details",
    { class: "adjust", open: matchMedia("(min-width: 960px)").matches },
    h("summary", {}, "Adjust"),
    sliders(kinds, asked, change),
    filterField(asked, change),
    file && known.categories.length ? categoryField(asked, known, change) : "",
  );
  return [
    h(
      "div",
      { class: "subject" },
      modality === "image" ? subjectPicture(given) : subjectSound(given),
      h(
        "div",
        { class: "subject-text" },
        h("h1", {}, file ? file.name || "Your file" : item?.title),
        item ? facts(item) : h("p", { class: "muted" }, "A file of yours; it is not added to the catalog."),
        h("div", { class: "row" }, ...(item ? itemActions(item) : [])),
      ),
    ),
    parts(asked, modality),
    adjust,
  ].filter((element) => element !== null);
}

/** @param {import("./api.js").Item} item */
function itemActions(item) {
  const save = heart(item);
  save.classList.add("button");
  save.append(h("span", {}, "Save"));
  const onward =
    item.modality === "audio"
      ? h("a", { class: "button", href: href("playlist", { id: item.id }) }, "Make a playlist")
      : h("a", { class: "button", href: href("outfit", { id: item.id }) }, "Complete the set");
  return [save, onward];
}

/** How numbers of known attributes are told. @type {Record<string, (value: number) => string>} */
const UNITS = {
  price: (value) => value.toFixed(2),
  duration: clock,
  tempo: (value) => `${value} BPM`,
  bpm: (value) => `${value} BPM`,
};

/** @param {import("./api.js").Item} item Its attributes; a value finds the others that share it. */
function facts(item) {
  const shown = Object.entries(item.attributes).filter(
    ([name, value]) => name !== "title" && value !== null && value !== "",
  );
  const line = ([name, value]) => {
    const text = String(value);
    const told = typeof value === "number" ? (UNITS[name]?.(value) ?? text) : text;
    const where = `${named(name)}=${typeof value === "string" ? quoted(value) : text}`;
    const link = text.length <= 120 && !/["\\`]/.test(name);
    return [
      h("dt", {}, name),
      h("dd", {}, link ? h("a", { href: href("browse", { where }), title: `All with this ${name}` }, told) : told),
    ];
  };
  return h("dl", { class: "facts" }, ...shown.slice(0, 12).flatMap(line));
}

/** @param {Given} given */
function subjectPicture({ asked, item, file, known, change }) {
  const image = h("img", { alt: file ? "Your picture" : (item?.title ?? ""), class: "subject-picture" });
  if (file) {
    image.src = URL.createObjectURL(file);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    image.addEventListener("error", () => image.replaceWith(h("p", { class: "no-picture" }, "No preview")), {
      once: true,
    });
  } else {
    image.src = thumbnail(item, 400);
  }
  const host = h("div", { class: "subject-frame" }, image);
  const box = parseBox(asked.crop);
  const cut = h(
    "button",
    { type: "button", class: "button", "aria-pressed": String(Boolean(box)) },
    icon("crop"),
    "Cut out a part",
  );
  const whole = h(
    "button",
    { type: "button", class: "link", hidden: !box, onclick: () => change({ crop: "" }, true) },
    "Whole picture",
  );
  const hint = h(
    "p",
    { class: "hint", id: "crop-hint", hidden: !box },
    "Drag the frame; or arrow keys move it, with Shift they stretch it.",
  );
  const begin = () => {
    cropFrame(host, box, (changed) => change({ crop: boxText(changed) }));
    whole.hidden = hint.hidden = false;
    cut.disabled = true;
  };
  cut.addEventListener("click", async () => {
    if (file) {
      begin();
      /** @type {HTMLElement | null} */ (host.querySelector(".crop-frame"))?.focus();
    } else if ((await cutItem(item, known)) === false) {
      toast("The picture could not be read.");
    }
  });
  if (box) begin();
  const strip =
    item && item.media.length > 1
      ? h(
          "div",
          { class: "strip" },
          ...item.media.map(({ position }) =>
            h(
              "button",
              {
                type: "button",
                class: "strip-button",
                "aria-label": `Picture ${position + 1}`,
                onclick: () => (image.src = thumbnail(item, 400, position)),
              },
              h("img", { src: thumbnail(item, 48, position), alt: "", width: 48, height: 48 }),
            ),
          ),
        )
      : "";
  return h("div", { class: "subject-media" }, host, strip, h("div", { class: "subject-tools" }, cut, whole), hint);
}

/**
 * Ask about a part of an item's picture: its file becomes a question of its own.
 * @param {import("./api.js").Item} item
 * @param {import("./catalog.js").Info} known
 */
async function cutItem(item, known) {
  const response = await fetch(media(item.id)).catch(() => null);
  if (!response?.ok) return false;
  const blob = await response.blob();
  const file = await keep(new File([blob], item.title, { type: blob.type }));
  const category = known.categories.some(({ name }) => name === item.category) ? item.category : "";
  go("ask", params(question({ file, category, crop: "0.15,0.15,0.7,0.7" })));
  return true;
}

/** @param {Given} given */
function subjectSound({ item, file }) {
  const button = item
    ? dock.playButton(item, "Play")
    : h("button", { type: "button", "aria-label": "Play", onclick: () => file && dock.playFile(file) }, icon("play"));
  button.className = "play-big";
  const cover = item ? picture(item, 320, { alt: "" }) : h("span", { class: "no-picture" }, icon("note"));
  return h(
    "div",
    { class: "subject-media" },
    h(
      "div",
      { class: "subject-frame" },
      cover,
      button,
    ),
  );
}

/**
 * @param {Question} asked
 * @param {string} modality
 * @returns {HTMLElement | null} The further items, for and against, with their weights.
 */
function parts(asked, modality) {
  const further = asked.file ? asked.items : asked.items.slice(1);
  if (!further.length && !asked.negatives.length) return null;
  const to = (changed) => go("ask", params(changed));
  /** @param {import("./question.js").Part} part @param {boolean} against */
  const line = (part, against) => {
    const weigh = (weight) => (each) => (each.id === part.id ? { ...each, weight } : each);
    const select = h(
      "select",
      { "aria-label": `Weight of ${part.id}` },
      ...[...new Set([0.25, 0.5, 1, 2, 4, part.weight])]
        .sort((a, b) => a - b)
        .map((weight) => h("option", { value: weight, selected: weight === part.weight }, `× ${weight}`)),
    );
    select.addEventListener("change", () => {
      const weight = Number(select.value);
      to({ ...asked, items: asked.items.map(weigh(weight)), negatives: asked.negatives.map(weigh(weight)) });
    });
    return h(
      "li",
      { class: against ? "part against" : "part" },
      icon(against ? "minus" : "plus"),
      h(
        "a",
        { href: itemHref(part.id), title: part.id },
        picture({ id: part.id, modality }, 40, { alt: part.id }),
      ),
      h("span", { class: "part-words" }, against ? "Less like this" : "More like this"),
      select,
      action("close", `Take ${part.id} out`, () => to(lacking(asked, part.id))),
    );
  };
  return h(
    "section",
    { class: "parts", "aria-label": "Further items" },
    h("h2", {}, "Together with"),
    h("ul", {}, ...further.map((part) => line(part, false)), ...asked.negatives.map((part) => line(part, true))),
  );
}

/** @param {Question} asked @param {Given["change"]} change */
function filterField(asked, change) {
  const soon = debounced(300, (/** @type {string} */ where) => change({ where }));
  const input = h("input", {
    type: "text",
    id: "ask-where",
    placeholder: "price<50",
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    oninput: (event) => soon(event.target.value.trim()),
  });
  input.value = asked.where;
  return h("fieldset", {}, h("legend", {}, h("label", { for: "ask-where" }, "Only among")), input);
}

/** @param {Question} asked @param {import("./catalog.js").Info} known @param {Given["change"]} change */
function categoryField(asked, known, change) {
  const options = [["", "Any kind"], ...known.categories.map(({ name }) => [name, name])];
  const select = h(
    "select",
    { id: "ask-category", onchange: () => change({ category: select.value }) },
    ...options.map(([value, label]) => h("option", { value, selected: value === asked.category }, label)),
  );
  return h("fieldset", {}, h("legend", {}, h("label", { for: "ask-category" }, "It is a")), select);
}
