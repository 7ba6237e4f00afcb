// Takes the pictures of the web console in docs/pictures: a real mount under load, each page light, dark and narrow.
// `node packages/dev/pictures.mjs [DIRECTORY]` needs root, /dev/fuse, a build, and Chromium. It takes two minutes, so that the charts show
// something.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";
import { root } from "./build.mjs";

const CLI = join(root, "packages/cli/bin/sluice.cjs");
const CHROMIUM = "/usr/bin/chromium";
const TOKEN = "a token for pictures";
const LOAD_MS = 110_000;
const PAGES = ["overview", "live", "questions", "playground", "mounts", "replay"];
const WHOLE = ["overview", "mounts"];
/** @type {readonly { name: string, colorScheme: "light" | "dark", width: number }[]} */
const LOOKS = [
  { name: "light", colorScheme: "light", width: 1280 },
  { name: "dark", colorScheme: "dark", width: 1280 },
  { name: "narrow", colorScheme: "light", width: 420 },
];
const POLICY = `version: 1
revision: 12
default: grant
rules:
  - name: private-keys
    path: ["**/*.pem", "**/.ssh/**"]
    effect: deny
  - name: metered
    path: "media/**"
    access: [read]
    effect: mediate
    obligations: { readBytesPerSecond: 10485760 }
  - name: person
    path: "vault/**"
    effect: ask
`;
/** Reads, writes of new files, which a service is asked about, and now and then a file that is denied. */
const LOAD = `
cd "$1"
while :; do
  echo text >out/$((++made)) && rm out/$made
  for each in 1 2 3 4 5 6 7 8; do cat src/f$each src/f$each media/m$each >/dev/null; done
  cat home/id.pem home/.ssh/known 2>/dev/null
  sleep 0.0$((RANDOM % 9 + 1))
done`;

const scratch = mkdtempSync(join(tmpdir(), "sluice-pictures-"));
const at = (/** @type {string[]} */ ...names) => join(scratch, ...names);
/** @type {import("node:child_process").ChildProcess[]} */
const children = [];

/** @param {string} name of its log @param {readonly string[]} argv */
function start(name, argv) {
  const log = openSync(at(`${name}.log`), "w");
  const [program = "", ...rest] = argv;
  const child = spawn(program, rest, { stdio: ["ignore", log, log] });
  children.push(child);
  return child;
}

/** @param {string} what @param {() => boolean} isTrue */
async function until(what, isTrue) {
  for (let tries = 0; !isTrue(); tries++) {
    if (tries > 300) throw new Error(`${what}: it did not come: ${scratch} has the logs`);
    await sleep(100);
  }
}

const said = (/** @type {string} */ name, /** @type {string} */ text) => () => readFileSync(at(`${name}.log`), "utf8").includes(text);

function plant() {
  for (const directory of ["lower/src", "lower/media", "lower/home/.ssh", "lower/vault", "upper/out", "work", "mnt"])
    mkdirSync(at(directory), { recursive: true });
  for (let index = 1; index <= 8; index++) {
    writeFileSync(at("lower/src", `f${index}`), `source ${index}\n`.repeat(100));
    writeFileSync(at("lower/media", `m${index}`), `media ${index}\n`.repeat(1000));
  }
  for (const name of ["home/id.pem", "home/.ssh/known", "vault/plan"]) writeFileSync(at("lower", name), "secret\n");
  writeFileSync(at("policy.yaml"), POLICY);
  writeFileSync(at("token"), `${TOKEN}\n`, { mode: 0o600 });
}

async function serve() {
  const listen = `unix://${at("one.sock")}`;
  const admin = ["--admin", "127.0.0.1:19464", "--admin-token-file", at("token"), "--decision-log", at("log")];
  start("decision", [process.execPath, CLI, "decision", "--policy", at("policy.yaml"), "--listen", listen, ...admin]);
  await until("the decision service", said("decision", "listens"));
  // The second replica is not there.
  const target = `${listen},unix://${at("two.sock")}`;
  const layers = ["--lower", at("lower"), "--upper", at("upper"), "--work", at("work")];
  const mount = start("mount", [process.execPath, CLI, "mount", ...layers, "--decision", target, "--name", "view", at("mnt")]);
  await until("the mount", said("mount", at("mnt")));
  start("load", ["bash", "-c", LOAD, "bash", at("mnt")]);
  // A question that nobody answers ends after a minute.
  start("waits", ["sh", "-c", 'while :; do cat "$1"; sleep 1; done', "sh", at("mnt/vault/plan")]);
  start("holds", ["sh", "-c", 'exec sleep 600 <"$1/src/f1" 3<"$1/media/m2" 4<"$1/src/f3"', "sh", at("mnt")]);
  return { mount, address: "http://127.0.0.1:19464/console/" };
}

/** @param {import("playwright-core").Page} page @param {string} name of a page */
async function fill(page, name) {
  // A mount measures itself while somebody looks, and the first look is ours.
  if (name === "overview") await page.locator("#o-mounts", { hasText: "%" }).waitFor();
  else if (name === "playground") {
    await page.locator("#a-path").fill("home/id.pem");
    await page.getByText("And what a candidate would say").click();
    await page.locator("#a-candidate").fill(POLICY.replace("effect: deny", "effect: mediate"));
    await page.locator("#ask button:not([type])").click();
    await page.locator("#answer dd.mediate").waitFor();
  } else if (name === "replay") {
    await page.locator("#r-log").setInputFiles(at("log"));
    await page.locator("#r-read", { hasText: "lines" }).waitFor();
    await page.locator("#r-candidate").fill(POLICY.replace('"**/*.pem", ', ""));
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    await page.locator("#replayed h3").waitFor();
  }
  // Charts and lists come with the next answer.
  await sleep(2_500);
}

/** @param {string} address @param {string} directory */
async function photograph(address, directory) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--headless", "--no-sandbox", "--disable-gpu"] });
  try {
    for (const { name, colorScheme, width } of LOOKS) {
      const page = await browser.newPage({ viewport: { width, height: width < 500 ? 900 : 860 }, colorScheme });
      await page.goto(address);
      await page.locator("#token").fill(TOKEN);
      await page.keyboard.press("Enter");
      await page.locator("#overview").waitFor();
      for (const part of PAGES) {
        await page.evaluate(`location.hash = "#${part}"`);
        await page.locator(`#${part}`).waitFor();
        await fill(page, part);
        await page.evaluate("document.activeElement.blur(), scrollTo(0, 0)");
        await page.screenshot({ path: join(directory, `console-${part}-${name}.png`), fullPage: WHOLE.includes(part) });
      }
      await page.close();
    }
  } finally {
    await browser.close();
  }
}

const directory = process.argv[2] ?? join(root, "docs/pictures");
mkdirSync(directory, { recursive: true });
plant();
try {
  const { mount, address } = await serve();
  await sleep(LOAD_MS);
  await photograph(address, directory);
  for (const child of children) if (child !== mount) child.kill();
  mount.kill();
  await new Promise((resolve) => mount.once("exit", resolve));
} finally {
  for (const child of children) child.kill();
  rmSync(scratch, { recursive: true, force: true });
}
