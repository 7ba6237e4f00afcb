/** `sluice policy schema`: the JSON schema with which an editor completes and checks a rules policy. */
import { rulesJsonSchema } from "@sluice/policy-backends";

export function printSchema(): void {
  process.stdout.write(`${JSON.stringify(rulesJsonSchema(), undefined, 2)}\n`);
}
