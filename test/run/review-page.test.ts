// `sluice diff --web`: the review of a session in a real browser, its token, and changes that it applies and discards.
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp, drawnCases, requires, type RunningScript } from "@sluice/testkit";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { startBrowser, startWindow } from "../console/harness/browser.js";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, rootsViewsShareProcess } from "./sandboxed.js";

rootsViewsShareProcess();

const LIMIT_MS = 180_000;
const FILES = { a: "one\n", b: "b\n", gone: "gone\n" };
const { test } = requires(...NEEDS, "command chromium");

let browser: Browser | undefined;
let window: BrowserContext | undefined;
beforeAll(async () => {
  browser = await startBrowser();
  window = await startWindow(browser);
});
afterAll(() => browser?.close());

async function serve(project: Project, ...words: string[]): Promise<{ serving: RunningScript; link: string }> {
  const serving = project.start(["diff", "--web", "one", ...words]);
  await serving.waitFor("\n");
  return { serving, link: serving.stdout().trim() };
}

/** A page that notes errors in it, refused resources, and requests to another host. */
async function openPage(link: string, context = window): Promise<{ page: Page; wrong: string[] }> {
  if (context === undefined) throw new Error("Chromium does not start");
  const page = await context.newPage();
  cleanUp(() => page.close());
  const wrong: string[] = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("request", (sent) => !sent.url().startsWith(`${new URL(link).origin}/`) && wrong.push(sent.url()));
  await page.goto(link);
  return { page, wrong };
}

/** The page tells what was done before it has the new list. */
async function rows(page: Page, count: number): Promise<void> {
  await expect.poll(() => page.locator("#changes details").count()).toBe(count);
}
const read = (project: Project, path: string): string => readFileSync(join(project.base, path), "utf8");
const box = (page: Page, name: string) => page.getByRole("checkbox", { name });

describe.each(drawnCases(CALLERS, 1, chooseSeed()))("as %s", (caller) => {
  test(
    "the page shows each change with its patch, applies the selected ones, and discards the rest",
    async () => {
      const project = new Project(caller, FILES);
      const script = "echo two >> a; rm gone; echo '<b>new</b>' > '<img src=x onerror=alert(1)>'; printf 'x' > \"$(printf 'e\\033[2J')\"";
      await project.sluice(["run", "--name", "one", "--", "sh", "-c", script]);
      const { serving, link } = await serve(project);
      const { page, wrong } = await openPage(link);
      await page.getByText("session one of").waitFor();
      await rows(page, 4);
      expect(await page.locator("#changes").innerText()).toContain("A <img src=x onerror=alert(1)>");
      expect(await page.locator("#changes").innerText()).toContain("A e\\033[2J");
      await page.locator("summary", { hasText: "M a" }).click({ position: { x: 200, y: 10 } });
      await page.getByText("+two").waitFor();
      await page.locator("summary", { hasText: "<img" }).click({ position: { x: 300, y: 10 } });
      await page.getByText("+<b>new</b>").waitFor();
      await box(page, "apply M a").check();
      await box(page, "apply D gone").check();
      await page.getByRole("button", { name: "Apply selected" }).click();
      await page.getByText("applied to").waitFor();
      expect(await page.locator("#done").innerText()).toContain("1 modified, 1 deleted; in the session remain 2 added");
      expect([read(project, "a"), existsSync(join(project.base, "gone"))]).toEqual(["one\ntwo\n", false]);
      await rows(page, 2);
      await page.getByRole("button", { name: "Discard the session" }).click();
      await page.getByRole("button", { name: "Discard all changes" }).click();
      await page.getByText("one: discarded").waitFor();
      expect((await serving.finished).code).toBe(0);
      expect(wrong).toEqual([]);
      expect((await project.sluice(["sessions"])).stderr).toBe("no sessions\n");
      expect(existsSync(join(project.base, "e\x1b[2J"))).toBe(false);
    },
    LIMIT_MS,
  );
});

