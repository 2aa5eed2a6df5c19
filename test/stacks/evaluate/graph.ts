// Schemas of an evaluated stage: every resource that SST registers, with its properties.
import { z } from "zod";

const resource = z.object({
  /** Pulumi's type, for example `aws:sqs/queue:Queue`. */
  type: z.string(),
  /** The logical name in the stacks. */
  name: z.string(),
  /** The properties that go to AWS. */
  inputs: z.record(z.string(), z.unknown()),
  /** The names of the inputs that Pulumi encrypts in its state. */
  encrypted: z.array(z.string()),
  protect: z.boolean(),
  retainOnDelete: z.boolean(),
  /** The id of an existing resource that the stage only looks up. */
  existing: z.string().optional(),
  /** The logical name of the parent component. */
  parent: z.string().optional(),
});
export type Resource = z.infer<typeof resource>;

export const registered = z.array(resource);

/** A bundled handler: its source, its name inside the bundle, and the folder that is zipped. */
const bundle = z.object({ source: z.string(), handler: z.string(), directory: z.string() });
export type Bundle = z.infer<typeof bundle>;

/** The return value of `app()` in sst.config.ts. */
export const app = z.looseObject({
  name: z.string(),
  protect: z.boolean().default(false),
  removal: z.enum(["remove", "retain", "retain-all"]),
  providers: z.object({
    aws: z.looseObject({ defaultTags: z.object({ tags: z.record(z.string(), z.string()) }) }),
  }),
});

export const graph = z.object({
  app,
  resources: registered,
  /** Bundles by the logical name of their function. */
  bundles: z.record(z.string(), bundle),
});
export type Graph = z.infer<typeof graph>;

/** The account and region of every evaluation. */
export const account = "123456789012";
export const region = "us-east-1";
