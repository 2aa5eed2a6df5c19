// What every creator of a resource gets.
import { z } from "zod";
import type { Clients } from "../emulator-clients.ts";

export type Context = {
  clients: Clients;
  /** The zip that is uploaded as a function's code, by the logical name of the function. */
  codeOf: (functionName: string) => string;
  /** What is only known when all of it runs, by what the evaluation put in its place: URLs of queues, and LibInsight's. */
  addresses: Map<string, string>;
  /** Further variables of every function. */
  functionEnvironment: Record<string, string>;
};

/** A creator parses its inputs itself. */
export type Creator = (inputs: Record<string, unknown>, context: Context, parent: string) => Promise<void>;

/** Returns a creator that fails where the inputs have a property that its schema lacks. */
export function creator<T extends z.ZodType>(
  schema: T,
  create: (inputs: z.infer<T>, context: Context, parent: string) => Promise<unknown>,
): Creator {
  return async (inputs, context, parent) => {
    await create(schema.parse(inputs), context, parent);
  };
}

/** An IAM document is JSON text or an object in the graph. */
export const document = z.union([
  z.string(),
  z.record(z.string(), z.unknown()).transform((value) => JSON.stringify(value)),
]);
