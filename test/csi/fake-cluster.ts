/** The API of a cluster as far as the driver asks it: GET of a PersistentVolumeClaim, over TLS, with the token of a service account. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:https";
import { join } from "node:path";
import { cleanUp, scratch } from "@sluice/testkit";

const TOKEN = "token-of-the-driver";
const CLAIM = /^\/api\/v1\/namespaces\/([^/]+)\/persistentvolumeclaims\/([^/]+)$/;
const VOLUME = /^\/api\/v1\/persistentvolumes\/([^/]+)$/;

export class FakeCluster {
  /** By "namespace/name": the object, or the status of a refusal. */
  readonly claims = new Map<string, object | number>();
  /** PersistentVolumes by name. */
  readonly volumes = new Map<string, object>();

  private constructor(
    /** With ca.crt and token, as in a pod. */
    readonly serviceAccount: string,
    private readonly port: number,
  ) {}

  /** The certificate is that of an authority, too. */
  static async start(): Promise<FakeCluster> {
    const directory = join(scratch(), "serviceaccount");
    mkdirSync(directory);
    const [cert, key] = [join(directory, "ca.crt"), join(directory, "key")];
    const names = ["-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, ...names],
      { stdio: "ignore" },
    );
    writeFileSync(join(directory, "token"), `${TOKEN}\n`);
    const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanUp(() => {
      server.closeAllConnections();
      server.close();
    });
    const cluster = new FakeCluster(directory, (server.address() as AddressInfo).port);
    server.on("request", (request, response) => {
      const known = request.headers.authorization === `Bearer ${TOKEN}`;
      const found = known ? cluster.#at(request.url ?? "") : 401;
      response.statusCode = typeof found === "number" ? found : 200;
      response.end(typeof found === "number" ? "{}" : JSON.stringify(found));
    });
    return cluster;
  }

  get env(): Readonly<Record<string, string>> {
    return { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(this.port) };
  }

  /** `spec` and `storage` are fields that replace those of a claim, and of storage, that many pods may write. */
  bind(namespace: string, name: string, volumeName: string, { spec = {}, storage = {} }: { spec?: object; storage?: object } = {}): void {
    const bound = { volumeName, volumeMode: "Filesystem", accessModes: ["ReadWriteMany"], ...spec };
    this.claims.set(`${namespace}/${name}`, { spec: bound, status: { phase: "Bound" } });
    const csi = { driver: "storage.example.com", volumeHandle: volumeName };
    this.volumes.set(volumeName, { spec: { claimRef: { namespace, name }, csi, ...storage } });
  }

  #at(url: string): object | number {
    const [, namespace, claim] = CLAIM.exec(url) ?? [];
    if (claim !== undefined) return this.claims.get(`${namespace}/${claim}`) ?? 404;
    return this.volumes.get(VOLUME.exec(url)?.[1] ?? "") ?? 404;
  }
}
