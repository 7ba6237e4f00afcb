/** The web console's pages in a real browser, in front of a real decision service. */
import { mkdirSync, readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { DecisionService } from "@sluice/service-decision";
import { cleanUp, everyOther, mountSluice, plant, requires, scratch } from "@sluice/testkit";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CHROMIUM, startBrowser, startWindow } from "./harness/browser.js";
import { ask, POLICY, serve } from "./harness/served.js";

const { test: inBrowser } = requires(`command ${CHROMIUM.split("/").at(-1)}`);

/** `npm run test:soak console` opens all pages. */
const browsed = everyOther(inBrowser, chooseSeed());

describe("in Chromium", () => {
  let browser: Browser | undefined;
  let window: BrowserContext | undefined;
  beforeAll(async () => {
    browser = await startBrowser();
    window = await startWindow(browser);
  });
  afterAll(() => browser?.close());

  /** A page that fails the test on an error in it, a refused resource, or a request to another host. */
  async function openPage(service: DecisionService, part: string): Promise<{ page: Page; wrong: string[] }> {
    if (window === undefined) throw new Error("Chromium does not start");
    const page = await window.newPage();
    cleanUp(() => page.close());
    const wrong: string[] = [];
    page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("request", (sent) => !sent.url().startsWith(`http://${service.adminAddress}/`) && wrong.push(sent.url()));
    await page.goto(`http://${service.adminAddress}/console/#${part}`);
    return { page, wrong };
  }

  const picture = async (page: Page, name: string): Promise<void> => {
    const directory = process.env["SLUICE_SCREENSHOTS"] ?? scratch();
    mkdirSync(directory, { recursive: true });
    const file = join(directory, `${name}.png`);
    await page.screenshot({ path: file });
    expect(readFileSync(file).length).toBeGreaterThan(5_000);
  };

  browsed("denials that a mount enforced from its cache come in with program, path and rule", async () => {
    const { service, decider } = await serve();
    const { page, wrong } = await openPage(service, "live");
    await page.locator("#policy", { hasText: "revision 7" }).waitFor();
    await ask(decider, "a/file", 1000, { program: "/usr/bin/asker" });
    const denied = { effect: "deny", errno: 13, rule: "private-keys", reason: "", decisionId: "d-1", source: "cache" } as const;
    const caller = { path: "home/<i>key</i>.pem", uid: 1001, pid: 4711, program: "/opt/<b>cat</b>" };
    decider.tellEnforced?.({
      decisions: [{ ...denied, ...caller, operation: "open", accesses: ["read"], count: 960, sinceMs: Date.now() }],
      unnamed: [{ effect: "deny", rule: "private-keys", count: 77 }],
      missed: 5,
    });
    const cells = (text: string): Promise<string[]> =>
      page.locator("#decisions tr").filter({ hasText: text }).locator("td").allInnerTexts();
    await expect
      .poll(() => cells(caller.program).then((all) => all.slice(1)))
      .toEqual(["deny", "960", "read", caller.path, "private-keys", caller.program, "4711", "1001", "/srv/view", "cache", ""]);
    expect((await cells("/usr/bin/asker")).slice(1, 5)).toEqual(["grant", "1", "read", "a/file"]);
    expect((await cells("not named")).slice(1, 6)).toEqual(["deny", "77", "", "(not named: too many in a second)", "private-keys"]);
    expect(await page.locator("#live-status").innerText()).toBe("1038 of the last 1038 decisions, 5 more were too fast to show");
    await page.getByLabel("Program holds").fill("CAT<");
    expect(await page.locator("#decisions tr").count()).toBe(1);
    await picture(page, "live-cached");
    expect(wrong).toEqual([]);
    await page.close();
  });

  browsed("the first page draws the activity of the chosen range, and lists rules, denied paths and mounts", async () => {
    const { service, decider } = await serve();
    // The page comes first: its words are those of the newest step, and a browser may take longer than a step to start.
    const { page, wrong } = await openPage(service, "");
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    for (let round = 0; round < 5; round++) await ask(decider, "home/<b>key</b>.pem", 1000, { program: "/opt/<b>cat</b>" });
    for (let round = 0; round < 3; round++) await ask(decider, "a/file");
    const rules = page.locator("#o-rules tbody tr");
    // At a look of the page, some seconds later.
    await expect
      .poll(() => rules.allInnerTexts())
      .toEqual([expect.stringMatching(/^private-keys\s+deny\s+5\s+63 %$/), expect.stringMatching(/^default\s+grant\s+3\s+38 %$/)]);
    expect(await page.locator("#o-denied tbody tr").allInnerTexts()).toEqual([
      expect.stringMatching(/^home\/<b>key<\/b>\.pem\s+private-keys\s+\/opt\/<b>cat<\/b>\s+\d+\s+1000\s+5$/),
    ]);
    await page.locator("#o-mounts tbody tr", { hasText: "/srv/view" }).waitFor();
    await expect
      .poll(() => page.locator("#o-replica").innerText())
      .toMatch(/^This replica: ready, up \d+ s, Sluice .*, policy policy.yaml revision 7$/);
    expect(await page.locator(".u-over").count()).toBe(5);
    await picture(page, "overview");
    // A step of five seconds has to end before it is drawn, and a page on a busy machine may look less often: so each step has denials.
    const effects = page
      .locator("figure")
      .filter({ has: page.locator("#c-effects") })
      .locator("figcaption");
    await expect.poll(() => ask(decider, "home/other.pem").then(() => effects.innerText())).toMatch(/deny [\d.]*[1-9][\d.]*\/s/);
    for (const range of ["1 hour", "6 hours", "24 hours"]) {
      const answered = page.waitForResponse((response) => response.url().includes("/api/overview/") && response.ok());
      await page.getByRole("button", { name: range, exact: true }).press("Enter");
      await answered;
      expect(await page.getByRole("button", { name: range, exact: true }).getAttribute("aria-pressed")).toBe("true");
    }
    await page.emulateMedia({ colorScheme: "dark" });
    expect(await page.locator(".u-over").count()).toBe(5);
    expect(wrong).toEqual([]);
  });

  browsed("decisions come in as they are made, are filtered, and stop while paused", async () => {
    const { service, decider } = await serve();
    const { page, wrong } = await openPage(service, "live");
    await page.locator("#policy", { hasText: "revision 7" }).waitFor();
    await ask(decider, "a/file");
    await ask(decider, "home/<b>key</b>.pem", 1001);
    await ask(decider, "datasets/table");
    const rows = page.locator("#decisions tr");
    await expect.poll(() => rows.count()).toBe(3);
    expect(await rows.nth(1).innerText()).toContain("home/<b>key</b>.pem");
    expect(await page.locator("#decisions td.deny").innerText()).toBe("deny");
    await picture(page, "live");
    await page.getByLabel("Effect", { exact: true }).selectOption("deny");
    expect(await rows.count()).toBe(1);
    await page.getByLabel("Effect", { exact: true }).selectOption("");
    await page.locator("#f-uid").fill("1001");
    expect(await rows.count()).toBe(1);
    await page.locator("#f-uid").fill("");
    await page.getByLabel("Path holds").fill("DATA");
    expect(await rows.innerText()).toContain("metered");
    await page.getByLabel("Path holds").fill("");
    await page.getByRole("button", { name: "Pause" }).press("Enter");
    expect(await page.getByRole("button", { name: "Pause" }).getAttribute("aria-pressed")).toBe("true");
    await ask(decider, "later");
    await page.waitForTimeout(600);
    expect(await rows.count()).toBe(3);
    await page.getByRole("button", { name: "Pause" }).click();
    await expect.poll(() => rows.count()).toBe(4);
    expect(wrong).toEqual([]);
  });

  browsed("a holder of the token answers a question, and revokes the answer", async () => {
    const { service, decider } = await serve({ adminToken: "correct horse" });
    const subject = { uid: 1000, gid: 1000, groups: [], pid: 7, executable: "/usr/bin/<i>cat</i>" };
    const wait = (): Promise<unknown> => ask(decider, "asked/key", 1000, { subject, mayAsk: true, awaitsPersonMs: 30_000 });
    const waited = wait();
    const { page, wrong } = await openPage(service, "questions");
    await page.locator("#token").fill("correct horse");
    await page.getByRole("button", { name: "Open the console" }).click();
    const row = page.locator("#question-list tbody tr");
    expect(await row.innerText()).toContain("/usr/bin/<i>cat</i> (pid 7, uid 1000)");
    await picture(page, "questions");
    await page.getByRole("button", { name: /^session: / }).click();
    expect(await waited).toMatchObject({ effect: "mediate", byPerson: true });
    await page.getByRole("button", { name: /^revoke: / }).click();
    await page.locator("#question-list", { hasText: "none" }).waitFor();
    void wait();
    await page.getByRole("button", { name: /^deny: / }).click();
    await page.locator("#question-list", { hasText: "deny: a holder of the console's token" }).waitFor();
    // The first call of the page is refused, and asks for the token.
    expect(wrong.filter((each) => !each.includes("401"))).toEqual([]);
  });

  browsed("the playground shows the decision, marks the rule in the source, and asks a candidate beside it", async () => {
    const { service, logFile } = await serve();
    const { page, wrong } = await openPage(service, "playground");
    await page.getByLabel("Path below the mount").fill("/ssl/id.pem");
    await page.getByRole("button", { name: "Ask" }).click();
    await page.locator("#answer dd.deny").waitFor();
    expect(await page.locator("#answer dd.deny").innerText()).toBe("deny (EACCES)");
    expect(await page.locator("#answer").innerText()).toContain("private-keys");
    expect(await page.locator("#source .hit").allInnerTexts()).toEqual([
      "  - name: private-keys",
      '    path: "**/*.pem"',
      "    effect: deny",
    ]);
    const top = async (name: string): Promise<number> => (await page.locator(name).boundingBox())?.y ?? Number.NaN;
    const besideBefore = (await top("#a-executable")) - (await top("#ask button:not([type])"));
    await page.getByText("And what a candidate would say").click();
    // The button stays beside the fields, and the candidate comes below them.
    expect((await top("#a-executable")) - (await top("#ask button:not([type])"))).toBe(besideBefore);
    expect(Math.abs(besideBefore)).toBeLessThan(10);
    expect(await top("#a-candidate")).toBeGreaterThan(await top("#a-executable"));
    await page.getByRole("button", { name: "Begin with the policy in force" }).click();
    await page.locator("#a-candidate").fill(POLICY.replace("effect: deny", "effect: mediate"));
    await page.getByRole("button", { name: "Ask" }).click();
    await page.locator("#answer dd.mediate").waitFor();
    await picture(page, "playground");
    await page.locator("#a-candidate").fill("version: 2\n");
    await page.getByRole("button", { name: "Ask" }).click();
    await page.getByRole("alert").filter({ hasText: "candidate:1" }).waitFor();
    expect(wrong.filter((line) => !line.includes("400"))).toEqual([]);
    expect(readFileSync(logFile, "utf8")).toBe("");
  });

  const { test: mounting } = requires(`command ${CHROMIUM.split("/").at(-1)}`, "/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");

  mounting("a mount is shown with its layers, what may pass through, and the grants in force", async () => {
    const { service, decider } = await serve();
    const [lower, upper] = [scratch(), scratch()];
    plant(lower, { "a<i>b": "x", "datasets/table": "t" });
    const mount = await mountSluice({ lowers: [lower], upper, args: ["--decision", service.target, "--name", "a view"] });
    // Not synchronously: this process answers the questions.
    const files = [await open(mount.path("a<i>b")), await open(mount.path("datasets/table"))];
    const close = async (): Promise<void> => void (await Promise.all(files.splice(0).map((file) => file.close())));
    cleanUp(close);
    const { page, wrong } = await openPage(service, "mounts");
    const part = page.locator("#mount-list details").filter({ hasText: "a view" });
    const look = (): Promise<void> => page.getByRole("button", { name: "Look again" }).click();
    const grants = part.getByRole("table", { name: /Grants in force/ }).locator("tbody tr");
    await expect.poll(() => look().then(() => grants.count())).toBe(2);
    const cells = async (row: number): Promise<string[]> => (await grants.nth(row).locator("td").allInnerTexts()).slice(0, 7);
    expect(await cells(0)).toEqual(["datasets/table", "lower0", "mediated", "read", "0", expect.stringMatching(/^\d+$/), "metered"]);
    expect(await cells(1)).toEqual(["a<i>b", "lower0", "passthrough", "read", "0", expect.stringMatching(/^\d+$/), "default"]);
    const layers = part.getByRole("table", { name: /Layers/ }).locator("tbody tr");
    expect(await layers.nth(0).innerText()).toContain(upper);
    expect(await layers.nth(1).innerText()).toMatch(new RegExp(`lower0\\s${lower}\\s\\w+\\s0\\seligible`));
    // The other end of the connection shows nothing by itself.
    expect(await page.locator("#mount-list details").filter({ hasText: "/srv/view" }).innerText()).toContain("has not told yet");
    await picture(page, "mounts");
    await page.setViewportSize({ width: 420, height: 800 });
    // The page may draw the rows again in between.
    const share = async (): Promise<number> => {
      const [row, cell] = [await layers.nth(0).boundingBox(), await layers.nth(0).locator("td").last().boundingBox()];
      return row === null || cell === null ? 0 : cell.width / row.width;
    };
    await expect.poll(share).toBeGreaterThan(0.9);
    await close();
    await expect.poll(() => look().then(() => grants.count())).toBe(0);
    await mount.stop();
    await expect.poll(() => look().then(() => part.count())).toBe(0);
    expect(decider.status().state).toBe("ready");
    expect(wrong).toEqual([]);
  });

  mounting("a mount shows where its time goes, the bytes that it moves itself, and the replicas that it knows", async () => {
    const { service } = await serve();
    const gone = `unix:${join(scratch(), "<b>gone</b>.sock")}`;
    const [lower, upper] = [plant(scratch(), { "datasets/other": "t" }), plant(scratch(), { "datasets/table": "t" })];
    const name = "the <i>view</i>";
    const mount = await mountSluice({ lowers: [lower], upper, args: ["--decision", `${service.target},${gone}`, "--name", name] });
    const { page, wrong } = await openPage(service, "");
    // Each write reaches the mount: the file is opened for reading, too, so it is mediated.
    const write = async (): Promise<void> => {
      const file = await open(mount.path("datasets/table"), "r+");
      await file.write("t".repeat(10_000), 0);
      await file.close();
    };
    const rows = (id: string, text: string): Locator => page.locator(`#${id} tbody tr`).filter({ hasText: text });
    // A step of five seconds has to end before it is drawn, and the server measures itself from the first look on.
    const bytes = page.locator("figure").filter({ hasText: "Bytes moved by the daemon" }).locator("figcaption");
    await expect
      .poll(() => write().then(() => bytes.innerText()), { timeout: 30_000 })
      .toMatch(/read 0 B\/s, written [1-9][\d.]* [kM]B\/s/);
    const cells = async (row: Locator): Promise<string[]> => row.locator("td").allInnerTexts();
    const rate = expect.stringMatching(/^[\d.]+\/s$/);
    const time = expect.stringMatching(/^[\d.]+ (µs|ms|s)$/);
    const share = expect.stringMatching(/^\d+ %$/);
    await expect
      .poll(() => write().then(() => cells(rows("o-work", "OPEN").first())), { timeout: 30_000 })
      .toEqual([name, "OPEN", rate, "0/s", share, time, time]);
    await expect
      .poll(() => write().then(() => cells(rows("o-mounts", name))), { timeout: 30_000 })
      .toEqual([
        name,
        "serving",
        ...Array(3).fill(expect.stringMatching(/^\d+$/)),
        expect.stringMatching(/^[1-9].*B\/s$/),
        share,
        time,
        // Not every kernel tells it.
        expect.stringMatching(/^(\d+|–)$/),
        expect.any(String),
        expect.any(String),
      ]);
    const revision = expect.stringMatching(/^7 [0-9a-f]{12}$/);
    expect(await cells(rows("o-replicas", "this replica"))).toEqual([
      `${service.target.replace("://", ":")} (this replica)`,
      "ready",
      revision,
      "1",
    ]);
    expect(await cells(rows("o-replicas", gone))).toEqual([gone, expect.stringMatching(/^(not reached|connecting)$/), "–", "1"]);
    const known = [{ state: "ready", revision: { sequence: "7" } }, { revision: null }];
    expect(await mount.status()).toMatchObject({ decider: { replicas: known } });
    await picture(page, "overview-mount");
    await page.getByRole("link", { name: "Mounts" }).click();
    const part = page.locator("#mount-list details").filter({ hasText: name });
    await expect
      .poll(() => write().then(() => part.getByRole("table", { name: /Where the time goes/ }).allInnerTexts()), { timeout: 30_000 })
      .toEqual([expect.stringContaining("OPEN")]);
    expect(await part.locator("dl").innerText()).toMatch(
      /I\/O of the mount\s+.* read, .* written\s+Server\s+\d+ % busy, \d+ % garbage collection, longest pause/,
    );
    expect(
      await part
        .getByRole("table", { name: /Replicas that the mount knows: 2 replicas/ })
        .locator("tbody tr")
        .count(),
    ).toBe(2);
    expect(wrong).toEqual([]);
  });

  browsed("a recorded log is put to a candidate", async () => {
    const { service, decider, logFile } = await serve();
    for (const path of ["a.pem", "b.pem", "c.txt"]) await ask(decider, path);
    const { page, wrong } = await openPage(service, "mounts");
    await page.locator("#mount-list", { hasText: "/srv/view" }).waitFor();
    await expect.poll(() => readFileSync(logFile, "utf8").split("\n").length).toBe(4);
    await page.getByRole("link", { name: "Replay" }).click();
    await page.getByLabel("Decision log").setInputFiles(logFile);
    await page.locator("#r-read", { hasText: "3 lines read" }).waitFor();
    // The service goes on with its log, the last line of which may be there in part.
    await ask(decider, "d.pem");
    await expect.poll(() => readFileSync(logFile, "utf8").split("\n").length).toBe(5);
    await page.getByLabel("Rules of the candidate").last().fill("version: 1\ndefault: grant\n");
    await page.getByRole("button", { name: "Replay" }).click();
    await page.locator("#replayed h3").waitFor();
    expect(await page.locator("#replayed h3").innerText()).toBe("3 decisions: 1 the same, 2 different, 0 without an answer");
    expect(await page.locator("#replayed").innerText()).toContain("a.pem");
    await picture(page, "replay");
    expect(wrong).toEqual([]);
  });

  browsed("under load the page keeps up, and says what it left out", async () => {
    const { service, decider } = await serve();
    const { page, wrong } = await openPage(service, "live");
    await page.locator("#policy", { hasText: "revision 7" }).waitFor();
    const granted = { effect: "grant", errno: 0, rule: "default", reason: "", decisionId: "d-1", source: "cache" } as const;
    const caller = { uid: 1000, pid: 7, program: "/bin/cat", operation: "open", count: 1 } as const;
    const paths = Array.from({ length: 1_000 }, (_, index) => `load/${index}`);
    // The service takes each report in one turn of its event loop, so no batch for the page comes between: a batch has 200 decisions.
    for (let round = 0; round < 4; round++) {
      const decisions = paths.map((path) => ({ ...granted, ...caller, accesses: ["read" as const], path, sinceMs: Date.now() }));
      decider.tellEnforced?.({ decisions, unnamed: [], missed: 0 });
      await Promise.all(paths.slice(0, 50).map((path) => ask(decider, path)));
    }
    await ask(decider, "the/last/one");
    await page.locator("#decisions tr").filter({ hasText: "the/last/one" }).waitFor();
    expect(await page.locator("#live-status").innerText()).toMatch(/\d+ more were too fast to show/);
    await page.getByRole("link", { name: "Playground" }).click();
    await page.getByRole("button", { name: "Ask" }).click();
    await page.locator("#answer dd.grant").waitFor();
    expect(wrong).toEqual([]);
  });

  browsed("on 420 pixels no page and no table is wider than the window, and the keyboard reaches every control", async () => {
    const { service, decider } = await serve();
    const subject = { uid: 1000, gid: 1000, groups: [], pid: 7, executable: `/usr/${"long/".repeat(20)}cat` };
    await ask(decider, "asked/key", 1000, { subject, mayAsk: true });
    await ask(decider, `${"long/".repeat(40)}file.pem`, 1000, { program: subject.executable });
    const { page, wrong } = await openPage(service, "live");
    await page.locator("#policy", { hasText: "revision 7" }).waitFor();
    await page.locator("#question-count", { hasText: "1" }).waitFor();
    await page.setViewportSize({ width: 420, height: 800 });
    for (const part of ["overview", "live", "questions", "playground", "mounts", "replay"]) {
      await page.goto(`http://${service.adminAddress}/console/#${part}`);
      await page.locator(`#${part}`).waitFor();
      expect(await page.evaluate("document.documentElement.scrollWidth"), part).toBeLessThanOrEqual(420);
      const cutOff = `[...document.querySelectorAll("#${part} :is(.scroll, details)")].filter((each) => each.scrollWidth > each.clientWidth).map(({ textContent }) => textContent)`;
      expect(await page.evaluate(cutOff), part).toEqual([]);
      const wanted = await page.locator(`#${part} :is(input, select, textarea, button, summary):visible`).count();
      const reached = new Set<unknown>();
      for (let presses = 0; presses < 60 && reached.size < wanted; presses++) {
        await page.keyboard.press("Tab");
        const focused = await page.evaluate(
          `document.activeElement.closest("#${part}") && document.activeElement.matches("input, select, textarea, button, summary") ? [...document.querySelectorAll("*")].indexOf(document.activeElement) : null`,
        );
        if (focused !== null) reached.add(focused);
      }
      expect(reached.size, part).toBe(wanted);
      await picture(page, `${part}-narrow`);
    }
    expect(wrong).toEqual([]);
  });

  browsed("with a token the page asks for it, and every control has a name", async () => {
    const { service } = await serve({ adminToken: "correct horse" });
    const { page } = await openPage(service, "live");
    await page.locator("#token").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: "does not take this token" }).waitFor();
    expect(await page.locator("#live").isVisible()).toBe(false);
    await page.locator("#token").fill("correct horse");
    await page.keyboard.press("Enter");
    await page.locator("#live").waitFor();
    const unnamed = await page.evaluate(
      `[...document.querySelectorAll("input, select, textarea")].filter((field) => field.labels.length === 0).map((field) => field.id)`,
    );
    expect(unnamed).toEqual([]);
  });
});
