/** A real AuthZEN policy decision point for tests: the Cerbos server of its npm package, on unix sockets. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { request } from "node:http";
import { dirname, join } from "node:path";

const START_MS = 60_000;

export interface Cerbos {
  /** As a policy file has it. */
  url: string;
  stop(): Promise<void>;
}

function isUp(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: "/_cerbos/health" }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on("error", () => resolve(false));
    asked.end();
  });
}

async function untilUp(socketPath: string, child: ChildProcess, said: () => string): Promise<void> {
  const deadline = Date.now() + START_MS;
  while (!(await isUp(socketPath))) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`cerbos does not serve: ${said()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** `directory` is empty and short (sockets lie in it); `policies`: file name → YAML. */
export async function startCerbos(directory: string, policies: Readonly<Record<string, string>>): Promise<Cerbos> {
  const folder = join(directory, "policies");
  mkdirSync(folder);
  for (const [name, text] of Object.entries(policies)) writeFileSync(join(folder, name), text);
  const socket = join(directory, "http.sock");
  const config = join(directory, "cerbos.json");
  writeFileSync(
    config,
    JSON.stringify({
      server: { httpListenAddr: `unix:${socket}`, grpcListenAddr: `unix:${join(directory, "grpc.sock")}` },
      storage: { driver: "disk", disk: { directory: folder } },
      telemetry: { disabled: true },
    }),
  );
  const home = dirname(createRequire(import.meta.url).resolve("@cerbos/cerbos-linux-x64/package.json"));
  const child = spawn(join(home, "cerbos-linux-x64"), ["server", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4_000);
    });
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      if (child.exitCode !== null) resolve();
      child.once("exit", () => resolve());
      child.kill("SIGKILL");
    });
  try {
    await untilUp(socket, child, () => output);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `unix://${socket}`, stop };
}

/** The policy of the backends' contract suite, for `startCerbos`. */
export const STANDARD_CERBOS = {
  "file.yaml": `apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: file
  version: default
  rules:
    - name: secrets
      actions: ["open"]
      effect: EFFECT_DENY
      roles: ["*"]
      condition: {match: {expr: 'R.id.startsWith("/secret/")'}}
    - name: keys
      actions: ["open"]
      effect: EFFECT_DENY
      roles: ["*"]
      condition: {match: {expr: 'R.attr.name.endsWith(".pem")'}}
    - name: read-only
      actions: ["open"]
      effect: EFFECT_DENY
      roles: ["*"]
      condition: {match: {expr: 'R.id.startsWith("/readonly/") && R.attr.access == "write"'}}
    - name: banned
      actions: ["open"]
      effect: EFFECT_DENY
      roles: ["*"]
      condition: {match: {expr: 'P.id == "4242"'}}
    - name: evil
      actions: ["open"]
      effect: EFFECT_DENY
      roles: ["*"]
      condition: {match: {expr: 'P.attr.executable == "/usr/bin/evil"'}}
    - name: restricted
      actions: ["open"]
      effect: EFFECT_DENY
      roles: ["*"]
      condition: {match: {expr: '"user.class" in R.attr.xattr && R.attr.xattr["user.class"] == "restricted"'}}
    - name: media
      actions: ["passthrough"]
      effect: EFFECT_DENY
      roles: ["*"]
      condition: {match: {expr: 'R.id.startsWith("/media/")'}}
    - name: work
      actions: ["passthrough"]
      effect: EFFECT_DENY
      roles: ["*"]
      condition: {match: {expr: 'R.id.startsWith("/" + "work/") && R.attr.layer == "upper"'}}
    - name: everybody
      actions: ["open", "passthrough"]
      effect: EFFECT_ALLOW
      roles: ["user"]
`,
};

/** The configuration that goes with it. Cerbos wants roles, and its rules look at attributes of the resource. */
export function cerbosPolicyFile(url: string): string {
  return `kind: authzen
url: ${url}
timeout: 20s
needs: { executable: true, xattrs: [user.class] }
subject:
  properties: { cerbos.roles: [user], executable: "\${subject.executable}" }
resource:
  properties: { access: "\${access}", name: "\${resource.name}", layer: "\${resource.layer}", xattr: "\${resource.xattr}" }
`;
}
