import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readAhead } from "../../../services/assembler/read.ts";
import type { ListedObject } from "../../../shared/ports.ts";

const MiB = 1024 * 1024;

async function* listing(sizes: readonly number[]): AsyncGenerator<ListedObject> {
  for (const [index, bytes] of sizes.entries())
    yield { key: String(index), etag: "", bytes, at: new Date(0) };
}

const sizes = fc.array(fc.oneof(fc.nat(100_000), fc.integer({ min: MiB, max: 20 * MiB })), { maxLength: 80 });

test("yields objects in order and reads ahead at most 32 objects or 16 MiB, however long each read takes", async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(fc.nat(3), { minLength: 1 }), async (given, turns) => {
      let held = { objects: 0, bytes: 0 };
      const read = async ({ key, bytes }: ListedObject) => {
        held = { objects: held.objects + 1, bytes: held.bytes + bytes };
        expect(held.objects).toBeLessThanOrEqual(32);
        // A single object may exceed the limit.
        expect(held.bytes).toBeLessThanOrEqual(held.objects === 1 ? 20 * MiB : 16 * MiB);
        for (let n = 0; n < (turns[Number(key) % turns.length] ?? 0); n++) await turn();
        return { key, bytes };
      };
      const keys: string[] = [];
      for await (const { key, bytes } of readAhead(listing(given), read)) {
        keys.push(key);
        await turn();
        held = { objects: held.objects - 1, bytes: held.bytes - bytes };
      }
      expect(keys).toEqual(given.map((_, index) => String(index)));
    }),
    { numRuns: 100 },
  );
});

test.each([
  { bytes: 1, ahead: 32 },
  { bytes: MiB, ahead: 16 },
])("reads $ahead objects of $bytes bytes ahead", async ({ bytes, ahead }) => {
  let begun = 0;
  const values = readAhead(listing(Array(100).fill(bytes)), async () => {
    begun += 1;
  });
  for (let used = 0; used < 50; used++) {
    await values.next();
    expect(begun).toBe(used + ahead);
  }
  await values.return(undefined);
});

test("throws the error of a failed read in order, without unhandled errors of later reads", async () => {
  const read = async ({ key }: ListedObject) => {
    if (Number(key) >= 2) throw new Error(`Object ${key} cannot be read.`);
    return key;
  };
  const keys: string[] = [];
  const all = async () => {
    for await (const key of readAhead(listing(Array(5).fill(1)), read)) keys.push(key);
  };
  await expect(all()).rejects.toThrow("Object 2 cannot be read.");
  expect(keys).toEqual(["0", "1"]);
});
