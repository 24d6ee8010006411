/** The codes of a dataset in an object store: a part of the table in `errors.ts`, which alone reads it. */
import { failed } from "./error-spec.js";

export const storeErrors = {
  STORAGE_NO_BUCKET: failed(
    "There is no bucket {bucket} at {endpoint}; make it, or correct the dataset's place or --s3-endpoint",
    "The store answers, and does not have the bucket. A bucket that goes away in the middle of a run is waited for, as a directory is.",
  ),
  STORAGE_DENIED: failed(
    "The store does not let this process use {path}: {reason}",
    "The credentials are unknown, expired or not allowed to do this. They are looked for again while it is waited for. A dataset needs s3:ListBucket, s3:GetObject and s3:PutObject, and `results compact` s3:DeleteObject.",
    true,
  ),
  STORAGE_UNCONDITIONAL: failed(
    "The store at {endpoint} does not keep the first of several writes ({reason}), so that no dataset can be exact there; take another store, a newer version of this one, or a local directory",
    "Of several workers that commit one part, the first must win: `PUT` with `If-None-Match: *`. Whether the store does that is tried at the start of every new dataset.",
  ),
};
