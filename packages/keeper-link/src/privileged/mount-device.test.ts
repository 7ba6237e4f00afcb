import { expect, test } from "vitest";
import { mountData } from "./mount-device.js";

test("the data of mount(2) names the permitted users, and labels literally", () => {
  const words = "fd=7,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other";
  expect(mountData(7, { allowOther: true })).toBe(words);
  expect(mountData(7, { allowOther: true, labels: ['context="u:r:t:s0:c1,c2"', 'fscontext="x"'] })).toBe(
    `${words},context="u:r:t:s0:c1,c2",fscontext="x"`,
  );
  expect(mountData(7, { allowOther: false, owner: { uid: 3, gid: 4 } })).toBe(
    "fd=7,rootmode=40000,user_id=3,group_id=4,default_permissions",
  );
});
