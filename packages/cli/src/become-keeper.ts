/**
 * `sluice mount` becomes the keeper: the same process, with the same pid, runs a separate program that loads neither the overlay nor gRPC,
 * and has nothing of the command line or a policy file in its memory.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { CAP, capabilityMask, memoryFileOf, native } from "@sluice/native";
import { CliError, EXIT, lacking } from "@sluice/runtime/cli";
import { errnoName } from "@sluice/vfs";
import type { AwaitingConfig, HostKeeperConfig, KeeperConfig } from "@sluice/service-keeper";
import {
  type AwaitedMount,
  type GivenPlaces,
  passOn,
  replaceProcess,
  STANDARD,
  type SupervisedHost,
  type SupervisedMount,
  unusedNumber,
} from "@sluice/service-mount";

const KEEPER_MAIN = fileURLToPath(new URL("./keeper-main.js", import.meta.url));
const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));

/** The command line that starts this program as a mount's server. */
export const serverProgram = { file: process.execPath, argv: [...process.execArgv, MAIN, "mount-server"] };

/** The same for the keeper of a host service. */
export const hostProgram = { file: process.execPath, argv: [...process.execArgv, MAIN, "host-server"] };

/** The same for a server that waits for the mount of an ordinary user. */
export const userServerProgram = { file: process.execPath, argv: [...process.execArgv, MAIN, "user-server"] };

/** The command line that begins the mount of an ordinary user. */
export const userProgram = { file: process.execPath, argv: [...process.execArgv, MAIN, "user-mount"] };

/** The caller's descriptors in the order of the numbers that they get. */
function given({ mountpoint, lowers, above, upper, work }: GivenPlaces): number[] {
  return [mountpoint, ...lowers, ...(above < 0 ? [] : [above, upper, work])];
}

function renumbered({ lowers, above }: GivenPlaces, first: number): GivenPlaces {
  const next = first + 1 + lowers.length;
  const [aboveFd, upper, work] = above < 0 ? [-1, -1, -1] : [next, next + 1, next + 2];
  return { mountpoint: first, lowers: lowers.map((_fd, at) => first + 1 + at), above: aboveFd, upper, work };
}

/** @returns the number of the configuration's descriptor, which those that it names follow. @throws CliError if one cannot be had */
function passWithPlaces(config: KeeperConfig | AwaitingConfig, remedy: string): number {
  const { caller } = config.plan;
  const places = caller === undefined ? [] : given(caller.places);
  const passedOn = "handed" in config && config.handed !== undefined ? config.handed : [];
  const first = unusedNumber(1 + places.length + passedOn.length);
  const plan = caller === undefined ? config.plan : { ...config.plan, caller: { ...caller, places: renumbered(caller.places, first + 1) } };
  const handed = passedOn.map((_fd, at) => first + 1 + places.length + at);
  const memory = memoryFileOf("sluice-keeper", JSON.stringify({ ...config, plan, handed }));
  const errno = passOn([memory, ...places, ...passedOn], first);
  if (errno !== 0) throw unstarted(config.plan.mountpoint, remedy, errno);
  return first;
}

/** No thread of the old program survives, so the capabilities are dropped for good. */
function dropCapabilities(mask: bigint): void {
  const settable = (native.effectiveCapabilities() & capabilityMask(CAP.SETPCAP)) !== 0n;
  if (process.geteuid?.() === 0 && settable) native.limitCapabilities(mask);
  native.setNoNewPrivileges();
}

/** `name` is for people who list processes. `config`: the descriptor of the configuration. */
function become(name: string, capabilities: bigint, { config, remedy }: { config: number; remedy: string }): never {
  dropCapabilities(capabilities);
  replaceProcess([KEEPER_MAIN, name, String(config)], STANDARD);
  throw unstarted(name, remedy);
}

function unstarted(object: string, remedy: string, errno?: number): CliError {
  const name = errno === undefined ? undefined : errnoName(errno);
  return new CliError({ object, problem: "the keeper cannot be started", errno: name, remedy, exitCode: EXIT.FAILED });
}

function becomeKeeperOf(keeper: KeeperConfig | AwaitingConfig, capabilities: bigint, remedy: string): never {
  return become(keeper.plan.mountpoint, capabilities, { config: passWithPlaces(keeper, remedy), remedy });
}

/** A server of `--user` starts as that user: it has to read this program. @throws CliError */
export function refuseUnreadableProgram(user: SupervisedMount["user"]): void {
  if (user === undefined) return;
  const look = ["-e", "fs.accessSync(process.argv[1])", MAIN];
  if (spawnSync(process.execPath, look, { ...user, cwd: "/", stdio: "ignore" }).status === 0) return;
  throw lacking(`--user ${user.uid}:${user.gid}`, `this user cannot read ${MAIN}`, "install Sluice where every user can read it");
}

export function becomeKeeper({ capabilities, ...mount }: SupervisedMount): never {
  return becomeKeeperOf({ ...mount, server: serverProgram }, capabilities, "free memory, or use --keeper off");
}

export function becomeAwaitingKeeper({ capabilities, ...config }: AwaitedMount): never {
  return becomeKeeperOf(config, capabilities, "free memory");
}

export function becomeHostKeeper({ capabilities, listenFd, passFds, others, ...host }: SupervisedHost): never {
  const remedy = "free memory, or use --keeper off";
  const config = unusedNumber(2 + 2 * others.length);
  const pass = config + 2;
  const given: HostKeeperConfig = {
    ...host,
    listenFd: config + 1,
    passFds: passFds.map((_fd, at) => pass + at),
    others: others.map((other, at) => ({ ...other, listenFd: pass + passFds.length + at })),
    server: hostProgram,
  };
  const fds = [listenFd, ...passFds, ...others.map((other) => other.listenFd)];
  const errno = passOn([memoryFileOf("sluice-keeper", JSON.stringify(given)), ...fds], config);
  if (errno !== 0) throw unstarted(host.socket, remedy, errno);
  return become(host.socket, capabilities, { config, remedy });
}
