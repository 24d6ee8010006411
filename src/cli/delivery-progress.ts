/** Progress of a delivery on stderr: a bar on a terminal, a log line every few seconds elsewhere; nothing for a short one. */
import cliProgress from "cli-progress";
import type { DeliveriesProgress } from "../library/deliveries.js";
import type { Terminal } from "./terminal.js";

export interface DeliveryProgressView {
  update(progress: DeliveriesProgress): void;
  stop(): void;
}

const lineEveryMs = 5_000;
/** What takes less needs no bar. */
const quietMs = 2_000;

export function openDeliveryProgress(terminal: Terminal): DeliveryProgressView {
  let startMs: number | null = null;
  const view = terminal.stderr.isTTY ? openBar(terminal) : openLines(terminal);
  return {
    update(progress) {
      startMs ??= performance.now();
      if (performance.now() - startMs > quietMs) view.update(progress);
    },
    stop: view.stop,
  };
}

function openBar(terminal: Terminal): DeliveryProgressView {
  const format = "delivered {bar} {value}/{total} parts";
  const bars = new cliProgress.MultiBar(
    { stream: terminal.stderr, format, barsize: 30, hideCursor: true, gracefulExit: false },
    cliProgress.Presets.shades_classic,
  );
  let bar: cliProgress.SingleBar | null = null;
  return {
    update({ parts, delivered }) {
      if (bar === null) terminal.interceptLines((line) => bars.log(line));
      bar ??= bars.create(parts, delivered);
      bar.setTotal(parts);
      bar.update(delivered);
    },
    stop() {
      if (bar === null) return;
      bar = null;
      bars.update();
      bars.stop();
      terminal.interceptLines(null);
    },
  };
}

function openLines({ log }: Terminal): DeliveryProgressView {
  let nextMs = 0;
  return {
    update({ parts, delivered }) {
      if (performance.now() < nextMs) return;
      nextMs = performance.now() + lineEveryMs;
      log.info(`${delivered} of ${parts} parts delivered`, { parts, delivered });
    },
    stop() {},
  };
}
