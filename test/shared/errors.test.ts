import { expect, test } from "vitest";
import { PipelineError, toPipelineError } from "../../shared/errors.ts";

const told = { message: "The run is gone.", advice: "Request it again." };

test("its sentence is what happened, what to do, and the ids", () => {
  expect(new PipelineError("RunGone", { ...told, ids: { run: "gate-counts-1", window: 2 } }).sentence).toBe(
    "The run is gone. Request it again. (run gate-counts-1, window 2)",
  );
  expect(new PipelineError("RunGone", told).sentence).toBe("The run is gone. Request it again.");
});

test("an error that says nothing else is terminal", () => {
  expect(new PipelineError("RunGone", told)).toMatchObject({ name: "RunGone", kind: "terminal", ids: {} });
});

test("an error of the pipeline stays what it is", () => {
  const error = new PipelineError("RunGone", told);
  expect(toPipelineError(error)).toBe(error);
});

test.each([
  [new TypeError("MARKED"), "TypeError"],
  ["MARKED", "string"],
  [{ MARKED: 1 }, "object"],
  [undefined, "undefined"],
])("anything else that is thrown may pass later, and its words are not repeated", (thrown, name) => {
  const error = toPipelineError(thrown);

  expect(error).toMatchObject({ name: "Unexpected", kind: "transient" });
  expect(error.cause).toBe(thrown);
  expect(error.sentence).toContain(`(${name})`);
  expect(error.sentence).not.toContain("MARKED");
});
