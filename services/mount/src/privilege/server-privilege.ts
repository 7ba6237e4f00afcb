/**
 * How much privilege the server of a keeper has. Only the keeper needs CAP_SYS_ADMIN: a server has it if it reads marks in trusted.*
 * attributes, for which the kernel demands it. Each result is a column of the table in docs/security.md.
 */
import { CAP, capabilityMask } from "@sluice/native";
import { wrong } from "@sluice/runtime/cli";
import type { MountConfig, UserIds } from "../config/mount-config.js";
import { serverMask } from "./least-privilege.js";

export interface ServerPrivilege {
  capabilities: bigint;
  /** The user that it runs as. Nobody else is served. */
  user: UserIds | undefined;
  /** The keeper registers backing files. Otherwise the server may, and saves a message for each open. */
  registerByKeeper: boolean;
  allowOther: boolean;
}

type AskedPrivilege = Pick<MountConfig, "userXattr" | "privilege" | "user" | "allowOther" | "keeper">;

const withoutAdmin = serverMask & ~capabilityMask(CAP.SYS_ADMIN);

function privilegeForUser({ userXattr, allowOther }: AskedPrivilege, user: UserIds): ServerPrivilege {
  if (!userXattr) {
    throw wrong("--user", "a server without privilege cannot read trusted.* attributes", "add -o userxattr");
  }
  if (allowOther) throw wrong("-o allow_other", "a server without privilege cannot act as other users", "leave --user or allow_other out");
  return { capabilities: 0n, user, registerByKeeper: true, allowOther: false };
}

/** @throws CliError, exit code 2, if the options contradict each other */
export function serverPrivilege(asked: AskedPrivilege): ServerPrivilege {
  if (asked.keeper === "off" && (asked.user !== undefined || asked.privilege === "strict")) {
    throw wrong(
      asked.user === undefined ? "--privilege strict" : "--user",
      "without a keeper nobody else has the privilege",
      "add --keeper on",
    );
  }
  if (asked.user !== undefined) return privilegeForUser(asked, asked.user);
  const registerByKeeper = asked.userXattr || asked.privilege === "strict";
  return { capabilities: asked.userXattr ? withoutAdmin : serverMask, user: undefined, registerByKeeper, allowOther: true };
}
