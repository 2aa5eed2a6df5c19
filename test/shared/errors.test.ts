import { expect, test } from "vitest";
import { PipelineError, toPipelineError } from "../../shared/errors.ts";

const gone = { message: "The run is gone.", advice: "Request it again." };

test("makes an error terminal by default", () => {
  expect(new PipelineError("RunGone", gone)).toMatchObject({ name: "RunGone", kind: "terminal", ids: {} });
});

test.each([
  [new TypeError("MARKED"), "TypeError"],
  ["MARKED", "string"],
  [{ MARKED: 1 }, "object"],
  [undefined, "undefined"],
])("wraps any other thrown value in a transient error without its text", (thrown, name) => {
  const error = toPipelineError(thrown);
  expect(error).toMatchObject({ name: "Unexpected", kind: "transient" });
  expect(error.cause).toBe(thrown);
  expect(error.sentence).toContain(`(${name})`);
  expect(error.sentence).not.toContain("MARKED");
});
