import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { messageOf } from "../../shared/errors.js";
import type { FromChild, ToChild } from "../compute/protocol.js";

/** What a handle tells its owner. */
export interface ChildEvents {
  readonly onMessage: (message: FromChild) => void;
  /** Called once, after the child's last message, with how it ended. */
  readonly onEnd: (reason: string) => void;
  /** Each line that the child writes to its standard error. */
  readonly onLine: (line: string) => void;
}

/** One child, from fork to end. */
export interface ChildHandle {
  readonly pid: number | undefined;
  send(message: ToChild): void;
  /** Ends the child at once; `onEnd` follows. */
  kill(): void;
  /** Resolves when the child has ended and its messages have been delivered. */
  readonly ended: Promise<void>;
}

/** Watches a child that was forked with an IPC channel and a piped standard error. */
export function watchChild(child: ChildProcess, events: ChildEvents): ChildHandle {
  let lastLine = "";
  let hasEnded = false;
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (line.trim() !== "") lastLine = line.trim();
      events.onLine(line);
    });
  }
  child.on("message", (message) => events.onMessage(message as FromChild));
  const ended = new Promise<void>((resolve) => {
    const end = (reason: string): void => {
      if (hasEnded) return;
      hasEnded = true;
      resolve();
      events.onEnd(lastLine === "" ? reason : `${reason}; it last said: ${lastLine}`);
    };
    child.once("error", (error) => end(`it could not be started: ${messageOf(error)}`));
    child.once("close", (code, signal) => {
      const reason = signal === null ? `it exited with code ${code ?? "unknown"}` : `it was ended by ${signal}`;
      // Messages that the child sent just before its end may still be in the channel.
      if (child.connected) child.once("disconnect", () => end(reason));
      else end(reason);
    });
  });
  return {
    pid: child.pid,
    // A message that cannot be sent means that the child is ending, and `onEnd` accounts for all it was sent.
    send: (message) => void child.send(message, () => undefined),
    kill: () => void child.kill("SIGKILL"),
    ended,
  };
}
