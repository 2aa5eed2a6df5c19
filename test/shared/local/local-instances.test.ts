// What instances on this machine do beyond the contract.
import { afterAll, expect, test } from "vitest";
import { LocalInstances } from "../../../shared/local/local-instances.ts";
import { LocalDatabase } from "../../../shared/local/sqlite.ts";

const database = new LocalDatabase(":memory:");
afterAll(() => database.close());

test("each change of a state is announced once, and a start that changes nothing is not", async () => {
  const changes: string[] = [];
  const instances = new LocalInstances(database, { onChange: (id, state) => changes.push(`${id} ${state}`) });
  await instances.putOnce("i-1", "stopped", {});
  await instances.start("i-1");
  await instances.start("i-1");
  await instances.putOnce("i-1", "stopped", {});
  await instances.stop("i-1");
  expect(changes).toEqual(["i-1 running", "i-1 stopped"]);
});

// MiniStack starts a terminated instance, so this is not in the contract.
test("a terminated instance is refused, as by EC2", async () => {
  const instances = new LocalInstances(database);
  await instances.put("i-2", "terminated", {});
  expect(await instances.start("i-2")).toEqual({ refused: "IncorrectInstanceState" });
  expect(await instances.stop("i-2")).toEqual({ refused: "IncorrectInstanceState" });
});
