// A running emulator. MiniStack is started for one test file and ends with it: when it is closed, and also when the process
// that started it is gone, however that ended.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ListQueuesCommand } from "@aws-sdk/client-sqs";
import { account, region } from "../stacks/evaluate/graph.ts";
import { clientsFor, credentials, type Place } from "./clients.ts";
import { chooseEmulator, venvPython } from "./install.ts";

/** It takes two or three seconds. */
const startMs = 60_000;
const askMs = 200;
const stopMs = 10_000;
const openSslMs = 20_000;
/** Of its log, in an error. */
const toldLines = 40;

export type Emulator = Place & {
  /** Whether calls are held against the roles' policies, and S3 against the buckets'. */
  enforcesIam: boolean;
  /** For what is kept beside it. Gone when it is. */
  folder: string;
  /** The end of what it logged, where it is ours. */
  log(): Promise<string>;
  close(): Promise<void>;
};

/** Ends when its standard input does, which is when whoever started it is gone, and takes its folder with it. */
const launcher = `
import atexit, os, shutil, signal, sys, threading
def end_with_parent():
    sys.stdin.buffer.read()
    atexit.register(shutil.rmtree, os.environ["HOME"], True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=end_with_parent, daemon=True).start()
sys.argv = ["ministack"]
from ministack.app import main
main()
`;

type Settings = Required<Pick<Place, "endpoint">> & { port: number; folder: string; certificate: string };

/** @throws NoEmulator. @throws Error with the end of its log where it does not start */
export async function startEmulator(): Promise<Emulator> {
  const choice = chooseEmulator(process.env);
  const folder = await mkdtemp(join(tmpdir(), "emulator-"));
  const forget = () => rm(folder, { recursive: true, force: true, maxRetries: 5 });
  if (choice.kind === "endpoint") {
    const endpoint = choice.url;
    await untilItAnswers({ endpoint }, () => true);
    await empty(endpoint);
    return { endpoint, enforcesIam: false, folder, log: async () => "", close: forget };
  }
  const port = await freePort();
  const settings = {
    endpoint: `https://127.0.0.1:${port}`,
    port,
    folder,
    certificate: makeCertificate(folder),
  };
  const child = choice.kind === "python" ? startPython(settings) : startDocker(choice.image, settings);
  const ended = once(child, "exit");
  const log = async () => (await readFile(logFile(folder), "utf8")).split("\n").slice(-toldLines).join("\n");
  const close = async (): Promise<void> => {
    // The launcher's word to end. Docker hands it on.
    child.stdin?.end();
    const killing = setTimeout(() => child.kill("SIGKILL"), stopMs);
    if (child.exitCode === null && child.signalCode === null) await ended;
    clearTimeout(killing);
    await forget();
  };
  try {
    await untilItAnswers(settings, () => child.exitCode === null && child.signalCode === null);
    return { ...settings, enforcesIam: true, log, close };
  } catch (cause) {
    const text = await log();
    await close();
    throw new Error(`MiniStack did not start:\n${text}`, { cause });
  }
}

/** Of this shell's variables it gets none: functions inherit what it has. */
function environmentOf({ port, folder, certificate }: Settings): Record<string, string> {
  return {
    GATEWAY_PORT: String(port),
    BIND_HOST: "127.0.0.1",
    MINISTACK_HOST: "127.0.0.1",
    MINISTACK_ACCOUNT_ID: account,
    MINISTACK_REGION: region,
    // Who has these is the account's root; functions have their roles.
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AUTH: "true",
    // SST's bucket policies refuse what comes without TLS.
    USE_SSL: "1",
    MINISTACK_SSL_CERT: certificate,
    MINISTACK_SSL_KEY: keyFile(folder),
    S3_DATA_DIR: join(folder, "s3"),
    STATE_DIR: join(folder, "state"),
    TMPDIR: folder,
    HOME: folder,
    LOG_LEVEL: "INFO",
  };
}

function startPython(settings: Settings): ChildProcess {
  return launch(venvPython(), ["-c", launcher], settings, {
    ...environmentOf(settings),
    // Functions run on the first `node` that is found: the project's own, which is Lambda's version.
    PATH: [dirname(process.execPath), process.env.PATH ?? ""].join(delimiter),
  });
}

function startDocker(image: string, settings: Settings): ChildProcess {
  const { folder } = settings;
  const variables = Object.entries(environmentOf(settings)).flatMap(([name, value]) => [
    "--env",
    `${name}=${value}`,
  ]);
  // On this machine's own network, so that functions reach the endpoints that listen on 127.0.0.1.
  const options = ["--rm", "--interactive", "--network", "host", "--volume", `${folder}:${folder}`];
  const command = ["--entrypoint", "python", image, "-c", launcher];
  return launch("docker", ["run", ...options, ...variables, ...command], settings, process.env);
}

function launch(command: string, args: string[], { folder }: Settings, env: NodeJS.ProcessEnv): ChildProcess {
  const log = openSync(logFile(folder), "a");
  try {
    return spawn(command, args, { cwd: folder, env, stdio: ["pipe", log, log] });
  } finally {
    closeSync(log);
  }
}

function logFile(folder: string): string {
  return join(folder, "ministack.log");
}

function keyFile(folder: string): string {
  return join(folder, "key.pem");
}

/** For 127.0.0.1, and for two days. @returns its file */
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
  if (status !== 0) throw new Error(`openssl made no certificate: ${stderr}`);
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

async function untilItAnswers(place: Place, isAlive: () => boolean): Promise<void> {
  const clients = clientsFor(place);
  const ends = Date.now() + startMs;
  try {
    for (;;) {
      try {
        await clients.sqs.send(new ListQueuesCommand({}));
        return;
      } catch (cause) {
        if (!isAlive() || Date.now() > ends) {
          throw new Error(`Nothing answers at ${place.endpoint}.`, { cause });
        }
      }
      await delay(askMs);
    }
  } finally {
    clients.close();
  }
}

/** What an earlier test file left is in the way. MiniStack and LocalStack can forget everything; others have to be fresh. */
async function empty(endpoint: string): Promise<void> {
  for (const path of ["/_ministack/reset", "/_localstack/state/reset"]) {
    const { ok } = await fetch(`${endpoint}${path}`, {
      method: "POST",
      signal: AbortSignal.timeout(startMs),
    });
    if (ok) return;
  }
}
