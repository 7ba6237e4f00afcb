/**
 * The keeper's program: `sluice mount` and `sluice serve` become it. Its arguments are a name for people, and the number of the descriptor
 * from which it reads its configuration.
 */
import { readFileSync } from "node:fs";
import { native } from "@sluice/native";
import {
  type AwaitingConfig,
  type HostKeeperConfig,
  type KeeperConfig,
  leave,
  runAwaitingKeeper,
  runHostKeeper,
  runKeeper,
} from "@sluice/service-keeper";

// Node would open a debugger for it: see refuseDebugger of packages/runtime, which a keeper does not load.
process.on("SIGUSR1", () => undefined);
const configFd = Number(process.argv[3]);

function run(config: KeeperConfig | AwaitingConfig | HostKeeperConfig): Promise<number> {
  if ("listenFd" in config) return runHostKeeper(config);
  return "server" in config ? runKeeper(config) : runAwaitingKeeper(config);
}

const text = readFileSync(`/proc/self/fd/${configFd}`, "utf8");
native.close(configFd);
await leave(await run(JSON.parse(text) as KeeperConfig | AwaitingConfig | HostKeeperConfig));
