import { expect, test } from "vitest";
import { bwrapArguments, type Confinement } from "./bwrap-arguments.js";

const PLAN: Confinement = {
  asRoot: false,
  uid: 1000,
  gid: 1000,
  network: "host",
  base: "/srv/project",
  view: "/srv/state/sluice/sessions/one/view",
  state: "/srv/state/sluice",
  home: undefined,
  credentials: [],
  writable: [],
  readOnly: [],
  emptied: ["/run"],
  reachable: ["/srv/shown.sock"],
  mounts: [],
};

test("covers each socket that the command would see, but those that it may reach and those that other covers hide", () => {
  const other = "/srv/state/sluice/sessions/two/control.sock";
  const words = bwrapArguments(PLAN)(["/srv/app.sock", "/srv/shown.sock", "/run/bus", "/tmp/x.sock", other]);
  const covered = words.filter((_, at) => words[at - 1] === "/dev/null" && words[at - 2] === "--ro-bind");
  // The state is no directory here.
  expect(covered).toEqual(["/srv/app.sock", PLAN.state]);
});

test("mounts each directory between one that the command may write and the view in it, so that it cannot be moved", () => {
  const plan = { ...PLAN, base: "/srv/a/b/project", writable: ["/srv/a", "/elsewhere", "/srv"] };
  const words = bwrapArguments(plan)([]);
  const bound = words.filter((word, at) => words[at - 1] === "--bind" && words[at + 1] === word);
  expect(bound).toEqual(["/srv", "/srv/a", "/srv/a/b", "/elsewhere", "/srv/state", "/srv/shown.sock"]);
});

test("shows a directory in another by its own kind, and by the stricter one if both are named", () => {
  const plan = { ...PLAN, base: "/srv/a/b/c/project", writable: ["/srv/a/b/c/d", "/srv/a", "/both"], readOnly: ["/srv/a/b", "/both"] };
  const words = bwrapArguments(plan)([]);
  const bound = words.flatMap((word, at) => (words[at + 1] === words[at + 2] && word.endsWith("bind") ? [`${word} ${words[at + 1]}`] : []));
  // Nothing can be moved in a directory that is read-only, and it is a mount point itself.
  expect(bound.filter((each) => / \/(srv\/a|both)/.test(each))).toEqual([
    "--bind /both",
    "--ro-bind /both",
    "--bind /srv/a",
    "--ro-bind /srv/a/b",
    "--bind /srv/a/b/c/d",
  ]);
});
