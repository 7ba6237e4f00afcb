/** Commands that other processes of Sluice start. They are of no use to anybody else, so the help does not list them. */
import type { MountHost } from "@sluice/service-mount";
import type { Command } from "commander";

/** `sluice mount-server`: a keeper starts it. */
export function addMountServerCommand(program: Command, host: MountHost): void {
  program
    .command("mount-server", { hidden: true })
    .action(async () => (await import("@sluice/service-mount/serve-for-keeper")).serveForKeeper(host));
}

/** `sluice user-mount`: a host service starts it for the mount of an ordinary user. */
export function addUserMountCommand(program: Command, host: MountHost): void {
  program.command("user-mount", { hidden: true }).action(async () => {
    const { becomeKeeper } = host;
    if (becomeKeeper === undefined) throw new Error("this program has no keeper");
    const { awaitConnection, beginUserMount } = await import("@sluice/service-mount/user-mount");
    const connection = awaitConnection();
    if (connection === undefined) return;
    // The service reads this line.
    beginUserMount(connection, (attached) => process.stdout.write(attached ? "attached\n" : "alone\n"), becomeKeeper);
  });
}
