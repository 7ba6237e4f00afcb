/** Sluice as users start it: without a policy, by either transport, with a policy that grants or mediates, and by the portable engine. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { SLUICE_CLI } from "../program-paths.js";
import { startDaemon } from "./daemon.js";
import type { SubjectDirectories, Subject } from "./subject.js";

interface Variant {
  name: string;
  about: string;
  /** The whole of the policy; undefined: none, and so no decision service. */
  effect?: "grant" | "mediate";
  /** A rule about moves besides, so that each name of a directory that moves is judged. */
  judgesMoves?: true;
  engine: "devfuse" | "fuse-native";
  /** Default: read. */
  transport?: "uring";
  /** Nobody is asked to poll. */
  halting?: true;
  /** A keeper starts the server again. */
  supervised?: true;
  mostRounds?: number;
  slow?: true;
  phasesOnly?: true;
  namesOnly?: true;
  /** Only if it is asked for. */
  named?: true;
}

const ENABLE_URING = "/sys/module/fuse/parameters/enable_uring";

const VARIANTS: readonly Variant[] = [
  { name: "sluice", about: "Sluice without a policy: kernel passthrough, nobody asked", engine: "devfuse" },
  { name: "sluice-uring", about: "the same, its requests by io_uring instead of read(2)", engine: "devfuse", transport: "uring" },
  { name: "sluice-halting", about: "the same as sluice, with --idle-polling off", engine: "devfuse", halting: true, namesOnly: true },
  {
    name: "sluice-granted",
    about: "Sluice, a decision service that grants every open: kernel passthrough",
    effect: "grant",
    engine: "devfuse",
    phasesOnly: true,
  },
  {
    name: "sluice-judging",
    about: "the same, with a rule that has every move judged",
    effect: "grant",
    judgesMoves: true,
    engine: "devfuse",
    named: true,
  },
  {
    name: "sluice-mediated",
    about: "Sluice, a decision service that mediates every open: the daemon does the I/O",
    effect: "mediate",
    engine: "devfuse",
    phasesOnly: true,
  },
  {
    name: "sluice-kept",
    about: "Sluice with a keeper, without a policy: its server may be killed",
    engine: "devfuse",
    supervised: true,
    mostRounds: 1,
  },
  {
    name: "sluice-portable",
    about: "Sluice on the portable engine (fuse-native), no policy",
    engine: "fuse-native",
    mostRounds: 1,
    slow: true,
    phasesOnly: true,
  },
];

function policyArguments(variant: Variant, directories: SubjectDirectories): string[] {
  if (variant.effect === undefined) return [];
  const file = `${directories.log}.policy.yaml`;
  const rules = variant.judgesMoves === true ? 'rules:\n  - { name: moves, path: "**/none", access: [read, rename], effect: deny }\n' : "";
  writeFileSync(file, `version: 1\ndefault: ${variant.effect}\n${rules}`, { mode: 0o644 });
  return ["--policy", file];
}

/** The kernel looks at it when a mount is made: it is as it was for everybody else. */
async function whileUringIsOn(start: () => Promise<void>): Promise<void> {
  const before = readFileSync(ENABLE_URING, "latin1");
  writeFileSync(ENABLE_URING, "Y");
  try {
    await start();
  } finally {
    writeFileSync(ENABLE_URING, before);
  }
}

function whyNoUring(): string | undefined {
  try {
    writeFileSync(ENABLE_URING, readFileSync(ENABLE_URING, "latin1"));
    return undefined;
  } catch {
    return `FUSE over io_uring cannot be switched on: no Linux 6.14 with it, or ${ENABLE_URING} may not be written`;
  }
}

function whyMissing({ engine, transport }: Variant): string | undefined {
  if (engine === "fuse-native") return whyNoPortableEngine();
  return transport === "uring" ? whyNoUring() : undefined;
}

function start(variant: Variant, directories: SubjectDirectories): Promise<void> {
  const lowers = directories.lowers.map((path) => path.replace(/[\\:]/g, "\\$&")).join(":");
  const layers = ["--lower", lowers, "--upper", directories.upper, "--work", directories.work];
  const keeper = variant.engine === "devfuse" ? ["--keeper", variant.supervised === true ? "on" : "off"] : [];
  const serving = ["--engine", variant.engine, "--transport", variant.transport ?? "read", ...keeper];
  const idle = variant.halting === true ? ["--idle-polling", "off"] : [];
  const rest = [...serving, ...idle, "--log-level", "warn", ...policyArguments(variant, directories)];
  const args = [SLUICE_CLI, "mount", ...layers, ...rest, directories.mountpoint];
  const daemon = (): Promise<void> =>
    startDaemon({ name: variant.name, file: process.execPath, args, readyText: "mounted ", ...directories });
  return variant.transport === "uring" ? whileUringIsOn(daemon) : daemon();
}

/** Loaded by another process, as it may bring that down. */
function whyNoPortableEngine(): string | undefined {
  const loader = new URL("../../../../packages/engine-fuse-native/dist/addon/addon.js", import.meta.url);
  const load = "import(process.argv[1]).then(({ loadAddon }) => loadAddon())";
  const loaded = spawnSync(process.execPath, ["-e", load, loader.href], { stdio: "ignore" }).status === 0;
  return loaded ? undefined : "the optional package fuse-native does not load on this machine";
}

export const sluiceSubjects: readonly Subject[] = VARIANTS.map((variant) => ({
  name: variant.name,
  kind: "sluice",
  about: variant.about,
  mirrors: false,
  supervised: variant.supervised === true,
  phasesOnly: variant.phasesOnly === true,
  slow: variant.slow === true,
  namesOnly: variant.namesOnly === true,
  onlyNamed: variant.named === true,
  ...(variant.mostRounds === undefined ? {} : { mostRounds: variant.mostRounds }),
  missing: () => whyMissing(variant),
  start: (directories) => start(variant, directories),
}));
