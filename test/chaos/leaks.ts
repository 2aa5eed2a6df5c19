// The program of leaks.test.ts: runs plans over marked secrets and records, the services' logs going to its output,
// and says in its last line what the plans left.
import { subscribe } from "node:diagnostics_channel";
import { ClientRequest } from "node:http";
import fc from "fast-check";
import { z } from "zod";
import { createMeasure } from "../../shared/metrics.ts";
import { createLogger } from "../../shared/powertools-logger.ts";
import { anyPlan, type FaultAt, undisturbed } from "./plan.ts";
import { startWorld } from "./world.ts";

const [plans = "1", clientSecret = "", mark = ""] = process.argv.slice(2);

type Kind = FaultAt<"libinsight">["kind"];
/** A message that fails five times is a dead letter; one that is refused is one at once. */
const spoiled = (kind: Kind): FaultAt<"libinsight"> => ({
  at: "libinsight",
  kind,
  nth: 1,
  times: kind === "token-refused" ? 3 : 40,
});

const left = { events: "", metadata: "", deadLetters: "", deadLetterCount: 0, bodies: "" };
const kinds = new Set<string>();
const wrong: string[] = [];
const tokens = new Set<string>();
/** https://nodejs.org/docs/latest-v24.x/api/diagnostics_channel.html#http */
const started = z.object({ request: z.instanceof(ClientRequest) });
subscribe("http.client.request.start", (message) => {
  const { request } = started.parse(message);
  const [, token] = /^Bearer (.+)$/.exec(String(request.getHeader("authorization"))) ?? [];
  if (token) tokens.add(token);
});
const world = await startWorld({
  credentials: { clientId: "planted-client", clientSecret },
  mark,
  logOf: createLogger,
  measure: createMeasure("fetcher", "chaos"),
  inspect: ({ events, deadLetters, metadata }) => {
    left.events += events.join("\n");
    left.metadata += JSON.stringify(metadata);
    left.deadLetters += deadLetters.map(({ attributes }) => attributes).join("\n");
    left.deadLetterCount += deadLetters.length;
    left.bodies += deadLetters.map(({ body }) => body).join("\n");
  },
});
const fixed = (["error-at-200", "502-html", "broken-json", "token-refused"] as const).map((kind) => ({
  ...undisturbed,
  faults: [spoiled(kind)],
}));
// Pages that can't be written become dead letters with records in their bodies.
const unwritten = {
  ...undisturbed,
  faults: [{ at: "port", kind: "internal", call: "put", nth: 5, times: 16 } as const],
};
for (const plan of [...fixed, unwritten, ...fc.sample(anyPlan, { numRuns: Number(plans), seed: 1 })]) {
  const outcome = await world.run(plan);
  wrong.push(...outcome.wrong);
  for (const kind of outcome.injected.keys()) kinds.add(kind);
}
await world.close();
process.stdout.write(`\n${JSON.stringify({ ...left, kinds: [...kinds], wrong, tokens: [...tokens] })}\n`);
