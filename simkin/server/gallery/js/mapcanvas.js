/** The map as a picture one can zoom and drag; thumbnails take the dots' places once there is room for them. */

import { thumbnail } from "./api.js";
import { h } from "./dom.js";
import { MapSpace } from "./mapspace.js";

const MOST = 60;
const ROOMY = 160;
const FEW = 24;
const KEPT = 600;
const PAD = 40;

/**
 * @typedef {{modality: string, ids: string[], x: number[], y: number[], clusters: {x: number, y: number, size: number, label: string, central: string[]}[]}} MapData
 * @typedef {{x: number, y: number, zoom: number}} Place The middle of the view, 0 to 1, and how much is enlarged.
 */

export class MapCanvas {
  /**
   * @param {MapData} data
   * @param {Place} place
   * @param {{onOpen: (id: string) => void, onMove: (place: Place) => void, onPoint: (id: string | null, x: number, y: number) => void}} actions
   */
  constructor(data, place, actions) {
    this.data = data;
    this.place = place;
    this.actions = actions;
    this.space = new MapSpace(data.x, data.y);
    this.groups = data.x.map((x, at) => nearestCluster(data.clusters, x, data.y[at]));
    this.element = h("canvas", {
      class: "map-canvas",
      tabindex: 0,
      role: "application",
      "aria-label":
        "Map: drag to move, plus and minus to zoom, arrow keys to move; the list beside it opens the same items",
    });
    /** @type {Map<string, HTMLImageElement>} */
    this.images = new Map();
    /** @type {Map<number, {x: number, y: number}>} */
    this.pointers = new Map();
    this.frame = 0;
    this.resizing = new ResizeObserver(() => this.draw());
    this.resizing.observe(this.element);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.redraw = () => this.draw();
    this.scheme.addEventListener("change", this.redraw);
    this.themed = new MutationObserver(this.redraw);
    this.themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.#listen();
  }

  close() {
    this.resizing.disconnect();
    this.themed.disconnect();
    this.scheme.removeEventListener("change", this.redraw);
    cancelAnimationFrame(this.frame);
  }

