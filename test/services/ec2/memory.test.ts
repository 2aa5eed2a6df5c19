// The needs in the work bucket: one object, which two handlers may change at once.
import { afterAll, beforeAll, expect, test } from "vitest";
import { changeNeeds, readNeeds } from "../../../services/ec2/memory.ts";
import { type Needs, noNeeds } from "../../../services/ec2/needs.ts";
import { keys } from "../../../shared/keys.ts";
import { type LocalAws, startLocalAws } from "../../support/local-aws.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws?.close());

const now = () => new Date("2026-01-05T12:00:00Z");
const ending = (dataset: string) => (from: Needs) => ({
  ...from,
  ended: { ...from.ended, [dataset]: "2026-01-05T11:00:00Z" },
});

test("what two handlers change at once is changed by both", async () => {
  const work = await aws.bucket();
  for (const round of ["first", "later"]) {
    await Promise.all(["a", "b"].map((name) => changeNeeds({ work, now }, ending(`${round}-${name}`))));
  }
  expect(Object.keys((await readNeeds(work)).ended).sort()).toEqual([
    "first-a",
    "first-b",
    "later-a",
    "later-b",
  ]);
});

test("what nobody has to know any more is forgotten with the next change", async () => {
  const work = await aws.bucket();
  const stoppedAt = (at: string) => ({ needs: {}, stoppedAt: at });
  const instances = { "i-1": stoppedAt("2025-12-06T11:59:59Z"), "i-2": stoppedAt("2025-12-06T12:00:01Z") };
  await changeNeeds({ work, now }, () => ({ instances, ended: {} }));
  expect(Object.keys((await readNeeds(work)).instances)).toEqual(["i-2"]);
});

test("nothing is written where nothing changes", async () => {
  const work = await aws.bucket();
  expect(await changeNeeds({ work, now }, (from) => from)).toEqual(noNeeds);
  expect(await work.head(keys.needs)).toBeUndefined();
});

test("where others are faster each time, it is an error that passes by trying again", async () => {
  const work = await aws.bucket();
  let others = 0;
  const slow = changeNeeds({ work, now }, (from) => {
    others += 1;
    // Written in between: what this one read is old by then.
    work.replaceJson = async () => false;
    work.putOnce = async () => false;
    return ending("slow")(from);
  });
  await expect(slow).rejects.toMatchObject({ name: "NeedsContended", kind: "transient" });
  expect(others).toBe(5);
});
