/** The console's pages in a real browser: with names that deceive, a service that ends, a wrong token, questions that move, and the keyboard. */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DecisionService } from "@sluice/service-decision";
import { cleanUp, freePort, requires, scratch } from "@sluice/testkit";
import type { Browser, BrowserContext, Page, Route } from "playwright-core";
import { afterAll, beforeAll, expect } from "vitest";
import { CHROMIUM, startBrowser, startWindow } from "./harness/browser.js";
import { ask, POLICY, serve } from "./harness/served.js";

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

async function logIn(page: Page, token: string): Promise<void> {
  await page.locator("#token").fill(token);
  await page.keyboard.press("Enter");
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

test("a page says on every part that the service has gone, and goes on when it is back", async () => {
  const admin = `127.0.0.1:${await freePort()}`;
  const listen = { kind: "unix", path: join(scratch(), "again.sock") } as const;
  const first = await serve({ admin, listen });
  const page = await openPage(first.service, "live");
  await ask(first.decider, "before");
  await page.locator("#decisions tr").filter({ hasText: "before" }).waitFor();
  await first.decider.close();
  await first.service.drain(100);
  const gone = page.getByRole("alert").filter({ hasText: /does not answer, and this page is as it was at \d/ });
  for (const part of ["Live", "Questions", "Mounts", "Overview"]) {
    await page.getByRole("link", { name: part, exact: true }).click();
    await gone.waitFor();
  }
  const { decider } = await serve({ admin, listen });
  await gone.waitFor({ state: "hidden" });
  await page.getByRole("link", { name: "Live", exact: true }).click();
  await ask(decider, "after");
  await page.locator("#decisions tr").filter({ hasText: "after" }).waitFor();
  expect(await page.locator("#decisions tr").count()).toBe(1);
});

test("a page says that a token is wrong, and asks again if the service has another one later", async () => {
  const admin = `127.0.0.1:${await freePort()}`;
  const listen = { kind: "unix", path: join(scratch(), "again.sock") } as const;
  const first = await serve({ admin, listen, adminToken: "correct horse" });
  const page = await openPage(first.service, "questions");
  await page.locator("#token").waitFor();
  const wrong = page.getByRole("alert").filter({ hasText: "does not take this token" });
  expect(await wrong.isVisible()).toBe(false);
  for (const token of ["wrong", "größe", "日本"]) {
    await page.reload();
    await logIn(page, token);
    await wrong.waitFor();
  }
  await logIn(page, "correct horse");
  await page.locator("#question-list", { hasText: "none" }).waitFor();
  expect(await wrong.isVisible()).toBe(false);
  await first.decider.close();
  await first.service.drain(100);
  await serve({ admin, listen, adminToken: "another horse" });
  await wrong.waitFor();
  expect(await page.locator("#questions").isVisible()).toBe(false);
  await logIn(page, "another horse");
  await page.locator("#question-list", { hasText: "none" }).waitFor();
});

test("a click that comes as the questions move answers none, and a button keeps its focus", async () => {
  const { service, decider } = await serve({ adminToken: "correct horse" });
  const put = (path: string): Promise<unknown> => ask(decider, path, 1000, { ...callerOf("/bin/cat"), mayAsk: true });
  for (const path of ["asked/a", "asked/b"]) await put(path);
  const page = await openPage(service, "questions");
  await logIn(page, "correct horse");
  const button = (path: string) => page.getByRole("button", { name: new RegExp(`^session: .* ${path}$`) });
  await button("asked/b").focus();
  await put("asked/c");
  await button("asked/c").waitFor();
  expect(await page.evaluate("document.activeElement.getAttribute('aria-label')")).toMatch(/asked\/b$/);
  // Another tab answers the first one, once: it leaves the list when its caller comes again.
  const clicked = page.evaluate(
    `new Promise((done) => new MutationObserver((_, observer) => { observer.disconnect(); document.querySelector("#question-list button").click(); done(); }).observe(document.getElementById("question-list"), { childList: true }))`,
  );
  const state = await fetch(`http://${service.adminAddress}/console/api/state`, { headers: { authorization: "Bearer correct horse" } });
  const { questions } = (await state.json()) as { questions: { askId: string; path: string }[] };
  expect(questions.map(({ path }) => path)).toEqual(["asked/a", "asked/b", "asked/c"]);
  const headers = { authorization: "Bearer correct horse" };
  const body = JSON.stringify({ askId: questions[0]?.askId, answer: "once" });
  expect((await fetch(`http://${service.adminAddress}/console/api/answer`, { method: "POST", headers, body })).status).toBe(200);
  await put("asked/a");
  await clicked;
  await page.getByRole("alert").filter({ hasText: "have just moved" }).waitFor();
  await expect.poll(() => page.locator("#question-list tbody tr").count()).toBe(2);
  expect(await page.locator("#question-list").innerText()).not.toContain("session:");
  // The page takes no click for 700 ms after a move.
  await page.waitForTimeout(1_000);
  await button("asked/b").click();
  await button("asked/b").waitFor({ state: "hidden" });
  await page.getByRole("alert").waitFor({ state: "hidden" });
});

test("the second of two tabs that answer a question is told that it has an answer", async () => {
  const { service, decider } = await serve({ adminToken: "correct horse" });
  await ask(decider, "asked/a", 1000, { ...callerOf("/bin/cat"), mayAsk: true });
  const pages = [await openPage(service, "questions"), await openPage(service, "questions")] as const;
  for (const page of pages) {
    await logIn(page, "correct horse");
    await page.getByRole("button", { name: /^deny: / }).waitFor();
  }
  const [first, second] = pages;
  // The second tab shows the list from before.
  await second.route("**/api/state", () => undefined);
  await first.getByRole("button", { name: /^session: / }).click({ delay: 100 });
  await first.locator("#question-list", { hasText: "session: a holder of the console's token" }).waitFor();
  await second.getByRole("button", { name: /^deny: / }).click();
  await second.getByRole("alert").filter({ hasText: "it has an answer, or its time is over" }).waitFor();
  expect(await ask(decider, "asked/a", 1000, { ...callerOf("/bin/cat"), mayAsk: true })).toMatchObject({
    effect: "mediate",
    byPerson: true,
  });
});

test("the link that skips to the content stays on the page", async () => {
  const { service } = await serve();
  const page = await openPage(service, "questions");
  await page.locator("#question-list").waitFor();
  const skip = page.getByRole("link", { name: "Skip to content" });
  await skip.focus();
  await skip.press("Enter");
  await expect.poll(() => page.evaluate("document.activeElement.id")).toBe("main");
  expect(await page.locator("#questions").isVisible()).toBe(true);
  expect(await page.getByRole("link", { name: /^Questions/ }).getAttribute("aria-current")).toBe("page");
});

test("times are those of the browser's time zone on every page", async () => {
  const { service, decider } = await serve();
  const context = await browser?.newContext({ timezoneId: "Asia/Kathmandu", viewport: { width: 1200, height: 800 } });
  if (context === undefined) throw new Error("Chromium does not start");
  cleanUp(() => context.close());
  const page = await context.newPage();
  await page.goto(`http://${service.adminAddress}/console/#live`);
  await ask(decider, "a/file");
  const row = page.locator("#decisions tr").filter({ hasText: "a/file" });
  await row.waitFor();
  const state = (await (await fetch(`http://${service.adminAddress}/console/api/state`)).json()) as { mounts: { since: string }[] };
  const there = (time: string): string => new Date(Date.parse(time) + 345 * 60_000).toISOString().replace("T", " ");
  const since = there(state.mounts[0]?.since as string);
  // The decision came after the mount did, within the minutes that this test takes.
  const clock = await row.locator("td").first().innerText();
  expect(clock).toMatch(/^\d\d:\d\d:\d\d\.\d{3}$/);
  const minutes = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));
  expect((minutes(clock) - minutes(since.slice(11)) + 1440) % 1440).toBeLessThan(30);
  await page.getByRole("link", { name: "Mounts", exact: true }).click();
  await page.locator("#mount-list", { hasText: `connected since ${since.slice(0, 19)}` }).waitFor();
  await page.getByRole("link", { name: "Overview", exact: true }).click();
  await page.locator("#o-mounts", { hasText: since.slice(0, 19) }).waitFor();
});

