/**
 * The tasks of an encoding. Each is a function of its input alone, a module and decisions about it. So they can be performed
 * anywhere and in any order: workers give the same bytes as a single thread. Inputs and outputs can be cloned.
 *
 * @module
 */
import type { PackedFactors } from "../../core/index.ts";
import { withFactors } from "../../model/adapter.ts";
import { checkSourceModule, type QuantizedModule, type QuantizeOptions, quantizeModule } from "./profile.ts";
import { type ModuleQuality, moduleQuality } from "./quality.ts";
import { type CodedSide, codeModule, type Wanted } from "./rd/code-module.ts";
import { type Rotations, type Survey, surveyModule } from "./rd/survey.ts";
import type { TaskWork } from "./rd/vectors.ts";

/** Input of each kind of task. */
export interface TaskInput {
  /** For profiles that handle one module at a time. */
  readonly quantize: TaskWork & { readonly options: QuantizeOptions };
  /** The survey of `rd`; also checks the weights. */
  readonly survey: TaskWork;
  readonly code: TaskWork & {
    readonly rotations: Rotations;
    readonly wanted: readonly Wanted[];
    readonly cores: Survey["cores"];
    readonly aligned: Survey["aligned"];
  };
  readonly measure: TaskWork & { readonly factors: PackedFactors };
}

/** Output of each kind of task. */
export interface TaskOutput {
  readonly quantize: QuantizedModule;
  readonly survey: Survey;
  readonly code: CodedSide[];
  readonly measure: ModuleQuality;
}

export type TaskKind = keyof TaskInput;

/** Performs tasks. */
export interface Executor {
  /**
   * Performs tasks of one kind.
   *
   * @param inputs taken one by one, when a performer is free
   * @param done called in order with the name of each finished module; throwing stops the work
   * @returns the outputs in the order of the inputs
   * @throws the error of the first failed task in order
   */
  run<K extends TaskKind>(
    kind: K,
    inputs: Iterable<TaskInput[K]>,
    done: (name: string) => Promise<void>,
  ): Promise<TaskOutput[K][]>;
}

const PERFORM: { readonly [K in TaskKind]: (input: TaskInput[K]) => TaskOutput[K] } = {
  quantize: ({ module, moments, options }) => quantizeModule(module, options, moments),
  survey(work) {
    checkSourceModule(work.module);
    return surveyModule(work);
  },
  code: ({ rotations, wanted, cores, aligned, ...work }) =>
    codeModule(work, rotations, wanted, cores, aligned),
  measure: ({ factors, ...work }) => moduleQuality(work.module, factors, work.moments, work),
};

/** Performs one task. Reads the factors once. */
export function perform<K extends TaskKind>(kind: K, input: TaskInput[K]): TaskOutput[K] {
  return PERFORM[kind]({ ...input, module: withFactors(input.module) });
}

/** Performs one task after the other, on this thread. */
export const inline: Executor = {
  async run(kind, inputs, done) {
    const outputs = [];
    for (const input of inputs) {
      outputs.push(perform(kind, input));
      await done(input.module.name);
    }
    return outputs;
  },
};
