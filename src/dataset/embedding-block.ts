/** Embeddings side by side, as searches and matrices want them: a thousand times fewer objects than rows. */
export interface EmbeddingBlock {
  /** `item_index` of each, ascending. */
  readonly itemIndices: readonly number[];
  /** Floats of one; 0 where there is none. */
  readonly width: number;
  /** `[itemIndices.length, width]` */
  readonly floats: Float32Array;
}

/** One block of many, in order. Throws Error where their widths differ. */
export function joinBlocks(blocks: readonly EmbeddingBlock[]): EmbeddingBlock {
  const [first, ...others] = blocks.filter(({ itemIndices }) => itemIndices.length > 0);
  if (first === undefined) return { itemIndices: [], width: 0, floats: new Float32Array(0) };
  if (others.length === 0) return first;
  const { width } = first;
  const odd = others.find((block) => block.width !== width);
  if (odd !== undefined) throw new Error(`it holds embeddings of ${width} and of ${odd.width} floats`);
  const all = [first, ...others];
  const floats = new Float32Array(all.reduce((sum, block) => sum + block.floats.length, 0));
  let at = 0;
  for (const block of all) {
    floats.set(block.floats, at);
    at += block.floats.length;
  }
  return { itemIndices: all.flatMap(({ itemIndices }) => itemIndices), width, floats };
}
