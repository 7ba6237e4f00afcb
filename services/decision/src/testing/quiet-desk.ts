/** A desk without a file, for tests of other things. */
import { PersonDesk } from "../people/person-desk.js";

export function quietDesk(timeoutMs = 60_000): PersonDesk {
  return new PersonDesk({ timeoutMs, file: undefined, changed: () => undefined });
}
