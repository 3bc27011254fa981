/**
 * The example in docs/serving.md runs unchanged, on the annotated file.
 *
 * @module
 */
import { inputLength, open } from "../../src/core/index.ts";
import { applyPacked, residentModule } from "../../src/serve/index.ts";
import { uploadModule } from "../../src/webgpu/index.ts";
import { bufferOf, bytesOf, check, contentsOf, type World } from "./world.ts";

type Example = (...given: unknown[]) => Promise<void>;

export async function checkExample(world: World): Promise<void> {
  const device = await world.newDevice();
  await check(world, "the example of docs/serving.md", async () => {
    const page = new TextDecoder().decode(await world.read("docs/serving.md"));
    const block = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].find(([, code]) =>
      code!.includes('"lqa/webgpu"'),
    );
    if (block === undefined) throw new Error("there is no example with lqa/webgpu");
    const code = block[1]!.replace(/^import .*\n/gm, "");
    const AsyncFunction = (async () => {}).constructor as new (...words: string[]) => Example;
    const bytes = await world.read("spec/example.lqa");
    const file = await open(bytes);
    const shape = file.modules[0]!;
    const input = Float32Array.from({ length: inputLength(shape) }, (_, i) => Math.sin(i));
    const output = new Float32Array(shape.out).fill(1);
    const [x, y] = [bufferOf(device, bytesOf(input)), bufferOf(device, bytesOf(output))];
    const example = new AsyncFunction("open", "uploadModule", "device", "bytes", "x", "y", code);
    await example(open, uploadModule, device, bytes, x, y);
    const [found] = await contentsOf(device, [y]);
    applyPacked(residentModule(shape, await file.packed(shape)), input, output);
    const values = new Float32Array(found!.slice().buffer);
    const wrong = output.findIndex(
      (value, o) => !(Math.abs(values[o]! - value) <= 1e-5 * (1 + Math.abs(value))),
    );
    if (wrong >= 0) throw new Error(`output ${wrong}: expected ${output[wrong]}, found ${values[wrong]}`);
    if (output.every((value) => value === 1)) throw new Error("the module changes nothing");
  });
  device.destroy();
}
