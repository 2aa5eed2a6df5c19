// The logger of Lambda functions. A separate file, because loading Powertools takes longer than a short local run.
import { Logger } from "@aws-lambda-powertools/logger";
import type { Log } from "./logger.ts";

/** Returns a logger with the level of POWERTOOLS_LOG_LEVEL. */
export function createLogger(serviceName: string): Log {
  const logger = new Logger({ serviceName });
  return {
    info: (message, fields) => logger.info(message, fields),
    warn: (message, fields) => logger.warn(message, fields),
    error: (message, fields) => logger.error(message, fields),
  };
}
