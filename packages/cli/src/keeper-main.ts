/** The keeper's program: `sluice mount` becomes it. It reads its configuration from a descriptor that it was started with. */
import { readFileSync } from "node:fs";
import { native } from "@sluice/native";
import { type AwaitingConfig, runKeeper, type KeeperConfig, runAwaitingKeeper, leave } from "@sluice/service-keeper";

const CONFIG_FD = 3;

const config = JSON.parse(readFileSync(`/proc/self/fd/${CONFIG_FD}`, "utf8")) as KeeperConfig | AwaitingConfig;
native.close(CONFIG_FD);
await leave(await ("server" in config ? runKeeper(config) : runAwaitingKeeper(config)));
