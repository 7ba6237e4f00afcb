/** The values of option strings, before defaults: undefined means not given. */

import { nothingShown, type ShownGiven } from "../shown/shown-given.js";

export type RedirectDir = "on" | "off" | "follow" | "nofollow";
export type Xino = "on" | "off" | "auto";
export type Uuid = "null" | "off" | "auto";

export interface OptionString {
  lowers: string[] | undefined;
  dataLowers: string[];
  /** `lowerdir=` was given. It is the whole list, so no layer can be added. */
  lowerList: boolean;
  upper: string | undefined;
  work: string | undefined;
  source: string | undefined;
  setFlags: number;
  clearFlags: number;
  userXattr: boolean;
  redirectDir: RedirectDir | undefined;
  metacopy: boolean | undefined;
  index: "on" | "off" | undefined;
  xino: Xino | undefined;
  uuid: Uuid | undefined;
  foreignMarks: boolean | undefined;
  volatile: boolean;
  coherentReaders: boolean;
  sharedLower: boolean;
  cacheTtlMs: number | undefined;
  shown: ShownGiven;
  nonEmpty: boolean;
  allowOther: boolean;
  /** SELinux labels of the whole mount, by the option's name. */
  labels: Map<string, string>;
}

export function noOptions(): OptionString {
  return {
    lowers: undefined,
    dataLowers: [],
    lowerList: false,
    upper: undefined,
    work: undefined,
    source: undefined,
    setFlags: 0,
    clearFlags: 0,
    userXattr: false,
    redirectDir: undefined,
    metacopy: undefined,
    index: undefined,
    xino: undefined,
    uuid: undefined,
    foreignMarks: undefined,
    volatile: false,
    coherentReaders: false,
    sharedLower: false,
    cacheTtlMs: undefined,
    shown: nothingShown(),
    nonEmpty: false,
    allowOther: false,
    labels: new Map(),
  };
}
