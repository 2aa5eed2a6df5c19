import fc from "fast-check";
import { expect, test } from "vitest";
import { IdSet } from "../../../services/assembler/id-set.ts";

// Few values, so that they repeat; at the edges of bytes, chunks and of what a number holds.
const ids = fc.oneof(
  fc.nat(20),
  fc.integer({ min: 65_530, max: 65_545 }),
  fc.integer({ min: 31_204_417, max: 31_204_440 }),
  fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1, 2 ** 32, 2 ** 32 + 65_536, 2 ** 31),
  fc.maxSafeNat(),
);

test("takes an id once, like a Set", () => {
  fc.assert(
    fc.property(fc.array(ids, { maxLength: 60 }), (added) => {
      const set = new IdSet();
      const reference = new Set<number>();
      for (const id of added) {
        expect(set.add(id)).toBe(!reference.has(id));
        reference.add(id);
      }
    }),
    { numRuns: 500 },
  );
});
