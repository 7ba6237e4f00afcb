/** Rules about the content of files, on a real mount: its beginning and its digest, with cached answers. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Errno, O } from "@sluice/vfs";
import {
  Actor,
  eventually,
  layers,
  mountSluice,
  mountsShareProcess,
  policyOf,
  publicFile,
  requires,
  scratch,
  type SluiceMount,
  statusOf,
} from "@sluice/testkit";
import { expect } from "vitest";

mountsShareProcess();

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const { test: onCoarseTimes } = requires(
  ...(["/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "loop devices", "command mkfs.ext4"] as const),
);

const GOOD = "#!/bin/sh\necho approved\n";
const EVIL = "#!/bin/sh\necho deceived\n";
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

interface Looking {
  decider: { cache: { hits: number } | null };
  policy: { looksAt: string[] } | null;
}
const look = async (mount: SluiceMount): Promise<Looking> => (await statusOf(mount)) as unknown as Looking;

/** Returns 0, or the errno of the refusal. */
async function reading(actor: Actor, mount: SluiceMount, path: string): Promise<number> {
  const fd = await actor.do("open", mount.path(path), O.RDONLY);
  if (fd < 0) return -fd;
  await actor.do("close", fd);
  return 0;
}

/** The same from a cached answer: the mount caches none while the policy file is very new. */
async function recalled(actor: Actor, mount: SluiceMount, path: string): Promise<number> {
  const hits = async (): Promise<number> => (await look(mount)).decider.cache?.hits ?? 0;
  const before = await hits();
  let outcome = -1;
  await eventually("an answer is recalled", 30_000, async () => {
    outcome = await reading(actor, mount, path);
    return (await hits()) > before;
  });
  return outcome;
}

async function mounted(
  policy: (approved: string) => string,
  on: "disk" | "coarse-loop" = "disk",
): Promise<{ mount: SluiceMount; actor: Actor }> {
  const program = publicFile(GOOD);
  const { root, lower, upper } = layers(
    {
      lower: {
        elf: publicFile("\x7fELF\x02\x01"),
        script: publicFile(GOOD),
        good: program,
        other: publicFile(EVIL),
        written: program,
        mapped: program,
      },
    },
    scratch({ on, sizeMb: 16 }),
  );
  const approved = join(root, "approved.sha256");
  writeFileSync(approved, `# programs\n${sha256(GOOD)}  good\n`);
  return { mount: await mountSluice({ lowers: [lower], upper, policy: policy(approved) }), actor: await Actor.start() };
}

test("judges the beginning of the content, and caches the answer while the content is the same", async () => {
  const { mount, actor } = await mounted(() =>
    policyOf("grant", { name: "no-programs", when: "resource.head.startsWith('\\x7fELF')", access: ["read", "rename"], effect: "deny" }),
  );
  expect(await reading(actor, mount, "elf")).toBe(Errno.EACCES);
  expect(await reading(actor, mount, "script")).toBe(0);
  expect(await recalled(actor, mount, "elf")).toBe(Errno.EACCES);
  expect(await recalled(actor, mount, "script")).toBe(0);
  expect((await look(mount)).policy?.looksAt).toEqual(["head (512 bytes)"]);
  expect(await actor.do("rename", mount.path("elf"), mount.path("moved"))).toBe(-Errno.EACCES);
  // A change through the mount while the answer is cached: the next open is judged by the new content.
  const fd = await actor.do("open", mount.path("script"), O.WRONLY);
  await actor.do("write", fd, "\x7fELF", 0);
  expect(await reading(actor, mount, "script")).toBe(Errno.EACCES);
  await actor.do("close", fd);
  expect(await reading(actor, mount, "script")).toBe(Errno.EACCES);
  expect((await mount.stop()).code).toBe(0);
});

test("callers who ask at the same time are judged by the content of their own files", async () => {
  const [callers, rounds] = [16, 20];
  const numbers = Array.from({ length: callers * rounds }, (_, number) => number);
  const isProgram = (number: number): boolean => number % 2 === 0;
  // No two files begin alike, so that no answer is in the cache.
  const files = numbers.map((number) => [`f${number}`, publicFile(`${isProgram(number) ? "\x7fELF" : "text"} ${number}`)] as const);
  const { lower } = layers({ lower: Object.fromEntries(files) });
  const policy = policyOf("grant", { name: "no-programs", when: "resource.head.startsWith('\\x7fELF')", effect: "deny" });
  const mount = await mountSluice({ lowers: [lower], policy });
  const actors = await Promise.all(Array.from({ length: callers }, () => Actor.start()));
  const outcomes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const open = (actor: Actor, at: number): Promise<number> => reading(actor, mount, `f${round * callers + at}`);
    outcomes.push(...(await Promise.all(actors.map(open))));
  }
  expect(outcomes).toEqual(numbers.map((number) => (isProgram(number) ? Errno.EACCES : 0)));
  expect((await mount.stop()).code).toBe(0);
});

