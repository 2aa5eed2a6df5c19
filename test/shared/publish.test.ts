import { Readable } from "node:stream";
import { beforeEach, expect, test } from "vitest";
import type { ObjectStore } from "../../shared/ports.ts";
import { publishNewest } from "../../shared/publish.ts";
import { useLocal } from "../support/local-adapters.ts";
import { overwrite } from "../support/objects.ts";

let data: ObjectStore;
const local = useLocal();
beforeEach(() => {
  data = local.store();
});

const key = "gates/csv/gates.csv";
const sunday = { runId: "gate-counts-sunday", requestedAt: "2026-03-01T06:00:00Z" };
const monday = { runId: "gate-counts-monday", requestedAt: "2026-03-02T06:00:00Z" };
const tuesday = { runId: "gate-counts-tuesday", requestedAt: "2026-03-03T06:00:00Z" };
type Publisher = typeof monday;

/** Publishes the run's id as the content. */
async function publish(run: Publisher, body = async () => Readable.from([Buffer.from(run.runId)])) {
  return publishNewest(data, key, run, body, { contentType: "text/csv", metadata: { dataset: "gates" } });
}

test("publishes the first run, with its id in the object's metadata", async () => {
  const published = await publish(monday);
  const object = await data.head(key);
  expect(published).toEqual({ superseded: false, object });
  expect(object).toMatchObject({
    bytes: monday.runId.length,
    contentType: "text/csv",
    metadata: { "run-id": monday.runId, "requested-at": monday.requestedAt, dataset: "gates" },
  });
  expect(await data.getText(key)).toBe(monday.runId);
});

const at = (requestedAt: string): Publisher => ({ runId: `gate-counts-${requestedAt}`, requestedAt });

test.each([
  { what: "an older one", first: monday, second: tuesday, superseded: false },
  { what: "a newer one", first: tuesday, second: monday, superseded: true },
  { what: "itself", first: monday, second: monday, superseded: false },
  { what: "one in the same second", first: monday, second: at(monday.requestedAt), superseded: false },
  {
    what: "one half a second older",
    first: at("2026-03-02T06:00:00.5Z"),
    second: at("2026-03-02T06:00:01Z"),
    superseded: false,
  },
  { what: "one half a second newer", first: at("2026-03-02T06:00:00.5Z"), second: monday, superseded: true },
])(
  "publishes a run after $what unless it is superseded ($superseded)",
  async ({ first, second, superseded }) => {
    await publish(first);
    const unneeded = () => Promise.reject(new Error("The content is not needed."));
    expect(await publish(second, superseded ? unneeded : undefined)).toMatchObject({ superseded });
    expect(await data.getText(key)).toBe(superseded ? first.runId : second.runId);
    expect((await data.head(key))?.metadata["run-id"]).toBe(superseded ? first.runId : second.runId);
  },
);

test("keeps a newer object without a run id", async () => {
  await overwrite(data, key, "newer", { "requested-at": tuesday.requestedAt });
  expect(await publish(monday)).toEqual({ superseded: true, by: "a newer run" });
  expect(await data.getText(key)).toBe("newer");
});

test("replaces an object of the previous system, which has no run", async () => {
  await data.put(key, "by hand", "text/csv");
  expect(await publish(monday)).toMatchObject({ superseded: false });
  expect(await data.getText(key)).toBe(monday.runId);
});

/** Returns a body during whose creation a rival writes an object, one rival each time. */
function contended(run: Publisher, rivals: Publisher[]) {
  let made = 0;
  const body = async () => {
    const rival = rivals[made];
    made += 1;
    if (rival) await write(rival, `rival ${made}`);
    return Readable.from([Buffer.from(run.runId)]);
  };
  return { body, made: () => made };
}

async function write(run: Publisher, text: string): Promise<void> {
  await overwrite(data, key, text, { "run-id": run.runId, "requested-at": run.requestedAt });
}

test("retries with new content while other writers change the object", async () => {
  const { body, made } = contended(monday, [sunday, sunday, sunday, sunday]);
  expect(await publish(monday, body)).toMatchObject({ superseded: false });
  expect(made()).toBe(5);
  expect(await data.getText(key)).toBe(monday.runId);
});

test("is superseded by a newer run that publishes meanwhile", async () => {
  const { body, made } = contended(monday, [sunday, tuesday]);
  expect(await publish(monday, body)).toEqual({ superseded: true, by: tuesday.runId });
  expect(made()).toBe(2);
  expect(await data.getText(key)).toBe("rival 2");
});

test("throws a transient error if other writers change the object at five attempts", async () => {
  const { body, made } = contended(monday, Array(9).fill(sunday));
  await expect(publish(monday, body)).rejects.toMatchObject({
    name: "PublishContended",
    kind: "transient",
    ids: { run: monday.runId },
  });
  expect(made()).toBe(5);
  expect(await data.getText(key)).toBe("rival 5");
});
