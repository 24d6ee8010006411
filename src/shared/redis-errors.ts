/** Codes of servers that are no single Redis: a part of the table in `errors.ts`, which alone reads it. */
import { failed } from "./error-spec.js";

export const redisErrors = {
  REDIS_MODE: failed(
    "Redis at {url} runs as {mode}, and labelmill keeps all its runs in one server; give the address of one that runs by itself, or of the primary behind a sentinel",
    "Members of a Redis Cluster have a part of the keys each, and sentinels have none.",
  ),
} as const;
