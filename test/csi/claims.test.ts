/** Volumes with a layer on a PersistentVolumeClaim, called as the kubelet calls, on real mounts. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { eventually, requires, scriptOutput } from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { beforeAll, expect } from "vitest";
import { Claim, type ClaimNode, leftovers, nextPod, startClaimNode, volumeOf, writable } from "./claim.js";
import type { CsiNode, PodVolume } from "./csi-node.js";
import type { FakeCluster } from "./fake-cluster.js";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command openssl");

const OK = { code: status.OK };
const UNREADY = { code: status.FAILED_PRECONDITION };

let on: ClaimNode;
let node: CsiNode;
let cluster: FakeCluster;

/** Another overlay cannot be an upper layer. */
function overlayOptions(): string {
  const below = join(node.root, "below");
  for (const name of ["lower", "upper", "work"]) mkdirSync(join(below, name), { recursive: true });
  return ["lower", "upper", "work"].map((name) => `${name}dir=${join(below, name)}`).join(",");
}

describe("a volume on a claim", () => {
  beforeAll(async () => {
    on = await startClaimNode();
    ({ node, cluster } = on);
  });

  describe("with upper: pvc", () => {
    test("keeps its changes on the claim, from pod to pod and through kills of driver and host service", async () => {
      const claim = await Claim.make(on, "scratch");
      const [first, second] = [nextPod(), nextPod()].map((pod) => writable(pod, "scratch")) as [PodVolume, PodVolume];
      await claim.mountFor(first.pod);
      for (const _ of [1, 2]) expect(await node.publish(first)).toMatchObject(OK);
      expect(await node.inPod(first, "echo made >/mnt/made && rm /mnt/weights && ls /mnt", "0")).toBe("dir\nmade\n");
      expect(readFileSync(join(claim.upper, "made"), "utf8")).toBe("made\n");
      expect(statSync(join(claim.path, "sluice")).mode & 0o777).toBe(0o700);
      await node.killDriver();
      await node.killHost();
      await node.startHost();
      await node.startDriver();
      expect(await node.publish(first)).toMatchObject(OK);
      expect(await node.inPod(first, "cat /mnt/made")).toBe("made\n");
      for (const _ of [1, 2]) expect(await node.unpublish(first)).toMatchObject(OK);
      expect(leftovers(node)).toEqual([]);
      await claim.mountFor(second.pod);
      expect(await node.publish({ ...second, group: "2000" })).toMatchObject(OK);
      expect(await node.inPod(second, "cat /mnt/made; ls /mnt")).toBe("made\ndir\nmade\n");
      expect(await node.unpublish(second)).toMatchObject(OK);
      expect(existsSync(join(claim.upper, "made"))).toBe(true);
      expect(leftovers(node)).toEqual([]);
    });

    test("may be published and unpublished in any order, twice, and after kills of the driver and the host service", async () => {
      const claim = await Claim.make(on, "ordered");
      const volume = writable(nextPod(), "ordered");
      await claim.mountFor(volume.pod);
      const random = seededRandom(21);
      let published = false;
      for (let step = 0; step < 16; step++) {
        const call = random.of(["publish", "publish", "unpublish", "unpublish", "kill driver", "kill host"] as const);
        if (call === "kill driver") await node.killDriver().then(() => node.startDriver());
        else if (call === "kill host") {
          await node.killHost();
          await node.startHost();
          // As the kubelet does within two minutes.
          if (published) expect(await node.publish(volume)).toMatchObject(OK);
        } else {
          published = call === "publish";
          expect(await node[call](volume)).toMatchObject(OK);
        }
        if (published) expect(await node.inPod(volume, `echo ${step} >>/mnt/steps; cat /mnt/weights`, "0")).toBe("weights");
        else expect(leftovers(node)).toEqual([]);
      }
      expect(await node.unpublish(volume)).toMatchObject(OK);
      expect(leftovers(node)).toEqual([]);
      expect(readFileSync(join(claim.upper, "steps"), "utf8").split("\n").length).toBeGreaterThan(3);
    });

    test("gives the root of the volume to the pod's group", async () => {
      const claim = await Claim.make(on, "grouped");
      const volume = writable(nextPod(), "grouped");
      await claim.mountFor(volume.pod);
      expect(await node.publish({ ...volume, group: "2000" })).toMatchObject(OK);
      expect(await node.inPod(volume, "stat -c '%g %a' /mnt; echo made >/mnt/made", "2000")).toBe("2000 2775\n");
      expect(await node.inPod(volume, "mv /mnt/dir /mnt/moved 2>&1; cat /mnt/moved/inner", "0")).toBe("inner");
      expect(await node.unpublish(volume)).toMatchObject(OK);
    });

    test("waits until the kubelet has mounted the claim for this pod, and holds the claim's mount until it ends", async () => {
      const claim = await Claim.make(on, "late");
      const volume = writable(nextPod(), "late");
      expect(await node.publish(volume)).toMatchObject({
        code: status.UNAVAILABLE,
        details: expect.stringContaining("not mounted") as string,
      });
      // The kubelet makes the directory first.
      mkdirSync(claim.place(volume.pod), { recursive: true });
      expect(await node.publish(volume)).toMatchObject({ code: status.UNAVAILABLE });
      await claim.mountFor(volume.pod);
      expect(await node.publish(volume)).toMatchObject(OK);
      // The kubelet may take the claim from the pod first. Its device is in use as long as the volume is there.
      await scriptOutput(["umount", claim.place(volume.pod)]);
      // Of this node: other tests have claims in the same mount namespace.
      const roots = (): number => {
        const lines = readFileSync("/proc/self/mountinfo", "latin1").split("\n");
        return lines.filter((line) => line.includes(" - tmpfs claim ") && line.includes(` ${node.root}/`)).length;
      };
      const during = roots();
      expect(await node.inPod(volume, "echo late >/mnt/late", "0")).toBe("");
      expect(await node.unpublish(volume)).toMatchObject(OK);
      expect(roots()).toBe(during - 1);
      expect(readFileSync(join(claim.upper, "late"), "utf8")).toBe("late\n");
    });

    test("is refused while another pod has the same volume, and serves after its end", async () => {
      const claim = await Claim.make(on, "shared");
      const [first, second] = [nextPod(), nextPod()].map((pod) => writable(pod, "shared")) as [PodVolume, PodVolume];
      await claim.mountFor(first.pod);
      expect(await node.publish(first)).toMatchObject(OK);
      expect(await node.publish(second)).toMatchObject({ code: status.UNAVAILABLE });
      await claim.mountFor(second.pod);
      const refused = await node.publish(second);
      expect(refused).toMatchObject({ ...UNREADY, details: expect.stringContaining("claim shared: another mount writes") as string });
      // The kubelet may never unpublish it, and the claim must not stay in use.
      expect(leftovers(node).filter((path) => path.includes(second.pod))).toEqual([]);
      expect(await node.inPod(first, "cat /mnt/weights")).toBe("weights");
      expect(await node.unpublish(first)).toMatchObject(OK);
      expect(await node.publish(second)).toMatchObject(OK);
      expect(await node.unpublish(second)).toMatchObject(OK);
      expect(leftovers(node)).toEqual([]);
    });

    test("is refused on a claim that cannot have an upper layer, with the reason", async () => {
      const readOnly = await Claim.make(on, "read-only");
      const poor = await Claim.make(on, "poor", { type: "overlay", options: overlayOptions() });
      const bare = await Claim.make(on, "bare", { type: "ramfs" });
      const [one, other, third] = ["read-only", "poor", "bare"].map((name) => writable(nextPod(), name)) as [
        PodVolume,
        PodVolume,
        PodVolume,
      ];
      await readOnly.mountFor(one.pod);
      await bare.mountFor(third.pod);
      await poor.mountFor(other.pod);
      const refused = { ...UNREADY, details: expect.stringContaining("claim read-only: it is read-only (EROFS)") as string };
      cluster.bind("team-a", "read-only", readOnly.volume, { spec: { accessModes: ["ReadOnlyMany"] } });
      expect(await node.publish(one)).toMatchObject(refused);
      cluster.bind("team-a", "read-only", readOnly.volume, { storage: { csi: { readOnly: true } } });
      expect(await node.publish(one)).toMatchObject(refused);
      cluster.bind("team-a", "read-only", readOnly.volume);
      await readOnly.makeReadOnly();
      expect(await node.publish(one)).toMatchObject(refused);
      expect(await node.publish(other)).toMatchObject({ ...UNREADY, details: expect.stringContaining("takes no whiteouts") as string });
      expect(await node.publish(third)).toMatchObject({ ...UNREADY, details: expect.stringContaining("no trusted extended") as string });
      for (const volume of [one, other, third]) expect(await node.unpublish(volume)).toMatchObject(OK);
      expect(leftovers(node)).toEqual([]);
    });
  });

  describe("with the lower layer on a claim", () => {
    test("shows the claim with its changes, also a read-only one, and never writes to it", async () => {
      const claim = await Claim.make(on, "data");
      writeFileSync(join(claim.path, "file"), "one");
      const volume = volumeOf(nextPod(), { source: "data", lowerClaim: "data", upper: "ephemeral" });
      expect(await node.publish(volume)).toMatchObject({ code: status.UNAVAILABLE });
      await claim.mountFor(volume.pod, "local-volume");
      for (const _ of [1, 2]) expect(await node.publish(volume)).toMatchObject(OK);
      expect(await node.inPod(volume, "cat /mnt/file; echo two >/mnt/file; cat /mnt/file", "0")).toBe("onetwo\n");
      writeFileSync(join(claim.path, "later"), "later");
      await eventually("the change appears", 30_000, async () => (await node.inPod(volume, "cat /mnt/later")) === "later");
      expect(await node.unpublish(volume)).toMatchObject(OK);
      expect(readFileSync(join(claim.path, "file"), "utf8")).toBe("one");
      await claim.makeReadOnly();
      expect(await node.publish(volume)).toMatchObject(OK);
      expect(await node.inPod(volume, "cat /mnt/file")).toBe("one");
      expect(await node.unpublish(volume)).toMatchObject(OK);
      expect(leftovers(node)).toEqual([]);
    });

    test("may have its changes on another claim", async () => {
      const [data, changes] = [await Claim.make(on, "below"), await Claim.make(on, "above")];
      writeFileSync(join(data.path, "file"), "one");
      const volume = volumeOf(nextPod(), { source: "data", lowerClaim: "below", upper: "pvc", upperClaim: "above" });
      for (const claim of [data, changes]) await claim.mountFor(volume.pod);
      expect(await node.publish(volume)).toMatchObject(OK);
      expect(await node.inPod(volume, "echo two >>/mnt/file; cat /mnt/file", "0")).toBe("onetwo\n");
      expect(readFileSync(join(changes.upper, "file"), "utf8")).toBe("onetwo\n");
      expect(await node.unpublish(volume)).toMatchObject(OK);
    });
  });
});