test(
  "a change with a conflict is applied as the person chooses, and not without a choice",
  async () => {
    const project = new Project("root", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo mine > a; echo mine > b"]);
    for (const path of ["a", "b"]) writeFileSync(join(project.base, path), "theirs\n");
    const { serving, link } = await serve(project);
    const { page } = await openPage(link);
    await box(page, "apply M a").check();
    await page.getByRole("button", { name: "Apply selected" }).click();
    await page.getByText("choose for each selected change").waitFor();
    expect(read(project, "a")).toBe("theirs\n");
    await page.getByLabel("conflict: M a").selectOption("session");
    await page.getByRole("button", { name: "Apply selected" }).click();
    await page.getByText("applied to").waitFor();
    expect([read(project, "a"), read(project, "b")]).toEqual(["mine\n", "theirs\n"]);
    await rows(page, 1);
    await page.getByRole("button", { name: "Apply selected" }).click();
    await page.getByText("nothing is selected").waitFor();
    expect(await page.locator("#done").isVisible()).toBe(false);
    await page.getByRole("button", { name: "End the review" }).click();
    expect((await serving.finished).code).toBe(0);
    expect((await project.sluice(["undo", "one"])).code).toBe(0);
  },
  LIMIT_MS,
);

test(
  "a request to end the review during an apply is refused, and cuts it not short",
  async () => {
    const project = new Project("root", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "for i in $(seq 1000); do echo x > n$i; done"]);
    const { serving, link } = await serve(project);
    const call = async (name: string, body: object, token: string): Promise<{ status: number; answer: Record<string, unknown> }> => {
      const headers = { Authorization: `Bearer ${token}` };
      const sent = await fetch(new URL(`api/${name}`, link), { method: "POST", headers, body: JSON.stringify(body) });
      return { status: sent.status, answer: (await sent.json()) as Record<string, unknown> };
    };
    const token = String((await call("open", {}, new URL(link).hash.slice(1))).answer["token"]);
    const applying = call("apply", { list: 1, selected: Array.from({ length: 1000 }, (_, place) => place), choices: {} }, token);
    await expect.poll(() => existsSync(project.session("one", "apply")), { interval: 1 }).toBe(true);
    expect((await call("close", {}, token)).status).toBe(409);
    expect((await applying).status).toBe(200);
    expect(project.exists("n1000")).toBe(true);
    expect((await call("close", {}, token)).status).toBe(200);
    expect((await serving.finished).code).toBe(0);
  },
  LIMIT_MS,
);

test(
  "a change that is held back is applied only if its own box is checked",
  async () => {
    const project = new Project("root", { ...FILES, ".git/config": "a\n" });
    linkSync(join(project.base, ".git/config"), join(project.base, "f"));
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo b >> f"]);
    const { serving, link } = await serve(project);
    const { page } = await openPage(link);
    await rows(page, 2);
    await page.getByText("[held back: rule git-reads-it denies it]").waitFor();
    await page.getByRole("button", { name: "Select all" }).click();
    expect(await box(page, "apply M .git/config").isChecked()).toBe(false);
    await page.getByRole("button", { name: "Apply selected" }).click();
    await page.locator("#done").waitFor();
    await rows(page, 1);
    expect(["f", ".git/config"].map((path) => read(project, path))).toEqual(["a\nb\n", "a\n"]);
    await box(page, "apply M .git/config").check();
    await page.getByRole("button", { name: "Apply selected" }).click();
    await rows(page, 0);
    expect(read(project, ".git/config")).toBe("a\nb\n");
    await page.getByRole("button", { name: "End the review" }).click();
    expect((await serving.finished).code).toBe(0);
  },
  LIMIT_MS,
);

