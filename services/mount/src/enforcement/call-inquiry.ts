/**
 * The facts of a question, each read from the caller and the object only if a cached answer depends on it. A gate has one such object for
 * all inquiries, since a look into the cache never waits.
 */
import {
  bytesOfText,
  type FactNeeds,
  groupsText,
  type Inquiry,
  type MissingFact,
  NO_FACTS,
  ownerText,
  type Subject,
  type TextFact,
  UNKNOWN_ID,
  xattrText,
} from "@sluice/decision-api";
import type { Intent } from "@sluice/overlay";
import type { CallContext } from "@sluice/vfs";
import type { ContentReader } from "./facts/content-facts.js";
import { kindOf } from "./facts/resource-facts.js";
import { readSubject } from "./facts/subject-facts.js";

export class CallInquiry implements Inquiry {
  #call: CallContext | undefined;
  #intent: Intent | undefined;
  /** Each is read at most once per inquiry. */
  #subject: Subject | undefined;
  #wanted: FactNeeds = NO_FACTS;
  #layer: string | undefined = undefined;
  readonly #contents: ContentReader;

  constructor(contents: ContentReader) {
    this.#contents = contents;
  }

  /** `wanted`: the facts that the policy in force looks at. */
  of(call: CallContext, intent: Intent, wanted: FactNeeds): this {
    this.#call = call.asker ?? call;
    this.#intent = intent;
    this.#wanted = wanted;
    this.#subject = undefined;
    return this;
  }

  /** As if the object still were in this layer. Undefined: its present one. */
  inLayer(layer: string | undefined): this {
    this.#layer = layer;
    return this;
  }

  get operation(): Intent["operation"] {
    return this.#now.operation;
  }
  get accesses(): Intent["accesses"] {
    return this.#now.accesses;
  }
  get paths(): readonly string[] {
    return this.#now.paths;
  }
  get uid(): number {
    return this.#caller.anonymous === true ? UNKNOWN_ID : this.#caller.uid;
  }
  get gid(): number {
    return this.#caller.anonymous === true ? UNKNOWN_ID : this.#caller.gid;
  }

  fact(fact: TextFact): string | undefined {
    const { attr } = this.#now;
    switch (fact) {
      case "groups": {
        const groups = this.#read().groups;
        return groups && groupsText(groups);
      }
      case "executable":
        return this.#read().executable;
      case "cgroup":
        return this.#read().cgroup;
      case "layer":
        return this.#layer ?? this.#now.layer;
      case "kind":
        return kindOf(attr.mode);
      case "size":
        return attr.sizeExact.toString();
      case "mode":
        return attr.mode.toString();
      case "owner":
        return ownerText(attr.uid, attr.gid);
      case "content":
        return this.#contents.headText(this.#now.content, this.#wanted.headBytes);
      case "digest":
        return this.#contents.digestText(this.#now.content);
    }
  }

  xattr(name: string): string | undefined {
    const value = this.#now.readXattr(bytesOfText(name));
    return typeof value === "number" ? undefined : xattrText(value);
  }

  #read(): Subject {
    const unread: MissingFact[] = [];
    this.#subject ??= readSubject(this.#caller, this.#wanted, unread);
    return this.#subject;
  }

  get #now(): Intent {
    return this.#intent as Intent;
  }
  get #caller(): CallContext {
    return this.#call as CallContext;
  }
}
