/** The devices that a session needs: bubblewrap shows them to the command, and Node and the shell of the session open some themselves. */
import { existsSync, statSync } from "node:fs";
import { escapeTextName, lacking } from "@sluice/runtime/cli";

const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"].map((name) => `/dev/${name}`);

/** The sandbox of a session has no /dev/fuse, and its root makes no namespaces. @throws CliError, exit code 3 */
export function refuseInSession(): void {
  const session = process.env["SLUICE_SESSION"];
  if (session === undefined || existsSync("/dev/fuse")) return;
  throw lacking("run", `no session can begin in the sandbox of session ${escapeTextName(session)}`, "run it outside of 'sluice run'");
}

/** @throws CliError, exit code 3, that names the first missing device. A chroot often has an empty /dev */
export function checkDevices(): void {
  const missing = DEVICES.find((path) => statSync(path, { throwIfNoEntry: false })?.isCharacterDevice() !== true);
  if (missing === undefined) return;
  throw lacking(missing, "this device is not there (ENOENT)", "mount a whole /dev; for a chroot: mount --rbind /dev DIRECTORY/dev");
}
