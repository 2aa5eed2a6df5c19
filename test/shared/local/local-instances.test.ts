// What instances on this machine do beyond the contract.
import { afterAll, expect, test } from "vitest";
import { LocalInstances } from "../../../shared/local/local-instances.ts";
import { LocalDatabase } from "../../../shared/local/sqlite.ts";

const database = new LocalDatabase(":memory:");
afterAll(() => database.close());

test("putOnce leaves an instance that exists as it is", async () => {
  const instances = new LocalInstances(database);
  await instances.putOnce("i-1", "stopped", { a: "b" });
  await instances.start("i-1");
  await instances.putOnce("i-1", "stopped", { a: "b" });
  expect(await instances.findTagged({ key: "a", value: "b" })).toMatchObject([
    { id: "i-1", state: "running" },
  ]);
});

// MiniStack starts a terminated instance, so this is not in the contract.
test("a terminated instance is refused, as by EC2", async () => {
  const instances = new LocalInstances(database);
  await instances.put("i-2", "terminated", {});
  expect(await instances.start("i-2")).toEqual({ refused: "IncorrectInstanceState" });
  expect(await instances.stop("i-2")).toEqual({ refused: "IncorrectInstanceState" });
});