test("the playground shows the policy in force after each edit, and says of an edit that does not check that it is not", async () => {
  const { service, policy } = await serve();
  const page = await openPage(service, "playground");
  const source = page.locator("#source");
  await page.locator("#source", { hasText: "private-keys" }).waitFor();
  const edit = (text: string): void => {
    writeFileSync(`${policy}.new`, text);
    renameSync(`${policy}.new`, policy);
  };
  edit(POLICY.replace("revision: 7", "revision: 8").replaceAll("private-keys", "new-name"));
  await page.locator("#source", { hasText: "new-name" }).waitFor();
  await page.getByText("And what a candidate would say").click();
  await page.getByRole("button", { name: "Begin with the policy in force" }).click();
  expect(await page.locator("#a-candidate").inputValue()).toContain("name: new-name");
  await page.getByRole("heading", { name: "The policy in force", exact: true }).waitFor();
  edit("version: 1\ndefault: maybe\n");
  await page.getByRole("heading", { name: "The policy file, whose newest edit is not in force" }).waitFor();
  expect(await source.innerText()).toContain("default: maybe");
});

test("eight tabs of one browser see a question that comes", async () => {
  const { service, decider } = await serve();
  const pages = await Promise.all(Array.from({ length: 8 }, () => openPage(service, "overview")));
  for (const page of pages) await page.locator("#o-replica", { hasText: "revision 7" }).waitFor();
  await ask(decider, "asked/key", 1000, { ...callerOf("/bin/cat"), mayAsk: true });
  for (const page of pages) await page.locator("#question-count", { hasText: "(1)" }).waitFor();
});

