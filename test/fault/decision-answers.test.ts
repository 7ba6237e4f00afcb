/** A decision service with bad answers: malformed, unspecified, for another question, with unknown obligations, or late. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { wire } from "@sluice/decision-api";
import { cleanUp, mountSluice, requires, scratch, startScript, type SluiceMount } from "@sluice/testkit";
import { expect } from "vitest";
import { answer, grantFor, ScriptedService } from "../../packages/decision-client/src/testing/scripted-service.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

type Answer = (question: wire.PendingQuestion) => wire.Answer[];

async function mountedWith(answers: Answer): Promise<SluiceMount> {
  const service = new ScriptedService({ batch: (stream, questions) => answer(stream, questions.flatMap(answers)) });
  cleanUp(() => service.end());
  await service.start();
  const lower = scratch();
  for (const name of ["file", "other"]) writeFileSync(join(lower, name), name);
  return mountSluice({ lowers: [lower], args: ["--decision", service.target, "--decision-timeout", "5s"] });
}

/** Returns "ok" or the errno's name. Asynchronous, since the scripted service lives in this process. */
async function open(mount: SluiceMount, name: string): Promise<string> {
  const program = `import { openSync } from "node:fs";
    try { openSync(process.argv[1], "r"); console.log("ok"); } catch (error) { console.log(error.code); }`;
  return (await startScript(program, { args: [mount.path(name)], input: "" }).finished).stdout.trim();
}

const pathOf = (question: wire.PendingQuestion): string => Buffer.from(question.question?.resource?.paths[0] ?? []).toString();

test("a proper grant opens a file with this harness", async () => {
  const mount = await mountedWith(({ id }) => [grantFor(id)]);
  expect(await open(mount, "file")).toBe("ok");
});

for (const [what, answers] of [
  ["an unspecified effect", ({ id }) => [grantFor(id, { effect: wire.Effect.UNSPECIFIED })]],
  ["an effect from the future", ({ id }) => [grantFor(id, { effect: 77 as wire.Effect })]],
  ["an obligation nobody knows", ({ id }) => [grantFor(id, { obligations: [{ name: "notarise", value: "x" }] })]],
  ["no result at all", ({ id }) => [{ id, result: undefined }]],
  ["a failure", ({ id }) => [{ id, result: { $case: "failure", value: { code: wire.Failure_Code.INTERNAL, message: "broken" } } }]],
  ["a grant for a question that was never asked", ({ id }) => [grantFor(id + 1000n)]],
  ["nothing", () => []],
] as [string, Answer][]) {
  test(`${what} opens nothing`, async () => {
    const mount = await mountedWith((question) => (pathOf(question) === "file" ? answers(question) : [grantFor(question.id)]));
    expect(await open(mount, "file")).toBe("EACCES");
    expect(await open(mount, "other")).toBe("ok");
    await mount.stop();
  });
}
