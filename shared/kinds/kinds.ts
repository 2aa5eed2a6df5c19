// The kinds of LibInsight datasets.
import * as z from "zod/mini";
import { eResources } from "./e-resources/e-resources.ts";
import { gateCount } from "./gate-count/gate-count.ts";
import type { Kind } from "./kind.ts";
import { records } from "./records/records.ts";

export const kindName = z.enum(["records", "gate-count", "e-resources"]);
export type KindName = z.infer<typeof kindName>;

export const kinds: Readonly<Record<KindName, Kind>> = {
  records,
  "gate-count": gateCount,
  "e-resources": eResources,
};
