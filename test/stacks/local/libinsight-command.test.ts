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

test.each([
  [["--speed", "9"], "--speed"],
  [["--records", "many"], "--records"],
  [["--port", "70000"], "--port"],
  [["--latency", "-5"], "--latency"],
  [["--rename", "mode"], "--rename"],
  [["--fault", "sulk"], "--fault"],
  [["--fault", "hang,mood=bad"], "--fault"],
  [["stray"], "stray"],
])("%j is one sentence and the usage, exit 2", async (args, named) => {
  const child = run(...args);
  const [[code], stdout, stderr] = await Promise.all([
    once(child, "exit"),
    text(child.stdout),
    text(child.stderr),
  ]);
  expect(code).toBe(2);
  expect(stdout).toBe("");
  const [sentence, blank, usage] = stderr.split("\n");
  expect(sentence).toContain(named);
  expect(sentence).toMatch(/\.$/);
  expect(blank).toBe("");
  expect(usage).toMatch(/^npm run libinsight --/);
});