test("a page says that the service hangs, and goes on when it answers again", async () => {
  const { service } = await serve();
  const page = await openPage(service, "live");
  await page.locator("#policy", { hasText: "revision 7" }).waitFor();
  const hung: Route[] = [];
  await page.route("**/api/**", (route) => void hung.push(route));
  const gone = page.getByRole("alert").filter({ hasText: /does not answer, and this page is as it was at \d/ });
  await gone.waitFor();
  // The page asks again after it has given up, and never twice at a time.
  await expect.poll(() => hung.length).toBeGreaterThan(1);
  await page.unroute("**/api/**");
  await gone.waitFor({ state: "hidden" });
});

test("a page draws no other part than the one that is shown", async () => {
  const { service } = await serve();
  const page = await openPage(service, "live");
  await page.locator("#policy", { hasText: "revision 7" }).waitFor();
  await page.evaluate(
    `window.drawn = []; for (const part of document.querySelectorAll("main > section")) new MutationObserver(() => window.drawn.push(part.id)).observe(part, { childList: true, subtree: true })`,
  );
  const look = (): Promise<unknown> => page.waitForResponse((response) => response.url().endsWith("/api/state"));
  for (let count = 0; count < 3; count++) await look();
  expect(await page.evaluate("window.drawn")).toEqual([]);
  await page.getByRole("link", { name: "Mounts", exact: true }).click();
  await page.locator("#mount-list", { hasText: "/srv/view" }).waitFor();
  expect(new Set((await page.evaluate("window.drawn")) as string[])).toEqual(new Set(["mounts"]));
});

test("a page that looks again sets no text that it has already said", async () => {
  const { service } = await serve();
  const page = await openPage(service, "questions");
  await page.locator("#policy", { hasText: "revision 7" }).waitFor();
  await page.evaluate(
    `window.said = 0; for (const part of document.querySelectorAll("[aria-live], [role=alert]")) new MutationObserver(() => window.said++).observe(part, { childList: true, characterData: true, subtree: true })`,
  );
  const look = (): Promise<unknown> => page.waitForResponse((response) => response.url().endsWith("/api/state"));
  // A third look begins after the second was shown.
  for (let count = 0; count < 3; count++) await look();
  expect(await page.evaluate("window.said")).toBe(0);
});
