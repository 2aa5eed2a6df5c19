// Runs the client against a Tableau server over HTTP, with a simulated clock.
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Content, signIn, type TableauOptions } from "../../../services/tableau/tableau-client.ts";
import { stoppedClock } from "../../support/stopped-clock.ts";
import {
  type FakeTableau,
  type Fault,
  job,
  type Step,
  startTableau,
  tokenSecret,
} from "../../support/tableau-server.ts";

function optionsFor(tableau: FakeTableau, given: Partial<TableauOptions> = {}) {
  const clock = stoppedClock();
  const { url, tokenName, site } = tableau;
  const time = { timeoutMs: 5_000, pauseMs: 2_000, deadline: clock.now() + 600_000, clock };
  return { url, tokenName, tokenSecret, site, apiVersion: "3.21", ...time, ...given, clock };
}

async function start(given: Partial<TableauOptions> = {}) {
  const tableau = await startTableau();
  const options = optionsFor(tableau, given);
  return { tableau, clock: options.clock, open: () => signIn(options) };
}

/** Signs in, refreshes one data source, checks its job and signs out. @returns the job's state */
async function refreshOnce({ tableau, open }: Awaited<ReturnType<typeof start>>) {
  tableau.add("datasources", "Desk");
  const session = await open();
  try {
    const id = await session.find({ kind: "data source", name: "Desk" });
    const jobId = await session.refresh("data source", id);
    return jobId && (await session.stateOf(jobId));
  } finally {
    await session.signOut();
  }
}

test("only the sign-in sends the token, and each later request sends the session", async () => {
  const local = await start();
  expect(await refreshOnce(local)).toBe("succeeded");
  const { tableau } = local;
  expect(tableau.steps).toEqual(["signin", "find datasources", "refresh datasources", "job", "signout"]);
  const [first, ...others] = tableau.requests;
  expect(JSON.parse(first?.body ?? "")).toEqual({
    credentials: {
      personalAccessTokenName: tableau.tokenName,
      personalAccessTokenSecret: tokenSecret,
      site: { contentUrl: "library" },
    },
  });
  for (const { headers, path, body } of others) {
    expect(headers).toMatchObject({
      accept: "application/json",
      "x-tableau-auth": expect.stringMatching(/^PlantedSession/),
    });
    expect(path + body).not.toContain("Planted");
  }
  expect(tableau.sessions.size).toBe(0);
});

test.each<[reported: object, state: string]>([
  [job.pending, "in progress"],
  [job.inProgress, "in progress"],
  // The finish code of a job that has not ended is not valid.
  [{ ...job.inProgress, finishCode: "0" }, "in progress"],
  [{ ...job.inProgress, finishCode: "1" }, "in progress"],
  [job.succeeded, "succeeded"],
  [{ ...job.succeeded, finishCode: 0 }, "succeeded"],
  [job.failed, "failed"],
  [job.canceled, "canceled"],
  [job.doneByBridge, "succeeded"],
])("a job that Tableau reports as %j is %s", async (reported, state) => {
  const local = await start();
  local.tableau.jobs([reported]);
  expect(await refreshOnce(local)).toBe(state);
});

test.each(["", "7", undefined])(
  "a job with the finish code %j is an unreadable response",
  async (finishCode) => {
    const local = await start();
    local.tableau.jobs([{ ...job.succeeded, finishCode }]);
    await expect(refreshOnce(local)).rejects.toMatchObject({ name: "TableauResponseUnreadable" });
  },
);

test("a refresh that is already queued has no job, and other conflicts are errors", async () => {
  const { tableau, open } = await start();
  const id = tableau.add("workbooks", "Weekly");
  tableau.queued.add(id);
  const session = await open();
  expect(await session.refresh("workbook", id)).toBeUndefined();
  tableau.fail({ at: "refresh", kind: { status: 409, code: "409090" } });
  await expect(session.refresh("workbook", id)).rejects.toMatchObject({
    name: "TableauRequestRefused",
    kind: "terminal",
    ids: { status: 409, code: "409090" },
  });
});

const names = fc.oneof(
  fc.constantFrom(
    ..."a:b|a,b|a&b|a*b|*|a+b c%20d|[1](2)\\$^.|a/b?c#d;e=f|Désk, R&D: 2 * 💥".split("|"),
    "quotes \"and\" 'these'",
  ),
  fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => /^[^\p{Cc}\p{Cs}]+$/u.test(text)),
  fc.string({ unit: fc.constantFrom(..."ab,&:*+% /💥"), minLength: 1, maxLength: 6 }),
);

