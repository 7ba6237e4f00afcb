/** The JSON schema of a rules policy, for editors (`# yaml-language-server: $schema=`) and for docs/rules.md. */
import { z } from "zod";
import { policySchema } from "./policy-schema.js";

/** As plain JSON: of a node, only these keys are used. */
export interface JsonSchema {
  $schema?: string;
  title?: string;
  description?: string;
  examples?: unknown[];
  enum?: unknown[];
  const?: unknown;
  type?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  minItems?: number;
  minimum?: number;
  maximum?: number;
  pattern?: string;
}

/** A key that takes one value or a list: zod describes the list alone, into which it turns a single value. */
function acceptSingleValue(schema: z.core.JSONSchema.BaseSchema): void {
  const { type, items, minItems } = schema;
  delete schema.type;
  delete schema.items;
  delete schema.minItems;
  schema.anyOf = [items as z.core.JSONSchema.BaseSchema, { type, items, minItems }] as z.core.JSONSchema.BaseSchema[];
}

export function rulesJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(policySchema, {
    target: "draft-07",
    override: ({ zodSchema, jsonSchema }) => {
      const { def } = zodSchema._zod as { def: z.core.$ZodTypeDef };
      if (def.type === "pipe") acceptSingleValue(jsonSchema);
    },
  });
  return { ...schema, title: "Sluice rules policy, version 1" } as JsonSchema;
}
