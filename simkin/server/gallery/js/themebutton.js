/** The button that turns the page light or dark; `theme.js` remembers the choice. */

import { icon } from "./icons.js";

/** @param {HTMLButtonElement} button */
export function themeButton(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const paint = () => {
    button.replaceChildren(icon(dark() ? "sun" : "moon"));
    button.setAttribute("aria-label", dark() ? "Light colours" : "Dark colours");
  };
  button.addEventListener("click", () => {
    const chosen = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    try {
      localStorage.setItem("simkin.theme", chosen);
    } catch {
      // Storage is refused: the choice lasts until the page is closed.
    }
    paint();
  });
  system.addEventListener("change", paint);
  paint();
}
