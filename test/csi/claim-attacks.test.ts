/**
 * The pod that owns a claim tries to lead the driver and the host service out of it, or to another claim: it may change everything on its
 * claim at any time.
 */
import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { plant, requires, runSluice, startScript } from "@sluice/testkit";
import { beforeAll, beforeEach, expect } from "vitest";
import { Claim, type ClaimNode, leftovers, nextPod, startClaimNode, volumeOf, writable } from "./claim.js";
import { type CsiNode, type PodVolume, publishRequest } from "./csi-node.js";
import type { FakeCluster } from "./fake-cluster.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command openssl");

const OK = { code: status.OK };
const UNREADY = { code: status.FAILED_PRECONDITION };

let on: ClaimNode;
let node: CsiNode;
let cluster: FakeCluster;
/** A tree of the node that links of a claim lead to. */
let outside: string;

/** Files of the tree outside, with their owners and modes. */
function outsideState(): string {
  return readdirSync(outside, { recursive: true })
    .map(String)
    .toSorted()
    .map((path) => [path, statSync(join(outside, path)).uid, statSync(join(outside, path)).mode].join(" "))
    .join("\n");
}

/** Puts the link in place of a directory and takes it away again, at any moment and without a turn of the processor for each. */
const SWAPS = `import { existsSync, renameSync } from "node:fs";
const [at, name, stop, pauseMs] = process.argv.slice(1);
const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
process.chdir(at);
console.log("swaps");
for (; !existsSync(stop); pause(Number(pauseMs))) {
  try {
    for (const [from, to] of [[name, "held"], ["link", name], [name, "link"], ["held", name]]) {
      renameSync(from, to);
      pause(2 * Math.random());
    }
  } catch {
    // The driver made the directory meanwhile.
  }
}`;

