// No leaks: secrets and patrons' words are planted in everything that the pipeline reads, plans of faults run, and
// none of it is in what the pipeline says: logs, events, errors in dead letters, and the metadata of objects.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { z } from "zod";

/** Seeds of this many plans, each of which spoils some answers. */
const plans = 12;

const said = z.object({
  events: z.string(),
  metadata: z.string(),
  deadLetters: z.string(),
  deadLetterCount: z.int(),
  kinds: z.array(z.string()),
  wrong: z.array(z.string()),
  tokens: z.array(z.string()).min(1),
  bodies: z.string(),
});

test("neither a secret nor a patron's word is in logs, events, errors, metadata or dead letters' attributes", {
  timeout: 120_000,
}, async () => {
  const secrets = ["planted-client-secret", "PlantedPatronWords"];
  const program = new URL("./leaks.ts", import.meta.url).pathname;
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [program, String(plans), ...secrets],
    {
      env: { ...process.env, POWERTOOLS_LOG_LEVEL: "DEBUG", POWERTOOLS_DEV: "false" },
      maxBuffer: 256 * 1024 * 1024,
      timeout: 110_000,
    },
  );
  // The program's own report is its last line; the rest are the services' logs.
  const lines = stdout.trimEnd().split("\n");
  const left = said.parse(JSON.parse(lines.pop() ?? ""));
  const logs = [...lines, stderr].join("\n");
  expect(left.wrong).toEqual([]);

  // There was something to leak, and somewhere to leak it.
  expect(left.bodies).toContain("PlantedPatronWords");
  expect(left.deadLetterCount).toBeGreaterThan(0);
  expect(left.kinds).toContain("libinsight error-at-200");
  for (const level of ["INFO", "WARN", "ERROR"]) expect(logs).toContain(`"level":"${level}"`);

  const places = { logs, events: left.events, metadata: left.metadata, deadLetters: left.deadLetters };
  for (const [place, text] of Object.entries(places)) {
    for (const secret of [
      ...secrets,
      ...left.tokens,
      Buffer.from(`planted-client:${secrets[0]}`).toString("base64"),
    ]) {
      expect(text.includes(secret), `${place} hold a planted text`).toBe(false);
    }
  }
});
