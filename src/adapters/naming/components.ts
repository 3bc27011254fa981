/**
 * Splits an adapter of a diffusion pipeline into its components.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter } from "../../model/adapter.ts";
import { COMPONENT } from "../../model/base-shape.ts";
import { quoteName } from "../json.ts";
import { rename } from "./rename.ts";

/**
 * Splits an adapter of a pipeline into one adapter per component; the layer names lose the component.
 *
 * @throws LqaError BASE_MODULE_MISSING for a layer whose name has no component
 */
export function splitComponents({ modules, tensors, ...rest }: Adapter): Map<string, Adapter> {
  const parts = new Map<string, Adapter>();
  const within = (component: string) => (item: { readonly name: string; readonly role: string }) =>
    item.role !== "carried" && COMPONENT.exec(item.name)?.[1] === component;
  for (const { name } of modules) {
    const component = COMPONENT.exec(name)?.[1];
    if (component === undefined) {
      return fail(KIND.BASE_MODULE_MISSING, {
        where: `module ${quoteName(name)}`,
        expected: "a layer of a pipeline's component (unet., text_encoder., transformer., …)",
        advice: "Give the model itself, not the pipeline it belongs to.",
      });
    }
    if (parts.has(component)) continue;
    const part = {
      ...rest,
      modules: modules.filter(within(component)),
      tensors: tensors.filter(within(component)),
    };
    parts.set(
      component,
      rename(part, (each) => each.replace(COMPONENT, "")),
    );
  }
  return parts;
}
