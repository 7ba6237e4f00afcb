/**
 * A stand-in for the Open Policy Agent's server, which is in no package registry: it behaves as OPA's REST API
 * documentation says of `POST /v1/data/{path}`, and knows documents that are functions instead of Rego. For tests.
 */
import { createServer } from "node:http";

/** Path of a document below /v1/data → its value for an input; undefined if it is undefined. */
export type OpaDocuments = Readonly<Record<string, (input: unknown) => unknown>>;

export interface OpaStandIn {
  url: string;
  /** Every input that was evaluated. */
  inputs: unknown[];
  close(): Promise<void>;
}

function answer(path: string, text: string, documents: OpaDocuments, inputs: unknown[]): { status: number; body: unknown } {
  let body: { input?: unknown };
  try {
    body = JSON.parse(text) as { input?: unknown };
  } catch {
    return { status: 400, body: { code: "invalid_parameter", message: "error(s) occurred while decoding the request body" } };
  }
  const document = documents[path.replace(/^\/v1\/data\//, "")];
  if (document === undefined) return { status: 200, body: {} };
  inputs.push(body.input);
  try {
    const result = document(body.input);
    return { status: 200, body: { decision_id: `d${inputs.length}`, ...(result === undefined ? {} : { result }) } };
  } catch {
    return { status: 500, body: { code: "internal_error", message: "evaluation failed" } };
  }
}

export async function startOpaStandIn(documents: OpaDocuments): Promise<OpaStandIn> {
  const inputs: unknown[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const path = request.url ?? "";
      const known = request.method === "POST" && path.startsWith("/v1/data/");
      const { status, body } = known
        ? answer(path, Buffer.concat(chunks).toString("utf8"), documents, inputs)
        : { status: 404, body: { code: "not_found", message: "not found" } };
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    inputs,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
