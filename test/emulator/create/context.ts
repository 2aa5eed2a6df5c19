// What every creator of a resource is given.
import type { AthenaClient } from "@aws-sdk/client-athena";
import { z } from "zod";
import type { Clients } from "../clients.ts";

export type Context = {
  clients: Clients;
  /** Calls athena-endpoint.ts: the emulators' Athena does not speak Athena's dialect. */
  athena: AthenaClient;
  /** The stage's default tags, which the provider puts on everything that takes tags. */
  tags: Record<string, string>;
  /** The zip that is uploaded as a function's code, by the logical name of the function. */
  codeOf: (functionName: string) => string;
  /** What is only known when all of it runs, by what the evaluation put in its place: URLs of queues, and LibInsight's. */
  addresses: Map<string, string>;
  /** What functions have to be told besides. */
  functionEnvironment: Record<string, string>;
};

/** A creator reads its inputs itself: they are outside data. */
export type Creator = (inputs: Record<string, unknown>, context: Context, parent: string) => Promise<void>;

/** Inputs are read as a whole: one that a creator does not know fails the test, rather than being left out in silence. */
export function creator<T extends z.ZodType>(
  schema: T,
  create: (inputs: z.infer<T>, context: Context, parent: string) => Promise<unknown>,
): Creator {
  return async (inputs, context, parent) => {
    await create(schema.parse(inputs), context, parent);
  };
}

/** As lists of pairs, which is how most services take tags. */
export function tagList(tags: Record<string, string>): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** Documents of IAM stand in the graph as JSON text or as objects. */
export const document = z.union([
  z.string(),
  z.record(z.string(), z.unknown()).transform((value) => JSON.stringify(value)),
]);
