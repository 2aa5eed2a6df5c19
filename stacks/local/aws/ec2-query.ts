// The EC2 query protocol as a server: form-encoded requests, XML answers.
// https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { z } from "zod";
import { type LocalEndpoint, listenOnLoopback } from "./loopback.ts";
import { readBody } from "./request-body.ts";
import { escapeXml } from "./xml.ts";

/** What an element holds. An array is a list of `<item>`s; undefined is left out. */
export type XmlValue = string | number | undefined | readonly XmlValue[] | { [name: string]: XmlValue };

/** One operation: the request's parameters in, the answer's elements out. */
export type Ec2Operation = (input: unknown) => Promise<{ [name: string]: XmlValue }>;

/** An answer that the SDK raises as an error named `code`. */
export class Ec2Error extends Error {
  readonly code: string;
  readonly status: number;

  /** @param code such as `IncorrectInstanceState` */
  constructor(code: string, message: string) {
    super(message);
    this.name = "Ec2Error";
    this.code = code;
    this.status = statusOf(code);
  }
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html#api-error-codes-table-server */
const serverErrors = ["InsufficientInstanceCapacity", "InternalError", "ServiceUnavailable", "Unavailable"];

function statusOf(code: string): number {
  if (code === "UnauthorizedOperation") return 403;
  if (code === "RequestLimitExceeded") return 503;
  return serverErrors.includes(code) ? 500 : 400;
}

/** An operation whose input has this shape; any other input is answered with `InvalidParameterValue`. */
export function ec2Operation<S extends z.ZodType>(
  shape: S,
  handle: (input: z.infer<S>) => Promise<{ [name: string]: XmlValue }>,
): Ec2Operation {
  return async (input) => {
    const parsed = shape.safeParse(input);
    if (!parsed.success) throw new Ec2Error("InvalidParameterValue", z.prettifyError(parsed.error));
    return handle(parsed.data);
  };
}

const version = "2016-11-15";
/** A thousand ids of 20 characters, their names and escapes included, are a tenth of it. */
const maxBodyBytes = 1024 * 1024;
const maxParameters = 5_000;
/** `BlockDeviceMapping.1.Ebs.DeleteOnTermination` is as deep as EC2's requests go. */
const maxDepth = 8;

export async function startEc2Query(operations: Record<string, Ec2Operation>): Promise<LocalEndpoint> {
  const known = new Map(Object.entries(operations));
  const server = createServer((request, response) => {
    void answer(request, response);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = randomUUID();
    let action = "";
    try {
      const form = await readForm(request);
      action = form.get("Action") ?? "";
      if (form.get("Version") !== version) {
        throw new Ec2Error("NoSuchVersion", `The local EC2 speaks the version ${version}.`);
      }
      const run = known.get(action);
      if (!run) {
        const names = [...known.keys()].join(", ");
        throw new Ec2Error("InvalidAction", `The local EC2 has no action "${action}"; it knows ${names}.`);
      }
      for (const name of ["Action", "Version"]) form.delete(name);
      const output = await run(nested(form));
      const body = elements({ requestId, ...output });
      const namespace = `http://ec2.amazonaws.com/doc/${version}/`;
      send(response, 200, `<${action}Response xmlns="${namespace}">${body}</${action}Response>`);
    } catch (error) {
      const { status, code, message } = error instanceof Ec2Error ? error : internalError(action, error);
      const Errors = elements({ Error: { Code: code, Message: message } });
      send(
        response,
        status,
        `<Response><Errors>${Errors}</Errors><RequestID>${requestId}</RequestID></Response>`,
      );
    }
  }

  return listenOnLoopback(server);
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const body = await readBody(request, maxBodyBytes);
  if (body === undefined) {
    throw new Ec2Error("RequestEntityTooLarge", `A request has at most ${maxBodyBytes} bytes.`);
  }
  const form = new URLSearchParams(body.toString("utf8"));
  if (form.size <= maxParameters) return form;
  throw new Ec2Error("MalformedQueryString", `A request has at most ${maxParameters} parameters.`);
}

type Parameters = string | Map<string, Parameters>;

/** `Filter.1.Value.2=x` as `{ Filter: [{ Value: [..., "x"] }] }`: names become objects, numbers from 1 arrays. */
function nested(form: URLSearchParams): unknown {
  const root = new Map<string, Parameters>();
  for (const [path, value] of form) {
    const names = path.split(".");
    const last = names.pop() ?? "";
    if (names.length >= maxDepth) throw malformed(path);
    let place = root;
    for (const name of names) {
      const next = place.get(name) ?? new Map<string, Parameters>();
      if (typeof next === "string") throw malformed(path);
      place.set(name, next);
      place = next;
    }
    place.set(last, value);
  }
  return plain(root, "");
}

function plain(value: Parameters, path: string): unknown {
  if (typeof value === "string") return value;
  const entries = [...value];
  if (!entries.some(([name]) => /^\d+$/.test(name))) {
    // Not assigned one by one, so that no name means anything to JavaScript.
    return Object.fromEntries(entries.map(([name, each]) => [name, plain(each, `${path}.${name}`)]));
  }
  const list = entries.toSorted(([a], [b]) => Number(a) - Number(b));
  if (list.some(([name], index) => name !== String(index + 1))) throw malformed(path);
  return list.map(([name, each]) => plain(each, `${path}.${name}`));
}

function malformed(path: string): Ec2Error {
  return new Ec2Error("MalformedQueryString", `The parameter ${path} can't be read.`);
}

function elements(values: { [name: string]: XmlValue }): string {
  return Object.entries(values)
    .map(([name, value]) => (value === undefined ? "" : `<${name}>${content(value)}</${name}>`))
    .join("");
}

function content(value: Exclude<XmlValue, undefined>): string {
  if (isList(value)) return value.map((item) => elements({ item })).join("");
  return typeof value === "object" ? elements(value) : escapeXml(String(value));
}

function isList(value: XmlValue): value is readonly XmlValue[] {
  return Array.isArray(value);
}

function send(response: ServerResponse, status: number, document: string): void {
  const bytes = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${document}`);
  response
    .writeHead(status, { "content-type": "text/xml;charset=UTF-8", "content-length": bytes.length })
    .end(bytes);
}

function internalError(action: string, error: unknown): Ec2Error {
  const what = error instanceof Error ? error.name : typeof error;
  process.stderr.write(`The local EC2 failed in ${action} (${what}).\n`);
  return new Ec2Error("InternalError", `The local EC2 failed (${what}).`);
}
