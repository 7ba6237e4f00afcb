/** Runs one command in a locked session: the namespaces, the mount in them, and the sandbox, in this order. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import type { Readable, Writable } from "node:stream";
import { isBeneath, readMountTable } from "@sluice/mount-control";
import { CliError, failed, wrong } from "@sluice/runtime/cli";
import { noteShownIds, type Session, statePath } from "@sluice/sessions";
import { bwrapArguments, type Confinement } from "./bwrap-arguments.js";
import { CallerTerminal } from "./caller-terminal.js";
import { checkDevices } from "./check-devices.js";
import { forwardSignals } from "./command-process.js";
import { environmentFor } from "./environment.js";
import { findPrograms, type Programs } from "./find-programs.js";
import { type HomePlaces, homeView } from "./home-view.js";
import { closeInherited, type FileToRead, filesToRead, makePlaces, removePlaces } from "./inherited-files.js";
import { promptForPerson } from "./person-prompt.js";
import { outsideSockets } from "./outside-sockets.js";
import { type AskedView, type ServedView, type ViewOrder, viewWords } from "./view-order.js";
import { BEGUN, ENDED, overlayTable, STAGE_FD, stageCommand, type StageServer, VIEW_IS_THERE } from "./stage/stage-script.js";
import { callFilter } from "./call-filter.js";
import { memoryFile, SandboxStart } from "./stage/sandbox-start.js";
import { complain, MOUNTED, Told } from "./stage/stage-told.js";

export interface SessionRun {
  session: Session;
  command: readonly string[];
  policyFile: string;
  network: "none" | "host";
  writable: readonly string[];
  readOnly: readonly string[];
  /** Paths of unix sockets that the command may connect to. */
  sockets: readonly string[];
  /** How the `sluice` command is called: the program, and the arguments before the command's own. */
  sluice: readonly [string, ...string[]];
  /** Resolves to the capabilities that the server of the mount needs, such as "SYS_ADMIN". */
  serverCapabilities: () => Promise<readonly string[]>;
  order: ViewOrder;
  /**
   * A service is mounting the view, outside of the namespaces. It is ended with the session. Resolves to undefined if the session is to mount
   * it itself; undefined: it always is. Rejects with a CliError.
   */
  view: AskedView | undefined;
  /** No line may be written on standard error. */
  silent: boolean;
  /** A signal came before. */
  isToldToEnd: boolean;
  /** Called when the mount serves, before the command begins. */
  onServing(serving: Serving): void;
}

export interface Serving {
  passthrough: boolean;
  /** Of the service that made the mount, such as "the host service, pid 7". */
  by: string | undefined;
  /** About the policy in force, such as "12 rules". */
  policy: string;
}

/** As root the run directories of mounts are here. Otherwise any directory will do that holds nothing a command needs, by a short path. */
const SOCKETS_OF_ROOT = "/run/sluice";
const SOCKETS_OF_USER = "/sys/fs/fuse/connections";
const SIGNAL_EXIT = 128;

function added(paths: readonly string[], option: string, base: string): string[] {
  return paths.map((path) => {
    if (path === "") throw wrong(option, "the name is empty", "name a directory");
    if (!existsSync(`${path}/.`)) throw wrong(option, `${path} is not a directory (ENOTDIR)`, "name a directory");
    const real = realpathSync.native(path);
    if (isBeneath(real, base))
      throw wrong(option, `${path} lies in the directory of the session`, "leave it out: the command may write there");
    return real;
  });
}

function addedSockets(paths: readonly string[]): string[] {
  return paths.map((path) => {
    if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true)
      throw wrong("--socket", `${path} is not a unix socket (ENOTSOCK)`, "name the socket of a running program");
    return realpathSync.native(path);
  });
}

/** @throws CliError if the command could change the policy that is in force for it */
function checkPolicy(policyFile: string, writable: readonly string[]): void {
  const real = realpathSync.native(policyFile);
  if (writable.some((directory) => isBeneath(real, directory)))
    throw wrong("--policy", `${policyFile} lies in a directory of --write`, "move it, or leave out --write");
}

function emptiedFor(socketDirectory: string): string[] {
  const runtime = process.env["XDG_RUNTIME_DIR"];
  const emptied = ["/run", socketDirectory, ...(runtime !== undefined && existsSync(runtime) ? [realpathSync.native(runtime)] : [])];
  return emptied.filter((path, index) => emptied.findIndex((other) => isBeneath(path, other)) === index);
}

function homePlaces(session: Session): HomePlaces {
  return {
    ...{ upper: session.path("home/upper"), work: session.path("home/work"), mounts: session.path("home/mounts") },
    frozen: (name) => session.homeLayerPaths(name),
  };
}

