/**
 * Exercisers of other projects, if they are installed: stress-ng's file system class, fio with verification, dbench. `npm test`
 * runs the most useful ones for a few seconds, each granted or mediated as SLUICE_SEED draws it. A soak runs all of them, both ways, for
 * SLUICE_SOAK_SECONDS.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  diffSnapshots,
  drawnCases,
  layers,
  mountSluice,
  publicFile,
  requires,
  runScript,
  scratch,
  type SluiceMount,
  snapshot,
} from "@sluice/testkit";
import { expect } from "vitest";
import { expectNoLeak, footprintOf } from "./footprint.js";
import { chooseSeed, POLICIES } from "./policies.js";
import { shareMs } from "./share.js";

const EXACT = { atime: true, hardLinks: true };
const SPARE_MS = 90_000;
const soaking = shareMs(0) > 0;
/** The part of the work that runs a second time, to see that the mount service holds nothing more. */
const AGAIN = soaking ? 3 : 1;
/** stress-ng's getdent lists /tmp, four directories deep, past the mount: the access times of layers there would change. */
const OUT_OF_REACH = "out/of/reach";
const KINDS = ["granted", "mediated"] as const;
type Kinds = readonly (typeof KINDS)[number][];
/** Names of stress-ng's stressors that use the given directory; others of the class need no file system. */
const TELLING = ["metamix", "link", "filename", "iomix"] as const;
const ALL = (
  "access acl chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify dup fallocate fanotify fcntl file-ioctl filename " +
  "filerace flock fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix lease link locka lockf lockmix lockofd metamix " +
  "mknod open pseek rename symlink sync-file touch umask unlink utime xattr"
).split(" ");
const seed = chooseSeed();
/** Each tool draws for itself. */
const [STRESS, FIO, DBENCH] = [0, 1, 2].map((tool) => drawnCases(KINDS, 1, seed + tool)) as [Kinds, Kinds, Kinds];
const stressors: readonly string[] = soaking ? ALL : TELLING;

interface Work {
  /** The arguments without the directory, which replaces "@". */
  argv: readonly string[];
  seconds: number;
}

async function mounted(kind: (typeof KINDS)[number], use: (mount: SluiceMount) => Promise<void>): Promise<void> {
  const root = join(scratch(), OUT_OF_REACH);
  mkdirSync(root, { recursive: true });
  const { lower, upper } = layers(
    { lower: { "work/below": publicFile("below"), "work/more/below": publicFile("x".repeat(100_000)) } },
    root,
  );
  const before = snapshot(lower, EXACT);
  const mount = await mountSluice({ lowers: [lower], upper, sharedPolicy: POLICIES[kind] });
  await use(mount);
  expect((await mount.stop()).code).toBe(0);
  expect(diffSnapshots(before, snapshot(lower, EXACT))).toEqual([]);
}

async function run(mount: SluiceMount, work: Work): Promise<void> {
  const directory = mount.path("work");
  const argv = work.argv.map((word) => word.replace("@", directory));
  const result = await runScript(argv, { timeoutMs: work.seconds * 1000 + SPARE_MS, cwd: directory });
  expect(result.code === 0 ? "" : `${argv.join(" ")}: ${result.stdout}${result.stderr}`).toBe("");
  if (argv.includes("--chattr")) await hearWhatIsLost(directory);
}

/**
 * This stressor writes to a mapping while the file becomes immutable. The layer then refuses the page, which is lost, and the
 * next sync of the mount fails with EPERM, however much later it comes (errseq_sample in lib/errseq.c). No other tool may meet that.
 */
async function hearWhatIsLost(directory: string): Promise<void> {
  const { code, stderr } = await runScript(["sync", "-f", directory]);
  expect(code === 0 ? "" : stderr).toMatch(/^$|Operation not permitted/);
}

/** Runs once to warm up, and once more to see that the mount service holds nothing more. */
async function twice(mount: SluiceMount, works: readonly Work[]): Promise<void> {
  for (const work of works) await run(mount, { ...work });
  const warm = await footprintOf(mount);
  for (const work of works.slice(0, AGAIN)) await run(mount, work);
  expectNoLeak(warm, await footprintOf(mount));
}

function each(seconds: number, argvs: readonly string[][]): Work[] {
  return argvs.map((argv) => ({ argv: argv.map((word) => word.replace("SECONDS", String(seconds))), seconds }));
}

const stress = requires("/dev/fuse", "CAP_SYS_ADMIN", "command stress-ng");
const fio = requires("/dev/fuse", "CAP_SYS_ADMIN", "command fio");
const dbench = requires("/dev/fuse", "CAP_SYS_ADMIN", "command dbench");

const seconds = (works: number): number => Math.max(1, Math.round(shareMs(0) / 1000 / KINDS.length / (works + Math.min(works, AGAIN))));

const stressSeconds = seconds(stressors.length);
for (const kind of STRESS)
  stress.test(
    `stress-ng finds nothing, ${kind}`,
    () =>
      mounted(kind, async (mount) => {
        const argvs = stressors.map((name) => ["stress-ng", "--temp-path", "@", "--timeout", "SECONDSs", "--verify", `--${name}`, "2"]);
        await twice(mount, each(stressSeconds, argvs));
        expect(readdirSync(mount.path("work")).sort()).toEqual(["below", "more"]);
      }),
    (stressSeconds + 10) * 1000 * (stressors.length + 3) + SPARE_MS,
  );

const fioSeconds = seconds(3);
const fioWith = (engine: string, ...more: string[]): string[] => [
  "fio",
  "--name=verify",
  "--directory=@",
  "--rw=randrw",
  "--bsrange=512-65536",
  "--size=4M",
  "--numjobs=2",
  "--verify=crc32c",
  "--verify_fatal=1",
  `--ioengine=${engine}`,
  "--time_based=0",
  `--loops=${soaking ? 40 : 1}`,
  "--runtime=SECONDS",
  ...more,
];
for (const kind of FIO)
  fio.test(
    `fio --verify finds nothing, ${kind}`,
    () =>
      mounted(kind, (mount) =>
        twice(
          mount,
          each(fioSeconds, [
            fioWith("psync"),
            fioWith("mmap"),
            fioWith("libaio", "--direct=1", "--bsrange=4096-65536", "--blockalign=4096", "--iodepth=8"),
          ]),
        ),
      ),
    fioSeconds * 6000 + SPARE_MS * 2,
  );

const dbenchSeconds = seconds(1);
for (const kind of DBENCH)
  dbench.test(
    `dbench finds nothing, ${kind}`,
    () => mounted(kind, (mount) => twice(mount, each(dbenchSeconds, [["dbench", "-D", "@", "-t", "SECONDS", "2"]]))),
    dbenchSeconds * 2000 + SPARE_MS * 2,
  );
