import { expect, test } from "vitest";
import { noOptions, type OptionString } from "./option-values.js";
import { overlayOptions } from "./overlay-options.js";

const resolved = (given: Partial<OptionString>, writable = true): ReturnType<typeof overlayOptions> =>
  overlayOptions({ ...noOptions(), ...given }, { writable, trusted: true });

test("marks are user.* where trusted.* cannot be written, unless an option excludes that", () => {
  const usesUserXattrs = (given: Partial<OptionString>): boolean =>
    overlayOptions({ ...noOptions(), ...given }, { writable: true, trusted: false }).userXattr;
  expect(usesUserXattrs({})).toBe(true);
  expect(usesUserXattrs({ redirectDir: "on" })).toBe(false);
  expect(usesUserXattrs({ metacopy: true })).toBe(false);
});

test("resolves the defaults", () => {
  expect(resolved({})).toEqual({
    userXattr: false,
    redirectDir: "on",
    metacopy: false,
    index: "auto",
    xino: "auto",
    uuid: "auto",
    foreignMarks: false,
    volatile: false,
  });
});

test("redirect_dir=off follows what is there, as in the kernel with redirect_always_follow", () => {
  expect(resolved({ redirectDir: "off" }).redirectDir).toBe("follow");
});

test("userxattr neither follows nor makes redirects and metadata-only copies", () => {
  expect(resolved({ userXattr: true })).toMatchObject({ redirectDir: "nofollow", metacopy: false });
  expect(() => resolved({ userXattr: true, redirectDir: "nofollow" })).not.toThrow();
  for (const redirectDir of ["on", "off", "follow"] as const) {
    expect(() => resolved({ userXattr: true, redirectDir })).toThrow(
      /not possible together with userxattr, as users could forge redirects/,
    );
  }
  expect(() => resolved({ userXattr: true, metacopy: true })).toThrow(/metadata-only copies/);
});

test("metacopy needs redirects", () => {
  expect(resolved({ metacopy: true })).toMatchObject({ redirectDir: "on", metacopy: true });
  expect(() => resolved({ metacopy: true, redirectDir: "follow" })).toThrow("-o metacopy=on,redirect_dir=follow: ");
  expect(() => resolved({ metacopy: true, redirectDir: "nofollow" }, false)).toThrow("-o metacopy=on,redirect_dir=nofollow: ");
  expect(resolved({ metacopy: true, redirectDir: "follow" }, false).metacopy).toBe(true);
});

test("without an upper layer there is no index, and nothing to be volatile", () => {
  expect(resolved({ index: "on", volatile: true }, false)).toMatchObject({ index: "off", volatile: false });
});
