import { LabelmillError } from "../../shared/errors.js";
import type { Model, SpecModel } from "./catalog.js";

/** `model` as one that a spec describes, of which alone there are folded weights and int8. Throws MODEL_AS_IS. */
export function requireSpec(model: Model): SpecModel {
  if (model.spec !== undefined) return model;
  throw new LabelmillError("MODEL_AS_IS", { name: model.name });
}
