/** A real browser without a window. */
import { type Browser, type BrowserContext, chromium } from "playwright-core";

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

/**
 * A window for tabs of one size, with one that stays. Chromium draws each window's own controls by a process that costs more than most pages
 * here, and a context without a tab has no window. Undefined if the browser does not start.
 */
export async function startWindow(browser: Browser | undefined): Promise<BrowserContext | undefined> {
  const context = await browser?.newContext({ viewport: { width: 1200, height: 800 } });
  await context?.newPage();
  return context;
}
