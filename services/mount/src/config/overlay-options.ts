/**
 * What the overlay's options come to together: defaults, what one brings along, and which exclude each other, as the
 * kernel has it (fs/overlayfs/params.c ovl_fs_params_verify).
 */
import { wrong } from "@sluice/runtime/cli";
import type { OptionString, Uuid, Xino } from "./option-values.js";

export interface OverlayOptions {
  userXattr: boolean;
  /** "follow": those that exist are followed, none is made. */
  redirectDir: "on" | "follow" | "nofollow";
  metacopy: boolean;
  /** "auto": see OverlayConfig. */
  index: "on" | "off" | "auto";
  xino: Xino;
  uuid: Uuid;
  /** Whiteouts and opaque marks in the forms of fuse-overlayfs and OCI layers are read, too. */
  foreignMarks: boolean;
  volatile: boolean;
}

type Given = Pick<OptionString, "userXattr" | "redirectDir" | "metacopy" | "index" | "xino" | "uuid" | "foreignMarks" | "volatile">;

/**
 * @param trusted whether trusted.* attributes can be written: elsewhere marks are user.*, unless an option excludes them
 * @throws CliError where two options exclude each other
 */
export function overlayOptions(given: Given, { writable, trusted }: { writable: boolean; trusted: boolean }): OverlayOptions {
  // Where the kernel's redirect_always_follow is set, as by default, its "off" follows what exists.
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
  // On a mount without an upper layer nothing is made, and "follow" is as good as "on".
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

/** Whoever may write user.* could forge a redirect or a metadata-only copy, and read what they may not. */
function refuseForgeable(given: Given): void {
  const why = (what: string): string => `not possible together with userxattr, as users could forge ${what}`;
  if (given.redirectDir !== undefined && given.redirectDir !== "nofollow") {
    throw wrong(`-o redirect_dir=${given.redirectDir}`, why("redirects"), "leave one of them out");
  }
  if (given.metacopy === true) throw wrong("-o metacopy=on", why("metadata-only copies"), "leave one of them out");
}
