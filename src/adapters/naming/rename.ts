/**
 * Adapters and modules under other names.
 *
 * @module
 */
import { type Adapter, type LoraModule, lazyModule, shapeOf } from "../../model/adapter.ts";

/** The adapter with other names; factors stay lazy. */
export function rename(adapter: Adapter, name: (name: string) => string): Adapter {
  return {
    ...adapter,
    modules: adapter.modules.map((module) => renamed(module, name(module.name))),
    tensors: adapter.tensors.map((tensor) =>
      tensor.role === "carried" ? tensor : { ...tensor, name: name(tensor.name) },
    ),
  };
}

/** A module under another name. */
export function renamed(module: LoraModule, name: string): LoraModule {
  return lazyModule(
    { ...shapeOf(module), name },
    () => module.b,
    () => module.a,
  );
}
