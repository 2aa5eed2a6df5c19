// `npm run libinsight` as a person runs it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { bearerIn, pageIn, send } from "./libinsight-client.ts";

function run(...args: string[]) {
  return spawn(process.execPath, ["stacks/local/libinsight.ts", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
}

test.each(["SIGINT", "SIGTERM"] as const)(
  "says how to reach it, answers, and stops on %s",
  async (signal) => {
    const child = run("--records", "30", "--page-size", "10", "--fault", "status,status=503,endpoint=token");
    const exited = once(child, "exit");
    try {
      const said = new Map<string, string>();
      let curl = "";
      for await (const line of createInterface({ input: child.stdout })) {
        const [name = "", value = ""] = line.split("=");
        said.set(name, value);
        curl = line;
        if (line.startsWith("curl")) break;
      }
      const baseUrl = said.get("LIBINSIGHT_BASE_URL") ?? "";
      const body = () =>
        new URLSearchParams({
          grant_type: "client_credentials",
          client_id: said.get("LIBINSIGHT_CLIENT_ID") ?? "",
          client_secret: said.get("LIBINSIGHT_CLIENT_SECRET") ?? "",
        });
      expect((await send(`${baseUrl}/oauth/token`, { method: "POST", body: body() })).status).toBe(503);
      const token = await send(`${baseUrl}/oauth/token`, { method: "POST", body: body() });
      const authorization = await bearerIn(token);
      const [page = ""] = /http\S+data-grid[^"]+/.exec(curl) ?? [];
      const answer = await send(page, { headers: { authorization } });
      expect((await pageIn(answer)).records).toHaveLength(10);
    } finally {
      child.kill(signal);
    }
    expect(await exited).toEqual([0, null]);
  },
);

test("bad usage is one sentence and the usage, exit 2", async () => {
  const child = run("--fault", "hang,mood=bad");
  const [[code], stdout, stderr] = await Promise.all([
    once(child, "exit"),
    text(child.stdout),
    text(child.stderr),
  ]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(
    /^Option '--fault <fault>' .*"mood"\.\n\nUsage: npm run libinsight -- \[options\]\n/,
  );
});
