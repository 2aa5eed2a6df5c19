// The contract of the object store, for the adapters on AWS and on this machine.
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import type { Condition, ObjectStore } from "../../shared/ports.ts";

export type OpenStore = (options: { keepsVersions: boolean }) => Promise<ObjectStore>;

const small = 5_000;
/** Takes three parts in S3. */
const large = 11 * 1024 * 1024;

export function objectStoreContract(adapter: string, open: OpenStore): void {
  describe.each([
    ["", false],
    [" with versions", true],
  ])(`the object store%s on ${adapter}`, (_with, keepsVersions) => {
    const openStore = () => open({ keepsVersions });

    test.each(["", "\uFEFFid\n", "\u{1F4DA} Où?\r\n\u0000"])("returns the written text %j", async (text) => {
      const store = await openStore();
      const before = Math.floor(Date.now() / 1_000) * 1_000;
      const etag = await store.put("folder/a key+é", text, "text/csv; charset=utf-8");
      expect(Buffer.from((await store.getBytes("folder/a key+é")) ?? "none").toString()).toBe(text);
      expect(await store.getText("folder/a key+é")).toBe(text);
      expect(await store.getStart("folder/a key+é", 4)).toBe(Buffer.from(text).toString("utf8", 0, 4));
      expect(await store.getStart("folder/a key+é", 1_000)).toBe(text);
      const { at, ...info } = (await store.head("folder/a key+é")) ?? {};
      const bytes = Buffer.byteLength(text);
      expect(info).toEqual({ etag, bytes, contentType: "text/csv; charset=utf-8", metadata: {} });
      expect(at?.getTime()).toBeGreaterThanOrEqual(before);
      expect(at?.getTime()).toBeLessThanOrEqual(Date.now());
    });

    test("returns nothing for an object that does not exist", async () => {
      const store = await openStore();
      expect(await store.getBytes("none")).toBeUndefined();
      expect(await store.getJson("none", z.unknown())).toBeUndefined();
      expect(await store.head("none")).toBeUndefined();
      expect(await store.listVersions("none", 10)).toEqual([]);
      await expect(store.getStart("none", 10)).rejects.toThrow();
      await expect(store.stream("none")).rejects.toThrow();
      expect(await store.replaceJson("none", {}, '"0123456789abcdef0123456789abcdef"')).toBe(false);
      expect(await store.list("", 10)).toEqual([]);
    });

    test("lets exactly one of twenty writers create an object", async () => {
      const store = await openStore();
      const wrote = await Promise.all(twenty.map((writer) => store.putOnce("a", { writer })));
      expect(wrote.filter(Boolean)).toHaveLength(1);
      expect(await store.getJson("a", z.unknown())).toEqual({ writer: wrote.indexOf(true) });
      expect(await store.putOnce("a", { writer: 20 })).toBe(false);
    });

    test("lets exactly one of twenty writers replace an object that they all read", async () => {
      const store = await openStore();
      const etag = await store.put("a", "{}", "application/json");
      const replaced = await Promise.all(twenty.map((writer) => store.replaceJson("a", { writer }, etag)));
      expect(replaced.filter(Boolean)).toHaveLength(1);
      expect(await store.getJson("a", z.unknown())).toEqual({ writer: replaced.indexOf(true) });
      const current = (await store.head("a"))?.etag ?? "";
      expect(await store.replaceJson("a", { writer: 20 }, current)).toBe(true);
      expect(await store.getJson("a", z.object({ writer: z.number() }))).toEqual({ writer: 20 });
      await expect(store.getJson("a", z.object({ writer: z.string() }))).rejects.toThrow(z.ZodError);
    });

    test.each([0, small, large])(
      "writes a stream of %d bytes unchanged, with its metadata",
      async (bytes) => {
        const store = await openStore();
        const etag = await upload(store, "a", chunks(bytes), "absent");
        const metadata = { "run-id": "gate-counts-1" };
        expect(await store.head("a")).toMatchObject({ etag, bytes, contentType: "text/csv", metadata });
        expect(await digest(await store.stream("a"))).toBe(await digest(chunks(bytes)));
      },
    );

    test.each([small, large])("writes a stream of %d bytes only if the condition is met", async (bytes) => {
      const store = await openStore();
      const seen = await store.put("a", "seen", "text/csv");
      const changed = await store.put("a", "changed", "text/csv");
      expect(await upload(store, "a", chunks(bytes), "absent")).toBeUndefined();
      expect(await upload(store, "a", chunks(bytes), { ifMatch: seen })).toBeUndefined();
      expect(await upload(store, "none", chunks(bytes), { ifMatch: seen })).toBeUndefined();
      expect(await store.getText("a")).toBe("changed");
      expect(await store.list("", 10)).toEqual(["a"]);
      const etag = await upload(store, "a", chunks(bytes), { ifMatch: changed });
      expect(await store.head("a")).toMatchObject({ etag, bytes });
    });

    test("lets exactly one of ten streams create a complete object", async () => {
      const store = await openStore();
      const bodies = twenty.slice(0, 10).map((writer) => String(writer).repeat(100_000));
      const etags = await Promise.all(
        bodies.map((body) => upload(store, "a", [Buffer.from(body)], "absent")),
      );
      expect(etags.filter(Boolean)).toHaveLength(1);
      expect(await store.getText("a")).toBe(bodies[etags.findIndex(Boolean)]);
    });

    test.each([0, small, large])("writes nothing if the stream fails after %d bytes", async (bytes) => {
      const store = await openStore();
      async function* failing() {
        yield* chunks(bytes);
        throw new Error("A part is missing.");
      }
      await expect(upload(store, "a", failing(), "absent")).rejects.toThrow("A part is missing.");
      expect(await store.head("a")).toBeUndefined();
      const etag = await store.put("a", "old", "text/csv");
      await expect(upload(store, "a", failing(), { ifMatch: etag })).rejects.toThrow("A part is missing.");
      expect(await store.getText("a")).toBe("old");
    });

    test("returns one complete object to each reader while it is overwritten", async () => {
      const store = await openStore();
      const text = (writer: number) => String(writer % 10).repeat(200_000);
      let etag = await upload(store, "a", [Buffer.from(text(0))], "absent");
      for (const writer of twenty) {
        const reading = [store.getText("a"), store.getStart("a", 200_000), streamedText(store, "a")];
        etag = await upload(store, "a", [Buffer.from(text(writer))], { ifMatch: etag ?? "" });
        for (const read of await Promise.all(reading))
          expect([text(writer), text(writer + 9)]).toContain(read);
      }
    });

    test("lists each folder below a prefix once", async () => {
      const store = await openStore();
      const keys = ["runs/a/1", "runs/a/2/3", "runs/b/1", "runs/é/1", "runs/file", "runs-other/c/1"];
      for (const key of keys) await store.put(key, "", "text/plain");
      expect(await store.listFolders("runs/", 4)).toEqual(["runs/a/", "runs/b/", "runs/é/"]);
      expect(await store.listFolders("runs/a", 10)).toEqual(["runs/a/"]);
      expect(await store.listFolders("none/", 10)).toEqual([]);
      await expect(store.listFolders("runs/", 2)).rejects.toMatchObject({ name: "TooManyObjects" });
    });
  });

  describe(`the object store on ${adapter}`, () => {
    test("lists more than a thousand keys below a prefix, in the order of their UTF-8 bytes", async () => {
      const store = await open({ keepsVersions: false });
      // U+FF5E sorts after U+1F4DA in UTF-16, and before it in UTF-8.
      const special = ["parts/é/1", "parts/é/\uFF5E", "parts/é/\u{1F4DA}"];
      const numbered = Array.from({ length: 1_005 }, (_, n) => `parts/${String(n).padStart(6, "0")}`);
      const keys = [...numbered, ...special];
      for (let from = 0; from < keys.length; from += 50) {
        await Promise.all(keys.slice(from, from + 50).map((key) => store.put(key, "x", "text/plain")));
      }
      await store.put("parts-other", "", "text/plain");
      expect(await store.list("parts/", keys.length)).toEqual(keys);
      expect(await store.list("parts/0010", 5)).toEqual(keys.slice(1_000, 1_005));
      expect(await store.list("parts/é", 3)).toEqual(special);
      const [first] = await Array.fromAsync(store.objects("parts/000000", 1));
      const info = await store.head("parts/000000");
      expect(first).toMatchObject({ key: "parts/000000", etag: info?.etag, bytes: 1 });
      expect(seconds(first?.at)).toBe(seconds(info?.at));
      for (const limit of [keys.length - 1, 3]) {
        const error = { name: "TooManyObjects", kind: "terminal", ids: { prefix: "parts/" } };
        await expect(store.list("parts/", limit)).rejects.toMatchObject(error);
      }
    });

    test("returns one version if it keeps no earlier ones", async () => {
      const store = await open({ keepsVersions: false });
      for (const text of ["one", "two"]) await store.put("a", text, "text/plain");
      const versions = await store.listVersions("a", 10);
      expect(versions).toMatchObject([{ isLatest: true }]);
      expect(await streamedText(store, "a", versions[0]?.versionId)).toBe("two");
    });

    test("keeps the versions of a key, newest first, each with its content and metadata", async () => {
      const store = await open({ keepsVersions: true });
      for (const other of ["a.csv.bak", "a.cs"]) await store.put(other, "another", "text/plain");
      const runs = ["one", "two", "three", "four"];
      let etag: string | undefined;
      for (const run of runs) {
        const condition = etag === undefined ? "absent" : { ifMatch: etag };
        etag = await upload(store, "a.csv", [Buffer.from(run)], condition, run);
      }
      const versions = await store.listVersions("a.csv", 100);
      expect(versions.map(({ isLatest }) => isLatest)).toEqual([true, false, false, false]);
      for (const [index, { versionId, at }] of versions.entries()) {
        const run = runs.at(-1 - index) ?? "";
        const info = await store.head("a.csv", versionId);
        expect(info).toMatchObject({ bytes: run.length, metadata: { "run-id": run } });
        expect(seconds(info?.at)).toBe(seconds(at));
        expect(await streamedText(store, "a.csv", versionId)).toBe(run);
      }
      expect(await store.listVersions("a.csv", 2)).toEqual(versions.slice(0, 2));
      const [other] = await store.listVersions("a.cs", 10);
      expect(await store.head("a.csv", other?.versionId)).toBeUndefined();
      await expect(store.stream("a.csv", other?.versionId)).rejects.toThrow();
    });
  });
}

/** S3 returns whole seconds. */
function seconds(at: Date | undefined): number {
  return Math.floor((at?.getTime() ?? Number.NaN) / 1_000);
}

const twenty = Array.from({ length: 20 }, (_, writer) => writer);

async function upload(
  store: ObjectStore,
  key: string,
  body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  condition: Condition,
  run = "gate-counts-1",
): Promise<string | undefined> {
  async function* chunksOf() {
    yield* body;
  }
  return store.upload(key, chunksOf(), { contentType: "text/csv", metadata: { "run-id": run }, condition });
}

/** Yields different bytes, in chunks that do not match the parts of S3. */
function* chunks(bytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes; at += 700_001) yield Buffer.alloc(Math.min(700_001, bytes - at), String(at));
}

async function digest(body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of body) hash.update(chunk);
  return hash.digest("hex");
}

async function streamedText(store: ObjectStore, key: string, versionId?: string): Promise<string> {
  return Buffer.concat(await Array.fromAsync(await store.stream(key, versionId))).toString();
}
