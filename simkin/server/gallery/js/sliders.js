/** Sliders that say what counts: facets more or less, and how varied the answers may be. */

import { debounced, h } from "./dom.js";
import { tint } from "./facets.js";

const STEPS = 4;

/** @param {number} place -4 to 4 @returns {number} The weight is multiplied by so much: 0, a half, 1, 2, … */
export const factorAt = (place) => (place <= -STEPS ? 0 : Number((2 ** (place * 0.75)).toFixed(3)));

/** @param {number} factor @returns {number} */
export const placeOf = (factor) => (factor <= 0 ? -STEPS : Math.max(-STEPS, Math.min(STEPS, Math.log2(factor) / 0.75)));

/** @param {number} place @returns {string} */
function told(place) {
  if (place <= -STEPS) return "not at all";
  if (place === 0) return "as usual";
  const much = Math.abs(place) > 2 ? "much " : "";
  return `${much}${place > 0 ? "more" : "less"}`;
}

/**
 * @param {string[]} facets Kinds.
 * @param {import("./question.js").Question} asked
 * @param {(change: Partial<import("./question.js").Question>) => void} onChange Called once a slider rests for 60 ms.
 * @returns {HTMLElement}
 */
export function sliders(facets, asked, onChange) {
  const emphasis = { ...asked.emphasis };
  const soon = debounced(60, () => onChange({ emphasis: { ...emphasis } }));
  const vary = debounced(60, (/** @type {number} */ value) => onChange({ diversity: value }));
  const reset = h("button", { type: "button", class: "link", id: "reset-sliders" }, "Reset");
  const fields = facets.map((facet) => {
    const value = placeOf(emphasis[facet] ?? 1);
    const words = h("output", {}, told(value));
    const input = h("input", {
      type: "range",
      min: -STEPS,
      max: STEPS,
      step: 0.5,
      class: tint(facet),
      "data-facet": facet,
      "aria-label": `How much ${facet} counts`,
    });
    input.value = String(value);
    input.setAttribute("aria-valuetext", told(value));
    input.addEventListener("input", () => {
      emphasis[facet] = factorAt(Number(input.value));
      words.textContent = told(Number(input.value));
      input.setAttribute("aria-valuetext", words.textContent);
      soon();
    });
    return h(
      "label",
      { class: "slider" },
      h("span", { class: `dot ${tint(facet)}` }),
      h("span", {}, facet),
      words,
      input,
    );
  });
  const varied = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.1,
    "aria-label": "How varied the answers are",
    id: "diversity",
  });
  varied.value = String(asked.diversity);
  const level = h("output", {}, variety(asked.diversity));
  varied.addEventListener("input", () => {
    level.textContent = variety(Number(varied.value));
    varied.setAttribute("aria-valuetext", level.textContent);
    vary(Number(varied.value));
  });
  reset.addEventListener("click", () => {
    for (const input of element.querySelectorAll("input[data-facet]")) {
      /** @type {HTMLInputElement} */ (input).value = "0";
      input.dispatchEvent(new Event("input"));
    }
    varied.value = "0";
    varied.dispatchEvent(new Event("input"));
  });
  const element = h(
    "fieldset",
    { class: "sliders" },
    h("legend", {}, "What counts"),
    reset,
    ...fields,
    h("label", { class: "slider" }, h("span", { class: "dot" }), h("span", {}, "variety"), level, varied),
  );
  return element;
}

/** @param {number} diversity @returns {string} */
const variety = (diversity) => (diversity === 0 ? "closest first" : diversity < 0.5 ? "some" : "a lot");
