/** The codes of the server of `/livez`, `/readyz` and `/metrics`: a part of the table in `errors.ts`, which alone reads it. */
import { failed } from "./error-spec.js";

export const healthErrors = {
  HEALTH_LISTEN: failed(
    "Cannot listen on {host}:{port} for --metrics-port: {reason}; take another port (0 finds a free one) or another --metrics-host",
    "The address is in use, not of this machine, or not allowed to this user. No chunk was taken.",
  ),
} as const;
