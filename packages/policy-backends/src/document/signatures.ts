/** The signatures of a bundle in OPA's form. Like OPA without a key, this refuses a signed bundle: its author expects that somebody verifies it. */
import { z } from "zod";

const SIGNATURES = ".signatures.json";

/** Of the configuration, as OPA's own option of this name. */
export const skipVerifySchema = z.boolean().optional();
export const SKIP_VERIFY_REMEDY = "write skipVerify: true, or leave it out";

/** Throws the mistake and the remedy. */
export function checkSignatures(files: ReadonlyMap<string, Buffer>, skipVerify: boolean | undefined): void {
  if (skipVerify !== true && files.has(SIGNATURES))
    throw new Error(`the bundle has ${SIGNATURES}, which nothing here verifies: write skipVerify: true to ignore it, or build it unsigned`);
}