function confinementOf(run: SessionRun, view: string, socketDirectory: string): Confinement {
  const { session, network } = run;
  const state = statePath();
  const [writable, readOnly] = [added(run.writable, "--write", session.base), added(run.readOnly, "--read-only", session.base)];
  const reachable = addedSockets(run.sockets);
  checkPolicy(run.policyFile, writable);
  const mounted = [session.base, state, ...writable, ...readOnly, ...reachable];
  const home = existsSync(homedir()) ? realpathSync.native(homedir()) : undefined;
  const mounts = readMountTable();
  const mountpoints = mounts.map(({ mountpoint }) => mountpoint);
  return {
    asRoot: !session.record.userXattr,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    ...{ network, base: session.base, view, state, writable, readOnly, reachable },
    home: home === undefined ? undefined : { path: home, view: homeView(home, homePlaces(session), [...mounted, ...mountpoints]) },
    emptied: emptiedFor(socketDirectory),
    mounts,
  };
}

function exitOf(stage: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    stage.once("error", reject);
    stage.once("exit", (code, signal) => resolve(code ?? SIGNAL_EXIT + (signal === "SIGKILL" ? 9 : 15)));
  });
}

/** A signal came. */
function toldToEnd(): CliError {
  return failed("sluice run", "it was told to end before the command began", "run it again");
}

interface Surroundings {
  programs: Programs;
  /** That of the caller. */
  terminal: CallerTerminal | undefined;
  /** Standard files. */
  toRead: readonly FileToRead[];
}

/** The process of the namespaces. */
interface Stage {
  process: ChildProcess;
  /** Resolves to its exit code. */
  exit: Promise<number>;
  confinement: Confinement;
  /** The options of its sandbox: as `bwrapArguments`. */
  options(sockets: readonly string[]): string[];
  /** The file for these options. */
  file: number;
  pipe(fd: number): Writable & Readable;
}

const socketsOf = (session: Session): string => (session.record.userXattr ? SOCKETS_OF_USER : SOCKETS_OF_ROOT);

function stageServer({ session, sluice, order }: SessionRun, capabilities: readonly string[]): StageServer {
  const socketDirectory = socketsOf(session);
  if (socketDirectory === SOCKETS_OF_ROOT) mkdirSync(socketDirectory, { recursive: true, mode: 0o711 });
  else noteShownIds(session.place);
  return { command: [...sluice, ...viewWords(order)], capabilities, socketDirectory };
}

/** @param capabilities those of the server that mounts the view; undefined: the stage waits for the view */
function startStage(
  run: SessionRun,
  { programs, terminal, toRead }: Surroundings,
  { confinement, capabilities }: { confinement: Confinement; capabilities: readonly string[] | undefined },
): Stage {
  const { session, command } = run;
  const { asRoot, home } = confinement;
  const overlays = home?.view.changeable ?? [];
  const server = capabilities === undefined ? undefined : stageServer(run, capabilities);
  const placed = makePlaces(session, toRead);
  const table = session.path("home/overlays");
  if (overlays.length > 0) writeFileSync(table, overlayTable(overlays, asRoot), { mode: 0o600 });
  const [program, ...words] = stageCommand(
    { programs, server, asRoot, filesToRead: placed, overlays, table, terminal: terminal?.replaced[0] },
    command,
  );
  const standard = [0, 1, 2].map((fd) => (terminal?.replaced.includes(fd) === true ? terminal.command?.far : "inherit"));
  // They go with this process.
  const file = memoryFile("options");
  const files = new Map<number, number>([
    [STAGE_FD.filter, memoryFile("filter", callFilter())],
    [STAGE_FD.options, file],
  ]);
  const stage = spawn(program, words, {
    cwd: "/",
    env: environmentFor(session.name, session.base),
    stdio: [...standard, ...Object.values(STAGE_FD).map((fd) => files.get(fd) ?? ("pipe" as const))],
  });
  const pipe = (fd: number): Writable & Readable => {
    const stream = stage.stdio[fd] as Writable & Readable; // a pipe is a duplex stream
    stream.on("error", () => undefined); // the end of the stage tells of itself
    return stream;
  };
  const exit = exitOf(stage);
  exit.catch(() => undefined); // whoever waits for it hears of it
  // While the view is being mounted.
  return { process: stage, exit, confinement, options: bwrapArguments(confinement), file, pipe };
}

export interface CommandEnd {
  /** That of the command, 128 and the signal's number if one ended it. */
  exitCode: number;
  /** False: the program of the command was not found. */
  hasBegun: boolean;
}

/** Resolves at the end of the stream. `onText` gets the text so far, whenever more has come. */
function textOf(stream: Readable, onText: (text: string) => void): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => onText((text += chunk)));
    stream.once("close", () => resolve(text));
  });
}

