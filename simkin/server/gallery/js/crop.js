/** Cutting out the part of a picture that is asked about: by mouse, touch or keys. */

import { h, lay, percent } from "./dom.js";

const LEAST = 0.08;
const STEP = 0.02;

/** @typedef {{x: number, y: number, w: number, h: number}} Box In fractions of the picture. */

/** @param {string} text "x,y,w,h" @returns {Box | null} */
export function parseBox(text) {
  const [x, y, w, height] = text.split(",").map(Number);
  const numbers = [x, y, w, height];
  return text && numbers.length === 4 && numbers.every(Number.isFinite) ? within({ x, y, w, h: height }) : null;
}

/** @param {Box} box @returns {string} */
export const boxText = (box) => [box.x, box.y, box.w, box.h].map((value) => Number(value.toFixed(4))).join(",");

/** @param {Box} box @returns {Box} Inside the picture, and not too small. */
function within(box) {
  const w = Math.min(1, Math.max(LEAST, box.w));
  const height = Math.min(1, Math.max(LEAST, box.h));
  return { x: Math.min(1 - w, Math.max(0, box.x)), y: Math.min(1 - height, Math.max(0, box.y)), w, h: height };
}

/**
 * Lay a frame over a picture.
 * @param {HTMLElement} host Holds the picture and nothing else, as large as the picture.
 * @param {Box | null} given
 * @param {(box: Box) => void} onChange Called when the frame comes to rest.
 * @returns {{remove: () => void}}
 */
export function cropFrame(host, given, onChange) {
  let box = given ?? { x: 0.1, y: 0.1, w: 0.8, h: 0.8 };
  const handles = ["nw", "ne", "sw", "se"].map((corner) =>
    h("span", { class: `handle ${corner}`, "data-corner": corner }),
  );
  const frame = h(
    "div",
    { class: "crop-frame", tabindex: 0, role: "group", "aria-describedby": "crop-hint" },
    ...handles,
  );
  const area = h("div", { class: "crop-area" }, frame);
  host.append(area);
  const paint = () => {
    lay(frame, [box.x, box.y, box.w, box.h]);
    const told = Object.entries({ left: box.x, top: box.y, width: box.w, height: box.h });
    frame.setAttribute("aria-label", `Part: ${told.map(([name, value]) => `${name} ${percent(value)}`).join(", ")}`);
  };
  paint();

  /** @type {{corner: string | null, from: Box, x: number, y: number} | null} */
  let drag = null;
  const at = (event) => {
    const { left, top, width, height } = area.getBoundingClientRect();
    return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  };
  area.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    area.setPointerCapture(event.pointerId);
    const target = /** @type {HTMLElement} */ (event.target);
    const { x, y } = at(event);
    const corner = target.dataset.corner ?? (target === frame ? null : "se");
    if (corner === "se" && target === area) box = within({ x, y, w: LEAST, h: LEAST });
    drag = { corner, from: box, x, y };
    frame.focus({ preventScroll: true });
    paint();
  });
  area.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const point = at(event);
    box = drag.corner
      ? stretched(drag.from, drag.corner, point)
      : within({ ...drag.from, x: drag.from.x + point.x - drag.x, y: drag.from.y + point.y - drag.y });
    paint();
  });
  const rest = () => {
    if (drag) onChange(box);
    drag = null;
  };
  area.addEventListener("pointerup", rest);
  area.addEventListener("pointercancel", rest);

  let timer = 0;
  frame.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [dx, dy] = move;
    box = within(event.shiftKey ? { ...box, w: box.w + dx, h: box.h + dy } : { ...box, x: box.x + dx, y: box.y + dy });
    paint();
    clearTimeout(timer);
    timer = window.setTimeout(() => onChange(box), 250);
  });
  return {
    remove() {
      clearTimeout(timer);
      area.remove();
    },
  };
}

/** @param {Box} from @param {string} corner @param {{x: number, y: number}} point @returns {Box} */
function stretched(from, corner, point) {
  const x = Math.min(1, Math.max(0, point.x));
  const y = Math.min(1, Math.max(0, point.y));
  const right = from.x + from.w;
  const bottom = from.y + from.h;
  const [left, end] = corner.includes("w")
    ? [Math.min(x, right - LEAST), right]
    : [from.x, Math.max(x, from.x + LEAST)];
  const [top, floor] = corner.includes("n")
    ? [Math.min(y, bottom - LEAST), bottom]
    : [from.y, Math.max(y, from.y + LEAST)];
  return within({ x: left, y: top, w: end - left, h: floor - top });
}
