/** The keeper's program: `sluice mount` and `sluice serve` become it. It reads its configuration from a descriptor that it was started with. */
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

const CONFIG_FD = 3;

function run(config: KeeperConfig | AwaitingConfig | HostKeeperConfig): Promise<number> {
  if ("listenFd" in config) return runHostKeeper(config);
  return "server" in config ? runKeeper(config) : runAwaitingKeeper(config);
}

const text = readFileSync(`/proc/self/fd/${CONFIG_FD}`, "utf8");
native.close(CONFIG_FD);
await leave(await run(JSON.parse(text) as KeeperConfig | AwaitingConfig | HostKeeperConfig));
