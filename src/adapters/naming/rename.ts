/**
 * Renames adapters and modules.
 *
 * @module
 */
import { type Adapter, type LoraModule, lazyModule, shapeOf } from "../../model/adapter.ts";

/** Renames all modules and plain tensors (not carried ones); factors stay lazy. */
export function rename(adapter: Adapter, name: (name: string) => string): Adapter {
  return {
    ...adapter,
    modules: adapter.modules.map((module) => renamed(module, name(module.name))),
    tensors: adapter.tensors.map((tensor) =>
      tensor.role === "carried" ? tensor : { ...tensor, name: name(tensor.name) },
    ),
  };
}

/** Renames a module. */
export function renamed(module: LoraModule, name: string): LoraModule {
  return lazyModule(
    { ...shapeOf(module), name },
    () => module.b,
    () => module.a,
  );
}
