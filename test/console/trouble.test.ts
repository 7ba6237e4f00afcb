/** The console's pages in a real browser: with names that deceive. */
import type { DecisionService } from "@sluice/service-decision";
import { cleanUp, requires } from "@sluice/testkit";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect } from "vitest";
import { CHROMIUM, startBrowser, startWindow } from "./harness/browser.js";
import { ask, serve } from "./harness/served.js";

const { test } = requires(`command ${CHROMIUM.split("/").at(-1)}`);

let browser: Browser | undefined;
let window: BrowserContext | undefined;
beforeAll(async () => {
  browser = await startBrowser();
  window = await startWindow(browser);
});
afterAll(() => browser?.close());

async function openPage({ adminAddress }: DecisionService, part: string): Promise<Page> {
  if (window === undefined) throw new Error("Chromium does not start");
  const page = await window.newPage();
  cleanUp(() => page.close());
  await page.goto(`http://${adminAddress}/console/#${part}`);
  return page;
}

const bytes = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
const callerOf = (executable: string): object => ({ subject: { uid: 1000, gid: 1000, groups: [], pid: 7, executable } });

test("no page shows a character of a name that turns, hides or ends the text around it", async () => {
  const { service, decider } = await serve();
  const program = bytes("/opt/c\u{200b}at");
  await ask(decider, "asked/\u{202e}yek  \n<b>", 1000, { ...callerOf(program), mayAsk: true });
  await ask(decider, "a\u{202e}b\u{1b}[2J.pem", 1000, { ...callerOf(program), program });
  for (const [part, table] of [
    ["questions", "#question-list"],
    ["live", "#decisions"],
    ["overview", "#o-denied"],
  ]) {
    const page = await openPage(service, part as string);
    const text = (): Promise<string> => page.locator(table as string).innerText();
    if (part !== "overview") await expect.poll(text).toContain("asked/\\342\\200\\256yek  \\n<b>");
    if (part !== "questions") await expect.poll(text).toContain("a\\342\\200\\256b\\033[2J.pem");
    expect(await text()).toContain("/opt/c\\342\\200\\213at");
    expect(await page.locator("body").innerText()).not.toMatch(/[^\P{C}\n\t]/u);
    await page.close();
  }
});
