/**
 * Mutual TLS between mount and decision service: the clients that may ask, the service that the mount believes, and renewed
 * certificates.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { wire } from "@sluice/decision-api";
import type { TlsFiles } from "@sluice/decision-client";
import { connectDecider, whenReady } from "@sluice/decision-client/connect";
import { type DecisionService, startDecisionService } from "@sluice/service-decision";
import { cleanUp, policyOf, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("command openssl");

const MOUNT = "URI:spiffe://example.org/mount/a";
const SERVICE = "URI:spiffe://example.org/decision";

interface KeyPair {
  certFile: string;
  keyFile: string;
}

/** A certificate authority with its signed certificates: NAME.pem and NAME.key in its directory. */
class Authority {
  constructor(
    readonly directory: string,
    private readonly name: string,
  ) {
    this.openssl(this.name, ["-subj", `/CN=${name}`, "-addext", "basicConstraints=critical,CA:TRUE"]);
  }

  get file(): string {
    return join(this.directory, `${this.name}.pem`);
  }

  sign(name: string, san: string): KeyPair {
    this.openssl(name, [
      "-subj",
      `/CN=${name}`,
      "-addext",
      `subjectAltName=${san}`,
      "-CA",
      this.file,
      "-CAkey",
      this.file.replace(/pem$/, "key"),
    ]);
    return { certFile: join(this.directory, `${name}.pem`), keyFile: join(this.directory, `${name}.key`) };
  }

  /** The same with names in the form of openssl's configuration. */
  signByConfig(name: string, sans: string): KeyPair {
    const config = join(this.directory, `${name}.cnf`);
    writeFileSync(config, `[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\nsubjectAltName=@san\n${sans}`);
    const signer = ["-CA", this.file, "-CAkey", this.file.replace(/pem$/, "key")];
    this.openssl(name, ["-config", config, "-subj", `/CN=${name}`, ...signer]);
    return { certFile: join(this.directory, `${name}.pem`), keyFile: join(this.directory, `${name}.key`) };
  }

  private openssl(name: string, more: readonly string[]): void {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    const out = ["-keyout", join(this.directory, `${name}.key`), "-out", join(this.directory, `${name}.pem`)];
    execFileSync("openssl", ["req", "-x509", "-days", "2", ...key, ...out, ...more], { stdio: "ignore" });
  }
}

async function serve(ca: Authority, clientSans: readonly string[], authzen = false): Promise<DecisionService & { files: KeyPair }> {
  const files = ca.sign("service", `DNS:localhost,IP:127.0.0.1,${SERVICE}`);
  const policy = join(ca.directory, "policy.yaml");
  writeFileSync(policy, policyOf("mediate"));
  const service = await startDecisionService({
    policy,
    listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
    tls: { ...files, clientCaFile: ca.file, clientSans },
    ...(authzen ? { authzen: { address: "127.0.0.1:0" } } : {}),
  });
  cleanUp(() => service.drain(100));
  return Object.assign(service, { files });
}

/** The status code of a call, 0 if it is answered. */
function callAs({ target }: DecisionService, tls: TlsFiles | undefined): Promise<number> {
  const read = (file: string | undefined): Buffer | null => (file === undefined ? null : readFileSync(file));
  const shown =
    tls === undefined ? credentials.createInsecure() : credentials.createSsl(read(tls.caFile), read(tls.keyFile), read(tls.certFile));
  const client = new wire.DecisionServiceClient(target, shown, { "grpc.use_local_subchannel_pool": 1 });
  return new Promise((resolve) => {
    client.getCapabilities({}, (error: ServiceError | null) => {
      client.close();
      resolve(error?.code ?? 0);
    });
  });
}

async function readies({ target }: DecisionService, tls: TlsFiles, ms: number): Promise<boolean> {
  const decider = connectDecider({ target, mount: "m", clientVersion: "0", tls });
  try {
    return await whenReady(decider, ms);
  } finally {
    await decider.close();
  }
}

const PERMISSION_DENIED = 7;
const UNAVAILABLE = 14;

