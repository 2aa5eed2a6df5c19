// A worker thread that runs its share of random plans (`checkInThreads` in check.ts).
import { parentPort, workerData } from "node:worker_threads";
import * as z from "zod/mini";
import { checkPlans } from "./check.ts";
import { withHarness } from "./harness.ts";

const shareOptions = z.object({
  plans: z.int(),
  seed: z.int(),
  share: z.object({ index: z.int(), of: z.int() }),
});

const options = shareOptions.parse(workerData);
parentPort?.postMessage(await withHarness((harness) => checkPlans(harness, options)));
