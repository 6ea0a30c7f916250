/** Whether the page is light or dark now; a change is told to whoever draws by it. */

const system = matchMedia("(prefers-color-scheme: dark)");

/** Tells of "change". */
export const shade = new EventTarget();

export const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

/** @param {"light" | "dark"} chosen */
export function setShade(chosen) {
  document.documentElement.dataset.theme = chosen;
  shade.dispatchEvent(new Event("change"));
}

system.addEventListener("change", () => shade.dispatchEvent(new Event("change")));