test("any name is found in its project among others", async () => {
  const tableau = await startTableau();
  const session = await signIn(optionsFor(tableau));
  await fc.assert(
    fc.asyncProperty(names, names, fc.constantFrom("data source", "workbook"), async (name, other, kind) => {
      fc.pre(name !== other);
      const items = kind === "workbook" ? "workbooks" : "datasources";
      const project = `project of run ${tableau.requests.length}`;
      tableau.add(items, other, project);
      tableau.add(items, name, "another project");
      const id = tableau.add(items, name, project);
      const content: Content = { kind, name, project };
      expect(await session.find(content)).toBe(id);
    }),
    { numRuns: 150 },
  );
});

test("a name that a filter cannot contain is searched in all pages, any other with Tableau's filter", async () => {
  const { tableau, open } = await start();
  for (let n = 1; n <= 2_500; n++) tableau.add("workbooks", `Workbook ${n}`);
  const last = tableau.add("workbooks", "Desk, weekly");
  const session = await open();
  expect(await session.find({ kind: "workbook", name: "Desk, weekly" })).toBe(last);
  expect(tableau.steps).toEqual(["signin", ...Array(3).fill("find workbooks")]);
  await session.find({ kind: "workbook", name: "Workbook 2500" });
  expect(tableau.steps).toHaveLength(5);
});

test("a name without a match or with several matches is an error that says what to do", async () => {
  const { tableau, open } = await start();
  tableau.add("datasources", "Desk", "Library");
  tableau.add("datasources", "Desk", "Archive");
  tableau.add("datasources", "Desk", "Archive");
  tableau.add("workbooks", "Weekly");
  const session = await open();
  const find = (name: string, project?: string) =>
    expect(session.find({ kind: "data source", name, project })).rejects;
  await find("Weekly").toMatchObject({
    name: "TableauContentMissing",
    kind: "terminal",
    sentence: expect.stringMatching(/no data source named "Weekly".*shared\/library\.ts/),
  });
  await find("desk").toMatchObject({ name: "TableauContentMissing" });
  await find("Desk", "Nowhere").toMatchObject({
    sentence: expect.stringContaining('"Desk" in the project "Nowhere"'),
  });
  await find("Desk").toMatchObject({
    name: "TableauContentAmbiguous",
    kind: "terminal",
    sentence: expect.stringMatching(/more than one data source named "Desk" \(3\).*Add its project/),
  });
  await find("Desk", "Archive").toMatchObject({
    sentence: expect.stringMatching(/\(2\).*Rename/),
  });
});

const steps: Step[] = ["signin", "find", "refresh", "job"];
const everyStep = (kind: Fault["kind"]) => steps.map((at): Fault => ({ at, kind }));
const transient: Fault["kind"][] = [
  { status: 429 },
  { status: 429, headers: { "retry-after": "30" } },
  { status: 500 },
  { status: 503, headers: { "retry-after": "1" } },
  { status: 408 },
  "reset",
];

test.each(transient)("the client retries after %j at each step", async (kind) => {
  const local = await start();
  local.tableau.fail(...everyStep(kind), ...everyStep(kind));
  expect(await refreshOnce(local)).toBe("succeeded");
});

test("a request is sent three times, after pauses that double or that Retry-After sets", async () => {
  const local = await start();
  const { tableau, clock } = local;
  tableau.fail(
    { at: "signin", kind: { status: 500 } },
    { at: "signin", kind: { status: 500 } },
    { at: "find", kind: { status: 429, headers: { "retry-after": "17" } } },
    { at: "refresh", kind: { status: 500 } },
    { at: "refresh", kind: { status: 502 } },
    { at: "refresh", kind: { status: 503, headers: { "retry-after": "5" } } },
  );
  await expect(refreshOnce(local)).rejects.toMatchObject({
    name: "TableauServerError",
    kind: "transient",
    ids: { status: 503, code: "503000" },
    retryAfterSeconds: 5,
  });
  expect(clock.slept).toEqual([2_000, 4_000, 17_000, 2_000, 4_000]);
  expect(tableau.refreshed).toEqual([]);
});

test("a Retry-After above 30 seconds delays the message instead of the function", async () => {
  const local = await start();
  local.tableau.fail({ at: "find", kind: { status: 429, headers: { "retry-after": "31" } } });
  await expect(refreshOnce(local)).rejects.toMatchObject({
    name: "TableauRateLimited",
    kind: "rate-limited",
    retryAfterSeconds: 31,
  });
  expect(local.clock.slept).toEqual([]);
});

test("after the deadline the client only signs out and does not wait", async () => {
  const local = await start({ deadline: 1_003_000 });
  local.tableau.fail(...everyStep({ status: 500 }), { at: "find", kind: { status: 500 } });
  // One pause of 2 s leaves one second.
  await expect(refreshOnce(local)).rejects.toMatchObject({ name: "TableauServerError", kind: "transient" });
  expect(local.clock.slept).toEqual([2_000]);
  expect(local.tableau.steps).toEqual(["signin", "signin", "find datasources", "signout"]);
  const late = await start({ deadline: 1_000_000 });
  await expect(late.open()).rejects.toMatchObject({ name: "TableauTooSlow", kind: "transient" });
  expect(late.tableau.requests).toEqual([]);
});

