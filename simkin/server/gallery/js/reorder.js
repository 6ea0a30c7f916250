/** Elements take their new places by moving there, unless less motion was asked for. */

import { calm } from "./dom.js";

/**
 * @param {HTMLElement} host
 * @param {HTMLElement[]} elements In their new order, each with a `data-id`; those of a known id replace the old ones.
 */
export function reorder(host, elements) {
  const before = new Map();
  if (!calm()) {
    for (const child of host.children) {
      const { left, top } = child.getBoundingClientRect();
      before.set(/** @type {HTMLElement} */ (child).dataset.id, { left, top });
    }
  }
  const focused = /** @type {HTMLElement | null} */ (
    host.contains(document.activeElement) ? document.activeElement : null
  );
  const holder = focused?.closest("[data-id]")?.getAttribute("data-id");
  const mark = focused?.dataset.act;
  host.replaceChildren(...elements);
  if (holder) {
    const again = elements.find((element) => element.dataset.id === holder);
    const control = mark ? again?.querySelector(`[data-act="${mark}"]`) : again?.querySelector("a");
    /** @type {HTMLElement | null | undefined} */ (control)?.focus({ preventScroll: true });
  }
  if (!before.size) return;
  const viewport = innerHeight * 1.5;
  for (const element of elements) {
    const old = before.get(element.dataset.id);
    const { left, top } = element.getBoundingClientRect();
    if (top > viewport) continue;
    if (!old) element.animate({ opacity: [0, 1] }, { duration: 180 });
    else if (old.left !== left || old.top !== top) {
      const from = `translate(${old.left - left}px, ${old.top - top}px)`;
      element.animate({ transform: [from, "none"] }, { duration: 260, easing: "cubic-bezier(.2,.7,.2,1)" });
    }
  }
}
