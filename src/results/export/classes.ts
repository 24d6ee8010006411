import type { ExportContext } from "./exporter.js";
import { rowsOf } from "./rows.js";

/** A class that some row has. */
export interface ExportedClass {
  readonly index: number;
  /** Its label; followed by its index where another class has the same one. */
  readonly name: string;
}

/** The classes of all rows, by index. One pass over two columns: what names them must be known before the first row. */
export async function readClasses(context: ExportContext): Promise<ReadonlyMap<number, ExportedClass>> {
  const labels = new Map<number, string>();
  for await (const { label, label_index: index } of rowsOf(context, ["label", "label_index"])) {
    if (label !== null && index !== null) labels.set(index, label);
  }
  return nameApart(labels, (label) => label);
}

/** Gives each class the name that `nameOf` makes of its label, with the index where names would be the same. */
export function nameApart(
  labels: ReadonlyMap<number, string>,
  nameOf: (label: string) => string,
): ReadonlyMap<number, ExportedClass> {
  const uses = new Map<string, number>();
  for (const label of labels.values()) uses.set(nameOf(label), (uses.get(nameOf(label)) ?? 0) + 1);
  // Names that are nobody else's come first, so that none of the others can be made the same.
  const taken = new Set([...uses].filter(([, count]) => count === 1).map(([name]) => name));
  const sorted = [...labels].sort(([a], [b]) => a - b);
  return new Map(
    sorted.map(([index, label]) => {
      let name = nameOf(label);
      if ((uses.get(name) ?? 0) > 1) {
        do name = `${name}_${index}`;
        while (taken.has(name));
        taken.add(name);
      }
      return [index, { index, name }];
    }),
  );
}
