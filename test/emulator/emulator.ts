// Starts MiniStack for one test file. It ends when it is closed or when its parent process ends.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ListQueuesCommand } from "@aws-sdk/client-sqs";
import { z } from "zod";
import { account, region } from "../stacks/evaluate/graph.ts";
import { clientsFor, credentials, type Endpoint } from "./emulator-clients.ts";
import { venvPython } from "./install.ts";

/** Starting takes two or three seconds. */
const startMs = 60_000;
const pollMs = 200;
const stopMs = 10_000;
const openSslMs = 20_000;
/** The number of log lines in an error. */
const loggedLines = 40;

const checkedCall = z.object({
  /** The access key. One of a function belongs to a session of its role. */
  accessKey: z.string(),
  /** The ARN of the caller: the account's root, a user, or a session of a role. */
  caller: z.string(),
  action: z.string(),
  resource: z.string(),
  allowed: z.boolean(),
});
/** A call whose permission MiniStack checked. */
type CheckedCall = z.infer<typeof checkedCall>;

export type Emulator = Endpoint & {
  /** A folder for the emulator's files. `close` removes it. */
  folder: string;
  /** Returns the end of its log. */
  log(): Promise<string>;
  /** Returns every call to its services so far. */
  calls(): Promise<CheckedCall[]>;
  close(): Promise<void>;
};

/**
 * Records each check of a caller's permissions, which MiniStack makes for every call to its services.
 * It ends and removes its folder when its standard input ends, which happens when the parent process ends.
 */
const launcher = `
import atexit, json, os, shutil, signal, sys, threading
from ministack.core import iam_evaluator
enforce = iam_evaluator.enforce
def enforce_and_record(access_key, action, service, region, resource_arn="*", service_context=None):
    denied = enforce(access_key, action, service, region, resource_arn, service_context)
    call = {"accessKey": access_key, "caller": iam_evaluator.caller_arn(), "action": action, "resource": resource_arn}
    with open(os.environ["CALLS_FILE"], "a") as file:
        file.write(json.dumps({**call, "allowed": denied is None}) + "\\n")
    return denied
iam_evaluator.enforce = enforce_and_record
def end_with_parent():
    sys.stdin.buffer.read()
    atexit.register(shutil.rmtree, os.environ["HOME"], True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=end_with_parent, daemon=True).start()
sys.argv = ["ministack"]
from ministack.app import main
main()
`;

type Settings = Required<Pick<Endpoint, "endpoint">> & { port: number; folder: string; certificate: string };

/** Starts MiniStack. @throws Error with the end of its log if it does not start */
export async function startEmulator(): Promise<Emulator> {
  const folder = await mkdtemp(join(tmpdir(), "emulator-"));
  const port = await freePort();
  const settings = {
    endpoint: `https://127.0.0.1:${port}`,
    port,
    folder,
    certificate: makeCertificate(folder),
  };
  const child = start(settings);
  const ended = once(child, "exit");
  const log = async () =>
    (await readFile(logFile(folder), "utf8")).split("\n").slice(-loggedLines).join("\n");
  const calls = async () =>
    (await readFile(callsFile(folder), "utf8"))
      .split("\n")
      .filter(Boolean)
      .map((line) => checkedCall.parse(JSON.parse(line)));
  const close = async (): Promise<void> => {
    // The end of its standard input ends the launcher.
    child.stdin?.end();
    const killing = setTimeout(() => child.kill("SIGKILL"), stopMs);
    if (child.exitCode === null && child.signalCode === null) await ended;
    clearTimeout(killing);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await untilReady(settings, () => child.exitCode === null && child.signalCode === null);
    return { ...settings, log, calls, close };
  } catch (cause) {
    const text = await log();
    await close();
    throw new Error(`MiniStack did not start:\n${text}`, { cause });
  }
}

/** Returns MiniStack's environment, without this shell's variables, because functions inherit it. */
function environmentOf({ port, folder, certificate }: Settings): Record<string, string> {
  return {
    GATEWAY_PORT: String(port),
    BIND_HOST: "127.0.0.1",
    MINISTACK_HOST: "127.0.0.1",
    MINISTACK_ACCOUNT_ID: account,
    MINISTACK_REGION: region,
    // These are the credentials of the account's root user. Functions have those of their roles.
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AUTH: "true",
    // SST's bucket policies deny requests without TLS.
    USE_SSL: "1",
    MINISTACK_SSL_CERT: certificate,
    MINISTACK_SSL_KEY: keyFile(folder),
    S3_DATA_DIR: join(folder, "s3"),
    STATE_DIR: join(folder, "state"),
    TMPDIR: folder,
    HOME: folder,
    CALLS_FILE: callsFile(folder),
    LOG_LEVEL: "INFO",
  };
}

function start(settings: Settings): ChildProcess {
  const { folder } = settings;
  const log = openSync(logFile(folder), "a");
  try {
    return spawn(venvPython(), ["-c", launcher], {
      cwd: folder,
      env: {
        ...environmentOf(settings),
        // Functions run on the first `node` in PATH, which is the project's own and has Lambda's version.
        PATH: [dirname(process.execPath), process.env.PATH ?? ""].join(delimiter),
      },
      stdio: ["pipe", log, log],
    });
  } finally {
    closeSync(log);
  }
}

function logFile(folder: string): string {
  return join(folder, "ministack.log");
}

function callsFile(folder: string): string {
  return join(folder, "calls.jsonl");
}

function keyFile(folder: string): string {
  return join(folder, "key.pem");
}

/** Creates a certificate for 127.0.0.1 that is valid for two days. @returns its path */
function makeCertificate(folder: string): string {
  const certificate = join(folder, "certificate.pem");
  const { status, stderr } = spawnSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=emulator"],
      ...["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
      ...["-keyout", keyFile(folder), "-out", certificate],
    ],
    { encoding: "utf8", timeout: openSslMs },
  );
  if (status !== 0) throw new Error(`openssl could not create a certificate: ${stderr}`);
  return certificate;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("The machine has no free port.");
  return address.port;
}

async function untilReady(endpoint: Endpoint, isAlive: () => boolean): Promise<void> {
  const clients = clientsFor(endpoint);
  const ends = Date.now() + startMs;
  try {
    for (;;) {
      try {
        await clients.sqs.send(new ListQueuesCommand({}));
        return;
      } catch (cause) {
        if (!isAlive() || Date.now() > ends) {
          throw new Error(`MiniStack does not respond at ${endpoint.endpoint}.`, { cause });
        }
      }
      await delay(pollMs);
    }
  } finally {
    clients.close();
  }
}
