/** A real browser without a window. */
import { type Browser, chromium } from "playwright-core";

export const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Undefined if it does not start. */
export function startBrowser(): Promise<Browser | undefined> {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS }).catch(() => undefined);
}
