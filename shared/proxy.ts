// Sends the requests of every HTTP client, axios (LibInsight, Tableau) and the AWS SDK, through the network's proxy.
import * as http from "node:http";
import * as https from "node:https";
import { PipelineError } from "./errors.ts";

export type ProxyAgents = { httpAgent: http.Agent; httpsAgent: https.Agent };

/** The default of the AWS SDK's own agents. */
const maxSockets = 50;
/** The default of Node's global agent. Limits how long a connection is idle and how long a CONNECT takes. */
const timeout = 5_000;

let agents: ProxyAgents | undefined;

/**
 * Returns the agents of this process, created by the first call. They use `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`,
 * with precedence for lower-case names, and no proxy without these variables. HTTPS uses a CONNECT tunnel. axios lets
 * such agents use the proxy, unless it has the option `proxy: false`.
 * https://nodejs.org/docs/latest-v24.x/api/http.html#built-in-proxy-support
 * @throws PipelineError `ProxyUnusable` without the value, which may hold a password
 */
export function proxyAgents(): ProxyAgents {
  agents ??= makeAgents();
  return agents;
}

function makeAgents(): ProxyAgents {
  const { env } = process;
  const proxyEnv = {
    HTTP_PROXY: env.http_proxy || env.HTTP_PROXY,
    HTTPS_PROXY: env.https_proxy || env.HTTPS_PROXY,
    // Local AWS endpoints and the LibInsight simulator listen on 127.0.0.1, which for a proxy is its own machine.
    NO_PROXY: ["127.0.0.1", env.no_proxy || env.NO_PROXY].filter(Boolean).join(","),
  };
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY"] as const) {
    const value = proxyEnv[name];
    // Node ignores any other value, so requests would bypass the proxy.
    if (value && !/^https?:\/\//.test(value)) throw unusable(name);
  }
  try {
    const options = { keepAlive: true, maxSockets, timeout, proxyEnv };
    return { httpAgent: new http.Agent(options), httpsAgent: new https.Agent(options) };
  } catch {
    // Node's own error quotes the value.
    throw unusable("HTTP_PROXY or HTTPS_PROXY");
  }
}

function unusable(name: string): PipelineError {
  return new PipelineError("ProxyUnusable", {
    message: `${name} is not the URL of an HTTP proxy.`,
    advice: `Set ${name} to a URL such as http://proxy.example.edu:3128, with special characters of a password percent-encoded, or unset it.`,
  });
}
