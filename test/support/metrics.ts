/** Reads what `/metrics` says. */

export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const sampleLine = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;

/** Every sample of a text in the format of Prometheus; throws for a line that is none. */
export function parseMetrics(text: string): readonly ReadSample[] {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => {
    const [, name = "", labels = "", value = ""] = sampleLine.exec(line) ?? [];
    if (name === "") throw new Error(`Expected a sample, got ${line}`);
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = "", of = ""]) => [key, of]);
    return { name, labels: Object.fromEntries(pairs), value: Number(value) };
  });
}

/** The one sample of that name with those labels, or undefined. */
export function figureOf(samples: readonly ReadSample[], name: string, labels: Record<string, string> = {}) {
  const found = samples.filter((sample) => {
    return sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value);
  });
  if (found.length > 1) throw new Error(`Expected one ${name}, got ${found.length}`);
  return found[0]?.value;
}

/** Asks a server of `--metrics-port`. */
export async function probe(url: string, path: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${url}${path}`);
  return { status: response.status, text: await response.text() };
}

/** What it says of itself now. */
export async function scrape(url: string): Promise<readonly ReadSample[]> {
  return parseMetrics((await probe(url, "/metrics")).text);
}
