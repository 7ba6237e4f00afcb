import { expect, test } from "vitest";
import { checkLabels } from "./check-labels.js";

const WITH = "nodev\tsysfs\nnodev\tselinuxfs\n\text4\n";
const WITHOUT = "nodev\tsysfs\n\text4\n";
const labels = ['context="system_u:object_r:container_file_t:s0:c1,c2"'];

test("without a label any engine will do, on any kernel", () => {
  expect(checkLabels({ labels: [], engine: "auto" }, WITHOUT)).toBe("auto");
  expect(checkLabels({ labels: [], engine: "fuse-native" }, WITH)).toBe("fuse-native");
});

test("a label is for a kernel that runs SELinux, and the engine that passes it on", () => {
  expect(checkLabels({ labels, engine: "auto" }, WITH)).toBe("devfuse");
  expect(() => checkLabels({ labels, engine: "auto" }, WITHOUT)).toThrow(/container_file_t.*no SELinux/);
  expect(() => checkLabels({ labels, engine: "fuse-native" }, WITH)).toThrow(/fuse-native passes no label/);
});
