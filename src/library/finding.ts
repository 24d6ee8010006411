import { messageOf } from "../shared/errors.js";

/** One line of `doctor`. */
export interface Finding {
  readonly subject: string;
  /** `info` is neither good nor bad: something that is not needed. */
  readonly state: "ok" | "info" | "failed";
  readonly detail: string;
}

/** The finding of a look that says what is there, or throws what is wrong. */
export async function find(subject: string, look: () => Promise<string>): Promise<Finding> {
  try {
    return { subject, state: "ok", detail: await look() };
  } catch (error) {
    return { subject, state: "failed", detail: messageOf(error) };
  }
}
