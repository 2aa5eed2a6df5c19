// Tests for leaks: secrets and patrons' words are planted in everything that the pipeline reads. While plans with faults
// run, none of them reaches logs, metrics, events, errors, the attributes of dead letters or the metadata of objects.
import { subscribe } from "node:diagnostics_channel";
import { ClientRequest } from "node:http";
import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod/mini";
import { anyPlan, type FaultAt, type Plan, undisturbed } from "./fault-plan.ts";
import { startHarness } from "./harness.ts";

const plans = 40;
const mark = "PlantedPatronWords";
const credentials = { clientId: "planted-client", clientSecret: "planted-client-secret" };

/** Faults that outlast the receive limit, so that messages become dead letters. */
const failingResponses = (["error-at-200", "502-html", "broken-json", "token-refused"] as const).map(
  (kind): FaultAt<"libinsight"> => ({
    at: "libinsight",
    kind,
    nth: 1,
    times: kind === "token-refused" ? 3 : 40,
  }),
);
/** A write that always fails: its pages become dead letters with records in their bodies. */
const failingWrites: FaultAt<"port"> = { at: "port", kind: "internal", call: "create", nth: 5, times: 60 };

/** https://nodejs.org/docs/latest-v24.x/api/diagnostics_channel.html#http */
const started = z.object({ request: z.instanceof(ClientRequest) });

test("logs, metrics, events, metadata and dead-letter attributes contain neither a secret nor a patron's word", {
  timeout: 120_000,
}, async () => {
  const tokens = new Set<string>();
  subscribe("http.client.request.start", (message) => {
    const { request } = started.parse(message);
    const [, token] = /^Bearer (.+)$/.exec(String(request.getHeader("authorization"))) ?? [];
    if (token) tokens.add(token);
  });
  const written: Record<string, string> = {};
  let bodies = "";
  const harness = await startHarness({
    credentials,
    mark,
    onOutputs: ({ logs, metrics, events, spans, metadata, attributes }, found) => {
      for (const [what, texts] of Object.entries({ logs, metrics, events, spans, metadata, attributes }))
        written[what] = (written[what] ?? "") + texts.join("\n");
      bodies += found.join("\n");
    },
  });
  const faults = [...failingResponses, failingWrites];
  const fixed: Plan[] = faults.map((fault) => ({ ...undisturbed, faults: [fault] }));
  for (const plan of [...fixed, ...fc.sample(anyPlan, { numRuns: plans, seed: 1 })])
    expect((await harness.run(plan)).wrong).toEqual([]);
  await harness.close();

  // The texts were read, and every kind of output was written.
  expect(bodies).toContain(mark);
  for (const text of Object.values(written)) expect(text.length).toBeGreaterThan(100);
  for (const level of ["INFO", "WARN", "ERROR"]) expect(written.logs).toContain(level);
  expect(tokens.size).toBeGreaterThan(0);
  const { clientId, clientSecret } = credentials;
  const basic = Buffer.from(`${clientId}:${clientSecret}`).toString("base64");
  for (const [what, text] of Object.entries(written)) {
    for (const secret of [clientSecret, basic, mark, ...tokens])
      expect(text.includes(secret), `${what} contain a planted text`).toBe(false);
  }
});
