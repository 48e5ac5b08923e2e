// Loaded before the page is painted, so that a dark page never flashes white.
(() => {
  "use strict";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const wish = () => {
    try {
      return localStorage.getItem("gpulab-theme") || "system";
    } catch {
      return "system";
    }
  };
  const apply = () => {
    const chosen = wish();
    const theme = chosen === "system" ? (dark.matches ? "dark" : "light") : chosen;
    const root = document.documentElement;
    if (root.getAttribute("data-bs-theme") !== theme) {
      root.setAttribute("data-bs-theme", theme);
      document.dispatchEvent(new CustomEvent("gpulab:theme", { detail: theme }));
    }
    root.setAttribute("data-theme-wish", chosen);
  };
  window.gpulabTheme = {
    wish,
    set(value) {
      try {
        localStorage.setItem("gpulab-theme", value);
      } catch {
        // Private windows may refuse storage; the page then follows the system.
      }
      apply();
    },
  };
  dark.addEventListener("change", apply);
  apply();
})();