  /** @param {number} factor @param {{x: number, y: number}} [around] On the canvas; its middle if not given. */
  zoom(factor, around = { x: this.width / 2, y: this.height / 2 }) {
    const fixed = this.#toMap(around.x, around.y);
    const zoom = Math.min(200, Math.max(0.8, this.place.zoom * factor));
    const scale = this.#scale(zoom);
    this.#move({
      zoom,
      x: fixed.x - (around.x - this.width / 2) / scale,
      y: fixed.y - (around.y - this.height / 2) / scale,
    });
  }

  /** @param {number} x @param {number} y @param {number} zoom */
  look(x, y, zoom) {
    this.#move({ x, y, zoom });
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.#draw();
    });
  }

  get width() {
    return this.element.clientWidth;
  }

  get height() {
    return this.element.clientHeight;
  }

  #scale(zoom = this.place.zoom) {
    return (Math.min(this.width, this.height) - 2 * PAD) * zoom;
  }

  #toMap(x, y) {
    const scale = this.#scale();
    return { x: this.place.x + (x - this.width / 2) / scale, y: this.place.y + (y - this.height / 2) / scale };
  }

  /** @param {Place} place */
  #move({ x, y, zoom }) {
    this.place = { x: Math.min(1.2, Math.max(-0.2, x)), y: Math.min(1.2, Math.max(-0.2, y)), zoom };
    this.actions.onMove(this.place);
    this.draw();
  }

  #draw() {
    const { width, height, data } = this;
    const pen = this.element.getContext("2d");
    if (!pen || !width) return;
    const sharp = Math.min(2, devicePixelRatio || 1);
    if (this.element.width !== width * sharp || this.element.height !== height * sharp) {
      this.element.width = width * sharp;
      this.element.height = height * sharp;
    }
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, width, height);
    const scale = this.#scale();
    const across = (x) => (x - this.place.x) * scale + width / 2;
    const down = (y) => (y - this.place.y) * scale + height / 2;
    const corner = this.#toMap(-MOST, -MOST);
    const end = this.#toMap(width + MOST, height + MOST);
    const seen = this.space.inside({ left: corner.x, top: corner.y, right: end.x, bottom: end.y });
    const side = Math.min(MOST, Math.sqrt((width * height) / Math.max(seen.length, 1)) * 0.6);
    const roomy = data.modality === "image" ? seen.length <= ROOMY || side > 26 : seen.length <= FEW;
    const colours = this.#colours();
    const radius = Math.min(5, Math.max(1.6, 60 / Math.sqrt(seen.length + 1)));
    for (const place of seen) {
      const [x, y] = [across(data.x[place]), down(data.y[place])];
      const image = roomy ? this.#image(data.ids[place]) : null;
      if (image)
        pen.drawImage(image, x - side / 2, y - side / 2, side, (side * image.naturalHeight) / image.naturalWidth);
      else {
        pen.fillStyle = colours.groups[this.groups[place] % colours.groups.length];
        pen.beginPath();
        pen.arc(x, y, radius, 0, 7);
        pen.fill();
      }
    }
    this.#labels(pen, across, down, colours);
  }

  /** @param {CanvasRenderingContext2D} pen @param {(x: number) => number} across @param {(y: number) => number} down @param {{ink: string, ground: string}} colours */
  #labels(pen, across, down, colours) {
    pen.font = `600 13px ${getComputedStyle(this.element).fontFamily}`;
    pen.textAlign = "center";
    pen.lineJoin = "round";
    const taken = [];
    for (const cluster of [...this.data.clusters].sort((a, b) => b.size - a.size)) {
      const label = cluster.label.length > 34 ? `${cluster.label.slice(0, 32)}…` : cluster.label;
      const [x, y] = [across(cluster.x), down(cluster.y)];
      const half = pen.measureText(label).width / 2 + 6;
      if (taken.some((box) => Math.abs(box.x - x) < box.half + half && Math.abs(box.y - y) < 20)) continue;
      taken.push({ x, y, half });
      pen.lineWidth = 5;
      pen.strokeStyle = colours.ground;
      pen.strokeText(label, x, y);
      pen.fillStyle = colours.ink;
      pen.fillText(label, x, y);
    }
  }

  #colours() {
    const style = getComputedStyle(this.element);
    return { ink: style.color, ground: style.backgroundColor, groups: GROUPS };
  }

  /** @param {string} id @returns {HTMLImageElement | null} Null until it has come. */
  #image(id) {
    let image = this.images.get(id);
    if (!image) {
      image = new Image();
      image.onload = this.redraw;
      image.src = thumbnail({ id }, MOST);
      this.images.set(id, image);
      if (this.images.size > KEPT) this.images.delete(this.images.keys().next().value);
    }
    return image.complete && image.naturalWidth ? image : null;
  }

  #listen() {
    const canvas = this.element;
    const at = (event) => {
      const { left, top } = canvas.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    const under = ({ x, y }) => {
      const point = this.#toMap(x, y);
      return this.space.nearest(point.x, point.y, 26 / this.#scale());
    };
    let travelled = 0;
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0018)), at(event));
      },
      { passive: false },
    );
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, at(event));
      travelled = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = at(event);
      const before = this.pointers.get(event.pointerId);
      if (!before) {
        const place = under(now);
        canvas.classList.toggle("pointing", place >= 0);
        this.actions.onPoint(place >= 0 ? this.data.ids[place] : null, now.x, now.y);
        return;
      }
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const spread = (point) => Math.hypot(point.x - other.x, point.y - other.y);
        this.zoom(spread(now) / Math.max(1, spread(before)), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
        travelled += 99;
      } else {
        const scale = this.#scale();
        travelled += Math.hypot(now.x - before.x, now.y - before.y);
        this.#move({
          ...this.place,
          x: this.place.x - (now.x - before.x) / scale,
          y: this.place.y - (now.y - before.y) / scale,
        });
      }
      this.pointers.set(event.pointerId, now);
    });
    const up = (event) => {
      const held = this.pointers.delete(event.pointerId);
      const place = held && travelled < 6 && event.type === "pointerup" ? under(at(event)) : -1;
      if (place >= 0) this.actions.onOpen(this.data.ids[place]);
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => this.actions.onPoint(null, 0, 0));
    canvas.addEventListener("keydown", (event) => {
      const step = 60 / this.#scale();
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key in moves) {
        const [dx, dy] = moves[event.key];
        this.#move({ ...this.place, x: this.place.x + dx, y: this.place.y + dy });
      } else if (event.key === "+" || event.key === "=") this.zoom(1.4);
      else if (event.key === "-") this.zoom(1 / 1.4);
      else if (event.key === "0") this.look(0.5, 0.5, 1);
      else return;
      event.preventDefault();
    });
  }
}

const GROUPS = [
  "#4c83c9",
  "#d9607f",
  "#3f9e6d",
  "#8f6bcf",
  "#cf9233",
  "#d07a45",
  "#4aa7a1",
  "#a0764a",
  "#7b8ea8",
  "#b65fae",
];

/** @param {MapData["clusters"]} clusters @param {number} x @param {number} y @returns {number} */
function nearestCluster(clusters, x, y) {
  let best = 0;
  let least = Infinity;
  clusters.forEach((cluster, place) => {
    const apart = (cluster.x - x) ** 2 + (cluster.y - y) ** 2;
    if (apart < least) [best, least] = [place, apart];
  });
  return best;
}
