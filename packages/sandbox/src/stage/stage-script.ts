/**
 * The script that holds the namespaces of a session. It is the first process of a pid namespace: the kernel kills the mount's server, the
 * command and everything they started when it ends, and it dies with the runner. So no mount outlives a killed runner.
 */
import { statSync } from "node:fs";
import type { Programs } from "../find-programs.js";
import type { HomeOverlay } from "../home-view.js";
import type { FileToRead } from "../inherited-files.js";

/**
 * Descriptors of the script. Neither the server nor the command gets one that it does not need. `talk` and `told` are pipes, `talk` in both
 * directions; the others are files. A shell knows no larger ones than 9.
 */
export const STAGE_FD = { talk: 3, told: 4, filter: 5, options: 6, words: 7 } as const;
/** For the moment in which another file is standard input. */
const INPUT_FD = 8;
/** Standard error, while `talk` gets the complaints of the sandbox. */
const ERROR_FD = 9;
/** The first line on `told`, and the last one, after the end of the server. The lines between them are the server's. */
export const ENTERED = "entered";
export const ENDED = "ended";
/**
 * The lines that the stage writes to `talk`: the sandbox is there; the program of the command was found; the sandbox has ended; the server
 * has ended, though the stage did not ask it to, or by a signal, with its exit code as a shell has it; and `ENDED`, in a stage without a server, when all its programs have ended.
 */
export const INSIDE = "inside";
export const BEGUN = "begun";
export const TRIED = "tried";
export const LOST = "lost";
/**
 * The lines that it reads there. First whether the view is mounted, or the word for a server and its capabilities, as setpriv(1) has them: the
 * mounts of the namespaces are those of that moment. Then, before each try, that the command may start. Anything else ends the stage.
 */
export const GO = "go";
const setOf = (names: readonly string[]): string => ["-all", ...names.map((name) => `+${name.toLowerCase()}`)].join(",");
const SERVED = "served";
const SERVE = "serve";
/** @param capabilities those of the server that mounts the view; undefined: it is mounted */
export const mountWord = (capabilities: readonly string[] | undefined): string =>
  capabilities === undefined ? SERVED : `${SERVE} ${setOf(capabilities)}`;

/** The stage ignores them (stage-process.ts), and the command does not. */
const OF_TERMINAL = "INT,QUIT,HUP";

const quoted = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;
const line = (words: readonly string[]): string => words.map(quoted).join(" ");

/** The server of a mount in the namespaces. */
export interface StageServer {
  /** Its command line. */
  command: readonly string[];
  /** Covered by an empty file system in which the server makes its sockets. */
  socketDirectory: string;
}

export interface Stage {
  programs: Programs;
  /** For a view that is not mounted yet. */
  server: StageServer;
  asRoot: boolean;
  /** A standard file that is the command's terminal, if it has one. */
  terminal: number | undefined;
  /** Standard files, each with an empty file at which it is mounted. */
  filesToRead: readonly (FileToRead & { at: string })[];
  /** Mounted while the server starts. */
  overlays: readonly HomeOverlay[];
  /** The path of the file with their `overlayTable`. */
  table: string;
}

/** Nothing of a layer leads to another place in it: no directory of the real home can be moved away from the mounts that hide its credentials. */
const OVERLAY_OPTIONS = { root: "redirect_dir=nofollow,metacopy=off,index=off", user: "userxattr" } as const;

/** As fstab(5) has them. */
const ESCAPES: Readonly<Record<string, string>> = { " ": String.raw`\040`, "\t": String.raw`\011`, "\n": String.raw`\012` };
const field = (text: string): string => text.replace(/[ \t\n]/g, (character) => ESCAPES[character] ?? "");

/** The table of the overlays, for one mount(8) that mounts all: it takes longer to start than to mount ten. */
export function overlayTable(overlays: readonly HomeOverlay[], asRoot: boolean): string {
  const lines = overlays.map(({ lowers, upper, work, at }) => {
    const layers = `lowerdir=${lowers.join(":")},upperdir=${upper},workdir=${work}`;
    const options = `nosuid,nodev,${asRoot ? OVERLAY_OPTIONS.root : OVERLAY_OPTIONS.user},${layers}`;
    return `overlay ${field(at)} overlay ${field(options)} 0 0\n`;
  });
  return lines.join("");
}

