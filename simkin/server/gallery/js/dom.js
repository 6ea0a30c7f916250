/** Elements from plain values: text is always text, never markup. */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [attributes] `onclick` and the like take functions; `style` takes an object of
 *   properties; true sets an empty attribute; false, null and undefined set none.
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "style") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children)
    if (child !== null && child !== undefined && child !== false) element.append(/** @type {Node | string} */ (child));
  return element;
}

/**
 * Make an SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * Lay an element over a picture.
 * @param {HTMLElement} element
 * @param {readonly number[]} box Left, top, width and height, in fractions of the picture.
 */
export function lay(element, [left, top, width, height]) {
  const sides = { left, top, width, height };
  for (const [name, value] of Object.entries(sides)) element.style.setProperty(name, `${100 * value}%`);
}

/**
 * Call a function once its calls have paused.
 * @template {unknown[]} A
 * @param {number} milliseconds
 * @param {(...values: A) => void} call
 * @returns {(...values: A) => void}
 */
export function debounced(milliseconds, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => call(...values), milliseconds);
  };
}

/** Whether the person asked for less motion. */
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

const WHOLE = new Intl.NumberFormat("en");

/** @param {number} value @returns {string} `12,345` */
export const count = (value) => WHOLE.format(value);

/** @param {number} share 0 to 1 @returns {string} `42 %` */
export const percent = (share) => `${Math.round(100 * share)} %`;

/** @param {number} share 0 to 1 @returns {string} `closer than 98.2 % …`; no sample of pairs says more than 99.9 %. */
export const closerThan = (share) =>
  `closer than ${(Math.min(999, Math.floor(1000 * share)) / 10).toFixed(1)} % of random pairs`;

/** @param {number} seconds @returns {string} `3:07` */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds || 0));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
