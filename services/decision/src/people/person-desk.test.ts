import { chmodSync, symlinkSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync, appendFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plainQuestion, type Question } from "@sluice/decision-api";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { quietDesk } from "../testing/quiet-desk.js";
import { AnswerFile } from "./answer-file.js";
import { type Asked, DeskClosed, PersonDesk } from "./person-desk.js";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sluice-desk-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const CAT = "/usr/bin/cat";

function asked(path = "a", change: Partial<Question["subject"]> = {}): Asked {
  const plain = plainQuestion(path);
  return { question: { ...plain, subject: { ...plain.subject, executable: CAT, ...change } }, rule: "asks", policyId: "p" };
}

function idOf(desk: PersonDesk, what: Asked): string {
  const put = desk.put(what);
  if (!("id" in put)) throw new Error("it has an answer");
  return put.id;
}

describe("a question for a person", () => {
  it("is one for callers with the same mount, rule, path, access, uid and program, and their pids do not matter", () => {
    const desk = quietDesk();
    const id = idOf(desk, asked());
    expect(idOf(desk, asked("a", { pid: 77 }))).toBe(id);
    expect(id).toMatch(/^[a-z2-9]{4}(-[a-z2-9]{4}){3}$/);
    for (const other of [asked("b"), asked("a", { uid: 2 }), asked("a", { executable: "/bin/dd" }), { ...asked(), rule: "other" }])
      expect(idOf(desk, other)).not.toBe(id);
    expect(desk.list()).toHaveLength(5);
    expect(desk.counts).toEqual({ open: 5, waiting: 0 });
  });

  it("has the same id at every replica", () => {
    expect(idOf(quietDesk(), asked())).toBe(idOf(quietDesk(), asked()));
  });

  it("is answered once for all callers that wait, and then asked again", async () => {
    const desk = quietDesk();
    const waits = [desk.wait(asked(), undefined), desk.wait(asked("a", { pid: 2 }), undefined)];
    const [question] = desk.list();
    expect(question).toMatchObject({ waiting: 2, rule: "asks", answer: undefined });
    expect(desk.answer(question?.askId ?? "", "once", "uid 0")).toBeUndefined();
    for (const wait of waits) expect(await wait).toEqual({ allowed: true, scope: "once", by: "uid 0" });
    expect(desk.list()).toEqual([]);
    expect(desk.standing(asked())).toBeUndefined();
    expect(desk.put(asked())).toHaveProperty("id");
  });

  it.each([
    ["as usual", 0],
    ["although somebody sets the clock back", -3_600_000],
  ])("ends ten minutes after the answer for the next attempt, %s", (_, byMs) => {
    vi.useFakeTimers({ toFake: ["Date", "performance"] });
    try {
      const desk = quietDesk();
      desk.answer(idOf(desk, asked()), "once", "uid 0");
      vi.advanceTimersByTime(500_000);
      vi.setSystemTime(Date.now() + byMs);
      expect(desk.list()).toMatchObject([{ answer: "once" }]);
      vi.advanceTimersByTime(101_000);
      expect(desk.list()).toEqual([]);
      expect(desk.put(asked())).toHaveProperty("id");
    } finally {
      vi.useRealTimers();
    }
  });

  it("without a waiting caller is answered for the next attempt alone", () => {
    const desk = quietDesk();
    const id = idOf(desk, asked());
    desk.answer(id, "once", "uid 0");
    expect(desk.list()).toMatchObject([{ askId: id, answer: "once" }]);
    expect(desk.put(asked())).toEqual({ allowed: true, scope: "once", by: "uid 0" });
    expect(desk.put(asked())).toEqual({ id });
  });

  it("is denied when its time is over", async () => {
    const desk = quietDesk(5);
    expect(await desk.wait(asked(), undefined)).toEqual({ allowed: false, scope: "timeout", by: "nobody" });
    expect(desk.counts).toEqual({ open: 1, waiting: 0 });
  });

  it("has no caller any more once the caller was interrupted", async () => {
    const desk = quietDesk();
    const gone = new AbortController();
    const wait = desk.wait(asked(), gone.signal);
    gone.abort();
    await wait;
    expect(desk.counts).toEqual({ open: 1, waiting: 0 });
  });

  it("is put to the next policy if that changes meanwhile, and no answer for a next attempt outlives the policy", async () => {
    const desk = quietDesk();
    const wait = desk.wait(asked(), undefined);
    desk.answer(idOf(desk, asked("b")), "once", "uid 0");
    desk.policyChanged();
    expect(await wait).toBe("again");
    expect(desk.put(asked("b"))).toHaveProperty("id");
  });

  it("ends with the service, and none is taken then", async () => {
    const desk = quietDesk();
    const wait = desk.wait(asked(), undefined);
    desk.close();
    await expect(wait).rejects.toBeInstanceOf(DeskClosed);
    expect(() => desk.put(asked())).toThrow(DeskClosed);
  });

  it("leaves the list to newer ones, unless somebody waits", () => {
    const desk = quietDesk();
    void desk.wait(asked("first"), undefined);
    for (let index = 0; index < 1_200; index++) desk.put(asked(`f${index}`));
    const paths = desk.list().map(({ question }) => question.resource.paths[0]);
    expect(paths).toHaveLength(1_000);
    expect(paths).toContain("first");
    expect(paths).not.toContain("f0");
    expect(paths).toContain("f1199");
  });
});

