// The needs in the work bucket: one object, which two handlers may change at once.
import { expect, test } from "vitest";
import { changeNeeds, readNeeds } from "../../../services/ec2/memory.ts";
import { type Needs, noNeeds } from "../../../services/ec2/needs.ts";
import { keys } from "../../../shared/keys.ts";
import { useLocal } from "../../support/local-adapters.ts";

const local = useLocal();

const now = () => new Date("2026-01-05T12:00:00Z");
const ending = (dataset: string) => (from: Needs) => ({
  ...from,
  ended: { ...from.ended, [dataset]: "2026-01-05T11:00:00Z" },
});

test("changes that two handlers make at once are both kept", async () => {
  const work = local.store();
  for (const round of ["first", "later"]) {
    await Promise.all(["a", "b"].map((name) => changeNeeds({ work, now }, ending(`${round}-${name}`))));
  }
  const { ended } = await readNeeds(work);
  expect(Object.keys(ended).sort()).toEqual(["first-a", "first-b", "later-a", "later-b"]);
});

test("instances that expired are removed with the next change", async () => {
  const work = local.store();
  const stoppedAt = (at: string) => ({ needs: {}, stoppedAt: at });
  const instances = { "i-1": stoppedAt("2025-12-06T11:59:59Z"), "i-2": stoppedAt("2025-12-06T12:00:01Z") };
  await changeNeeds({ work, now }, () => ({ instances, ended: {} }));
  expect(Object.keys((await readNeeds(work)).instances)).toEqual(["i-2"]);
});

test("nothing is written where nothing changes", async () => {
  const work = local.store();
  expect(await changeNeeds({ work, now }, (from) => from)).toEqual(noNeeds);
  expect(await work.head(keys.needs)).toBeUndefined();
});

test("a change that others overtake each time is a transient error after five attempts", async () => {
  const work = local.store();
  let attempts = 0;
  work.replaceJson = async () => false;
  work.putOnce = async () => false;
  const slow = changeNeeds({ work, now }, (from) => {
    attempts += 1;
    return ending("slow")(from);
  });
  await expect(slow).rejects.toMatchObject({ name: "NeedsContended", kind: "transient" });
  expect(attempts).toBe(5);
});
