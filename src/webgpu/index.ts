/**
 * Packed modules on a WebGPU device: the device decodes them to buffers, or applies them in packed form.
 *
 * ```ts
 * import { open } from "lqa";
 * import { uploadModule } from "lqa/webgpu";
 *
 * const file = await open(bytes);
 * const shape = file.modules[0];
 * const module = await uploadModule(device, { shape, factors: await file.packed(shape) });
 * const { b, a } = await module.decode({ type: "f16" });            // GPUBuffers, yours to destroy
 * const task = await module.prepareApply({ x, y, rows: 1 });        // y += multiplier · B'(A' x)
 * task.encode(encoder);                                             // as often as you like
 * ```
 *
 * @module
 */
export type { GpuApplyOptions } from "./apply.ts";
export type { GpuDecodeOptions, GpuDecodeTargets, GpuFactors } from "./decode.ts";
export { GpuModule, type PackedModule, uploadModule } from "./module.ts";
export type { GpuTarget } from "./targets.ts";
export { GpuTask } from "./task.ts";
export type {
  GpuBuffer,
  GpuBufferBinding,
  GpuCommandEncoder,
  GpuComputePassEncoder,
  GpuDevice,
} from "./types.ts";
