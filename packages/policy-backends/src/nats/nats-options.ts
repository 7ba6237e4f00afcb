/** How a configuration names NATS servers and the credentials for them. */
import { z } from "zod";
import type { LoadContext } from "../policy-kind.js";
import { isLoopback } from "../remote/loopback.js";
import type { NatsServers } from "./connect-nats.js";

const file = z.string().min(1).optional();
/** The client takes no name and password in an address: it would drop them without a word. */
const server = z
  .string()
  .max(1_000)
  .regex(/^(?:(?:nats|tls):\/\/)?[^\s/@]+\/?$/);

export const NATS_SHAPE = {
  servers: z.union([server, z.array(server).min(1).max(16)]),
  tokenFile: file,
  credsFile: file,
  caFile: file,
  certFile: file,
  keyFile: file,
};

export const NATS_REMEDIES: Readonly<Record<string, string>> = {
  servers: "write nats://HOST:4222, tls://HOST:4222, or a list of them",
  tokenFile: "write the name of a file with a token",
  credsFile: "write the name of a file with credentials of NATS (.creds)",
  caFile: "write the name of a file with certificates (PEM)",
  certFile: "write the name of a file with a certificate (PEM)",
  keyFile: "write the name of a file with its key (PEM)",
};

type NatsOptions = { servers: string | string[] } & Partial<
  Record<"tokenFile" | "credsFile" | "caFile" | "certFile" | "keyFile", string | undefined>
>;

const MAX_SECRET_BYTES = 1024 * 1024;

const isSecure = (server: string): boolean => server.startsWith("tls://");

/** Whether the client goes on where a server offers no TLS, on a way that others can read. */
function isExposed(servers: readonly string[], { caFile, certFile }: NatsOptions): boolean {
  if (caFile !== undefined || certFile !== undefined || servers.some(isSecure)) return false;
  return servers.some((each) => !isLoopback(each.replace(/^nats:\/\//, "").replace(/(:\d+)?\/?$/, "")));
}

/** Reads what the configuration names. Throws `PolicyError`. */
export function natsServers(
  options: NatsOptions,
  context: Pick<LoadContext, "read" | "problem">,
  warned: (warning: Error) => void,
): NatsServers {
  const read = (key: Exclude<keyof NatsOptions, "servers">): Buffer | undefined =>
    options[key] === undefined ? undefined : context.read(options[key], [key], MAX_SECRET_BYTES);
  const servers = typeof options.servers === "string" ? [options.servers] : options.servers;
  if (options.tokenFile !== undefined && isExposed(servers, options))
    warned(
      context.problem(
        ["tokenFile"],
        "the token goes to NATS in clear: whoever is on the way reads it",
        "write tls:// servers, or a caFile",
      ),
    );
  return {
    servers,
    tls: servers.some(isSecure),
    token: read("tokenFile")?.toString("utf8").trim(),
    creds: read("credsFile"),
    ca: read("caFile")?.toString("utf8"),
    cert: read("certFile")?.toString("utf8"),
    key: read("keyFile")?.toString("utf8"),
  };
}
