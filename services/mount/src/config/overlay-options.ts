/**
 * Resolves the overlay's options together: defaults, options that imply others, and options that exclude each other, as in the kernel
 * (fs/overlayfs/params.c ovl_fs_params_verify).
 */
import { wrong } from "@sluice/runtime/cli";
import type { OptionString, Uuid, Xino } from "./option-values.js";

export interface OverlayOptions {
  userXattr: boolean;
  /** "follow": the overlay follows existing redirects and makes none. */
  redirectDir: "on" | "follow" | "nofollow";
  metacopy: boolean;
  /** "auto": see OverlayConfig. */
  index: "on" | "off" | "auto";
  xino: Xino;
  uuid: Uuid;
  /** The overlay also reads whiteouts and opaque marks in the forms of fuse-overlayfs and OCI layers. */
  foreignMarks: boolean;
  volatile: boolean;
}

type Given = Pick<OptionString, "userXattr" | "redirectDir" | "metacopy" | "index" | "xino" | "uuid" | "foreignMarks" | "volatile">;

/**
 * @param trusted whether trusted.* attributes can be written; if not, marks are user.* attributes, unless an option excludes them
 * @throws CliError if two options exclude each other
 */
export function overlayOptions(given: Given, { writable, trusted }: { writable: boolean; trusted: boolean }): OverlayOptions {
  // With redirect_always_follow, the kernel's default, "off" still follows existing redirects.
  const asked = given.redirectDir === "off" ? "follow" : given.redirectDir;
  const rest: Omit<OverlayOptions, "userXattr" | "redirectDir" | "metacopy"> = {
    index: writable ? (given.index ?? "auto") : "off",
    xino: given.xino ?? "auto",
    uuid: given.uuid ?? "auto",
    foreignMarks: given.foreignMarks === true,
    volatile: writable && given.volatile,
  };
  if (given.userXattr || (!trusted && given.redirectDir === undefined && given.metacopy === undefined)) {
    refuseForgeable(given);
    return { userXattr: true, redirectDir: "nofollow", metacopy: false, ...rest };
  }
  const metacopy = given.metacopy === true;
  // A mount without an upper layer makes no redirects, so "follow" equals "on".
  const enough = asked === undefined || asked === "on" || (asked === "follow" && !writable);
  if (metacopy && !enough) {
    throw wrong(
      `-o metacopy=on,redirect_dir=${given.redirectDir}`,
      "a metadata-only copy that is renamed needs a redirect",
      "leave one of them out, or say redirect_dir=on",
    );
  }
  return { userXattr: false, redirectDir: asked ?? "on", metacopy, ...rest };
}

/** A user who may write user.* attributes could forge a redirect or a metadata-only copy, and read files without permission. */
function refuseForgeable(given: Given): void {
  const why = (what: string): string => `not possible together with userxattr, as users could forge ${what}`;
  if (given.redirectDir !== undefined && given.redirectDir !== "nofollow") {
    throw wrong(`-o redirect_dir=${given.redirectDir}`, why("redirects"), "leave one of them out");
  }
  if (given.metacopy === true) throw wrong("-o metacopy=on", why("metadata-only copies"), "leave one of them out");
}
