import fc from "fast-check";
import { expect, test } from "vitest";
import { keys, type PageAddress } from "../../shared/keys.ts";
import { maxPages } from "../../shared/run.ts";

const runId = "gate-counts-0123456789ab";
const address: PageAddress = { runId, window: 2, attempt: 3, page: 45 };

test("puts every object of a run into its folder", () => {
  expect(keys.run(runId)).toBe(`runs/${runId}/run.json`);
  expect(keys.result(runId)).toBe(`runs/${runId}/result.json`);
  expect(keys.window(address)).toBe(`runs/${runId}/windows/002/3.json`);
  expect(keys.page(address)).toBe(`runs/${runId}/pages/002/3/000045.json`);
  expect(keys.part(address)).toBe(`runs/${runId}/parts/002/3/000045`);
  expect(keys.rejects(address)).toBe(`runs/${runId}/rejects/002/3/000045.jsonl`);
  for (const folder of [keys.folder(runId), keys.allParts(runId), keys.parts(address)]) {
    expect(keys.part(address).startsWith(folder)).toBe(true);
  }
  for (const key of [keys.attempt(runId, 2), keys.held(runId), keys.report(runId, "run.held")]) {
    expect(key.startsWith(keys.folder(runId))).toBe(true);
  }
});

test("lists the parts of an attempt in the order of the output: by window, then page", () => {
  const position = fc.record({
    window: fc.integer({ min: 1, max: 999 }),
    page: fc.integer({ min: 1, max: maxPages }),
  });
  fc.assert(
    fc.property(position, position, (a, b) => {
      const [first, second] = [a, b].map((at) => keys.part({ runId, attempt: 1, ...at }));
      const order = Math.sign(a.window - b.window || a.page - b.page);
      expect(Math.sign(Buffer.compare(Buffer.from(first ?? ""), Buffer.from(second ?? "")))).toBe(order);
    }),
  );
});
