// The context of the resource creators.
import { z } from "zod";
import type { Clients } from "../emulator-clients.ts";

export type Context = {
  clients: Clients;
  /** Returns the path of the zip file with a function's code. */
  codeOf: (functionName: string) => string;
  /** Real URLs by the placeholders of the evaluation: those of queues, and LibInsight's. */
  addresses: Map<string, string>;
  /** Additional variables of every function. */
  functionEnvironment: Record<string, string>;
};

/** Creates a resource from its inputs, which it parses itself. */
export type Creator = (inputs: Record<string, unknown>, context: Context, parent: string) => Promise<void>;

/** Returns a creator that parses its inputs with a strict schema, so that unknown properties fail. */
export function creator<T extends z.ZodType>(
  schema: T,
  create: (inputs: z.infer<T>, context: Context, parent: string) => Promise<unknown>,
): Creator {
  return async (inputs, context, parent) => {
    await create(schema.parse(inputs), context, parent);
  };
}

/** An IAM policy document, which is JSON text or an object in the graph. */
export const document = z.union([
  z.string(),
  z.record(z.string(), z.unknown()).transform((value) => JSON.stringify(value)),
]);
