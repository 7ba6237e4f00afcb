/**
 * The facts of a question in the form in which an `Inquiry` gives them: cached answers are compared by these. Every
 * reader of current facts writes them with the same functions, so that equal facts are equal text.
 */
import { type Head, type Inquiry, NO_XATTR, type Question, type TextFact } from "./domain.js";

export function xattrText(value: Uint8Array | undefined): string {
  return value === undefined ? NO_XATTR : `=${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1")}`;
}

export function groupsText(groups: readonly number[]): string {
  return groups.join();
}

/** A shorter head that is all of a file is not the same as the beginning of a longer one. */
export function headText({ bytes, askedBytes }: Head): string {
  return `${askedBytes}:${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")}`;
}

export function ownerText(uid: number, gid: number): string {
  return `${uid}:${gid}`;
}

/** A user or group that nobody knows equals none. */
export const UNKNOWN_ID = -1;

class AskedInquiry implements Inquiry {
  readonly operation;
  readonly accesses;
  readonly paths;
  readonly uid: number;
  readonly gid: number;

  constructor(private readonly question: Question) {
    this.operation = question.operation;
    this.accesses = question.accesses;
    this.paths = question.resource.paths;
    this.uid = this.misses("subject.uid") ? UNKNOWN_ID : question.subject.uid;
    this.gid = this.misses("subject.gid") ? UNKNOWN_ID : question.subject.gid;
  }

  private misses(name: string): boolean {
    return this.question.missing.some((fact) => fact.name === name);
  }

  fact(fact: TextFact): string | undefined {
    const { subject, resource } = this.question;
    switch (fact) {
      case "groups":
        return subject.groups === undefined || this.misses("subject.groups") ? undefined : groupsText(subject.groups);
      case "executable":
        return subject.executable;
      case "cgroup":
        return subject.cgroup;
      case "layer":
        return resource.layer;
      case "kind":
        return resource.kind;
      case "size":
        return resource.sizeBytes.toString();
      case "mode":
        return resource.mode.toString();
      case "owner":
        return ownerText(resource.uid, resource.gid);
      case "content":
        return resource.head && headText(resource.head);
      case "digest":
        return resource.digest;
    }
  }

  xattr(name: string): string | undefined {
    const { resource, lookedFor } = this.question;
    const value = resource.xattrs.get(name);
    const fact = `resource.xattr.${name}`;
    // Missing although it has a value: policies take such a fact for missing, too.
    if (this.misses(fact) || (value === undefined && lookedFor?.includes(fact) !== true)) return undefined;
    return xattrText(value);
  }
}

/** The facts that a question carries. */
export function inquiryOf(question: Question): Inquiry {
  return new AskedInquiry(question);
}