describe("a volume on a claim", () => {
  beforeAll(async () => {
    on = await startClaimNode();
    ({ node, cluster } = on);
    outside = join(node.root, "outside");
  });

  beforeEach(() => {
    rmSync(outside, { recursive: true, force: true });
    plant(outside, { "upper/secret": "secret", "work/kept": "kept", "upper.new/kept": "kept" });
  });

  describe("never reaches anything but the claims of its pod", () => {
    test("a claim of another pod, and of another namespace", async () => {
      const claim = await Claim.make(on, "theirs");
      const other = nextPod();
      await claim.mountFor(other);
      const mine = writable(nextPod(), "theirs");
      expect(await node.publish(mine)).toMatchObject({ code: status.UNAVAILABLE });
      const { volumeContext } = publishRequest(mine, "");
      const elsewhere = { ...mine, facts: { ...volumeContext, "csi.storage.k8s.io/pod.namespace": "team-b" } };
      expect(await node.publish(elsewhere)).toMatchObject({
        ...UNREADY,
        details: expect.stringContaining("team-b has no such claim") as string,
      });
      // The facts are the kubelet's: attributes of the same name are lost, and a target of the other pod is refused.
      const forged = { ...mine, attributes: { ...mine.attributes, "csi.storage.k8s.io/pod.uid": other } };
      expect(await node.publish(forged)).toMatchObject({ code: status.UNAVAILABLE });
      const request = publishRequest(mine, node.target({ ...mine, pod: other }));
      expect(await node.call((client) => client.nodePublishVolume.bind(client), request)).toMatchObject({ code: status.INVALID_ARGUMENT });
      for (const name of ["../theirs", "a/b", "..", "Theirs", ""])
        expect(await node.publish(writable(mine.pod, name))).toMatchObject({ code: status.INVALID_ARGUMENT });
      for (const volume of ["../../../pod-1/volumes/x", "..", ""]) {
        cluster.bind("team-a", "odd", volume);
        expect(await node.publish(writable(mine.pod, "odd"))).toMatchObject({ code: status.UNAVAILABLE });
      }
      expect(await node.unpublish(mine)).toMatchObject(OK);
      expect(leftovers(node)).toEqual([]);
      expect(readdirSync(claim.path)).toEqual([]);
    });

    test("claims that the API does not name, or only with conditions", async () => {
      const pod = nextPod();
      const tried = async (claim: string): Promise<number> => (await node.publish(writable(pod, claim))).code;
      cluster.claims.set("team-a/pending", { spec: {}, status: { phase: "Pending" } });
      cluster.claims.set("team-a/refused", 403).set("team-a/broken", 500);
      cluster.bind("team-a", "device", "pvc-device", { spec: { volumeMode: "Block" } });
      cluster.bind("team-a", "foreign", "pvc-foreign");
      cluster.bind("team-b", "foreign", "pvc-foreign");
      expect(await tried("pending")).toBe(status.UNAVAILABLE);
      expect(await tried("broken")).toBe(status.UNAVAILABLE);
      for (const claim of ["absent", "refused", "device", "foreign"]) expect(await tried(claim)).toBe(status.FAILED_PRECONDITION);
      expect(await node.publish(volumeOf(pod, { source: "closed", upper: "pvc", upperClaim: "x" }))).toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
      expect(await node.unpublish(writable(pod, "x"))).toMatchObject(OK);
      expect(leftovers(node)).toEqual([]);
    });

    test("a claim on a FUSE file system, whose server could stop the node's mounts", async () => {
      const pod = nextPod();
      const plain: PodVolume = { pod, volume: "pvc-plain", attributes: { source: "models" } };
      expect(await node.publish(plain)).toMatchObject(OK);
      cluster.bind("team-a", "fuse", "pvc-plain");
      const refused = await node.publish(volumeOf(pod, { source: "data", lowerClaim: "fuse" }));
      expect(refused).toMatchObject({ ...UNREADY, details: expect.stringContaining("FUSE file system (fuse.sluice)") as string });
      expect(await node.unpublish(plain)).toMatchObject(OK);
    });

    for (const name of ["sluice", "sluice/work", "sluice/work/upper", "sluice/work/work", "sluice/work/upper.new"])
      test(`the target of a link in place of ${name}`, async () => {
        const claim = await Claim.make(on, `link-${name.replaceAll(/[^a-z]/g, "-")}`);
        const volume = writable(nextPod(), claim.name);
        await claim.mountFor(volume.pod);
        const before = outsideState();
        const target = name === "sluice/work/work" ? join(outside, "work") : name.endsWith("upper") ? join(outside, "upper") : outside;
        mkdirSync(join(claim.path, name, ".."), { recursive: true });
        symlinkSync(target, join(claim.path, name));
        for (const _ of [1, 2]) {
          const refused = await node.publish(volume);
          expect(refused.code).toBe(name.endsWith("new") ? status.FAILED_PRECONDITION : UNREADY.code);
          expect(refused.details).toMatch(/claim link.*(ELOOP|ENOTDIR)/);
        }
        expect(outsideState()).toBe(before);
        expect(leftovers(node)).toEqual([]);
        rmSync(join(claim.path, name));
        expect(await node.publish(volume)).toMatchObject(OK);
        expect(await node.unpublish(volume)).toMatchObject(OK);
      });

    test("the target of links that come and go during the call", async () => {
      const claim = await Claim.make(on, "swapped");
      const before = outsideState();
      mkdirSync(join(claim.path, "sluice/work/upper"), { recursive: true });
      mkdirSync(join(outside, "work/upper"));
      rmSync(join(outside, "work/upper"), { recursive: true });
      symlinkSync(join(outside, "upper"), join(claim.path, "sluice/work/link"));
      symlinkSync(outside, join(claim.path, "link"));
      const stop = join(claim.path, "stop");
      // The inner one is in its directory before the outer one takes that directory's path away.
      const inner = startScript(SWAPS, { args: [join(claim.path, "sluice/work"), "upper", stop, "1"] });
      await inner.waitFor("swaps");
      const outer = startScript(SWAPS, { args: [claim.path, "sluice", stop, "11"] });
      await outer.waitFor("swaps");
      let tries = 0;
      for (; tries < 25; tries++) {
        const volume = writable(nextPod(), "swapped");
        await claim.mountFor(volume.pod);
        const { code, details } = await node.publish(volume);
        if (code === status.OK) expect(await node.inPod(volume, "echo x >/mnt/x; ls /mnt", "0")).not.toContain("secret");
        else expect(details).toMatch(/claim swapped|ELOOP|ENOENT|ENOTDIR|ESTALE/);
        expect(await node.unpublish(volume)).toMatchObject(OK);
        expect(outsideState()).toBe(before);
      }
      writeFileSync(stop, "");
      for (const script of [inner, outer]) await script.finished;
      expect(outsideState()).toBe(before);
      expect(leftovers(node)).toEqual([]);
    });

    test("the target of a link that replaces the upper layer between the driver's step and the mount", async () => {
      const claim = await Claim.make(on, "between");
      const before = outsideState();
      for (let tries = 0; tries < 8; tries++) {
        rmSync(join(claim.path, "sluice"), { recursive: true, force: true });
        mkdirSync(join(claim.path, "sluice/work"), { recursive: true });
        const swap = `until mv -T upper held 2>/dev/null; do :; done; ln -s ${join(outside, "upper")} upper`;
        const swapper = startScript(["sh", "-c", `cd ${claim.path}/sluice/work && echo waits; ${swap}`]);
        await swapper.waitFor("waits");
        const volume = writable(nextPod(), "between");
        await claim.mountFor(volume.pod);
        const { code, details } = await node.publish(volume);
        if (code === status.OK) expect(await node.inPod(volume, "echo x >/mnt/x; ls /mnt", "0")).not.toContain("secret");
        else expect(details).toMatch(/ELOOP|ENOENT|ENOTDIR|ESTALE/);
        await swapper.finished;
        expect(await node.unpublish(volume)).toMatchObject(OK);
        expect(outsideState()).toBe(before);
      }
    });

    test("files by hard links, or directories that the pod puts in place of the driver's", async () => {
      const claim = await Claim.make(on, "tricks");
      const volume = writable(nextPod(), "tricks");
      await claim.mountFor(volume.pod);
      plant(join(claim.path, "mine"), { kept: "kept" });
      mkdirSync(join(claim.path, "sluice/work"), { recursive: true });
      renameSync(join(claim.path, "mine"), join(claim.path, "sluice/work/upper.new"));
      expect(await node.publish(volume)).toMatchObject({ ...UNREADY, details: expect.stringContaining("(ENOTEMPTY)") as string });
      renameSync(join(claim.path, "sluice/work/upper.new"), join(claim.path, "mine"));
      expect(await node.publish(volume)).toMatchObject(OK);
      linkSync(join(claim.path, "mine/kept"), join(claim.upper, "linked"));
      expect(await node.inPod(volume, "cat /mnt/linked")).toBe("kept");
      expect(await node.unpublish(volume)).toMatchObject(OK);
    });

    test("a link that takes the place of the layers later, also for the next server", async () => {
      const kept = await startClaimNode(["--keeper", "on"]);
      const claim = await Claim.make(kept, "kept");
      const volume = writable(nextPod(), "kept");
      await claim.mountFor(volume.pod);
      expect(await kept.node.publish(volume)).toMatchObject(OK);
      const away = join(claim.path, "away");
      renameSync(claim.upper, away);
      symlinkSync(join(outside, "upper"), claim.upper);
      const before = outsideState();
      const { stdout } = await runSluice(["status", kept.node.target(volume), "--json"]);
      process.kill((JSON.parse(stdout) as { pid: number }).pid, "SIGKILL");
      expect(await kept.node.inPod(volume, "echo made >/mnt/made; ls /mnt", "0")).toBe("dir\nmade\nweights\n");
      expect(readFileSync(join(away, "made"), "utf8")).toBe("made\n");
      expect(await kept.node.publish(volume)).toMatchObject(OK);
      expect(await kept.node.unpublish(volume)).toMatchObject(OK);
      expect(outsideState()).toBe(before);
      expect(leftovers(kept.node)).toEqual([]);
    });
  });
});
