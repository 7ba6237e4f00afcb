/**
 * Asks the API of the cluster to which PersistentVolume a claim is bound: the kubelet mounts a claim under that name, and tells the driver of
 * no other volume of the pod. The answer chooses among the volumes of one pod, so a wrong one leads to no other pod's.
 */
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { codeOf } from "@sluice/runtime/cli";
import { CsiError, unavailable, unready } from "../csi-error.js";

const ASK_MS = 10_000;
const MAX_ANSWER_BYTES = 1 << 20;
const VOLUME_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

interface Api {
  host: string;
  port: string;
  ca: Buffer;
  token: string;
}

interface Answer {
  status: number;
  body: string;
}

interface Claim {
  spec?: { volumeName?: unknown; volumeMode?: unknown; accessModes?: unknown };
  status?: { phase?: unknown };
}

interface Volume {
  /** With the storage under a name of its kind. */
  spec?: Readonly<Record<string, unknown>> & { claimRef?: { namespace?: unknown; name?: unknown }; mountOptions?: unknown };
}

/** The PersistentVolume that a claim is bound to. */
export interface BoundVolume {
  name: string;
  /** Neither claim nor volume is for readers alone. The mount of the kubelet does not tell: its flag does not reach other containers. */
  writable: boolean;
}

/** Read for each question, since the token is replaced every hour. @throws CsiError */
function readApi(directory: string): Api {
  const { KUBERNETES_SERVICE_HOST: host = "", KUBERNETES_SERVICE_PORT: port = "443" } = process.env;
  try {
    if (host === "") throw new Error("KUBERNETES_SERVICE_HOST is not set");
    return { host, port, ca: readFileSync(join(directory, "ca.crt")), token: readFileSync(join(directory, "token"), "utf8").trim() };
  } catch (error) {
    throw unready(`the driver cannot ask the cluster for claims (${codeOf(error)}): set driver.claims in the values of the chart`);
  }
}

function get({ host, port, ca, token }: Api, path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(ASK_MS);
    const headers = { authorization: `Bearer ${token}`, accept: "application/json" };
    const call = request({ host, port, path, ca, headers, signal, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
        if (body.length > MAX_ANSWER_BYTES) call.destroy(new Error("the answer is too long"));
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}

function refusalOf(status: number, claim: string, namespace: string): CsiError {
  if (status === 404) return unready(`claim ${claim}: the namespace ${namespace} has no such claim: create it`);
  if (status === 401 || status === 403)
    return unready(`claim ${claim}: the driver may not read claims (${status}): set driver.claims in the values of the chart`);
  return unavailable(`claim ${claim}: the API of the cluster answered with ${status}`);
}

interface Asked {
  /** Of the service account. */
  directory: string;
  namespace: string;
  claim: string;
}

async function objectAt({ directory, namespace, claim }: Asked, path: string): Promise<object> {
  const { status, body } = await get(readApi(directory), path).catch((error: unknown) => {
    if (error instanceof CsiError) throw error;
    throw unavailable(`claim ${claim}: the API of the cluster does not answer (${codeOf(error)})`, error);
  });
  if (status !== 200) throw refusalOf(status, claim, namespace);
  try {
    return Object(JSON.parse(body)) as object;
  } catch (error) {
    throw unavailable(`claim ${claim}: the API of the cluster sent no JSON`, error);
  }
}

const wordsOf = (list: unknown): string[] => (Array.isArray(list) ? list.map(String) : []);

function forReaders({ spec = {} }: Volume): boolean {
  const readOnly = Object.values(spec).some((part) => (Object(part) as { readOnly?: unknown }).readOnly === true);
  return readOnly || wordsOf(spec.mountOptions).includes("ro");
}

/** @throws CsiError: UNAVAILABLE as long as the claim is not bound */
export async function volumeOfClaim(asked: Asked): Promise<BoundVolume> {
  const { namespace, claim } = asked;
  const [inNamespace, named] = [namespace, claim].map(encodeURIComponent);
  const found: Claim = await objectAt(asked, `/api/v1/namespaces/${inNamespace}/persistentvolumeclaims/${named}`);
  const { volumeName: name, volumeMode, accessModes } = found.spec ?? {};
  if (volumeMode === "Block") throw unready(`claim ${claim}: it is a block device: use a claim with volumeMode: Filesystem`);
  if (found.status?.phase !== "Bound" || typeof name !== "string" || !VOLUME_NAME.test(name))
    throw unavailable(`claim ${claim}: it is not bound to a volume yet`);
  const volume: Volume = await objectAt(asked, `/api/v1/persistentvolumes/${name}`);
  const { namespace: ofNamespace, name: ofClaim } = volume.spec?.claimRef ?? {};
  if (ofNamespace !== namespace || ofClaim !== claim) throw unready(`claim ${claim}: its volume ${name} is bound to another claim`);
  return { name, writable: wordsOf(accessModes).some((mode) => mode.startsWith("ReadWrite")) && !forReaders(volume) };
}