const approvedAlone = (approved: string): string => `version: 1
default: grant
digests: { approved: "${approved}" }
rules:
  - { name: approved-alone, access: [read, execute], when: "!(resource.digest in digests.approved)", effect: deny }
`;

test("a digest is that of the current content, and a file that may be changing has none", async () => {
  const { mount, actor } = await mounted(approvedAlone);
  expect(await reading(actor, mount, "good")).toBe(0);
  expect(await reading(actor, mount, "other")).toBe(Errno.EACCES);
  expect(await recalled(actor, mount, "good")).toBe(0);

  // Open for writing, its content is the same, and it is still refused.
  const released = (): Promise<void> =>
    eventually("the file is closed", 30_000, async () => (await statusOf(mount)).overlay.openFiles === 0);
  const fd = await actor.do("open", mount.path("written"), O.WRONLY);
  expect(await reading(actor, mount, "written")).toBe(Errno.EACCES);
  await actor.do("close", fd);
  await released();
  expect(await reading(actor, mount, "written")).toBe(0);

  // The same size and the old times: only the content differs. And back.
  for (const [content, outcome] of [
    [EVIL, Errno.EACCES],
    [GOOD, 0],
  ] as const) {
    const writing = await actor.do("open", mount.path("written"), O.WRONLY);
    await actor.do("write", writing, content, 0);
    await actor.do("close", writing);
    await actor.do("utimes", mount.path("written"), 1_500_000_000);
    await released();
    expect(await reading(actor, mount, "written")).toBe(outcome);
  }

  // A mapping outlives its descriptor.
  expect(await reading(actor, mount, "mapped")).toBe(0);
  const both = await actor.do("open", mount.path("mapped"), O.RDWR);
  const mapping = await actor.do("map", both, EVIL.length, true);
  await actor.do("close", both);
  await released();
  // Stores through a page that is dirty already change neither size nor times.
  await actor.do("mapWrite", mapping, 0, GOOD);
  const reader = await Actor.start();
  expect(await reading(reader, mount, "mapped")).toBe(Errno.EACCES);
  await actor.do("mapWrite", mapping, 0, EVIL);
  expect(await reading(reader, mount, "mapped")).toBe(Errno.EACCES);
  await actor.do("mapWrite", mapping, 0, GOOD);
  await actor.do("unmap", mapping);
  await eventually("it can be read again", 30_000, async () => (await reading(reader, mount, "mapped")) === 0);
  // mprotect(2) makes a mapping writable whose open was for writing.
  const readOnly = await actor.do("open", mount.path("mapped"), O.RDWR);
  const readable = await actor.do("map", readOnly, EVIL.length, false);
  await actor.do("close", readOnly);
  await released();
  expect(await reading(reader, mount, "mapped")).toBe(Errno.EACCES);
  await actor.do("unmap", readable);
  await eventually("it can be read again", 30_000, async () => (await reading(reader, mount, "mapped")) === 0);
  const unmapped = await actor.do("open", mount.path("mapped"), O.RDWR);
  await actor.do("write", unmapped, EVIL, 0);
  await actor.do("close", unmapped);
  await released();
  expect(await reading(reader, mount, "mapped")).toBe(Errno.EACCES);
  expect((await look(mount)).policy?.looksAt).toEqual(["digest"]);
  expect((await mount.stop()).code).toBe(0);
});

onCoarseTimes("a digest is that of the current content on a file system that counts whole seconds", async () => {
  const { mount, actor } = await mounted(approvedAlone, "coarse-loop");
  const write = async (content: string): Promise<void> => {
    const fd = await actor.do("open", mount.path("written"), O.WRONLY);
    await actor.do("write", fd, content, 0);
    await actor.do("close", fd);
    await eventually("the file is closed", 30_000, async () => (await statusOf(mount)).overlay.openFiles === 0);
  };
  for (let round = 0; round < 2; round++) {
    await write(GOOD);
    expect(await reading(actor, mount, "written")).toBe(0);
    // On most rounds in the same second as before.
    await write(EVIL);
    expect(await reading(actor, mount, "written")).toBe(Errno.EACCES);
  }
  expect((await mount.stop()).code).toBe(0);
});
