// Requests that are answered by a function, and recorded.
import { PipelineError } from "../../../shared/errors.ts";
import type { Failure } from "../../../shared/http.ts";
import type { Api } from "../../../shared/kinds/kind.ts";

export function errorOf({ name, ...failure }: Failure): PipelineError {
  return new PipelineError(name, failure);
}

/** @param bodyOf returns the body for a path and its parameters, or throws */
export function fakeApi(bodyOf: (path: string, params: Record<string, unknown>) => unknown): {
  api: Api;
  requests: string[];
} {
  const requests: string[] = [];
  return {
    requests,
    api: {
      async get(path, params = {}) {
        const query = Object.entries(params).map(([name, value]) => `${name}=${value}`);
        requests.push([path, query.join("&")].filter(Boolean).join("?"));
        return { body: bodyOf(path, params), failed: errorOf };
      },
    },
  };
}
