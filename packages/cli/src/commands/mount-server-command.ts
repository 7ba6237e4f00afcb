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
