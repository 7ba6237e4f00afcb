import { MS } from "@sluice/native";
import { expect, test } from "vitest";
import { parseOptionStrings } from "./option-string.js";

test("an overlayfs string with escapes", () => {
  const parsed = parseOptionStrings(["lowerdir=/a\\:1:/b,upperdir=/u\\,v,workdir=/w,noatime,ro"]);
  expect(parsed).toMatchObject({ lowers: ["/a:1", "/b"], upper: "/u,v", work: "/w", setFlags: MS.NOATIME | MS.RDONLY });
});

test("later words win over earlier ones", () => {
  expect(parseOptionStrings(["nosuid,ro", "suid,rw"])).toMatchObject({ setFlags: 0, clearFlags: MS.NOSUID | MS.RDONLY });
});

test("userxattr turns redirects off, and refuses to have them turned on", () => {
  expect(parseOptionStrings(["userxattr"]).redirectDir).toBe("off");
  expect(() => parseOptionStrings(["userxattr,redirect_dir=on"])).toThrow(/redirect_dir=on: not possible together with userxattr/);
});

test.each(["fastest", "lowerdir", "lowerdir=", "ro=1", "timeout=soon", "xino=on", "redirect_dir=nofollow", "subtype=other", "index=on"])(
  "%s is an error that names it",
  (word) => {
    expect(() => parseOptionStrings([word])).toThrow(`-o ${word}: `);
  },
);

test.each(["", "defaults", "index=off,metacopy=off", "default_permissions,allow_other", "subtype=sluice,fsname=x"])(
  "%s is understood",
  (text) => {
    expect(() => parseOptionStrings([text])).not.toThrow();
  },
);
