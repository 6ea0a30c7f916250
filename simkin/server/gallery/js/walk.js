/** Answer cards by keyboard: one Tab stop in each column, arrows within it and on to its neighbours. */

/** What keys do with the card that has the focus: they press its own controls. */
const CONTROLS = {
  "+": '[data-act="more"]',
  "-": '[data-act="less"]',
  s: ".heart",
  w: '[data-act="why"]',
  " ": '[data-act="listen"]',
};

/** Cards that are less than so many pixels apart in height stand in one row. */
const LEVEL = 4;

/** @param {Element} list @returns {HTMLElement[]} */
const cardsOf = (list) => /** @type {HTMLElement[]} */ ([...list.querySelectorAll(".card[data-id]")]);

/** @param {Element | undefined} card @returns {HTMLElement | null} */
const linkOf = (card) => card?.querySelector(".card-link") ?? null;

/**
 * Leave one Tab stop in a column.
 * @param {Element} list
 * @param {number} place Of the card that it is on; one beyond the last is the last.
 */
export function settle(list, place) {
  const cards = cardsOf(list);
  const chosen = Math.min(Math.max(0, place), cards.length - 1);
  cards.forEach((card, at) => {
    for (const control of card.querySelectorAll("a, button")) control.setAttribute("tabindex", "-1");
    if (at === chosen) linkOf(card)?.setAttribute("tabindex", "0");
  });
}

/** @param {Element} list @returns {number} Place of the card that the Tab key leads to. */
export const stopOf = (list) =>
  Math.max(
    0,
    cardsOf(list).findIndex((card) => card.querySelector('[tabindex="0"]')),
  );

/** @param {Element} list @param {number} place */
export function focusCard(list, place) {
  const cards = cardsOf(list);
  const link = linkOf(cards[Math.min(place, cards.length - 1)]);
  link?.focus();
  link?.closest(".card")?.scrollIntoView({ block: "nearest" });
}

/** Take the focus to the first column's card. @param {ParentNode} host @returns {boolean} Whether there is one. */
export function focusAnswers(host) {
  const [list] = listsOf(host);
  if (list) focusCard(list, stopOf(list));
  return Boolean(list);
}

/** @param {ParentNode} host @returns {HTMLElement[]} Columns that show cards. */
const listsOf = (host) =>
  /** @type {HTMLElement[]} */ ([...host.querySelectorAll(".answer:not([hidden]) .hits")]).filter(
    (list) => cardsOf(list).length,
  );

/** @param {HTMLElement} host Holds the columns. */
export function walkAnswers(host) {
  host.addEventListener("focusin", ({ target }) => {
    const card = /** @type {Element} */ (target).closest(".card[data-id]");
    const list = card?.closest(".hits");
    if (list) settle(list, cardsOf(list).indexOf(/** @type {HTMLElement} */ (card)));
  });
  host.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = /** @type {Element} */ (event.target);
    const card = /** @type {HTMLElement | null} */ (target.closest(".card[data-id]"));
    if (!card) return;
    if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") {
      event.preventDefault();
      const next = linkOf(neighbour(host, card, event.key) ?? undefined);
      next?.focus({ preventScroll: true });
      next?.closest(".card")?.scrollIntoView({ block: "nearest" });
    } else if (Object.hasOwn(CONTROLS, event.key) && target.matches("a")) {
      const control = /** @type {HTMLElement | null} */ (card.querySelector(CONTROLS[event.key]));
      if (!control) return;
      event.preventDefault();
      control.click();
    }
  });
}

/**
 * @param {HTMLElement} host
 * @param {HTMLElement} card
 * @param {string} key
 * @returns {HTMLElement | null} The card that lies that way, in its column or else in the one beside or below it.
 */
function neighbour(host, card, key) {
  const lists = listsOf(host);
  const own = /** @type {HTMLElement} */ (lists.find((list) => list.contains(card)));
  const cards = cardsOf(own);
  if (key === "Home") return cards[0];
  if (key === "End") return cards[cards.length - 1];
  const here = card.getBoundingClientRect();
  const across = key === "ArrowLeft" || key === "ArrowRight";
  const sign = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  const far = (other) => {
    const { left, top } = other.getBoundingClientRect();
    const [x, y] = [left - here.left, top - here.top];
    return across ? [sign * x, Math.abs(y)] : [sign * y, Math.abs(x)];
  };
  const ahead = (all) => all.filter((other) => far(other)[0] > LEVEL);
  const nearest = (all, order) => all.sort((a, b) => order(far(a), far(b)))[0] ?? null;
  const byWay = (a, b) => (Math.abs(a[0] - b[0]) > LEVEL ? a[0] - b[0] : a[1] - b[1]);
  const bySide = (a, b) => (Math.abs(a[1] - b[1]) > LEVEL ? a[1] - b[1] : a[0] - b[0]);
  const inside = ahead(cards).filter((other) => !across || far(other)[1] <= LEVEL);
  if (inside.length) return nearest(inside, byWay);
  const mine = own.getBoundingClientRect();
  const lies = (list) => {
    const { left, top, bottom } = list.getBoundingClientRect();
    if (across) return sign * (left - mine.left) > LEVEL && top < mine.bottom && bottom > mine.top;
    return sign > 0 ? top >= mine.bottom : bottom <= mine.top;
  };
  const [next] = lists.filter(lies).sort((a, b) => byWay(far(a), far(b)));
  return next ? nearest(cardsOf(next), across ? bySide : byWay) : null;
}
