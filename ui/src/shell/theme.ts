// Light, dark or what the system says; and how dense lists are. Both are kept in this browser.

export type Theme = "light" | "dark" | "system";
export type Density = "comfortable" | "compact";

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

export function theme(): Theme {
  const kept = localStorage.getItem("theme");
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function setTheme(chosen: Theme): void {
  if (chosen === "system") localStorage.removeItem("theme");
  else localStorage.setItem("theme", chosen);
  apply();
}

export function density(): Density {
  return localStorage.getItem("density") === "compact" ? "compact" : "comfortable";
}

export function setDensity(chosen: Density): void {
  localStorage.setItem("density", chosen);
  apply();
  dispatchEvent(new Event("density"));
}

/** Keep up with the system's theme, and with other tabs. */
export function followSystem(): void {
  apply();
  systemIsDark.addEventListener("change", apply);
  addEventListener("storage", apply);
}

function apply(): void {
  const dark = theme() === "dark" || (theme() === "system" && systemIsDark.matches);
  document.documentElement.dataset["theme"] = dark ? "dark" : "light";
  document.documentElement.dataset["density"] = density();
}
