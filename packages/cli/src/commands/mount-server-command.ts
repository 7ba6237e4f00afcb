/** `sluice mount-server`: a keeper starts it. It is of no use to anybody else, so the help does not list it. */
import type { MountHost } from "@sluice/service-mount";
import type { Command } from "commander";

export function addMountServerCommand(program: Command, host: MountHost): void {
  program
    .command("mount-server", { hidden: true })
    .action(async () => (await import("@sluice/service-mount/serve-for-keeper")).serveForKeeper(host));
}
