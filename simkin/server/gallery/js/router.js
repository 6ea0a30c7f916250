/** Addresses: `#/view?parameters` names every view, so that reload, back and forward restore it. */

/** @typedef {{name: string, params: URLSearchParams}} Route */

/** @returns {Route} */
export function current() {
  const [name, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { name: name || "browse", params: new URLSearchParams(query) };
}

/**
 * @param {string} name
 * @param {URLSearchParams | Record<string, string>} [params] Empty values are left out.
 * @returns {string} For an `href`.
 */
export function href(name, params = {}) {
  const kept = [...new URLSearchParams(params)].filter(([, value]) => value !== "");
  const query = new URLSearchParams(kept).toString();
  return `#/${name === "browse" ? "" : name}${query ? `?${query}` : ""}`;
}

/**
 * Go to a view, with a new entry in the history.
 * @param {string} name
 * @param {URLSearchParams | Record<string, string>} [params]
 */
export function go(name, params = {}) {
  location.hash = href(name, params);
}

/** Where the grid was left. */
let grid = "#/";
window.addEventListener("hashchange", ({ oldURL }) => {
  const left = new URL(oldURL).hash;
  if (/^#?\/?(\?|$)/.test(left)) grid = left || "#/";
});

/** @returns {string} Address of the grid as it was left. */
export const lastGrid = () => grid;

/** Go back to the grid, as it was left. */
export function leave() {
  location.hash = grid;
}

/**
 * Renew the address of the view that is shown, without going anywhere; nothing happens once another is shown.
 * @param {string} name
 * @param {URLSearchParams | Record<string, string>} [params]
 */
export function rename(name, params = {}) {
  if (current().name !== name) return; // a link was followed meanwhile
  history.replaceState(history.state, "", href(name, params));
}
