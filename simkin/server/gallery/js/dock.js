/** The player at the foot of the page: one song, or two side by side with one control. */

import { announce } from "./announce.js";
import { get, media } from "./api.js";
import { action, itemHref, picture, subtitle } from "./card.js";
import { clock, h } from "./dom.js";
import { icon } from "./icons.js";
import { Pair } from "./player.js";
import { href } from "./router.js";

/** @typedef {import("./api.js").Item} Item @typedef {import("./player.js").Moment} Moment */

const dock = /** @type {HTMLElement} */ (document.getElementById("dock"));
const pair = new Pair(() => paint());
/** @type {{a: Item | null, b: Item | null, file: string}} */
let loaded = { a: null, b: null, file: "" };
/** @type {(() => void)[]} */
let painters = [];

/** Play one song. @param {Item} item */
export function play(item) {
  start(item, null, media(item.id), "", item.title);
  pair.play();
}

/** @param {string} id @returns {boolean} Whether that song is heard now. */
const heard = (id) => !pair.paused && (pair.paired && pair.fade >= 0.5 ? loaded.b : loaded.a)?.id === id;

/**
 * A button that plays a song, and pauses it while it is heard.
 * @param {Item} item
 * @param {string} label
 * @param {() => void} [start] Else it plays alone.
 * @param {number} [tabindex]
 */
export function playButton(item, label, start = () => play(item), tabindex) {
  const button = action("play", label, () => (heard(item.id) ? pair.toggle() : start()), tabindex);
  button.dataset.plays = item.id;
  button.dataset.label = label;
  paintButton(button);
  return button;
}

/** @param {HTMLElement} button */
function paintButton(button) {
  const sign = heard(button.dataset.plays ?? "") ? "pause" : "play";
  if (button.dataset.sign === sign) return;
  button.dataset.sign = sign;
  button.replaceChildren(icon(sign));
  const label = sign === "pause" ? "Pause" : (button.dataset.label ?? "Play");
  button.setAttribute("aria-label", label);
  button.title = label;
}

/** Play a file of the person's own. @param {File} file */
export function playFile(file) {
  if (loaded.file) URL.revokeObjectURL(loaded.file);
  const address = URL.createObjectURL(file);
  start(null, null, address, "", file.name);
  loaded.file = address;
  pair.play();
}

/** Play two songs side by side, with the moments that match. @param {Item} a @param {Item} b */
export async function compare(a, b) {
  ready(a, b);
  pair.setFade(1);
  pair.play();
}

/**
 * Load two songs without playing them.
 * @param {Item} a
 * @param {Item} b
 * @param {Moment[]} [moments] Asked for when not given.
 */
export async function ready(a, b, moments) {
  if (loaded.a?.id === a.id && loaded.b?.id === b.id) return;
  start(a, b, media(a.id), media(b.id), a.title);
  const found =
    moments ?? (await get("api/explain", { a: a.id, b: b.id, relation: "similar-track" }).catch(() => ({}))).moments;
  if (loaded.a?.id === a.id && loaded.b?.id === b.id) offer(found ?? []);
}

/** @param {Moment} moment */
export const hear = (moment) => pair.hear(moment);

export function close() {
  pair.unload();
  dock.hidden = true;
  dock.replaceChildren();
  painters = [];
  loaded = { a: null, b: null, file: "" };
  paint();
}

/** @param {Item | null} a @param {Item | null} b @param {string} from @param {string} to @param {string} name */
function start(a, b, from, to, name) {
  loaded = { a, b, file: "" };
  pair.load(from, to);
  dock.hidden = false;
  painters = [];
  const button = h("button", { type: "button", class: "icon-button big", onclick: () => pair.toggle() });
  painters.push(() => {
    button.replaceChildren(icon(pair.paused ? "play" : "pause"));
    button.setAttribute("aria-label", pair.paused ? "Play" : "Pause");
  });
  const problem = h("p", { class: "problem", role: "alert" });
  painters.push(() => (problem.textContent = pair.error ?? ""));
  const why =
    a && b
      ? h("a", { class: "link", href: href("why", { a: a.id, b: b.id, relation: "similar-track" }) }, "Why?")
      : null;
  dock.setAttribute("role", "region");
  dock.setAttribute("aria-label", "Player");
  dock.replaceChildren(
    ...[
      button,
      side("A", a, name, pair.a, 0),
      b ? fader() : null,
      b ? side("B", b, b.title, pair.b, 1) : null,
      h("div", { class: "dock-moments" }),
      why,
      problem,
      action("close", "Close the player", close),
    ].filter((part) => part !== null),
  );
  paint();
}

