/** `sluice mount --keeper-socket`: this process becomes the server of a keeper that runs already. */
import { resolve } from "node:path";
import { joinKeeper, type Namespaces, namespacesHere, OFFER_VERSION, type Offer } from "@sluice/keeper-link";
import { memoryFileOf, native } from "@sluice/native";
import { Errno, errnoName } from "@sluice/vfs";
import { failed, lacking, unfit, wrong } from "@sluice/runtime/cli";
import type { MountConfig } from "../config/mount-config.js";
import { type MountArguments, parseMount } from "../config/parse-mount.js";
import { checkDecisionFiles } from "../preflight/check-decision-files.js";
import { checkCapabilities, servingCapabilities } from "../preflight/check-machine.js";
import { refuseImpossibleTransport } from "../setup/choose-transport.js";
import type { ServerConfig } from "./start-keeper.js";
import { replaceProcess } from "../privilege/least-privilege.js";
import { passOn, STANDARD, unusedNumber } from "../privilege/pass-descriptors.js";
import type { MountHost } from "../mount-host.js";
import { serverPrivilege } from "../privilege/server-privilege.js";
import { refuseUnseenHolders } from "../setup/watch-revocation.js";

/** The keeper has these options; its servers cannot have others. */
const OF_THE_KEEPER = { lower: "--lower", upper: "--upper", work: "--work", o: "-o", user: "--user" } as const;

function refuseTwice(mountpoint: string | undefined, args: MountArguments): void {
  const given = mountpoint ?? Object.entries(OF_THE_KEEPER).find(([key]) => args[key as keyof typeof OF_THE_KEEPER] !== undefined)?.[1];
  if (given !== undefined) {
    throw wrong(given, "it belongs to the keeper at --keeper-socket", "leave it out, or give it to 'sluice keeper'");
  }
  if (args.engine === "fuse-native") throw wrong("--engine fuse-native", "this engine cannot use the keeper's connection", "leave it out");
}

function reached(path: string): { socket: number; offer: Offer } {
  const joined = joinKeeper(path);
  if (typeof joined !== "number") return joined;
  const name = errnoName(-joined);
  if (joined === -Errno.EPERM)
    throw unfit(path, `its listener is neither root nor this user (${name})`, "check which process listens there");
  if (joined === -Errno.EPIPE)
    throw unfit(
      path,
      `the keeper does not let this process in (${name})`,
      "run it as the keeper's user, or as its --user, and start few servers at once",
    );
  throw failed(path, `no keeper answers there (${name})`, "start 'sluice keeper --socket' with this path, and share its directory");
}

/** The kernel and the keeper tell pids and uids of the keeper's namespaces: in others they would name other processes and users. */
function refuseOtherNamespaces(path: string, theirs: Namespaces): void {
  const ours = namespacesHere();
  if (theirs.pid !== ours.pid) {
    throw lacking(
      `--keeper-socket ${path}`,
      "the keeper is in another pid namespace, so the pids of callers would be those of other processes here",
      "give both the same one: with Docker, pid: host for both (or pid: service:NAME of the keeper)",
    );
  }
  if (theirs.user !== ours.user) {
    throw lacking(`--keeper-socket ${path}`, "the keeper is in another user namespace, so users would be others here", "run both in one");
  }
}

function configBy({ plan, options }: Offer, args: MountArguments): MountConfig {
  const { mountpoint, lowers, dataLowers, upper, work } = plan;
  const asked = parseMount(mountpoint, { ...args, ...options, keeper: "on", engine: "devfuse" });
  return { ...asked, mountpoint, lowers, dataLowers, upper, work };
}

/** @throws CliError */
export function joinMount(mountpoint: string | undefined, args: MountArguments, host: MountHost): never {
  refuseTwice(mountpoint, args);
  if (host.serverProgram === undefined) throw failed("mount", "this command has no server", "use 'sluice mount'");
  const path = resolve(args.keeperSocket ?? "");
  const { socket, offer } = reached(path);
  if (offer.version > OFFER_VERSION) {
    throw unfit(path, `the keeper offers by version ${offer.version}, and this one knows ${OFFER_VERSION}`, "use a newer server");
  }
  refuseOtherNamespaces(path, offer.namespaces);
  const config = configBy(offer, args);
  refuseImpossibleTransport(config);
  checkDecisionFiles(config);
  if (config.user === undefined) checkCapabilities(servingCapabilities(config.upper !== undefined, !config.userXattr));
  refuseUnseenHolders(config);
  const { capabilities, registerByKeeper } = serverPrivilege(config);
  const server: ServerConfig = { config, runDirectory: undefined, capabilities: String(capabilities), registerByKeeper, joined: true };
  const memory = memoryFileOf("sluice-config", JSON.stringify(server));
  const first = unusedNumber(2);
  const errno = passOn([socket, memory], first);
  if (errno !== 0) throw failed(path, `the server cannot be started (${errnoName(errno)})`, "free memory");
  native.setNoNewPrivileges();
  // The arguments begin with Node's own options, which this process has too.
  replaceProcess([...host.serverProgram.argv.slice(process.execArgv.length), String(first)], STANDARD);
  throw failed(path, "the server cannot be started", "free memory");
}