/** @param served undefined: the stage mounts the view */
async function runInStage(
  run: SessionRun,
  { terminal }: Surroundings,
  { process: stage, exit, options, file, pipe, served }: Stage & { served: ServedView | undefined },
): Promise<CommandEnd> {
  const { session, order } = run;
  terminal?.attach();
  if (served !== undefined) pipe(STAGE_FD.go).write(`${VIEW_IS_THERE}\n`);
  const sandbox = new SandboxStart({
    options: () => options(outsideSockets()),
    ...{ file, go: pipe(STAGE_FD.go), onComplaint: (text) => void process.stderr.write(text) },
  });
  const begun = textOf(pipe(STAGE_FD.begun), (text) => {
    sandbox.heard(text);
    // Whoever waits for the end hears of a failure.
    if (text.endsWith(`${ENDED}\n`)) served?.end().catch(() => undefined);
  });
  const unhook = forwardSignals(stage, terminal?.command);
  let prompt: { close(): void } | undefined;
  try {
    const told = new Told(pipe(STAGE_FD.told));
    const mounted = served === undefined ? await told.mounted() : MOUNTED.exec(served.line);
    if (mounted === undefined || mounted === null) {
      pipe(STAGE_FD.go).end();
      const code = await exit;
      if (stage.killed) throw toldToEnd();
      complain(told, code);
    }
    run.onServing({ passthrough: mounted[2] === "on", policy: mounted[1] ?? "", by: mounted[3] });
    terminal?.begin();
    sandbox.begin();
    // While the sandbox begins: a question that comes earlier waits for its answer, and is shown then.
    const { control } = order.files;
    if (control !== undefined)
      prompt = promptForPerson({ name: session.name, view: session.path("view"), control }, { terminal, silent: run.silent });
    const exitCode = await exit;
    if (!told.hasEntered) complain(told, exitCode);
    return { exitCode, hasBegun: (await begun).split("\n").includes(BEGUN) };
  } finally {
    prompt?.close();
    unhook();
  }
}

const ENDING = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

interface Noted<T> {
  result: T;
  /** A signal asked this process to end meanwhile. */
  isToEnd: boolean;
  /** Ends the notice. Node takes a millisecond to take its hooks down and make others, so the next ones come first. */
  unhook(): void;
}

/** Resolves with the result of `work`. `giveUp` is called for a signal. */
async function noteSignals<T>(work: () => Promise<T>, giveUp: () => void): Promise<Noted<T>> {
  let isToEnd = false;
  const note = (): void => {
    isToEnd = true;
    giveUp();
  };
  const unhook = (): void => {
    for (const signal of ENDING) process.off(signal, note);
  };
  for (const signal of ENDING) process.on(signal, note);
  try {
    const result = await work();
    return { result, isToEnd, unhook };
  } catch (error) {
    unhook();
    throw error;
  }
}

/** Ends a stage that waits for the view. */
async function dismiss({ exit, pipe }: Stage): Promise<void> {
  pipe(STAGE_FD.go).end();
  await exit;
}

interface Prepared {
  stage: Stage;
  served: ServedView | undefined;
}

/** Plans the sandbox, and starts its first process, while a service mounts the view, if one does. @throws CliError */
async function prepare(run: SessionRun, surroundings: Surroundings): Promise<Prepared> {
  const { session, order } = run;
  const mounting = run.view?.served;
  const starting = (async () => {
    const capabilities = mounting === undefined ? await run.serverCapabilities() : undefined;
    return startStage(run, surroundings, { confinement: confinementOf(run, order.mountpoint, socketsOf(session)), capabilities });
  })();
  const [view, started] = await Promise.allSettled([mounting, starting]);
  if (started.status === "rejected") throw started.reason;
  const stage = started.value;
  const served = view.status === "fulfilled" ? view.value : undefined;
  if (mounting === undefined || served !== undefined) return { stage, served };
  await dismiss(stage);
  if (view.status === "rejected") throw view.reason;
  const { confinement } = stage;
  return { stage: startStage(run, surroundings, { confinement, capabilities: await run.serverCapabilities() }), served };
}

async function runOnView(run: SessionRun, surroundings: Surroundings): Promise<CommandEnd> {
  const { result, isToEnd, unhook } = await noteSignals(
    () => prepare(run, surroundings),
    () => run.view?.giveUp(),
  );
  const { stage, served } = result;
  // By then it passes signals on.
  const ending = isToEnd ? undefined : runInStage(run, surroundings, { ...stage, served });
  unhook();
  if (ending !== undefined) return ending;
  await dismiss(stage);
  throw toldToEnd();
}

/** @throws CliError if the command did not begin */
export async function runSession(run: SessionRun): Promise<CommandEnd> {
  let terminal: CallerTerminal | undefined;
  let toRead: FileToRead[] = [];
  try {
    if (run.isToldToEnd) {
      run.view?.giveUp();
      throw toldToEnd();
    }
    checkDevices();
    closeInherited();
    toRead = filesToRead();
    const programs = findPrograms(run.session.base);
    terminal = CallerTerminal.open();
    return await runOnView(run, { programs, terminal, toRead });
  } finally {
    const view = await run.view?.served.catch(() => undefined);
    await view?.end();
    await terminal?.close();
    removePlaces(run.session, toRead);
  }
}
