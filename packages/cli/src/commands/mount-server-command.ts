/** Commands that other processes of Sluice start. They are of no use to anybody else, so the help does not list them. */
import type { MountHost } from "@sluice/service-mount";
import type { Command } from "commander";

/** `sluice mount-server [LINK]`: a keeper starts it, or a command becomes it with the descriptor of its link. */
export function addMountServerCommand(program: Command, host: MountHost): void {
  program
    .command("mount-server", { hidden: true })
    .argument("[link]")
    .action(async (link: string | undefined) => {
      const { serveForKeeper } = await import("@sluice/service-mount/serve-for-keeper");
      await serveForKeeper(host, link === undefined ? undefined : Number(link));
    });
}

/** `sluice user-server`: the process for the next mount of an ordinary user starts it. */
export function addUserServerCommand(program: Command, host: MountHost): void {
  program
    .command("user-server", { hidden: true })
    .action(async () => (await import("@sluice/service-mount/serve-for-keeper")).serveAssigned(host));
}

/** `sluice user-mount`: a host service starts it for the mount of an ordinary user. */
export function addUserMountCommand(program: Command): void {
  program.command("user-mount", { hidden: true }).action(async () => (await import("../keep-user-mount.js")).keepUserMount());
}
