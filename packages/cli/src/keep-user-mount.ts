/**
 * The process for the next mount of an ordinary user, from its start to the end of that mount: it starts a server, waits for the user's
 * connection, checks what the user hands over, and keeps the mount. It has nothing of a user before.
 */
import { everyThreadWithin, startThreads } from "@sluice/native";
import { collectGarbage } from "@sluice/runtime/short-pauses";
import { leave, rehearseKeeper, runKeeper, UnassignedServer } from "@sluice/service-keeper";
import { beginUserMount, prepareUserMount, rehearseUserMount, untilConnected } from "@sluice/service-mount/user-mount";
import { becomeKeeper, serverProgram, userServerProgram } from "./become-keeper.js";

/** @throws CliError */
function begin(connection: number, first: UnassignedServer): ReturnType<typeof beginUserMount> {
  try {
    return beginUserMount(connection, {
      // The server becomes that user while the request is on its way, and judged.
      begins: ({ uid, gid, groups }) => first.belongTo({ uid, gid, groups }),
      tell: (attached) => {
        // From now on directories are made. A signal waits for the keeper, which listens in the same turn, and removes them.
        process.on("SIGTERM", () => undefined);
        // The service reads this line.
        process.stdout.write(attached ? "attached\n" : "alone\n");
      },
    });
  } catch (error) {
    // It has the standard files of this process, at whose end the service looks.
    first.drop();
    throw error;
  }
}

export async function keepUserMount(): Promise<void> {
  prepareUserMount();
  // If there is no room for them, the keeper says so.
  startThreads();
  const first = new UnassignedServer(userServerProgram);
  // The server loads its own code meanwhile.
  rehearseUserMount(rehearseKeeper);
  collectGarbage();
  const connection = await untilConnected();
  if (connection === undefined) return first.drop();
  const mount = begin(connection, first);
  const { capabilities, ...keeper } = mount;
  // Usually it has a keeper's rights from the start: the service that started it has limited its own.
  if (everyThreadWithin(capabilities)) return leave(await runKeeper({ ...keeper, server: serverProgram }, first));
  first.drop();
  becomeKeeper(mount);
}
