import { requireLancedb } from "../delivery/sinks/open-sink.js";
import { messageOf } from "../shared/errors.js";
import type { Finding } from "./finding.js";

/** What `doctor` finds of the sinks: of the three, LanceDB alone needs a package that may be absent. */
export async function diagnoseSink(): Promise<Finding> {
  const subject = "sink lancedb";
  try {
    await requireLancedb("lancedb:");
    return { subject, state: "ok", detail: "@lancedb/lancedb is here" };
  } catch (error) {
    return { subject, state: "info", detail: `not used: ${messageOf(error)}` };
  }
}
