/** Questions for a person at all mounts and running sessions of this user, or at one of them. */
import { ask, type AskItem, connectControl, type ControlRequest, noDaemon, SilentDaemon } from "@sluice/mount-control";
import { CliError, errorLine, failed } from "@sluice/runtime/cli";
import { type Place, placesOf } from "../places.js";

export interface Found extends Place {
  item: AskItem;
}

/** Of all mounts: one that hangs must not hold up the questions of the others, whose callers wait for a minute by default. */
const PATIENCE_MS = 5_000;

/** @throws CliError if nobody answers */
async function itemsOf(place: Place, request: ControlRequest, patienceMs?: number): Promise<unknown[]> {
  const socket = await connectControl(place.mountpoint, place.control, patienceMs);
  if (socket === undefined) throw noDaemon(place.mountpoint, place.control);
  const items: unknown[] = [];
  for await (const item of ask(socket, request, place.name, patienceMs)) items.push(item);
  return items;
}

const isText = (value: unknown): boolean => typeof value === "string";
const isTextOrNull = (value: unknown): boolean => value === null || isText(value);

/** The process that answers may be a program of another user. @throws CliError if it gives no question */
function askIn(item: unknown, { name }: Place): AskItem {
  const { askId, program, accesses, paths, rule, answer, answeredBy } = Object(item) as Partial<AskItem>;
  const lists = [accesses, paths].every((list) => Array.isArray(list) && list.every(isText));
  if (lists && [askId, rule].every(isText) && [program, answer, answeredBy].every(isTextOrNull)) return item as AskItem;
  throw failed(name, "the process that answers is not a Sluice daemon (EPROTO)", "look at the processes of the mount's owner");
}

/** @throws CliError if a named mount does not answer; of all mounts, some may be ending or another user's, and one that is silent is told */
export async function findAsks(name: string | undefined, control: string | undefined): Promise<Found[]> {
  const places = placesOf(name, control);
  const found = await Promise.all(
    places.map(async (place) => {
      try {
        const items = await itemsOf(place, { method: "asks", watch: false }, name === undefined ? PATIENCE_MS : undefined);
        return items.map((item) => ({ ...place, item: askIn(item, place) }));
      } catch (error) {
        if (name !== undefined || !(error instanceof CliError)) throw error;
        // Questions may wait there.
        if (error instanceof SilentDaemon) process.stderr.write(errorLine(error.message));
        return [];
      }
    }),
  );
  return found.flat();
}

/** @throws CliError with the reason if the answer is not taken */
export async function giveAnswer(place: Place, request: Extract<ControlRequest, { method: "answer" }>): Promise<void> {
  await itemsOf(place, request);
}
