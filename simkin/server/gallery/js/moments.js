/** Two songs as two lines of time, with ribbons between the moments that match; each plays when chosen. */

import { clock, h, percent, svg } from "./dom.js";
import * as dock from "./dock.js";
import { waveform } from "./waveform.js";

/** @typedef {import("./player.js").Moment} Moment @typedef {import("./api.js").Item} Item */

const WIDTH = 1000;
const WAVE = 64;
const BETWEEN = 120;
const SLICES = 250;
const TINTS = ["tint-0", "tint-1", "tint-2", "tint-3", "tint-4", "tint-6"];

/** @param {Item} a @param {Item} b @param {Moment[]} moments @returns {HTMLElement} */
export function momentsPicture(a, b, moments) {
  const sorted = [...moments].sort((one, other) => other.score - one.score);
  const host = h("div", { class: "moments" });
  const chips = sorted.map((moment, place) =>
    h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          class: `chip ${TINTS[place % TINTS.length]}`,
          "data-moment": place,
          onclick: () => hear(moment),
        },
        h("span", { class: "dot" }),
        `${clock(moment.a)} in A ⇄ ${clock(moment.b)} in B`,
        h("span", { class: "muted" }, percent(moment.score)),
      ),
    ),
  );
  const hear = (moment) => {
    dock.ready(a, b, moments);
    dock.hear(moment);
  };
  const length = (item, side) =>
    Number(item.attributes.duration) || Math.max(1, ...moments.map((moment) => moment[side] + moment.seconds));
  const draw = (waves) =>
    host.replaceChildren(
      picture(sorted, waves, [waves[0]?.seconds ?? length(a, "a"), waves[1]?.seconds ?? length(b, "b")], hear),
    );
  draw([null, null]);
  Promise.all([waveform(a.id, SLICES), waveform(b.id, SLICES)]).then(draw);
  const told = moments.length
    ? "Each ribbon joins two moments that sound alike: choose one to hear A, then B."
    : "No moments stand out: they are alike throughout, or hardly.";
  return h(
    "figure",
    { class: "moments-figure" },
    h("figcaption", { class: "muted" }, told),
    host,
    h("ol", { class: "region-list" }, ...chips),
  );
}

/**
 * @param {Moment[]} moments
 * @param {(import("./waveform.js").Waveform | null)[]} waves
 * @param {number[]} seconds
 * @param {(moment: Moment) => void} hear
 */
function picture(moments, waves, seconds, hear) {
  const height = 2 * WAVE + BETWEEN;
  const ribbons = moments.map((moment, place) => {
    const [left, right] = [across(moment.a, seconds[0]), across(moment.a + moment.seconds, seconds[0])];
    const [low, end] = [across(moment.b, seconds[1]), across(moment.b + moment.seconds, seconds[1])];
    const [top, floor] = [WAVE, WAVE + BETWEEN];
    const half = (top + floor) / 2;
    const path = `M${left} 0V${top}C${left} ${half} ${low} ${half} ${low} ${floor}V${height}H${end}V${floor}C${end} ${half} ${right} ${half} ${right} ${top}V0Z`;
    const ribbon = svg("path", {
      d: path,
      class: `ribbon ${TINTS[place % TINTS.length]}`,
      "fill-opacity": (0.3 + 0.45 * Math.max(0, moment.score)).toFixed(2),
    });
    ribbon.addEventListener("click", () => hear(moment));
    ribbon.append(svgTitle(`${clock(moment.a)} in A, ${clock(moment.b)} in B`));
    return ribbon;
  });
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", class: "moments-picture", "aria-hidden": "true" },
    wave(waves[0], WAVE / 2),
    wave(waves[1], WAVE + BETWEEN + WAVE / 2),
    ...ribbons,
  );
}

/** @param {number} second @param {number} length @returns {number} */
const across = (second, length) => Number(((WIDTH * Math.min(second, length)) / length).toFixed(1));

/** @param {import("./waveform.js").Waveform | null} found @param {number} middle */
function wave(found, middle) {
  const peaks = found?.peaks ?? [0.04, 0.04];
  const step = WIDTH / peaks.length;
  const bars = peaks.map((peak, place) => {
    const half = Math.max(1, (peak * WAVE) / 2);
    return `M${(place * step + step / 2).toFixed(1)} ${(middle - half).toFixed(1)}v${(2 * half).toFixed(1)}`;
  });
  return svg("path", { d: bars.join(""), class: "wave", "stroke-width": (step * 0.6).toFixed(2) });
}

/** @param {string} text */
function svgTitle(text) {
  const title = svg("title");
  title.textContent = text;
  return title;
}
