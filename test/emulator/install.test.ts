// What `npm run test:emulator` says where it can't do its work.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { chooseEmulator } from "./install.ts";

test("without Python and Docker it says in one line what is missing and how to get it, and fails", () => {
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "install.ts")], {
    encoding: "utf8",
    env: { PATH: "/nowhere" },
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^npm run test:emulator needs openssl, and Python 3\.10 or later .*apt install .*; or .*AWS_ENDPOINT_URL.*\n$/,
  );
});

test("an emulator on another machine is not used, and neither is AWS", () => {
  for (const AWS_ENDPOINT_URL of ["https://sqs.us-east-1.amazonaws.com", "http://192.0.2.1:4566", "4566"]) {
    expect(() => chooseEmulator({ AWS_ENDPOINT_URL })).toThrow("names another machine");
  }
  const here = "http://127.0.0.1:4566";
  expect(chooseEmulator({ AWS_ENDPOINT_URL: `${here}/` })).toEqual({ kind: "endpoint", url: here });
});
