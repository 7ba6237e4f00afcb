/** Runs one command in a locked session: the namespaces, the mount in them, and the sandbox, in this order. */
import { existsSync, mkdirSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { isBeneath, readMountTable } from "@sluice/mount-control";
import { CliError, ENDING, type EndingSignal, type SignalExit, wrong } from "@sluice/runtime/cli";
import { noteShownIds, realAccountHome, realHome, type Session, statePath } from "@sluice/sessions";
import { bwrapArguments, type Confinement, hasPlaces } from "./bwrap-arguments.js";
import { CallerTerminal } from "./caller-terminal.js";
import { checkDevices, refuseInSession } from "./check-devices.js";
import { forwardSignals } from "./command-process.js";
import { environmentFor } from "./environment.js";
import { findPrograms, type Programs } from "./find-programs.js";
import { credentialsIn, type HomeOverlay, type HomePlaces, homeView, movedCredentials } from "./home-view.js";
import { closeInherited, type FileToRead, filesToRead, makePlaces, removePlaces } from "./inherited-files.js";
import { promptForPerson } from "./person-prompt.js";
import { outsideSockets } from "./outside-sockets.js";
import { type AskedView, type ServedView, type ViewOrder, viewWords } from "./view-order.js";
import { BEGUN, ENDED, LOST, mountWord, overlayTable, STAGE_FD, stageCommand, wordsText } from "./stage/stage-script.js";
import { callFilter } from "./call-filter.js";
import { memoryFile, SandboxStart } from "./stage/sandbox-start.js";
import { StageProcess } from "./stage/stage-process.js";
import { complain, MOUNTED, signalOf, Told } from "./stage/stage-told.js";

export interface SessionRun {
  session: Session;
  /** Settles before the command begins. Rejects with a CliError. */
  onDisk: Promise<void>;
  /** Byte strings. */
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
  /** A signal that came before. */
  toldToEnd: EndingSignal | undefined;
  /** Called when the mount serves, before the command begins. */
  onServing(serving: Serving): void;
  /** Called when the command has ended, with all that it started. A service that mounted the view takes it down at the same time. */
  onEnded(): void;
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

function added(paths: readonly string[], option: string, base: string): string[] {
  return paths.map((path) => {
    if (!existsSync(path)) throw wrong(option, `${path} does not exist (ENOENT)`, "create it or correct the name");
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

/** `mounted`: as in `homeView`. */
function homesOf(session: Session, mounted: readonly string[]): Pick<Confinement, "home" | "credentials"> {
  const given = realHome();
  const path = given === undefined || hasPlaces(given) ? undefined : given;
  const others = new Set([given, realAccountHome()].filter((other) => other !== undefined && other !== path));
  const home = path === undefined ? undefined : { path, view: homeView(path, homePlaces(session), mounted) };
  const moved = movedCredentials(process.env, [session.base, ...(path === undefined ? [] : [path])]);
  const isNew = (one: { path: string }): boolean => home?.view.hidden.some(({ path }) => isBeneath(one.path, path)) !== true;
  return { home, credentials: [...[...others].flatMap((other) => credentialsIn(other as string)), ...moved.filter(isNew)] };
}

function confinementOf(run: SessionRun, view: string, socketDirectory: string): Confinement {
  const { session, network } = run;
  const state = statePath();
  const [writable, readOnly] = [added(run.writable, "--write", session.base), added(run.readOnly, "--read-only", session.base)];
  const reachable = addedSockets(run.sockets);
  checkPolicy(run.policyFile, writable);
  const mounted = [session.base, state, ...writable, ...readOnly, ...reachable];
  const emptied = emptiedFor(socketDirectory);
  const mounts = readMountTable();
  const mountpoints = mounts.map(({ mountpoint }) => mountpoint);
  return {
    asRoot: !session.record.userXattr,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    ...{ network, base: session.base, view, state, writable, readOnly, reachable },
    ...homesOf(session, [...mounted, ...emptied, ...mountpoints]),
    ...{ emptied, mounts },
  };
}

const SIGNAL_EXIT = 128;
// Linux has these numbers.
const exitCodeOf = (signal: EndingSignal): SignalExit => (SIGNAL_EXIT + constants.signals[signal]) as SignalExit;

function toldToEnd(signal: EndingSignal): CliError {
  const problem = "it was told to end before the command began";
  return new CliError({ object: "sluice run", problem, remedy: "run it again", exitCode: exitCodeOf(signal) });
}

interface Surroundings {
  programs: Programs;
  /** That of the caller. */
  terminal: CallerTerminal | undefined;
  /** Standard files. */
  toRead: readonly FileToRead[];
}

/** All that the namespaces begin with. */
interface Plan {
  asRoot: boolean;
  /** In the home directory. */
  overlays: readonly HomeOverlay[];
  /** The path of the file with their `overlayTable`. */
  table: string;
  placed: readonly (FileToRead & { at: string })[];
  /** Descriptors from 0 on. */
  files: readonly (number | "pipe")[];
  /** The options of the sandbox: as `bwrapArguments`. */
  options(sockets: readonly string[]): string[];
  /** The file for these options. */
  optionsFile: number;
  env: NodeJS.ProcessEnv;
}

const socketsOf = (session: Session): string => (session.record.userXattr ? SOCKETS_OF_USER : SOCKETS_OF_ROOT);

/** For a server in the namespaces. @throws CliError */
function makeReadyForServer({ session }: SessionRun): void {
  if (socketsOf(session) === SOCKETS_OF_ROOT) mkdirSync(SOCKETS_OF_ROOT, { recursive: true, mode: 0o711 });
  else noteShownIds(session.place);
}

/** @throws CliError */
function planStage(run: SessionRun, { terminal, toRead }: Surroundings): Plan {
  const { session, order } = run;
  const confinement = confinementOf(run, order.mountpoint, socketsOf(session));
  const { asRoot, home } = confinement;
  const leftOut = home?.view.leftOut ?? 0;
  if (leftOut > 0 && !run.silent)
    process.stderr.write(`sluice: the command does not see ${leftOut} of the files directly in $HOME, which has too many\n`);
  const overlays = home?.view.changeable ?? [];
  const table = session.path("home/overlays");
  if (overlays.length > 0) writeFileSync(table, overlayTable(overlays, asRoot), { mode: 0o600 });
  const placed = makePlaces(session, toRead);
  const standard = [0, 1, 2].map((fd) => (terminal?.replaced.includes(fd) === true ? (terminal.command?.far ?? fd) : fd));
  // They go with this process.
  const optionsFile = memoryFile("options");
  const memory = new Map<number, number>([
    [STAGE_FD.filter, memoryFile("filter", callFilter({ asRoot }))],
    [STAGE_FD.options, optionsFile],
    [STAGE_FD.words, memoryFile("words", Buffer.from(wordsText(run.command), "latin1"))],
  ]);
  const files = [...standard, ...Object.values(STAGE_FD).map((fd) => memory.get(fd) ?? ("pipe" as const))];
  const env = environmentFor(session.name, session.base);
  return { asRoot, overlays, table, placed, files, options: bwrapArguments(confinement), optionsFile, env };
}

/** @throws CliError */
function startStage(
  { session, sluice, order }: SessionRun,
  { programs, terminal }: Surroundings,
  { asRoot, overlays, table, placed, files, env }: Plan,
): StageProcess {
  const server = { command: [...sluice, ...viewWords(order)], socketDirectory: socketsOf(session) };
  const stage = { programs, server, asRoot, filesToRead: placed, overlays, table, terminal: terminal?.replaced[0] };
  return new StageProcess(stageCommand(stage), env, files);
}

export interface CommandEnd {
  /** That of the command, 128 and the signal's number if one ended it. */
  exitCode: number;
  /** False: the program of the command was not found. */
  hasBegun: boolean;
  /** The mount ended by itself: changes of the command may be missing. */
  lost: LostView | undefined;
}

export interface LostView {
  /** How its server ended, such as "SIGKILL" or "exit code 1"; undefined: it was another process's child. */
  how: string | undefined;
  /** The output of the server since it served, such as the error of its crash. */
  lastWords: string;
}

function lossIn(lines: readonly string[], told: Told): LostView | undefined {
  const code = lines.map((line) => line.split(" ")).find(([word]) => word === LOST)?.[1];
  return code === undefined ? undefined : { how: signalOf(Number(code)) ?? `exit code ${code}`, lastWords: told.lastWords };
}

interface Started {
  stage: StageProcess;
  plan: Plan;
  /** Undefined: the stage mounts the view. */
  served: ServedView | undefined;
}

async function runInStage(run: SessionRun, { terminal }: Surroundings, { stage, plan, served }: Started): Promise<CommandEnd> {
  const { session, order } = run;
  const { control } = order.files;
  terminal?.attach();
  const { socket: talk, heard: said } = stage.pipe(STAGE_FD.talk);
  const sandbox = new SandboxStart({
    options: () => plan.options(outsideSockets()),
    ...{ file: plan.optionsFile, go: talk, onComplaint: (text) => void process.stderr.write(text) },
  });
  said.follow(() => {
    sandbox.heard(said.text);
    // Whoever waits for the end hears of a failure.
    if (said.text.endsWith(`${ENDED}\n`)) served?.end().catch(() => undefined);
  });
  const forwarding = forwardSignals(stage, terminal?.command);
  let prompt: { close(): void } | undefined;
  try {
    const { heard } = stage.pipe(STAGE_FD.told);
    const told = new Told(heard, () => session.noteNamespace(stage.pid));
    const early = stage.exit.then(() => undefined);
    const mounted = served === undefined ? await Promise.race([told.mounted(), early]) : MOUNTED.exec(served.line);
    if (mounted === undefined || mounted === null) {
      talk.end();
      const code = await stage.exit;
      await heard.over;
      if (forwarding.endedBy !== undefined) throw toldToEnd(forwarding.endedBy);
      complain(told, code);
    }
    run.onServing({ passthrough: mounted[2] === "on", policy: mounted[1] ?? "", by: mounted[3] });
    terminal?.begin();
    sandbox.begin();
    // While the sandbox begins: a question that comes earlier waits for its answer, and is shown then.
    if (control !== undefined)
      prompt = promptForPerson({ name: session.name, view: session.path("view"), control }, { terminal, silent: run.silent });
    const code = await stage.exit;
    const { endedBy } = forwarding;
    if (!told.hasEntered && endedBy === undefined) complain(told, code);
    await Promise.all([said.over, heard.over]);
    const lines = said.text.split("\n");
    // The stage was killed for it, by another signal.
    const exitCode = endedBy === undefined ? code : exitCodeOf(endedBy);
    return { exitCode, hasBegun: lines.includes(BEGUN), lost: lossIn(lines, told) };
  } finally {
    prompt?.close();
    forwarding.unhook();
  }
}

interface Noted<T> {
  result: T;
  /** The signal that asked this process to end meanwhile. */
  signal: EndingSignal | undefined;
  /** Ends the notice. Node takes a millisecond to take its hooks down and make others, so the next ones come first. */
  unhook(): void;
}

/** Resolves with the result of `work`. `giveUp` is called for a signal. */
async function noteSignals<T>(work: () => Promise<T>, giveUp: () => void): Promise<Noted<T>> {
  let told: EndingSignal | undefined;
  const note = (signal: EndingSignal): void => {
    told ??= signal;
    giveUp();
  };
  const unhook = (): void => {
    for (const signal of ENDING) process.off(signal, note);
  };
  for (const signal of ENDING) process.on(signal, note);
  try {
    const result = await work();
    return { result, signal: told, unhook };
  } catch (error) {
    unhook();
    throw told === undefined ? error : toldToEnd(told);
  }
}

/** Plans the sandbox and makes namespaces for it, while a service mounts the view, if one does. @throws CliError */
async function prepare(run: SessionRun, surroundings: Surroundings): Promise<Started> {
  const plan = planStage(run, surroundings);
  const stage = startStage(run, surroundings, plan);
  try {
    const served = await run.view?.served;
    await run.onDisk;
    if (served === undefined) makeReadyForServer(run);
    stage.pipe(STAGE_FD.talk).socket.write(`${mountWord(served === undefined ? await run.serverCapabilities() : undefined)}\n`);
    return { stage, plan, served };
  } catch (error) {
    stage.kill();
    throw error;
  }
}

async function runOnView(run: SessionRun, surroundings: Surroundings): Promise<CommandEnd> {
  const { result, signal, unhook } = await noteSignals(
    () => prepare(run, surroundings),
    () => run.view?.giveUp(),
  );
  let ending: Promise<CommandEnd>;
  try {
    if (signal !== undefined) {
      result.stage.kill();
      throw toldToEnd(signal);
    }
    // By its first step it passes signals on.
    ending = runInStage(run, surroundings, result);
  } finally {
    unhook();
  }
  return ending;
}

/** @throws CliError if the command did not begin */
export async function runSession(run: SessionRun): Promise<CommandEnd> {
  let terminal: CallerTerminal | undefined;
  let toRead: FileToRead[] = [];
  let wasOver = false;
  let end: CommandEnd | undefined;
  try {
    if (run.toldToEnd !== undefined) {
      run.view?.giveUp();
      throw toldToEnd(run.toldToEnd);
    }
    refuseInSession();
    checkDevices();
    closeInherited();
    toRead = filesToRead();
    const programs = findPrograms(run.session.base);
    terminal = CallerTerminal.open();
    end = await runOnView(run, { programs, terminal, toRead });
  } finally {
    const view = await run.view?.served.catch(() => undefined);
    const viewEnds = view?.end();
    if (end !== undefined) run.onEnded();
    wasOver = (await viewEnds) === true;
    await terminal?.close();
    removePlaces(run.session, toRead);
  }
  return wasOver ? { ...end, lost: { how: undefined, lastWords: "" } } : end;
}
