/** The addresses that the service listens at, read from the command line. */
import { CliError, EXIT, parseHostPort } from "@sluice/runtime";

export type ListenTarget =
  | { kind: "unix"; path: string }
  | { kind: "tcp"; host: string; port: number }
  /** A socket that is listening already, inherited. */
  | { kind: "fd"; fd: number };

/** Throws `CliError`. */
export function parseListenTarget(text: string): ListenTarget {
  if (text.startsWith("unix:")) {
    if (/^unix:\/\/[^/]/.test(text)) {
      throw new CliError({
        object: `--listen ${text}`,
        problem: "the socket's path does not begin with a slash",
        remedy: "write unix:///PATH, with three slashes",
        exitCode: EXIT.USAGE,
      });
    }
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    // sun_path has 108 bytes, the last of them NUL.
    if (path === "" || Buffer.byteLength(path) > 107) {
      throw new CliError({
        object: `--listen ${text}`,
        problem: "socket path is empty or longer than 107 bytes",
        remedy: "choose a shorter one, such as unix:///run/sluice/decision.sock",
        exitCode: EXIT.USAGE,
      });
    }
    return { kind: "unix", path };
  }
  return { kind: "tcp", ...parseHostPort(text.replace(/^dns:\/\/\//, ""), "--listen") };
}
