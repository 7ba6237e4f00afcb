/**
 * How much privilege a kept server has. Only the keeper needs CAP_SYS_ADMIN: a server has it where the kernel demands it
 * of whoever reads the layers' marks, which are trusted.* attributes unless they are kept in user.*. Each shape is a
 * column of the table in docs/security.md.
 */
import { CAP, capabilityMask } from "@sluice/native";
import { wrong } from "@sluice/runtime/cli";
import type { MountConfig, UserIds } from "../config/mount-config.js";
import { keptMask } from "./least-privilege.js";

export interface ServerShape {
  capabilities: bigint;
  /** Whom it runs as: nobody else is served. */
  user: UserIds | undefined;
  /** The keeper registers backing files. Else the server does: it may, and saves a message an open. */
  registerByKeeper: boolean;
  allowOther: boolean;
}

type Asked = Pick<MountConfig, "userXattr" | "privilege" | "user" | "allowOther" | "keeper">;

const withoutAdmin = keptMask & ~capabilityMask(CAP.SYS_ADMIN);

function shapeForUser({ userXattr, allowOther }: Asked, user: UserIds): ServerShape {
  if (!userXattr) {
    throw wrong("--user", "a server without privilege cannot read trusted.* attributes", "add -o userxattr");
  }
  if (allowOther) throw wrong("-o allow_other", "a server without privilege cannot act as other users", "leave --user or allow_other out");
  return { capabilities: 0n, user, registerByKeeper: true, allowOther: false };
}

/** @throws CliError, exit code 2, where what is asked for does not go together */
export function serverShape(asked: Asked): ServerShape {
  if (asked.keeper === "off" && (asked.user !== undefined || asked.privilege === "strict")) {
    throw wrong(
      asked.user === undefined ? "--privilege strict" : "--user",
      "without a keeper nobody else has the privilege",
      "add --keeper on",
    );
  }
  if (asked.user !== undefined) return shapeForUser(asked, asked.user);
  const registerByKeeper = asked.userXattr || asked.privilege === "strict";
  return { capabilities: asked.userXattr ? withoutAdmin : keptMask, user: undefined, registerByKeeper, allowOther: true };
}
