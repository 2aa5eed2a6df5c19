// The contract of what deletes objects for good, for the adapters on AWS and on this machine.
import { describe, expect, test } from "vitest";
import type { Eraser, ObjectStore, StoredVersion } from "../../shared/ports.ts";

export type OpenErased = (options: {
  keepsVersions: boolean;
}) => Promise<{ store: ObjectStore; eraser: Eraser }>;

export function eraserContract(adapter: string, open: OpenErased): void {
  const found = (eraser: Eraser, prefix: string): Promise<StoredVersion[]> =>
    Array.fromAsync(eraser.versions(prefix));

  describe(`the eraser on ${adapter}`, () => {
    test("lists and deletes every version below a prefix, and no other", async () => {
      const { store, eraser } = await open({ keepsVersions: true });
      for (const key of ["a/é 1", "a/2", "ab/3"])
        for (const text of ["old", "new"]) await store.put(key, text, "text/plain");
      const versions = await found(eraser, "a/");
      expect(versions.map(({ key, isLatest }) => `${key} ${isLatest}`).sort()).toEqual([
        "a/2 false",
        "a/2 true",
        "a/é 1 false",
        "a/é 1 true",
      ]);
      await eraser.erase(versions.filter(({ isLatest }) => !isLatest));
      expect(await found(eraser, "a/")).toEqual(versions.filter(({ isLatest }) => isLatest));
      expect(await store.getText("a/2")).toBe("new");
      await eraser.erase(versions);
      expect(await found(eraser, "a/")).toEqual([]);
      expect(await store.getText("a/2")).toBeUndefined();
      expect(await store.listVersions("a/2", 10)).toEqual([]);
      expect(await store.list("", 10)).toEqual(["ab/3"]);
      expect(await found(eraser, "ab/3")).toHaveLength(2);
      await eraser.erase([]);
    });

    test("deletes objects of a bucket without versions, more than a thousand at once", async () => {
      const { store, eraser } = await open({ keepsVersions: false });
      const keys = Array.from({ length: 1_005 }, (_, n) => `parts/${n}`);
      for (let from = 0; from < keys.length; from += 50)
        await Promise.all(keys.slice(from, from + 50).map((key) => store.put(key, "x", "text/plain")));
      const versions = await found(eraser, "");
      // The emulator repeats the last version of a page of the listing.
      expect([...new Set(versions.map(({ key }) => key))].sort()).toEqual(keys.toSorted());
      await eraser.erase(versions);
      expect(await found(eraser, "")).toEqual([]);
      expect(await store.list("", 10)).toEqual([]);
    });
  });
}