/**
 * The first process in the sandbox is bubblewrap. The command reaches its program by /proc/1/exe, through the mount from which it was started, so
 * that mount is read-only. A user who does not own the program cannot change it in any case.
 */
function protectSandbox({ programs: { mount, bwrap }, asRoot }: Stage): string {
  if (!asRoot && statSync(bwrap).uid !== process.geteuid?.()) return "";
  return `${line([mount, "--bind", "-o", "ro", bwrap, bwrap])} >&- 2>&- || exit 3`;
}

/** Made while the server starts. */
function mountsOf(stage: Stage): { begin: string; wait: string } {
  const { programs, overlays, table } = stage;
  const home = overlays.length === 0 ? "" : mountOverlays(programs, overlays, table);
  const text = `${protectSandbox(stage)}\n${home}`.trim();
  return text === ""
    ? { begin: "", wait: "" }
    : { begin: `(\n${text}\n) ${CLOSED} &\nmounts=$!`, wait: "wait $mounts || { word=; code=3; }" };
}

/** If the kernel has no overlay for one, its lowest directory is shown, read-only. */
function mountOverlays({ mount, mountpoint }: Programs, overlays: readonly HomeOverlay[], table: string): string {
  const plain = overlays.map(({ lowers, at }) => {
    const bind = `${line([mount, "--bind", lowers.at(-1) ?? "", at])} && ${line([mount, "-o", "remount,bind,ro", at])}`;
    return `  ${line([mountpoint, "-q", at])} || { ${bind}; } || exit 3`;
  });
  return `${line([mount, "--all", "--fstab", table])} >&- 2>&- && exit\n${plain.join("\n")}`;
}

/**
 * Opens a standard file again, by a mount that is read-only, at the same place. The name may lead to another file by now. A line on `told` before
 * `ENTERED` is the reason for which the stage ends.
 */
function openToRead({ mount, dd }: Programs, { fd, name, path, offsetBytes, at }: FileToRead & { at: string }): string {
  const bound = `${line([mount, "--no-canonicalize", "--bind", "-o", "ro", path, at])} && [ ${quoted(at)} -ef /proc/self/fd/${fd} ]`;
  const complaint = `sluice: ${name}: the file cannot be shown read-only: pass its bytes through a pipe`;
  // It reads nothing, and so leaves the place where it begins to read to the next reader.
  const placed = offsetBytes === 0 ? "" : `${line([dd, "bs=1", `skip=${offsetBytes}`, "count=0"])} <&${fd} >/dev/null 2>&1 || exit 3`;
  return `{ ${bound}; } || { echo ${quoted(complaint)} >&${STAGE_FD.told}; exit 3; }
exec ${fd}<${quoted(at)}
${placed}`;
}

/** A file of certificates, which Node reads at each start: that doubles the time. The server connects to no other machine. */
const SLOW_START = "NODE_EXTRA_CA_CERTS";

/**
 * The content of the file `words`. bubblewrap takes at most 9,000 words in all, and a command may have more, such as the names of all files of a
 * directory.
 */
export const wordsText = (command: readonly string[]): string => `set -- ${line(command)}\n`;

/** In the sandbox. A terminal must be standard input to become the controlling one, and env(1) tells why a program does not start. */
function commandLine({ programs: { bwrap, env, setsid, sh }, terminal }: Stage): string {
  const { talk, filter, options, words } = STAGE_FD;
  const hasTerminal = terminal !== undefined;
  const starts = `
    . /proc/self/fd/${words}
    exec 2>&${ERROR_FD} ${ERROR_FD}>&- ${words}<&-
    echo ${INSIDE} >&${talk}
    case $1 in
      */*) [ -f "$1" ] && [ -x "$1" ] ;;
      *) command -v -- "$1" >/dev/null 2>&1 ;;
    esac && echo ${BEGUN} >&${talk}
    exec ${line([env, `--default-signal=${OF_TERMINAL}`, "--"])} "$@" ${talk}>&- ${hasTerminal ? `<&${INPUT_FD} ${INPUT_FD}<&-` : ""}`;
  const sandbox = [
    bwrap,
    "--seccomp",
    `${filter}`,
    "--args",
    `${options}`,
    "--",
    ...(hasTerminal ? [setsid, "--ctty"] : []),
    sh,
    "-c",
    starts,
  ];
  // Opened again, so that each sandbox reads them from their beginnings.
  const files = [filter, options].map((fd) => `${fd}</proc/self/fd/${fd}`).join(" ");
  const input = hasTerminal ? `${INPUT_FD}<&0 <&${terminal}` : "";
  return `${line([...sandbox, "sluice-command"])} ${input} ${files} ${ERROR_FD}>&2 2>&${talk}`;
}

