/**
 * Types of globals that a user's project may not declare: TypeScript's libraries have them only from some version or setting
 * on. This file declares nothing global, so nothing can collide.
 *
 * @module
 */

/** The instance type of the global class `Name`, if one is declared. */
export type Declared<Name extends string, Otherwise> = typeof globalThis extends {
  readonly [name in Name]: { readonly prototype: infer Type };
}
  ? Type
  : Otherwise;