test(
  "the page of some paths shows and applies their changes alone, and counts the others",
  async () => {
    const project = new Project("root", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo two >> a; rm gone; mkdir d; echo new > d/f"]);
    const { serving, link } = await serve(project, "a", "d");
    const { page } = await openPage(link);
    await page.getByText("(not shown: 1)").waitFor();
    await expect.poll(() => page.locator("#changes summary").allInnerTexts()).toEqual([" M a", " A d/", " A d/f"]);
    await page.getByRole("button", { name: "Select all" }).click();
    await page.getByRole("button", { name: "Apply selected" }).click();
    await page.locator("#done").waitFor();
    await rows(page, 0);
    expect(read(project, "a")).toBe("one\ntwo\n");
    expect(existsSync(join(project.base, "gone"))).toBe(true);
    await page.getByRole("button", { name: "End the review" }).click();
    expect((await serving.finished).code).toBe(0);
  },
  LIMIT_MS,
);

test(
  "the link works once, and each call needs the token of the page",
  async () => {
    const project = new Project("root", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo two >> a"]);
    const { serving, link } = await serve(project);
    const { origin, hash } = new URL(link);
    const call = async (name: string, token: string | undefined, { method = "POST", headers = {} } = {}): Promise<number> => {
      const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const body = method === "POST" ? { body: "{}" } : {};
      return (await fetch(`${origin}/console/api/${name}`, { method, headers: { ...authorization, ...headers }, ...body })).status;
    };
    const first = hash.slice(1);
    // The link's own token does nothing but open.
    for (const name of ["discard", "apply", "close"]) expect([await call(name, undefined), await call(name, first)]).toEqual([401, 401]);
    expect(await call("review", first, { method: "GET" })).toBe(401);
    expect(await call("open", first, { headers: { origin: "https://evil.example" } })).toBe(403);
    const { page } = await openPage(link);
    await page.getByText("session one of").waitFor();
    expect(page.url()).not.toContain(first);
    await page.reload();
    await page.getByText("session one of").waitFor();
    expect(await call("open", first)).toBe(401);
    const stranger = await browser?.newContext();
    cleanUp(() => stranger?.close());
    const other = await openPage(link, stranger);
    await other.page.getByText("the link was used").waitFor();
    for (const path of ["../package.json", "%2e%2e/package.json", "constructor", "index.html"])
      expect((await fetch(`${origin}/console/${path}`)).status, path).toBe(404);
    // The session is locked meanwhile.
    expect((await project.sluice(["apply", "one"])).code).toBe(4);
    serving.kill("SIGINT");
    await serving.finished;
    expect((await project.sluice(["apply", "one"])).code).toBe(0);
  },
  LIMIT_MS,
);

test(
  "an apply that fails on a full disk can be repeated on the same page once there is room",
  async () => {
    const project = new Project("root", FILES);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", project.state]);
    cleanUp(() => void execFileSync("umount", ["-l", project.state]));
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo two >> a; echo two >> b"]);
    const { serving, link } = await serve(project);
    const { origin, hash } = new URL(link);
    const post = async (name: string, token: string, body: object): Promise<Record<string, string>> => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      return (await (
        await fetch(`${origin}/console/api/${name}`, { method: "POST", headers, body: JSON.stringify(body) })
      ).json()) as Record<string, string>;
    };
    const { token = "" } = await post("open", hash.slice(1), {});
    const apply = (list: number) => post("apply", token, { selected: [0], choices: {}, list });
    const filler = join(project.state, "filler");
    expect(() => writeFileSync(filler, Buffer.alloc(8 << 20))).toThrow("ENOSPC");
    // Also a second time, and nothing of the first is in its way.
    for (let times = 0; times < 2; times++) expect((await apply(1))["error"]).toContain("ENOSPC");
    expect([read(project, "a"), read(project, "b")]).toEqual(["one\n", "b\n"]);
    rmSync(filler);
    expect(await apply(1)).toMatchObject({ done: expect.stringContaining("applied to") as unknown });
    expect([read(project, "a"), read(project, "b")]).toEqual(["one\ntwo\n", "b\n"]);
    expect(await apply(2)).toMatchObject({ done: expect.stringContaining("applied to") as unknown });
    expect(read(project, "b")).toBe("b\ntwo\n");
    serving.kill("SIGINT");
    await serving.finished;
  },
  LIMIT_MS,
);

test(
  "a page whose command has ended says how to get another one",
  async () => {
    const project = new Project("an ordinary user", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo two >> a"]);
    const { serving, link } = await serve(project);
    const { page } = await openPage(link);
    await rows(page, 1);
    serving.kill("SIGINT");
    await serving.finished;
    await page.getByRole("button", { name: "Select all" }).click();
    await page.getByRole("button", { name: "Apply selected" }).click();
    await page.getByRole("alert").filter({ hasText: "has ended, or does not answer: run sluice diff --web again" }).waitFor();
    expect(read(project, "a")).toBe("one\n");
  },
  LIMIT_MS,
);