const CLOSED = `${STAGE_FD.talk}<&- ${STAGE_FD.filter}<&- ${STAGE_FD.options}<&- ${STAGE_FD.words}<&-`;

/** It starts without other capabilities than `$2`: else it would have to start again to lose them. */
function startServer({ programs, asRoot, server: { command, socketDirectory } }: Stage): string {
  const limited = `${line([programs.setpriv, "--no-new-privs", "--bounding-set"])} "$2" ${line([programs.setsid, ...command])}`;
  const variables = asRoot ? "" : `XDG_RUNTIME_DIR=${quoted(socketDirectory)} `;
  const { talk, told } = STAGE_FD;
  return `
${line([programs.mount, "-t", "tmpfs", "-o", "mode=0755,nosuid,nodev", "tmpfs", socketDirectory])} || exit 3
echo ${ENTERED} >&${told}
(
  unset ${SLOW_START}
  ${variables}${limited} </dev/null >&${told} 2>&1 ${CLOSED} &
  server=$!
  asked=
  trap 'asked=yes; kill -TERM $server' TERM
  while wait $server; ended=$?; kill -0 $server 2>&-; do :; done
  [ "$asked" ] && [ $ended -le 128 ] || echo ${LOST} $ended >&${talk}
  echo ${ENDED} >&${told}
  exit $ended
) &
server=$!
`;
}

const END_SERVER = `
kill -TERM $server 2>&-
while wait $server; ended=$?; kill -0 $server 2>&-; do :; done
`;

/**
 * The view can be taken down from then on. The end of this process kills the same programs, but the namespaces, with a hundred mounts, are taken
 * down before anybody hears of it. They do not see that the view is gone. Outside of a pid namespace the signal would be for the whole machine.
 */
const TELL_END = `
  [ $$ = 1 ] && kill -KILL -1 2>&-
  echo ${ENDED} >&${STAGE_FD.talk}
`;

function script(stage: Stage): string {
  const { programs, filesToRead } = stage;
  const { talk, told } = STAGE_FD;
  const mounts = mountsOf(stage);
  return `
trap : TERM
${filesToRead.map((file) => openToRead(programs, file)).join("\n")}
if [ "$1" = ${SERVED} ]; then
echo ${ENTERED} >&${told}
else
${startServer(stage)}
fi
exec ${told}>&-
${mounts.begin}
read -r word <&${talk}
code=
${mounts.wait}
if [ "$word" = ${GO} ]; then
  while [ "$word" = ${GO} ]; do
    ${commandLine(stage)}
    code=$?
    echo ${TRIED} >&${talk}
    read -r word <&${talk} || word=
  done
  if [ "$1" = ${SERVED} ]; then
  ${TELL_END}
  fi
fi
if [ "$1" = ${SERVE} ]; then
${END_SERVER}
fi
exit \${code:-\${ended:-1}}
`;
}

/**
 * The whole command line: the namespaces of users and processes, which wait in the caller's mounts, and then those of mounts with the script. So
 * they are ready when a service has mounted the view.
 */
export function stageCommand(stage: Stage): [string, ...string[]] {
  const { unshare, sh } = stage.programs;
  const user = stage.asRoot ? [] : ["--user", "--map-root-user"];
  const mounts = line([unshare, "--mount", "--propagation", "private", "--mount-proc", sh, "-c", script(stage), "sluice-stage"]);
  const waits = `read -r how capabilities <&${STAGE_FD.talk} && exec ${mounts} "$how" "$capabilities"`;
  return [unshare, ...user, "--pid", "--fork", "--kill-child", sh, "-c", waits, "sluice-stage"];
}
