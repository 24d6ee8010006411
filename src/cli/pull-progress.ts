import cliProgress from "cli-progress";
import type { Terminal } from "./terminal.js";

type PullView = (progress: { receivedBytes: number; totalBytes: number }) => void;

const mebibyte = 2 ** 20;
const lineEveryShare = 0.25;

/** Shows a download: a bar on a terminal, a log line each quarter elsewhere. */
export function openPullProgress(terminal: Terminal): PullView {
  return terminal.stderr.isTTY ? openBar(terminal.stderr) : openLines(terminal);
}

function openBar(stream: NodeJS.WriteStream): PullView {
  const format = "{bar} {value}/{total} MiB  {percentage}%";
  const bar = new cliProgress.SingleBar({ stream, format, barsize: 30 }, cliProgress.Presets.shades_classic);
  let isStarted = false;
  return ({ receivedBytes, totalBytes }) => {
    const total = Math.ceil(totalBytes / mebibyte);
    if (!isStarted) bar.start(total, 0);
    isStarted = true;
    bar.update(Math.min(total, Math.ceil(receivedBytes / mebibyte)));
    if (receivedBytes >= totalBytes) bar.stop();
  };
}

function openLines({ log }: Terminal): PullView {
  let nextShare = lineEveryShare;
  return ({ receivedBytes, totalBytes }) => {
    const share = receivedBytes / totalBytes;
    if (share < nextShare) return;
    nextShare = Math.floor(share / lineEveryShare + 1) * lineEveryShare;
    log.info(`fetched ${Math.round(receivedBytes / mebibyte)} of ${Math.round(totalBytes / mebibyte)} MiB`);
  };
}