/** @param {string} letter @param {Item | null} item @param {string} name @param {HTMLAudioElement} sound @param {number} fade */
function side(letter, item, name, sound, fade) {
  const seek = h("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": `Position in ${name}` });
  const time = h("span", { class: "time" });
  let dragged = false;
  seek.addEventListener("input", () => {
    dragged = true;
    pair.stopTimer();
    if (Number.isFinite(sound.duration)) sound.currentTime = (Number(seek.value) / 1000) * sound.duration;
  });
  seek.addEventListener("change", () => (dragged = false));
  const title = item
    ? h("a", { href: itemHref(item.id), class: "dock-title" }, name)
    : h("span", { class: "dock-title" }, name);
  const element = h(
    "div",
    { class: `dock-side side-${letter.toLowerCase()}` },
    h(
      "button",
      {
        type: "button",
        class: "dock-letter",
        "aria-label": `Hear ${letter}: ${name}`,
        onclick: () => pair.setFade(fade),
      },
      item ? picture(item, 44) : icon("note"),
      h("span", {}, letter),
    ),
    h(
      "div",
      { class: "dock-text" },
      title,
      h("span", { class: "muted" }, item ? subtitle(item) : ""),
      h("div", { class: "dock-seek" }, seek, time),
    ),
  );
  painters.push(() => {
    const length = Number.isFinite(sound.duration) ? sound.duration : 0;
    if (!dragged) seek.value = String(length ? Math.round((1000 * sound.currentTime) / length) : 0);
    seek.setAttribute("aria-valuetext", clock(sound.currentTime));
    time.textContent = `${clock(sound.currentTime)} / ${clock(length)}`;
    element.classList.toggle("heard", Math.abs(pair.fade - fade) < 0.5 || !pair.paired);
  });
  return element;
}

function fader() {
  const range = h("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "Crossfade from A to B" });
  range.addEventListener("input", () => {
    pair.stopTimer();
    pair.setFade(Number(range.value));
  });
  painters.push(() => {
    if (document.activeElement !== range) range.value = String(pair.fade);
  });
  const swap = h(
    "button",
    { type: "button", class: "button", "aria-label": "Switch between A and B", onclick: () => pair.switch() },
    icon("swap"),
    h("span", {}, "Switch"),
  );
  return h("div", { class: "dock-fade" }, swap, range);
}

/** @param {Moment[]} moments */
function offer(moments) {
  const host = dock.querySelector(".dock-moments");
  if (!host || !moments.length) return;
  const chips = [...moments]
    .sort((a, b) => b.score - a.score)
    .slice(0, 4)
    .map((moment) =>
      h(
        "button",
        { type: "button", class: "chip", title: "Hear A, then B", onclick: () => pair.hear(moment) },
        `${clock(moment.a)} ⇄ ${clock(moment.b)}`,
      ),
    );
  host.replaceChildren(h("span", { class: "muted" }, "They match at"), ...chips);
  announce(`${chips.length} moments that match`);
}

function paint() {
  for (const painter of painters) painter();
  for (const button of document.querySelectorAll("[data-plays]")) paintButton(/** @type {HTMLElement} */ (button));
}

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (dock.hidden || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target.matches("input, textarea, select, button, a, summary, [tabindex='0']") && event.key === " ") return;
  if (target.matches("input:not([type=range]), textarea, select")) return;
  if (event.key === " ") {
    event.preventDefault();
    pair.toggle();
  } else if (event.key === "x" && pair.paired) {
    pair.switch();
  }
});
