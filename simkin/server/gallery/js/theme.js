// Light or dark, as the person last chose; a classic script in the head, so that nothing flashes.
(() => {
  try {
    const chosen = localStorage.getItem("simkin.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is refused: the system's own choice stands.
  }
})();
