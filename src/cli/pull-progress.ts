import type { Terminal } from "./terminal.js";

type PullView = (progress: { receivedBytes: number; totalBytes: number }) => void;

const mebibyte = 2 ** 20;
const lineEveryShare = 0.25;

/** Shows a download: one line that is written over on a terminal, a log line each quarter elsewhere. */
export function openPullProgress(terminal: Terminal): PullView {
  return terminal.stderr.isTTY ? openLine(terminal) : openLines(terminal);
}

/**
 * Not a bar with a timer of its own: nobody tells the view that a download failed, and a timer would keep the process
 * alive. Each text ends with a carriage return, so that whatever is printed next starts over it.
 */
function openLine({ stderr }: Terminal): PullView {
  let shown = "";
  return ({ receivedBytes, totalBytes }) => {
    const percent = Math.floor((100 * receivedBytes) / totalBytes);
    const text = `${describeMebibytes(receivedBytes, totalBytes)} (${percent} %)`;
    if (text === shown) return;
    shown = text;
    stderr.write(`${text}${receivedBytes >= totalBytes ? "\n" : "\r"}`);
  };
}

function openLines({ log }: Terminal): PullView {
  let nextShare = lineEveryShare;
  return ({ receivedBytes, totalBytes }) => {
    const share = receivedBytes / totalBytes;
    if (share < nextShare) return;
    nextShare = Math.floor(share / lineEveryShare + 1) * lineEveryShare;
    log.info(describeMebibytes(receivedBytes, totalBytes));
  };
}

function describeMebibytes(receivedBytes: number, totalBytes: number): string {
  return `fetched ${Math.round(receivedBytes / mebibyte)} of ${Math.round(totalBytes / mebibyte)} MiB`;
}
