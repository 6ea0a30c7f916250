/** The button that turns the page light or dark; `theme.js` remembers the choice. */

import { icon } from "./icons.js";
import { isDark, setShade, shade } from "./shade.js";

/** @param {HTMLButtonElement} button */
export function themeButton(button) {
  const paint = () => {
    button.replaceChildren(icon(isDark() ? "sun" : "moon"));
    button.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
  };
  button.addEventListener("click", () => {
    const chosen = isDark() ? "light" : "dark";
    setShade(chosen);
    try {
      localStorage.setItem("simkin.theme", chosen);
    } catch {
      // Storage is refused: the choice lasts until the page is closed.
    }
  });
  shade.addEventListener("change", paint);
  paint();
}