const unreadable: Fault["kind"][] = [
  "html",
  "broken JSON",
  { json: null },
  { json: {} },
  { json: [] },
  { json: { credentials: { token: "a\nb", site: { id: "not an id" } } } },
  { json: { job: { id: "../../auth/signout" } } },
  { json: { pagination: { totalAvailable: "many" } } },
];
test.each(steps.flatMap((at) => unreadable.map((kind) => ({ at, kind }))))(
  "$kind at $at is a transient, unreadable response",
  async (fault) => {
    const local = await start();
    local.tableau.fail(fault);
    await expect(refreshOnce(local)).rejects.toMatchObject({
      name: "TableauResponseUnreadable",
      kind: "transient",
      message: expect.stringMatching(/HTML|broken JSON|an unknown shape/),
    });
  },
);

test.each<[Step, Fault["kind"], name: string, kind: string]>([
  ["signin", { status: 401, code: "401001" }, "TableauTokenRefused", "terminal"],
  ["find", { status: 403 }, "TableauAccessDenied", "terminal"],
  ["refresh", { status: 403, code: "403032" }, "TableauAccessDenied", "terminal"],
  ["refresh", { status: 404 }, "TableauNotFound", "terminal"],
  ["refresh", { status: 400 }, "TableauRequestRefused", "terminal"],
  ["job", { status: 418 }, "TableauRequestRefused", "terminal"],
])("at %s %j is %s, %s and not retried", async (at, kind, name, errorKind) => {
  const local = await start();
  local.tableau.fail({ at, kind });
  await expect(refreshOnce(local)).rejects.toMatchObject({ name, kind: errorKind });
  expect(local.clock.slept).toEqual([]);
  expect(local.tableau.sessions.size).toBe(0);
});

test("an unsupported API version is an error that names the setting", async () => {
  const tableau = await startTableau({ apiVersion: "3.20" });
  await expect(signIn(optionsFor(tableau))).rejects.toMatchObject({
    name: "TableauNotFound",
    sentence: expect.stringContaining("TABLEAU_API_VERSION"),
  });
});

test("a redirect is not followed, so no other host receives the token", async () => {
  const other = await startTableau();
  const local = await start();
  for (const at of ["signin", "find"] as const) {
    local.tableau.fail({
      at,
      kind: { status: 307, headers: { location: `${other.url}/api/3.21/auth/signin` } },
    });
    await expect(refreshOnce(local)).rejects.toMatchObject({
      name: "TableauRequestRefused",
      ids: { status: 307 },
    });
  }
  expect(other.requests).toEqual([]);
});

test.each(["hang", "drip"] as const)("an endless response (%s) times out", async (kind) => {
  for (const at of steps) {
    const local = await start({ timeoutMs: 50 });
    local.tableau.fail(...Array<Fault>(3).fill({ at, kind }));
    await expect(refreshOnce(local)).rejects.toMatchObject({ name: "TableauTimeout", kind: "transient" });
  }
});

test("an ended session is renewed once, and the request is sent again", async () => {
  const local = await start();
  const { tableau } = local;
  tableau.before("job", () => tableau.sessions.clear());
  expect(await refreshOnce(local)).toBe("succeeded");
  expect(tableau.steps).toEqual([
    "signin",
    "find datasources",
    "refresh datasources",
    "job",
    "signin",
    "job",
    "signout",
  ]);
  expect(tableau.refreshed).toEqual(["Desk"]);
  expect(tableau.sessions.size).toBe(0);
});

test.each<[Step, Step]>([
  ["job", "job"],
  ["find", "job"],
])("a session that ends at %s and again at %s is a transient error", async (...ends) => {
  const local = await start();
  const { tableau } = local;
  for (const step of ends) tableau.before(step, () => tableau.sessions.clear());
  await expect(refreshOnce(local)).rejects.toMatchObject({
    name: "TableauSessionLost",
    kind: "transient",
    advice: expect.stringContaining("Create a separate token"),
  });
  expect(tableau.steps.filter((step) => step === "signin")).toHaveLength(2);
});

test.each<Fault["kind"]>([{ status: 500 }, { status: 401 }, "hang", "reset", "html"])(
  "a sign-out that fails with %j changes nothing",
  async (kind) => {
    const local = await start({ timeoutMs: kind === "hang" ? 500 : 5_000 });
    local.tableau.fail({ at: "signout", kind });
    expect(await refreshOnce(local)).toBe("succeeded");
    expect(local.tableau.steps.filter((step) => step === "signout")).toHaveLength(1);
  },
);
