/**
 * A client that speaks to the service as it likes: each argument is a request, [text, ...paths], on a connection of its own. Paths are opened
 * O_PATH. It prints the answers to one request as a line.
 */
export const HOSTILE = `
const { native } = await import(process.env.SLUICE_NATIVE_URL);
const [socket, ...requests] = process.argv.slice(1);
for (const request of requests) {
  const [bytes, ...paths] = JSON.parse(request);
  const connection = native.seqpacketConnect(socket);
  if (connection < 0) throw new Error("no connection: " + connection);
  const fds = paths.map((path) => native.openat(-100, path, 0o10000000, 0));
  const record = Buffer.from(bytes);
  if (bytes !== "") native.sendMessage(connection, record, record.length, Int32Array.from(fds), fds.length, 1000);
  const answer = Buffer.alloc(9000);
  const said = [];
  for (let got = 1; got > 0 || got === -104; ) {
    got = native.receiveMessage(connection, answer, new Int32Array(0), 25000);
    if (got > 0) said.push(answer.toString("utf8", 0, got & 0xffff));
  }
  for (const fd of [...fds, connection]) if (fd >= 0) native.close(fd);
  console.log(JSON.stringify(said.join("\\n")));
}
`;

/** A form, or another text, and paths of descriptors. */
export type Request = readonly [unknown, ...string[]];

export const FORM = {
  ...{ version: 2, attached: true, lowers: 1, writable: false, policy: false, mountFlags: 1, xino: "auto", nonEmpty: false },
  ...{ policyName: "policy.yaml", session: false, control: false, answers: false, decisionLog: false, formerUppers: 0 },
  ...{ coherentReaders: false, sharedLower: false, cacheTtlMs: 1000, maxStackDepth: 1, locks: "auto", onOutage: "deny", staleForMs: 1 },
  ...{ decisionTimeoutMs: 5000, askTimeoutMs: null, graceMs: 1000, name: null, logLevel: "info" },
};
