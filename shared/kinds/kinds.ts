// The kinds of LibInsight datasets.
import * as z from "zod/mini";
import { eResources } from "./e-resources/e-resources.ts";
import { gateCount } from "./gate-count/gate-count.ts";
import type { Kind, Nouns } from "./kind.ts";
import { records } from "./records/records.ts";

export const kindName = z.enum(["records", "gate-count", "e-resources"]);
export type KindName = z.infer<typeof kindName>;

export const kinds: Readonly<Record<KindName, Kind>> = {
  records,
  "gate-count": gateCount,
  "e-resources": eResources,
};

/** Returns what people call the rows of a dataset, and what they count. */
export function nounsOf({
  kind,
  roles,
}: {
  kind: KindName;
  roles: { quantity?: string | undefined };
}): Nouns {
  const { quantity, amount, ...nouns } = kinds[kind].nouns;
  return { ...nouns, amount: roles.quantity === undefined ? amount : quantity };
}