test("answers only clients whose name the authority signed", async () => {
  const ca = new Authority(scratch(), "ca");
  const service = await serve(ca, [MOUNT]);
  const as = (name: string, san: string): TlsFiles => ({ caFile: ca.file, ...ca.sign(name, san) });
  expect(await callAs(service, as("mount", `DNS:x,${MOUNT}`))).toBe(0);
  expect(await callAs(service, as("other", "URI:spiffe://example.org/mount/ab"))).toBe(PERMISSION_DENIED);
  expect(await callAs(service, as("dns", "DNS:spiffe.example.org"))).toBe(PERMISSION_DENIED);
  // One name that reads like two, as in attacks on careless parsers.
  expect(await callAs(service, { caFile: ca.file, ...ca.signByConfig("evil", `[san]\nDNS.1="x, ${MOUNT}"\n`) })).toBe(PERMISSION_DENIED);
  const stranger = new Authority(scratch(), "stranger");
  expect(await callAs(service, { caFile: ca.file, ...stranger.sign("mount", MOUNT) })).toBe(UNAVAILABLE);
  expect(await callAs(service, { caFile: ca.file })).toBe(UNAVAILABLE);
  expect(await callAs(service, undefined)).toBe(UNAVAILABLE);
});

test("a mount believes only the configured service", async () => {
  const ca = new Authority(scratch(), "ca");
  const service = await serve(ca, [MOUNT]);
  const mount: TlsFiles = { caFile: ca.file, ...ca.sign("mount", MOUNT) };
  expect(await readies(service, { ...mount, serverSan: SERVICE }, 30_000)).toBe(true);
  expect(await readies(service, { ...mount, serverSan: "URI:spiffe://example.org/decisio" }, 1_500)).toBe(false);
  const stranger = new Authority(scratch(), "stranger");
  expect(await readies(service, { ...mount, caFile: stranger.file, serverSan: SERVICE }, 1_500)).toBe(false);
});

test("both sides renew certificates without a restart, and ignore a half-written one", async () => {
  const ca = new Authority(scratch(), "ca");
  const service = await serve(ca, [MOUNT], true);
  const mount: TlsFiles = { caFile: ca.file, ...ca.sign("mount", "URI:spiffe://example.org/mount/other"), serverSan: SERVICE };
  const serial = (port: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const [cert, key] = [readFileSync(mount.certFile as string), readFileSync(mount.keyFile as string)];
      const socket = connect({
        host: "127.0.0.1",
        port,
        ca: readFileSync(ca.file),
        cert,
        key,
        ALPNProtocols: ["h2", "http/1.1"],
        servername: "localhost",
      });
      socket.on("error", reject);
      socket.on("secureConnect", () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
    });
  const ports = [service.target, (service.authzenUrl as string).replace("https://", "")].map((address) =>
    Number(address.split(":").at(-1)),
  );
  const serials = (): Promise<string[]> => Promise.all(ports.map(serial));
  const decider = connectDecider({ target: service.target, mount: "m", clientVersion: "0", tls: mount });
  cleanUp(() => decider.close());
  expect(await whenReady(decider, 1_000)).toBe(false);
  const renewed = ca.sign("renewed", MOUNT);
  copyFileSync(renewed.certFile, mount.certFile as string);
  copyFileSync(renewed.keyFile, mount.keyFile as string);
  expect(await whenReady(decider, 30_000)).toBe(true);

  const [before] = await serials();
  expect(await serials()).toEqual([before, before]);
  const next = ca.sign("next", `DNS:localhost,IP:127.0.0.1,${SERVICE}`);
  renameSync(next.certFile, service.files.certFile);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await serials()).toEqual([before, before]);
  renameSync(next.keyFile, service.files.keyFile);
  await expect.poll(serials).not.toContain(before);
  // Existing connections stay.
  expect(decider.status().state).toBe("ready");
});

test("a client tells why it does not believe a service, or the service does not believe it", async () => {
  const ca = new Authority(scratch(), "ca");
  const { target } = await serve(ca, [MOUNT]);
  const stranger = new Authority(scratch(), "stranger");
  const mine = ca.sign("mount", MOUNT);
  const whyNot = async (tls: TlsFiles | undefined): Promise<string | undefined> => {
    const decider = connectDecider({ target, mount: "m", clientVersion: "0", tls });
    try {
      const why = (): string | undefined => decider.status().replicas[0]?.why;
      await expect.poll(why, { timeout: 30_000 }).toBeDefined();
      return why();
    } finally {
      await decider.close();
    }
  };
  expect(await whyNot({ caFile: ca.file, ...mine, serverSan: "URI:spiffe://other" })).toBe(
    "the certificate of the decision service does not hold URI:spiffe://other",
  );
  expect(await whyNot({ caFile: stranger.file, ...mine })).toMatch(/certificate/);
  expect(await whyNot({ caFile: ca.file })).toBe("tlsv13 alert certificate required: give a client certificate that the service knows");
  expect(await whyNot(undefined)).toBe("Failed to connect: if the service uses TLS, give its certificate authority");
  expect(() => connectDecider({ target, mount: "m", clientVersion: "0", tls: { caFile: mine.keyFile } })).toThrow(
    `${mine.keyFile}: the file holds no certificate in PEM form`,
  );
});
