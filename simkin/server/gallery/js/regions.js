/** Two pictures with the regions that match in the same colour and under the same number. */

import { thumbnail } from "./api.js";
import { itemHref } from "./card.js";
import { h, lay, percent } from "./dom.js";
import { tint } from "./facets.js";

/** @typedef {import("./why.js").Region} Region @typedef {import("./api.js").Item} Item */

const TALLEST = "max(240px, min(520px, 52vh))";

/** @param {Item} a @param {Item} b @param {Region[]} regions @returns {HTMLElement} */
export function matchingRegions(a, b, regions) {
  const sorted = [...regions].sort((one, other) => other.strength - one.strength);
  const element = h(
    "div",
    { class: "regions" },
    pictureWith(a, sorted, "a"),
    pictureWith(b, sorted, "b"),
    h(
      "ol",
      { class: "region-list" },
      ...sorted.map((region, place) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", class: `chip ${tint(region.facet)}`, "data-region": place },
            h("span", { class: "dot" }),
            `${place + 1} · ${region.facet} ${percent(region.strength)}`,
          ),
        ),
      ),
    ),
  );
  const light = (place) => {
    for (const box of element.querySelectorAll(".region")) {
      box.classList.toggle("dim", place !== null && box.getAttribute("data-region") !== place);
    }
  };
  for (const type of ["pointerover", "focusin"]) {
    element.addEventListener(type, (event) =>
      light(/** @type {Element} */ (event.target).closest("[data-region]")?.getAttribute("data-region") ?? null),
    );
  }
  for (const type of ["pointerleave", "focusout"]) element.addEventListener(type, () => light(null));
  return element;
}

/** @param {Item} item @param {Region[]} regions @param {"a" | "b"} side */
function pictureWith(item, regions, side) {
  const boxes = regions.map((region, place) => {
    const box = h("span", { class: `region ${tint(region.facet)}`, "data-region": place }, h("span", {}, place + 1));
    lay(box, region[side]);
    return box;
  });
  const image = h("img", { src: thumbnail(item, 640), alt: item.title });
  const frame = h("div", { class: "region-frame" }, image, ...boxes);
  image.addEventListener("load", () => {
    const shape = (image.naturalWidth / image.naturalHeight).toFixed(4);
    frame.style.setProperty("width", `min(100%, ${shape} * ${TALLEST})`); // both fit the screen with what is said of them
  });
  return h(
    "figure",
    {},
    frame,
    h("figcaption", {}, h("a", { href: itemHref(item.id) }, item.title)),
  );
}
