/**
 * Types of globals that the project of a user may not declare: the libraries of TypeScript have them from some version, or
 * some setting, on. Nothing global is declared, so that nothing of it can collide.
 *
 * @module
 */

/** What an instance of the global class `Name` is, if one is declared. */
export type Declared<Name extends string, Otherwise> = typeof globalThis extends {
  readonly [name in Name]: { readonly prototype: infer Type };
}
  ? Type
  : Otherwise;