describe("an answer", () => {
  it.each(["session", "deny"] as const)("'%s' holds for later attempts until it is revoked", (answer) => {
    const desk = quietDesk();
    const id = idOf(desk, asked());
    expect(desk.answer(id, answer, "uid 0")).toBeUndefined();
    expect(desk.standing(asked())).toEqual({ allowed: answer === "session", scope: answer, by: "uid 0" });
    expect(desk.standing(asked("b"))).toBeUndefined();
    expect(desk.list()).toMatchObject([{ askId: id, answer, answeredBy: "uid 0" }]);
    expect(desk.answer(id, "revoke", "uid 0")).toBeUndefined();
    expect(desk.standing(asked())).toBeUndefined();
  });

  it("an answer to an unknown question, or of an unknown answer's revocation, is refused", () => {
    const desk = quietDesk();
    expect(desk.answer("none", "once", "uid 0")).toContain("no question none");
    expect(desk.answer("none", "revoke", "uid 0")).toContain("no answer to none");
  });

  it("does not hold for a program that is not known", () => {
    const desk = quietDesk();
    const unknown: Asked = { ...asked(), question: plainQuestion("a") };
    const id = idOf(desk, unknown);
    expect(desk.answer(id, "session", "uid 0")).toContain("the program that asks is not known");
    expect(desk.answer(id, "always", "uid 0")).toContain("the program that asks is not known");
    expect(desk.answer(id, "once", "uid 0")).toBeUndefined();
  });

  it("'always' needs a file", () => {
    const desk = quietDesk();
    expect(desk.answer(idOf(desk, asked()), "always", "uid 0")).toContain("--answers FILE");
  });
});

describe("the file of answers", () => {
  const open = (name: string): AnswerFile => new AnswerFile(join(directory, name));
  const deskOf = (file: AnswerFile): PersonDesk => new PersonDesk({ timeoutMs: 1_000, file, changed: () => undefined });

  it("holds answers over services, and over their revocation by another one", () => {
    const [one, other] = [deskOf(open("shared")), deskOf(open("shared"))];
    const id = idOf(one, asked("b\xff"));
    expect(one.answer(id, "always", "uid 0")).toBeUndefined();
    expect(other.standing(asked("b\xff"))).toEqual({ allowed: true, scope: "always", by: "uid 0" });
    expect(deskOf(open("shared")).list()).toMatchObject([{ askId: id, answer: "always" }]);
    expect(other.answer(id, "revoke", "uid 1")).toBeUndefined();
    expect(one.standing(asked("b\xff"))).toBeUndefined();
    expect(deskOf(open("shared")).list()).toEqual([]);
    expect(statSync(join(directory, "shared")).mode & 0o777).toBe(0o600);
  });

  it("allows nothing by a line that is torn, unknown or another kind of answer", () => {
    const whole = deskOf(open("whole"));
    whole.answer(idOf(whole, asked()), "always", "uid 0");
    const line = readFileSync(join(directory, "whole"), "utf8");
    writeFileSync(join(directory, "torn"), `${JSON.stringify({ always: "*" })}\nnot json\n${line.slice(0, -10)}`);
    const torn = deskOf(open("torn"));
    expect(torn.list()).toEqual([]);
    // The next answer is not spoilt by it.
    expect(torn.answer(idOf(torn, asked("c")), "always", "uid 0")).toBeUndefined();
    expect(torn.standing(asked("c"))).toMatchObject({ scope: "always" });
    expect(deskOf(open("torn")).list()).toHaveLength(1);
    appendFileSync(join(directory, "torn"), line);
    expect(torn.standing(asked())).toMatchObject({ scope: "always" });
  });

  it("has room for revocations when it has none for answers, and gives none if it is too long to be read", () => {
    const path = join(directory, "full");
    const desk = deskOf(open("full"));
    const id = idOf(desk, asked());
    expect(desk.answer(id, "always", "uid 0")).toBeUndefined();
    const line = `${"x".repeat(1 << 20)}\n`;
    while (statSync(path).size + 2 * line.length < 8 << 20) appendFileSync(path, line);
    appendFileSync(path, line.slice(0, (8 << 20) - statSync(path).size - 1000).trimEnd() + "\n");
    expect(desk.answer(idOf(desk, asked("c")), "always", "uid 0")).toMatch(/cannot be written \(EFBIG\)/);
    expect(desk.standing(asked())).toMatchObject({ scope: "always" });
    expect(deskOf(open("full")).standing(asked())).toMatchObject({ scope: "always" });
    expect(desk.answer(id, "revoke", "uid 0")).toBeUndefined();
    expect(desk.standing(asked())).toBeUndefined();
    const again = readFileSync(path, "utf8").split("\n")[0] as string;
    appendFileSync(path, `${again}\n`);
    expect(desk.standing(asked())).toMatchObject({ scope: "always" });
    // A revocation behind the limit would not be read.
    appendFileSync(path, `${line}`);
    expect([desk.standing(asked()), deskOf(open("full")).list()]).toEqual([undefined, []]);
    expect(desk.answer(id, "revoke", "uid 0")).toMatch(/there is no answer/);
  });

  it("is refused if others may write it", () => {
    writeFileSync(join(directory, "loose"), "", { mode: 0o600 });
    chmodSync(join(directory, "loose"), 0o620);
    expect(() => open("loose")).toThrow("others than its owner may write it");
    symlinkSync(join(directory, "loose"), join(directory, "link"));
    expect(() => open("link")).toThrow(/ELOOP/);
  });

  it("holds no answer any more once somebody has emptied it", () => {
    const desk = deskOf(open("emptied"));
    desk.answer(idOf(desk, asked()), "always", "uid 0");
    truncateSync(join(directory, "emptied"));
    expect(desk.standing(asked())).toBeUndefined();
  });
});
