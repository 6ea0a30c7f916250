/** The page: shows the view that the address names, and what all views share. */

import * as browse from "./browse.js";
import { info } from "./catalog.js";
import { all, changes } from "./liststore.js";
import { h } from "./dom.js";
import { listenForFiles } from "./drop.js";
import { current, lastGrid } from "./router.js";
import { failed } from "./states.js";
import { listenForKeys } from "./shortcuts.js";
import { themeButton } from "./themebutton.js";

/**
 * @typedef {object} View
 * @property {string} title
 * @property {(params: URLSearchParams) => boolean} [update] Shows other parameters and says true; else, and without it,
 *   the view is opened anew.
 * @property {() => void} [close]
 * @property {() => void} [focus] Takes the focus after coming back.
 * @typedef {{open: (root: HTMLElement, params: URLSearchParams) => View | Promise<View>}} Opener
 */

/** @type {Record<string, () => Promise<Opener> | Opener>} */
const VIEWS = {
  browse: () => browse,
  ask: () => import("./ask.js"),
  why: () => import("./why.js"),
  map: () => import("./map.js"),
  lists: () => import("./lists.js"),
  outfit: () => import("./outfit.js"),
  playlist: () => import("./playlist.js"),
};

const main = /** @type {HTMLElement} */ (document.getElementById("main"));

/** @type {{name: string, view: View} | null} */
let shown = null;
let turn = 0;

/** Where each address was scrolled to. @type {Map<string, number>} */
const places = new Map();

async function show() {
  const mine = ++turn;
  const { name, params } = current();
  const browsing = document.querySelector('[data-view="browse"]');
  browsing?.setAttribute("href", name === "browse" ? "#/" : lastGrid()); // among the items it shows all of them again
  const kept = shown?.name === name && shown.view.update?.(params);
  if (!kept) {
    const first = !shown;
    shown?.view.close?.();
    shown = null;
    const root = h("div"); // one of its own, so that a view that opens late cannot write into the next one
    main.replaceChildren(root);
    try {
      const module = await (VIEWS[name] ?? VIEWS.browse)();
      const view = mine === turn ? await module.open(root, params) : null;
      if (mine !== turn) return view?.close?.();
      shown = { name, view };
    } catch (error) {
      if (mine === turn) {
        const home = h("a", { class: "button", href: "#/" }, "All items");
        root.replaceChildren(failed(/** @type {Error} */ (error), show, name === "browse" ? null : home));
        for (const link of document.querySelectorAll("[data-view]")) link.removeAttribute("aria-current");
      }
      return;
    }
    const place = places.get(location.hash);
    scrollTo({ top: place ?? 0, behavior: "instant" });
    if (!first) (place !== undefined && shown.view.focus ? shown.view.focus : focusHeading)();
  }
  retitle();
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.getAttribute("data-view") === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function focusHeading() {
  const heading = main.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus({ preventScroll: true });
}

/** The title names the view and the catalog. */
async function retitle() {
  const title = shown?.view.title ?? "";
  const catalog = await info().then(
    ({ name }) => name,
    () => "simkin",
  );
  document.title = title ? `${title} · ${catalog}` : catalog;
}

function paintCount() {
  const badge = /** @type {HTMLElement} */ (document.getElementById("list-count"));
  const held = all()[0]?.items.length ?? 0;
  badge.textContent = String(held);
  badge.hidden = !held;
}

history.scrollRestoration = "manual";
window.addEventListener("scrollend", () => places.set(location.hash, scrollY));
window.addEventListener("hashchange", (event) => {
  const left = new URL(event.oldURL).hash;
  places.set(left, places.get(left) ?? scrollY);
  show();
});
changes.addEventListener("change", paintCount);

/** @type {HTMLFormElement} */ (document.getElementById("search-form")).addEventListener("submit", (event) => {
  event.preventDefault();
  const search = /** @type {HTMLInputElement} */ (document.getElementById("search"));
  if (current().name !== "browse") location.hash = `#/?${new URLSearchParams({ text: search.value })}`;
  else shown?.view.focus?.();
});

/** @type {HTMLElement} */ (document.querySelector(".skip")).addEventListener("click", (event) => {
  event.preventDefault(); // its address would name a view
  main.focus();
});
themeButton(/** @type {HTMLButtonElement} */ (document.getElementById("theme")));
listenForKeys(/** @type {HTMLButtonElement} */ (document.getElementById("help")));
listenForFiles();
paintCount();
show();
