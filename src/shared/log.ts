import type { Writable } from "node:stream";
import winston from "winston";
import { printable } from "./printable.js";

/** What the rooms need of a logger: a sentence, and fields that a machine can read. */
export interface Log {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

export const logLevels = ["error", "warn", "info", "debug"] as const;
export const logFormats = ["text", "json"] as const;

export interface LogOptions {
  readonly level: (typeof logLevels)[number];
  readonly format: (typeof logFormats)[number];
  /** Where the lines go; stdout stays free for results. */
  readonly stream: Writable;
}

/** A winston logger that writes one line an event to `stream`. */
export function createLog({ level, format, stream }: LogOptions): Log {
  const { combine, timestamp, json, printf } = winston.format;
  const text = printf(({ timestamp, level, message, ...fields }) => {
    const rest = Object.keys(fields).length > 0 ? ` ${JSON.stringify(fields)}` : "";
    return `${timestamp} ${level} ${printable(String(message))}${rest}`;
  });
  return winston.createLogger({
    level,
    format: combine(timestamp(), format === "json" ? json() : text),
    transports: [new winston.transports.Stream({ stream })],
  });
}

/** `log` with `fields` on every line; a line's own come after them. */
export function withFields(log: Log, fields: Readonly<Record<string, unknown>>): Log {
  return {
    debug: (message, own) => log.debug(message, { ...fields, ...own }),
    info: (message, own) => log.info(message, { ...fields, ...own }),
    warn: (message, own) => log.warn(message, { ...fields, ...own }),
    error: (message, own) => log.error(message, { ...fields, ...own }),
  };
}

/** A log that keeps nothing, for library callers who want none. */
export const silentLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {}
