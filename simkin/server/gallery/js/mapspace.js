/** The map's points, found again by place: which lie in a window, which is nearest to a point. */

const CELLS = 64;

/** @typedef {{left: number, top: number, right: number, bottom: number}} Window In the map's coordinates, 0 to 1. */

export class MapSpace {
  /** @param {number[]} x @param {number[]} y */
  constructor(x, y) {
    this.x = x;
    this.y = y;
    /** @type {number[][]} */
    this.cells = Array.from({ length: CELLS * CELLS }, () => []);
    for (let place = 0; place < x.length; place++) this.cells[cellOf(y[place]) * CELLS + cellOf(x[place])].push(place);
  }

  /** @param {Window} window @returns {number[]} Places of the points inside. */
  inside({ left, top, right, bottom }) {
    const found = [];
    for (let row = cellOf(top); row <= cellOf(bottom); row++) {
      for (let column = cellOf(left); column <= cellOf(right); column++) {
        for (const place of this.cells[row * CELLS + column]) {
          if (this.x[place] >= left && this.x[place] <= right && this.y[place] >= top && this.y[place] <= bottom)
            found.push(place);
        }
      }
    }
    return found;
  }

  /** @param {number} x @param {number} y @param {number} reach @returns {number} Place of the nearest point, or -1. */
  nearest(x, y, reach) {
    let best = -1;
    let least = reach * reach;
    for (const place of this.inside({ left: x - reach, top: y - reach, right: x + reach, bottom: y + reach })) {
      const apart = (this.x[place] - x) ** 2 + (this.y[place] - y) ** 2;
      if (apart <= least) [best, least] = [place, apart];
    }
    return best;
  }
}

/** @param {number} value @returns {number} */
const cellOf = (value) => Math.max(0, Math.min(CELLS - 1, Math.floor(value * CELLS)));
