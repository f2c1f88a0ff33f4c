// Light or dark: as the system is, or as the reader chose.
import { effect, signal } from "./vendor/preact.js";

export const CHOICES = ["system", "light", "dark"];
const STORED = "theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const choice = signal(localStorage.getItem(STORED) ?? "system");
const isSystemDark = signal(system.matches);

/** What is drawn now: "light" or "dark". Reading it redraws with every change. */
export const scheme = signal("light");

export function startScheme() {
  system.addEventListener("change", () => { isSystemDark.value = system.matches; });
  effect(() => {
    const chosen = choice.value;
    if (chosen === "system") {
      localStorage.removeItem(STORED);
      delete document.documentElement.dataset.theme;
    } else {
      localStorage.setItem(STORED, chosen);
      document.documentElement.dataset.theme = chosen;
    }
    scheme.value = chosen === "system" ? (isSystemDark.value ? "dark" : "light") : chosen;
  });
}
