import { expect, test } from "vitest";
import { PipelineError, toPipelineError } from "../../shared/errors.ts";

const gone = { message: "The run is gone.", advice: "Request it again." };

test("the sentence is what happened, what to do, and the ids", () => {
  expect(new PipelineError("RunGone", { ...gone, ids: { run: "gate-counts-1", window: 2 } }).sentence).toBe(
    "The run is gone. Request it again. (run gate-counts-1, window 2)",
  );
  expect(new PipelineError("RunGone", gone).sentence).toBe("The run is gone. Request it again.");
});

test("an error is terminal by default", () => {
  expect(new PipelineError("RunGone", gone)).toMatchObject({ name: "RunGone", kind: "terminal", ids: {} });
});

test("an error of the pipeline stays the same", () => {
  const error = new PipelineError("RunGone", gone);
  expect(toPipelineError(error)).toBe(error);
});

test.each([
  [new TypeError("MARKED"), "TypeError"],
  ["MARKED", "string"],
  [{ MARKED: 1 }, "object"],
  [undefined, "undefined"],
])("anything else that is thrown is transient, and its words are not repeated", (thrown, name) => {
  const error = toPipelineError(thrown);
  expect(error).toMatchObject({ name: "Unexpected", kind: "transient" });
  expect(error.cause).toBe(thrown);
  expect(error.sentence).toContain(`(${name})`);
  expect(error.sentence).not.toContain("MARKED");
});
