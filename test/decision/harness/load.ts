/** A load of opens from many processes, and the result of each. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUp, scratch } from "@sluice/testkit";

/** Times in milliseconds since 1970. */
export interface Open {
  startMs: number;
  endMs: number;
  file: string;
  errno: number;
}

export class Load {
  private constructor(
    private readonly child: ChildProcess,
    private readonly place: string,
    private readonly files: readonly string[],
  ) {}

  static start(processes: number, files: readonly string[]): Load {
    const place = scratch();
    const program = join(place, "opens");
    const built = spawnSync("cc", ["-O1", "-o", program, fileURLToPath(new URL("./opens.c", import.meta.url))], { encoding: "utf8" });
    if (built.status !== 0) throw new Error(`cannot compile opens.c: ${built.stderr}`);
    mkdirSync(join(place, "out"));
    const child = spawn(program, [join(place, "out"), join(place, "stop"), String(processes), ...files], { stdio: "inherit" });
    const load = new Load(child, place, files);
    // Before the mount ends, also if the test failed.
    cleanUp(() => load.stop().then(() => undefined));
    return load;
  }

  async stop(): Promise<Open[]> {
    writeFileSync(join(this.place, "stop"), "");
    if (this.child.exitCode === null) await once(this.child, "exit");
    const out = join(this.place, "out");
    return readdirSync(out).flatMap((name) =>
      readFileSync(join(out, name), "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line): Open => {
          const [start = 0, end = 0, file = 0, errno = 0] = line.split(" ").map(Number);
          return { startMs: start / 1000, endMs: end / 1000, file: this.files[file] as string, errno };
        }),
    );
  }
}
