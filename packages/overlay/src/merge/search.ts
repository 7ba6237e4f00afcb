/** The state of one merged lookup. */
import type { ByteName } from "@sluice/vfs";
import type { MergedLayers } from "./merged-layers.js";
import type { Found } from "../node/found.js";
import type { Redirect } from "../marks/redirect.js";

/** Nothing waits while a search goes on: one object serves all. */
export class Search {
  /** An absolute redirect's path: where to go on in the layers below, from their roots. */
  path: ByteName[] | undefined = undefined;
  /** A redirect was met: going on follows it. */
  redirected = false;
  /** The redirect that was read last is an absolute one. */
  absolute = false;
  /** The object is a metadata-only copy whose data was not found yet. */
  wantsData = false;
  stop = false;

  /** Changed by a relative redirect: what to look for in the parent's directories of the layers below, wherever those lie. */
  name: ByteName = "";

  constructor(
    public core: MergedLayers,
    public found: Found,
  ) {}

  begin(core: MergedLayers, found: Found, name: ByteName): this {
    this.core = core;
    this.found = found;
    this.name = name;
    this.path = undefined;
    this.redirected = this.absolute = this.wantsData = this.stop = false;
    return this;
  }

  /**
   * Takes a redirect up. A relative one is another name in the same merged directory; on a path from the roots, another
   * component of it, with `remaining` ones after it.
   */
  redirect(to: Redirect, remaining: number): void {
    const path = this.path ?? [];
    const at = path.length - remaining - 1;
    const rest = path.slice(at + 1);
    this.redirected = true;
    this.absolute = to.absolute;
    if (to.absolute) this.path = [...to.components, ...(remaining === 0 ? [] : rest)];
    else if (this.path !== undefined) this.path = [...path.slice(0, at), ...to.components, ...rest];
    else this.name = to.components[0] as ByteName;
    // An opaque directory on the way does not hide what is redirected out of it (fs/overlayfs/namei.c ovl_check_redirect).
    if (to.absolute) this.stop = false;
  }
}
